"""What makes no sense to a program of evidence is one line, and exit code 2."""

from __future__ import annotations

import pytest

from evidence import inference, looks, reproduced, scale

WRONG = [
    (inference, "replicates=0", "replicates must be at least 1"),
    (looks, "replicates=0", "replicates must be at least 1"),
    (reproduced, "grids=stepz", "did you mean 'steps'?"),
    (scale, "cells=0", "at least 1"),
]


@pytest.mark.parametrize(("program", "words", "message"), WRONG, ids=[f"{one.__name__} {w}" for one, w, _ in WRONG])
def test_what_makes_no_sense_is_one_line(program, words, message, capsys):
    assert program.main(words.split()) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
