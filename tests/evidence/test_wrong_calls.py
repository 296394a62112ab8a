"""What makes no sense to a program of evidence is one line, and exit code 2."""

from __future__ import annotations

import pytest

from diffusion_core.networks import fused
from evidence import cluster, convergence, inference, looks, same, scale
from tests.evidence.test_pages import ROOT

WRONG = [
    (cluster, "steps=many", "steps are whole numbers"),
    (cluster, "mfu=2", "mfu between 0 and 1"),
    (cluster, "scale=nowhere.md", "nowhere.md cannot be read"),
    (cluster, "scale=README.md", "is no page of python -m evidence.scale"),
    (convergence, "doublings=2", "doublings must be at least 3"),
    (inference, "replicates=0", "replicates must be at least 1"),
    (looks, "repeats=1", "repeats must be at least 20"),
    (same, "seeds=1", "at least 2"),
    (same, "", "cannot be built"),
    (scale, "cells=ten", "whole numbers"),
    (scale, "images=1000", "pairs such as 60000x8"),
    (scale, "cells=0", "at least 1"),
    (scale, "cells=1 seeds=0", "at least 1"),
]


@pytest.mark.parametrize(("program", "words", "message"), WRONG, ids=[f"{one.__name__} {w}" for one, w, _ in WRONG])
def test_what_makes_no_sense_is_one_line(program, words, message, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(fused, "works", lambda: False)
    assert program.main(words.split()) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
