"""The grammar that all commands with options share: what is read, what is refused in a line, what --help says."""

import subprocess
import sys

import pytest

from analysis.errors import InputError
from analysis.shell import Option, parse, run, usage

OPTIONS = {
    "grid": Option("a name", required=True),
    "format": Option("how", "markdown", choices=("markdown", "latex", "csv")),
    "n": Option("how many", 64, int),
    "rate": Option("how fast", 0.5, float),
    "out": Option("a file"),
}


def test_parse_fills_in_defaults_and_keeps_kinds():
    assert parse(["grid=a=b, c"], OPTIONS) == {"grid": "a=b, c", "format": "markdown", "n": 64, "rate": 0.5, "out": ""}
    given = parse(["n=7", "rate=1e-3", "grid=1", "out=007"], OPTIONS)
    assert given == {"grid": "1", "format": "markdown", "n": 7, "rate": 0.001, "out": "007"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["grdi=x"], "no option called 'grdi': there are format, grid, n, out, rate; did you mean 'grid'?"),
        (["format=latx"], "no format called 'latx': there are csv, latex, markdown; did you mean 'latex'?"),
        (["grid="], "grid= has no value: give a name"),
        (["--grid=x"], "'--grid=x': keys are written without dashes: write grid=x"),
        (["n=10k"], "n must be a whole number, got '10k': write 10000"),
        (["grid=a", "grid=b"], "grid is given twice, as 'a' and 'b': give it once"),
        (["n=many"], "n must be a whole number, got 'many'"),
        (["n=3"], "grid= is missing: give a name"),
    ],
)
def test_wrong_words(arguments, message):
    with pytest.raises(InputError) as error:
        parse(arguments, OPTIONS)
    assert str(error.value) == message


def refuse(values):
    raise InputError(f"no\n  {values['grid']} here")


@pytest.mark.parametrize(
    ("arguments", "code", "out", "err"),
    [
        (["--help"], 0, usage("p", "Does.", OPTIONS) + "\n", ""),
        (["grid=x"], 2, "", "error: no x here\n"),
        (["grid=x", "n=many"], 2, "", "error: n must be a whole number, got 'many'\n"),
    ],
)
def test_run_answers_in_a_line_and_an_exit_code(arguments, code, out, err, capsys):
    assert run("p", "Does.", OPTIONS, refuse, arguments) == code
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == (out, err)


def test_help_comes_before_anything_heavy():
    heavy = "{'pandas', 'torch', 'mlflow', 'numpy', 'pydantic'} & set(sys.modules)"
    code = f"import sys\nfrom ablations import publish, sample, export, clean\nassert not {heavy}, {heavy}"
    subprocess.run([sys.executable, "-c", code], check=True)
