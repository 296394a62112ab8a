"""Stages side by side in real worker processes: the end of each is its own, whoever fails, is stopped or is killed."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass

import pytest

from ablations.engine.dispatch import Dispatch
from ablations.engine.files import Damaged
from ablations.engine.journal import Journal, Result
from ablations.engine.lease import leased
from ablations.engine.processes import Processes, Share
from ablations.engine.stage import Stage
from ablations.engine.workers import WorkerDied

SECONDS = 60.0
"""Within so many seconds everything here has happened."""


def begin():
    """There is nothing to prepare."""


def everyone(numbers):
    """How many there are, for each."""
    return [len(numbers)] * len(numbers)


@dataclass(frozen=True)
class Sitting(Stage):
    """A stage that meets others at each of its steps, and says how many they were; it may end in a way of its own.

    `ends` is "fails", "diverges", "finds damage" or "dies", the last only beside others.
    """

    id: str
    steps: int = 3
    ends: str = ""
    needs: tuple[str, ...] = ()
    kind = "sitting"

    @property
    def threads(self):
        return 1

    def company(self, device):
        return "sitting"

    def run(self, bench):
        met = []
        for step in range(self.steps):
            bench.lease.check()
            bench.journal.write_progress(self.id, (step + 1) / self.steps)
            met.append(1 if bench.seat is None else bench.seat.meet(self.id, everyone))
            time.sleep(0.002)
        if self.ends == "fails":
            raise ValueError("it cannot be done")
        if self.ends == "finds damage":
            raise Damaged(bench.journal.folder("need") / "weights", "has been altered")
        if self.ends == "dies" and bench.seat is not None:
            os.kill(os.getpid(), signal.SIGKILL)
        curve = [float(step) for step in range(self.steps)], [float(count) for count in met]
        return Result("diverged" if self.ends == "diverges" else "finished", "", {}, {"met": curve}, {})


LONG = 100_000
"""Steps of one that does not end by itself."""


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path)


@pytest.fixture
def workers(journal):
    with closing(Processes(str(journal.root), ["cpu"], begin, most=8)) as workers:
        yield workers


def met(journal, name):
    return journal.result(name).curves["met"][1]


def until(true):
    """Wait for this to be so."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < SECONDS
        time.sleep(0.01)


def pid_of(workers):
    (pid,) = workers.workers[0].pids
    return pid


def test_they_meet_and_each_has_its_own_end(workers, journal):
    """Of five, four have ends that are none of the others'."""
    journal.write_result("need", Result("finished", "", {}, {}, {}))
    ends = ["", "fails", "diverges", "finds damage", ""]
    stages = [Sitting(f"s{i}", 3 if i < 4 else 5, end) for i, end in enumerate(ends)]
    futures = workers.submit_all(stages, "cpu")
    statuses = [workers.status(future) for future in futures]
    assert statuses == ["finished", "failed", "diverged", "damaged", "finished"]
    assert [future.result() for future in futures] == statuses
    assert met(journal, "s0") == [5.0] * 3
    assert met(journal, "s4") == [5.0] * 3 + [1.0] * 2
    assert journal.failure("s1").message == "ValueError: it cannot be done"
    assert journal.result("need") is None
    assert [journal.holder(stage.id) for stage in stages] == [None] * 5


def test_one_that_another_process_runs_is_elsewhere(workers, journal):
    with leased(journal.folder("s1")):
        futures = workers.submit_all([Sitting("s0"), Sitting("s1"), Sitting("s2")], "cpu")
        assert [workers.status(future) for future in futures] == ["finished", "elsewhere", "finished"]
    assert met(journal, "s0") == [3.0, 2.0, 2.0] or met(journal, "s0") == [2.0] * 3


def test_a_worker_that_is_killed_costs_all_of_them_a_try_and_nothing_more(workers, journal):
    futures = workers.submit_all([Sitting("s0", LONG), Sitting("s1", LONG)], "cpu")
    until(lambda: all(journal.progress(name) for name in ("s0", "s1")))
    os.kill(pid_of(workers), signal.SIGKILL)
    for future in futures:
        with pytest.raises(WorkerDied):
            workers.status(future)
    again = workers.submit_all([Sitting("s0"), Sitting("s1")], "cpu")
    assert [workers.status(future) for future in again] == ["finished"] * 2


