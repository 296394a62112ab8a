"""The course that runs and searches have in common: what it refuses, and when."""

from __future__ import annotations

import re

import pytest

from ablations.driver import run
from ablations.search import __main__ as search
from analysis.errors import InputError


@pytest.mark.parametrize("command", [run.main, search.main])
def test_a_journal_that_is_no_folder_is_refused_before_anything_is_planned(command, tmp_path):
    with pytest.raises(InputError, match="journal must be a folder, got s3://bucket"):
        command(["journal=s3://bucket", "horizon=1,2", f"results={tmp_path / 'new'}"])
    assert not (tmp_path / "new").exists()


def test_a_dry_run_counts_and_estimates_and_makes_no_folder(tmp_path, capsys):
    words = ["data=mixture2d", "network=mlp", "horizon=25", f"results={tmp_path / 'new'}", "dry_run=true"]
    assert run.main(words) == 0
    assert re.search(r"1 training, 1 of them new, on .+\nabout \d+ seconds on ", capsys.readouterr().out)
    assert not (tmp_path / "new").exists()
