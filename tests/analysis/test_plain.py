"""Text that may come from anywhere is seen character by character, and does nothing, to a terminal or a page."""

import contextlib
import io
import json
import sys

import pytest

from analysis.options import Option, run
from analysis.plain import line, plain, plain_json, printed_plainly


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("μ̃, x₀, ‖ε − ε̂‖² and 数字, é", "μ̃, x₀, ‖ε − ε̂‖² and 数字, é"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("\x1b]0;another title\x07", "\\x1b]0;another title\\x07"),
        ("\x9b2J", "\\x9b2J"),
        ("over\rwritten\b", "over\\x0dwritten\\x08"),
        ("\u202etxt.exe\u2066", "\\u202etxt.exe\\u2066"),
        ("no\u200bthing\ufeff", "no\\u200bthing\\ufeff"),
        ("क्\u200dष", "क्\u200dष"),
        ("\U000e0041", "\\U000e0041"),
        ("\ud800", "\\ud800"),
        ("next\u2028line", "next\\u2028line"),
    ],
)
def test_what_is_not_seen_is_written_out(text, seen):
    assert plain(text) == seen


def test_a_line_is_one():
    assert line(" two\n lines\x1b[1m ") == "two lines\\x1b[1m"


def test_of_a_json_text_strings_and_keys_are_plain_and_the_rest_is_as_it_was():
    content = {"a\u202e": ["\x1b[2J", {"n": [1, 2.5, None, True]}], "b": "β"}
    shown = {"a\\u202e": ["\\x1b[2J", {"n": [1, 2.5, None, True]}], "b": "β"}
    assert json.loads(plain_json(json.dumps(content))) == shown
    assert plain_json("{no json") == "{no json"


def test_what_is_printed_is_plain_but_for_bold_and_colours(capsys):
    with printed_plainly():
        print("\x1b[1mbold\x1b[0m and \x1b[38;5;2mgreen\x1b[0m, not \x1b[2J or \x1b]52;c;eA==\x07", flush=True)
    print("\x1b[2J", end="")
    assert capsys.readouterr().out == (
        "\x1b[1mbold\x1b[0m and \x1b[38;5;2mgreen\x1b[0m, not \\x1b[2J or \\x1b]52;c;eA==\\x07\n\x1b[2J"
    )


def test_commands_print_plainly_and_say_their_errors_so(capsys):
    options = {"n": Option("a number", 0, int)}
    assert run("p", "Does.", options, lambda given: print("\x1b[2J"), []) == 0
    assert run("p", "Does.", options, print, ["\x1b[2J=\u202e"]) == 2
    told = capsys.readouterr()
    assert told.out == "\\x1b[2J\n"
    assert not {"\x1b", "\u202e"} & set(told.err)


def test_the_stream_is_the_other_one_in_all_else():
    stream = io.StringIO()
    with contextlib.redirect_stdout(stream), printed_plainly():
        assert sys.stdout.isatty() is False
        sys.stdout.write("a\x00")
    assert stream.getvalue() == "a\\x00"
