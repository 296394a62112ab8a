"""Lists of the stages that results want: written before a stage starts, and lost by none of two commands."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import pytest

from ablations import run
from ablations.driver.wanted import Wanted, wanted_by
from ablations.engine.journal import Failure


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "grid"
    made.mkdir()
    return made


def stages(*names):
    return [SimpleNamespace(id=name) for name in names]


def test_two_commands_on_one_folder_lose_nothing_of_each_other(folder):
    one, other = Wanted(folder), Wanted(folder)
    one.add(stages("a", "b"))
    other.add(stages("b", "c"))
    one.add(stages("d"))
    assert wanted_by(folder) == {"a", "b", "c", "d"}


def test_the_same_command_again_lists_nothing_anew(folder):
    Wanted(folder).add(stages("a", "b"))
    Wanted(folder).add(stages("a", "b"))
    assert len(list((folder.parent / ".wanted" / "grid").iterdir())) == 1


def test_new_results_of_a_name_want_nothing_of_those_before(folder):
    Wanted(folder).add(stages("a"))
    folder.rmdir()
    Wanted(folder).add(stages("b"))
    assert wanted_by(folder) == {"b"}


def test_a_stage_is_listed_before_it_starts(again, monkeypatch):
    shutil.rmtree(again.results / ".stages")
    started = []

    def begins(stage, journal, device):
        started.append(stage.id in wanted_by(again.folder))
        journal.write_failure(stage.id, Failure("error", "it is not run here"))
        return "failed"

    monkeypatch.setattr("ablations.engine.workers.perform", begins)
    assert run.main([*again.arguments, "seeds=2"]) == 1
    assert started
    assert all(started)
