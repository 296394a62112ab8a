"""Text from anywhere, made safe to show: every character is visible, and none has an effect.

    ESC [ 2 J  ─▶  \\x1b[2J        U+202E (right-to-left override)  ─▶  \\u202e

A terminal obeys control characters: they clear it, name its window, write into its clipboard. Characters that change
the direction of writing, or that take no room, make a line look like another one, on a page too.
"""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any, TextIO, cast

KEPT = "\n\t\u200c\u200d"
"""The invisible characters that are harmless; the last two join letters, or keep them apart, in some scripts."""
UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""The Unicode categories of invisible characters: controls; formats, which include changes of direction; halves of
pairs; and separators of lines."""
_STYLE = re.compile("(\x1b\\[[0-9;]*m)")
"""The codes for bold letters and colours, which are passed on to a terminal."""


def plain(text: str) -> str:
    """The text with invisible characters written out; line ends and tabs stay."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        _written(character) if character not in KEPT and unicodedata.category(character) in UNSEEN else character
        for character in text
    )


def line(text: str) -> str:
    """The plain text in one line."""
    return plain(" ".join(text.split()))


def plain_json(text: str | bytes) -> str | bytes:
    """A JSON text whose strings and keys are plain. A text that is not JSON, or too deep, stays as it is, and is
    refused when it is read."""
    try:
        return json.dumps(_plain_within(json.loads(text)))
    except (ValueError, RecursionError):
        return text


def _plain_within(value: Any) -> Any:
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, list):
        return [_plain_within(part) for part in value]
    if isinstance(value, dict):
        return {plain(str(key)): _plain_within(part) for key, part in value.items()}
    return value


@contextmanager
def printed_plainly() -> Iterator[None]:
    """A context in which all printed text is plain, except for bold letters and colours."""
    with redirect_stdout(cast(TextIO, _Plainly(sys.stdout))):
        yield


class _Plainly:
    """A stream in front of another one, to which it writes plain text; all other attributes are those of the other."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text, and return the number of its characters."""
        pieces = _STYLE.split(text)
        self._stream.write("".join(piece if i % 2 else plain(piece) for i, piece in enumerate(pieces)))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _written(character: str) -> str:
    """A character as Python's escape sequence."""
    number = ord(character)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


_CODE = re.compile(r"(?<!`)(`[^`]+`)(?!`)")
"""A text between single backticks, which Markdown takes for code."""
_MARKUP = re.compile(r"([\\`|*<\[\]$~]|\b_|_\b|&(?=#?\w+;))")
"""The characters that Markdown, as GitHub reads it, takes for more than a letter, also in formulas and entities."""


def in_markdown(text: str) -> str:
    """Text in one line, escaped for Markdown except for its `code`."""
    pieces = _CODE.split(re.sub(r"\s*\n\s*", " ", text))
    escaped = "".join(piece if i % 2 else _MARKUP.sub(r"\\\1", piece) for i, piece in enumerate(pieces))
    return re.sub(r"^(\s*)([#>]|[+-](?= ))", r"\1\\\2", escaped)