def test_one_of_several_is_stopped_at_its_next_look_and_the_others_go_on(workers, journal):
    stages = [Sitting("s0", 100), Sitting("s1", LONG), Sitting("s2", 100)]
    first, second, third = workers.submit_all(stages, "cpu")
    until(lambda: all(journal.progress(stage.id) for stage in stages))
    pid = pid_of(workers)
    workers.cancel(second)
    assert second.cancelled()
    assert [workers.status(future) for future in (first, third)] == ["finished"] * 2
    assert {1.0, 3.0}.isdisjoint(met(journal, "s0")[-10:]), "two go on"
    assert pid_of(workers) == pid
    assert journal.result("s1") is None
    assert journal.failure("s1").kind == "stopped"
    assert workers.workers[0].free
    assert workers.status(workers.submit(Sitting("next"), "cpu")) == "finished"


def test_one_that_is_stopped_before_its_turn_never_begins(workers, journal):
    """The worker has yet to start as all of them are given to it."""
    futures = workers.submit_all([Sitting("s0"), Sitting("s1", LONG)], "cpu")
    workers.cancel(futures[1])
    assert workers.status(futures[0]) == "finished"
    assert journal.progress("s1") == 0.0
    assert journal.failure("s1").kind == "stopped"


def test_what_another_command_has_by_now_is_not_taken_from_it(workers, journal):
    with leased(journal.folder("s1")) as lease:
        futures = workers.submit_all([Sitting("s0", 50), Sitting("s1", 50)], "cpu")
        until(lambda: journal.progress("s0"))
        workers.cancel(futures[1])
        lease.check()
        assert workers.status(futures[0]) == "finished"
        lease.check()


def test_where_all_are_stopped_the_worker_ends_and_takes_another(workers, journal):
    futures = workers.submit_all([Sitting("s0", LONG), Sitting("s1", LONG)], "cpu")
    until(lambda: all(journal.progress(name) for name in ("s0", "s1")))
    pid = pid_of(workers)
    for future in futures:
        workers.cancel(future)
    assert workers.status(workers.submit(Sitting("next"), "cpu")) == "finished"
    assert pid_of(workers) != pid


def test_the_end_of_a_share_that_is_cancelled_meanwhile_is_nobodys(capsys):
    whole, beside = Future(), []
    first, second = (Share(Sitting(name), whole, beside) for name in ("s0", "s1"))
    first.cancel()
    whole.set_result(["finished", OSError("no")])
    assert (first.cancelled(), capsys.readouterr().err) == (True, "")
    with pytest.raises(OSError, match="no"):
        second.result()


class Starting:
    """A launcher of these workers."""

    def __init__(self, workers):
        self.workers = workers

    def start(self, journal, devices):
        return self.workers


def test_a_command_ends_all_of_them_where_one_kills_its_worker_among_others(journal):
    """Each is tried again alone, and the one that kills does not then."""
    workers = Processes(str(journal.root), ["cpu"] * 2, begin, most=4)
    dispatch = Dispatch(Starting(workers), journal, ["cpu"] * 2)
    dispatch.add([Sitting(f"s{i}", 3, "dies" if i == 0 else "") for i in range(6)])
    events = [(event.kind, event.stage.id, event.status) for event in dispatch.run() if event.kind != "progress"]
    assert {name: status for kind, name, status in events if kind == "ended"} == dict.fromkeys(
        [f"s{i}" for i in range(6)], "finished"
    )
    # Who was through when it did has its result.
    assert {"s0"} <= {name for kind, name, _ in events if kind == "died"} <= {"s0", "s1", "s2"}
    assert met(journal, "s0") == [1.0] * 3
    assert met(journal, "s5") == [3.0] * 3


def test_a_command_that_is_stopped_ends_the_worker_of_several(journal):
    workers = Processes(str(journal.root), ["cpu"], begin, most=4)
    dispatch = Dispatch(Starting(workers), journal, ["cpu"])
    dispatch.add([Sitting("s0", LONG), Sitting("s1", LONG), Sitting("s2", 2)])
    with closing(dispatch.run()) as run:
        while (event := next(run)) and (event.kind, event.stage.id) != ("ended", "s2"):
            pid = pid_of(workers) if event.kind == "progress" else 0
    assert dispatch.running == []
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert {name: journal.failure(name).kind for name in ("s0", "s1")} == dict.fromkeys(("s0", "s1"), "stopped")
    assert journal.result("s2") is not None
