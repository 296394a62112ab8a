"""Stages in worker processes, alone and side by side: whoever fails or is killed, the end of each is its own."""

from __future__ import annotations

import os
import signal

import pytest

from ablations.engine.journal import Failure
from tests.ablations.engine.test_scheduler import told
from tests.ablations.engine.toys import RUNS, started, toy


def pids(journal, name):
    """Of the workers that ran a stage, in order."""
    return [int(line) for line in (journal.folder(name) / RUNS).read_text().splitlines()]


def of(events, kind):
    return sorted(name for this, name, *_ in events if this == kind)


def met(journal, name):
    """How many a stage met at most."""
    return journal.result(name).metrics["met"]


def test_a_stage_whose_worker_dies_costs_a_try_and_twice_it_has_failed(journal):
    scheduler = started(journal, 1)
    scheduler.add([toy("a", ends="is killed"), toy("b"), toy("c", "a")])
    events = told(scheduler.run())
    assert [event for event in events if event[1] == "a"] == [
        ("started", "a"),
        ("retried", "a"),
        ("started", "a"),
        ("ended", "a", "failed"),
    ]
    assert journal.failure("a") == Failure("died", "its worker died twice")
    assert {("ended", "b", "finished"), ("ended", "c", "left_out")} <= set(events)


def test_a_worker_that_is_killed_is_replaced_and_its_stage_goes_on(journal):
    scheduler = started(journal, 1)
    scheduler.add([toy("a", steps=40, seconds=0.02), toy("b")])
    killed, events = False, []
    for event in scheduler.run():
        events += told([event])
        if not killed and event.share > 0 and event.stage.id == "a":
            os.kill(pids(journal, "a")[0], signal.SIGKILL)
            killed = True
    assert of(events, "retried") == ["a"]
    assert journal.result("a").metrics["sum"] == 1.0
    first, second = pids(journal, "a")
    assert first != second
    assert pids(journal, "b") == [second]


@pytest.mark.parametrize("unseen", [True, False])
def test_a_worker_that_dies_idle_is_replaced_and_as_it_is_given_a_stage_costs_a_try(journal, monkeypatch, unseen):
    scheduler = started(journal, 1)
    scheduler.add([toy("a"), toy("b", "a")])
    events = []
    for event in scheduler.run():
        events += told([event])
        if events[-1] == ("ended", "a", "finished"):
            process = scheduler.workers.workers[0].process
            process.kill()
            process.join()
            monkeypatch.setattr(process, "is_alive", lambda: unseen)
    assert (of(events, "ended"), of(events, "retried")) == (["a", "b"], ["b"] if unseen else [])


def test_those_of_one_shape_that_were_added_together_run_side_by_side(journal):
    scheduler = started(journal, 2, most=4)
    scheduler.add([toy(f"a{i}", shape="a") for i in range(3)] + [toy("b")])
    scheduler.add([toy(f"c{i}", shape="a") for i in range(2)])
    assert of(told(scheduler.run()), "ended") == ["a0", "a1", "a2", "b", "c0", "c1"]
    assert [met(journal, name) for name in ("a0", "a1", "a2", "b")] == [2, 2, 1, 1]
    assert met(journal, "c0") == met(journal, "c1") <= 2


def test_one_that_fails_or_diverges_leaves_the_others_of_its_worker_going(journal):
    scheduler = started(journal, 1, most=4)
    ends = {"a": "fails", "b": "diverges", "c": "", "d": "finds no space"}
    scheduler.add([toy(name, steps=20 if name == "c" else 3, shape="x", ends=end) for name, end in ends.items()])
    ended = {event[1]: event[2] for event in told(scheduler.run()) if event[0] == "ended"}
    assert ended == {"a": "failed", "b": "diverged", "c": "finished", "d": "failed"}
    assert [journal.failure(name).kind for name in "ad"] == ["error", "machine"]
    assert met(journal, "c") == 4
    assert len({*pids(journal, "a"), *pids(journal, "c")}) == 1


def test_where_a_worker_of_several_is_killed_each_is_tried_again_alone(journal):
    scheduler = started(journal, 2, most=4)
    scheduler.add([toy(f"s{i}", shape="x", ends="is killed beside others" if i == 0 else "") for i in range(6)])
    events = told(scheduler.run())
    assert of(events, "ended") == [f"s{i}" for i in range(6)]
    assert {event[2] for event in events if event[0] == "ended"} == {"finished"}
    # Who was through when it died has its result.
    again = set(of(events, "retried"))
    assert {"s0"} <= again <= {"s0", "s1", "s2"}
    assert {met(journal, name) for name in again} <= {0.0, 1.0}, "each alone, from where it was"
    assert [met(journal, f"s{i}") for i in (3, 4, 5)] == [3.0] * 3
