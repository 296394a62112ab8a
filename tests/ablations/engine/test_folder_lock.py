"""Several commands at one results folder: they write one at a time, never less than is there, and never another's."""

from __future__ import annotations

import json
from contextlib import ExitStack

import pytest

from ablations.driver.execute import Execution, Job
from ablations.driver.plan import Plan, Round, plan
from ablations.driver.rounds import at_once
from ablations.engine.folder_lock import FolderLock
from ablations.engine.journal import Journal, Result
from ablations.grids.grid import make
from ablations.launchers.local import Local
from ablations.settings.arguments import parse_run
from analysis.errors import InputError
from tests.ablations.conftest import TINY

COMMAND = {"command": "python -m ablations.run", "code": "1"}


def planned(*words: str) -> Plan:
    return plan(make(parse_run(["name=shared", "evaluation.quality=[]", *TINY, *words])), Local(), ["cpu"])


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path / ".stages")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "shared"


@pytest.fixture
def begun(journal, folder):
    """Begins what a command does, which is at work until the test is over."""
    with ExitStack() as stack:

        def begin(*words: str) -> tuple[Execution, Plan, Round]:
            made = planned(*words)
            (whole,) = at_once(made)
            return stack.enter_context(Execution.of(whole, Job(journal, folder, None, COMMAND))), made, whole

        yield begin


def ran(journal, made):
    for stage in made.stages():
        journal.write_result(stage.id, Result("finished", "", {}, {}, {}))


def finished(folder):
    return (folder / "runs.csv").read_text().count("finished")


def test_a_command_is_at_work_until_it_ends(folder):
    first, second = FolderLock(folder), FolderLock(folder)
    with first.at_work():
        assert first.take("a")
        with second.at_work():
            assert not second.take("b")
            assert second.take("a")
            assert first.take("a")
    with second.at_work():
        assert second.take("b")
    assert list(second.place.iterdir()) == []


def test_turns_are_one_at_a_time_and_say_whether_others_had_one(folder):
    first, second = FolderLock(folder), FolderLock(folder)
    with first.held() as held:
        assert not held.others
        with second.held(wait=False) as other:
            assert other is None
    with first.held() as held:
        assert not held.others
    with second.held() as held:
        assert held.others
    with first.held() as held:
        assert held.others
    with FolderLock(folder).held() as held:
        assert not held.others, "what was there when a command began is known to it"


def test_of_two_requests_that_begin_at_once_under_one_name_the_second_is_refused(begun, journal, folder):
    begun()
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    assert (folder / "grid.json") in before
    with pytest.raises(InputError, match=r"holds the results of other choices .*name="):
        begun("training.ema=0.5")
    begun()
    assert {path: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


def test_the_name_of_a_command_at_work_is_its_own_though_its_folder_was_moved_away(begun, folder):
    begun()
    folder.rename(folder.with_name("moved"))
    with pytest.raises(InputError, match=r"at work on .*shared was asked for other choices: .*name="):
        begun("training.ema=0.5")


def test_a_grid_that_became_anothers_is_not_overwritten(begun, journal, folder):
    execution, made, told = begun()
    ran(journal, made)
    path = folder / "grid.json"
    head = json.loads(path.read_text())
    path.write_text(json.dumps({**head, "cells": {"another": {}}}))
    before = path.read_bytes()
    with pytest.raises(InputError, match="results of other choices"):
        execution.publish(made, told, ended=True)
    assert (path.read_bytes(), finished(folder)) == (before, 0)


def test_a_command_of_fewer_seeds_that_ends_beside_one_of_more_leaves_what_that_wrote(begun, journal, folder):
    few, fewer_seeds, told = begun()
    many, more_seeds, all_told = begun("seeds=2")
    ran(journal, more_seeds)
    many.publish(more_seeds, all_told, ended=True)
    assert finished(folder) == 2
    assert len(few.publish(fewer_seeds, told, ended=True)) == 1
    assert finished(folder) == 2
    alone, *given = begun()
    alone.publish(*given, ended=True)
    assert finished(folder) == 1, "alone, a command leaves what it was asked for"


def test_results_are_left_for_another_time_where_another_command_writes(begun, journal, folder):
    execution, made, told = begun()
    ran(journal, made)
    with FolderLock(folder).held():
        assert execution.publish(made, told, ended=False, wait=False) == []
    assert finished(folder) == 0
    execution.publish(made, told, ended=False, wait=False)
    assert finished(folder) == 1


def test_of_two_commands_that_end_together_the_second_leaves_what_the_first_wrote(begun, journal, folder):
    first, made, told = begun()
    second, *given = begun()
    ran(journal, made)
    first.publish(made, told, ended=True)
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert len(second.publish(*given, ended=True)) == 1
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    first.publish(made, told, ended=True)
    second.publish(*given, ended=True)
    (folder / "runs.csv").write_text("")
    second.publish(*given, ended=True)
    assert finished(folder) == 1
