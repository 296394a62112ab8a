"""Which stage starts when, and what becomes of one that fails, is stopped, or is another command's."""

from __future__ import annotations

import pytest

from ablations.engine import scheduler as module
from ablations.engine.journal import STAGE_LOCK, Failure, Result, try_lock
from ablations.engine.scheduler import Scheduler
from ablations.engine.workers import ThisProcess
from tests.ablations.engine.toys import LEFT, RUNS, toy


@pytest.fixture
def serial(journal):
    return Scheduler(journal, ThisProcess(journal, "cpu"))


def told(events):
    """What was said of stages but for their progress."""
    return [
        (event.kind, event.stage.id, *([event.status] if event.status else []))
        for event in events
        if event.kind != "progress"
    ]


def ran(scheduler, *stages):
    scheduler.add(stages)
    return {event.stage.id: event.status for event in scheduler.run() if event.kind == "ended"}


def test_a_stage_starts_once_what_it_needs_has_finished_and_those_near_their_end_go_first(serial, journal):
    serial.add([toy("a"), toy("b"), toy("c", "a"), toy("d", "a", "c")])
    events = told(serial.run())
    assert [name for kind, name, *_ in events if kind == "started"] == ["a", "c", "d", "b"]
    assert [name for kind, name, *_ in events if kind == "ended"] == ["a", "c", "d", "b"]
    assert journal.result("d").metrics["sum"] == 4


def test_those_added_first_start_first_and_others_may_be_added_while_they_run(serial, journal):
    journal.write_failure("c", Failure("error", "an earlier try"))
    serial.add([toy("a"), toy("b", "a")])
    events = []
    for event in serial.run():
        events += told([event])
        if events[-1:] == [("started", "a")]:
            serial.add([toy("a"), toy("c"), toy("d", "b", "c", "a")])
    assert [name for kind, name, *_ in events if kind == "ended"] == ["a", "b", "c", "d"]
    assert journal.failure("c") is None
    assert (journal.folder("a") / RUNS).read_text().count("\n") == 1


@pytest.mark.parametrize(
    ("ends", "status", "failure"),
    [
        ("fails", "failed", Failure("error", "ValueError: it cannot be done")),
        ("finds no space", "failed", Failure("machine", "OSError: [Errno 28] No space left on device")),
        ("diverges", "diverged", None),
    ],
)
def test_what_needs_a_stage_that_did_not_finish_is_left_out(serial, journal, ends, status, failure):
    ended = ran(serial, toy("a", ends=ends), toy("b", "a"), toy("c", "a", "b"), toy("d"))
    assert ended == {"a": status, "b": "left_out", "c": "left_out", "d": "finished"}
    left = journal.failure("a")
    assert (left and (left.kind, left.message)) == (failure and (failure.kind, failure.message))
    assert [journal.failure(name) for name in "bcd"] == [None] * 3


def test_what_finds_its_input_damaged_fails_by_its_name_and_the_same_command_makes_both(serial, journal):
    assert ran(serial, toy("a"), toy("other")) == {"a": "finished", "other": "finished"}
    path = journal.folder("a") / LEFT
    path.write_text(path.read_text().replace("a", "x"))
    assert ran(serial, toy("b", "a")) == {"b": "failed"}
    assert journal.failure("b") == Failure("damaged", f"a: {LEFT} is another stage's")
    assert journal.result("a") is None
    assert ran(serial, toy("a"), toy("b", "a")) == {"a": "finished", "b": "finished"}


def test_ctrl_c_in_a_stage_that_runs_in_this_process_marks_it_interrupted(serial, journal):
    with pytest.raises(KeyboardInterrupt):
        ran(serial, toy("a"), toy("b", ends="is interrupted"))
    assert journal.result("a") is not None
    assert journal.failure("b") == Failure("stopped", "the command was stopped")
    assert journal.failure("b").status == "interrupted"


@pytest.fixture
def often(monkeypatch):
    """What runs elsewhere is looked at all the time."""
    monkeypatch.setattr(module, "ELSEWHERE_SECONDS", 0.0)
    monkeypatch.setattr(module, "POLL_SECONDS", 0.01)


FINISHED = Result("finished", "", {}, {}, {})


@pytest.mark.parametrize(
    ("leaves", "runs"),
    [
        (lambda journal: journal.write_result("a", FINISHED), 0),
        (lambda journal: journal.write_failure("a", Failure("stopped", "")), 1),
        (lambda journal: None, 1),
        (lambda journal: journal.write_failure("a", Failure("error", "no")), 1),
    ],
    ids=["finished", "stopped", "killed", "failed"],
)
def test_what_another_command_runs_is_tried_here_once_that_ends(serial, journal, often, leaves, runs):
    serial.add([toy("a"), toy("b")])
    events = []
    with try_lock(journal.folder("a") / STAGE_LOCK):
        run = serial.run()
        while events.count(("started", "a")) < 4:
            events += told([next(run)])
        leaves(journal)
    once = [event for event in events if event != ("started", "a")]
    assert once == [("elsewhere", "a"), ("started", "b"), ("ended", "b", "finished")]
    assert told(run)[-1] == ("ended", "a", "finished")
    assert len(list(journal.folder("a").glob(RUNS))) == runs
