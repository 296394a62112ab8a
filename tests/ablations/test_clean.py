"""`ablations.clean` frees the stages that no grid.json names and no others, and none while a command is at work."""

from __future__ import annotations

import os

import pytest

from ablations.clean import main
from ablations.engine.journal import Journal, Result, results_lock
from analysis.files import write_json


@pytest.fixture
def results(tmp_path):
    """A grid that names a and b, a committed one that names c, one that names none, and the stages a to e."""
    journal = Journal(tmp_path / ".stages")
    for name in "abcde":
        journal.folder(name).mkdir(parents=True)
        (journal.folder(name) / "weights.safetensors").write_bytes(bytes(1000))
        journal.write_result(name, Result("finished", "", {}, {}, {}))
    write_json(tmp_path / "grid" / "grid.json", {"stages": ["a", "b"]})
    write_json(tmp_path / "committed" / "promoted" / "grid.json", {"stages": ["c"]})
    write_json(tmp_path / "committed" / "old" / "grid.json", {"cells": {}})
    return tmp_path


def left(results):
    return "".join(sorted(path.name for path in (results / ".stages").iterdir()))


def test_it_says_first_and_frees_what_no_grid_names_when_it_is_told_to(results, capsys):
    assert main([f"results={results}"]) == 0
    said = capsys.readouterr().out
    assert [line.split()[0] for line in said.splitlines()] == ["d", "e", "2"]
    assert "2 stages of 5, 2." in said
    assert f"python -m ablations.clean results={results} yes=true" in said
    assert left(results) == "abcde"
    assert main([f"results={results}", "yes=true"]) == 0
    assert "freed 2 stages of 5" in capsys.readouterr().out
    assert left(results) == "abc"
    assert Journal(results / ".stages").result("a") is not None
    assert main([f"results={results}"]) == 0
    assert capsys.readouterr().out == "0 stages of 3, 0 bytes: named by no grid or search\n"


def test_while_a_command_is_at_work_nothing_goes(results, capsys):
    with results_lock(results / "another"):
        assert main([f"results={results}", "yes=true"]) == 2
    assert f"works on a folder of {results} (process {os.getpid()})" in capsys.readouterr().err
    assert left(results) == "abcde"


def test_results_that_do_not_say_what_they_need_are_asked_for_first(results, capsys):
    write_json(results / "earlier" / "grid.json", {"cells": {}})
    assert main([f"results={results}", "yes=true"]) == 2
    assert "earlier/grid.json does not say which stages it needs: give its command again" in capsys.readouterr().err
    assert left(results) == "abcde"
