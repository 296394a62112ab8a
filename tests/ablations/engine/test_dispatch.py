"""Which stage starts when, and what becomes of one that dies, fails or is stopped, by workers that are told how."""

from __future__ import annotations

import os
from concurrent.futures import Future
from dataclasses import dataclass, field

import pytest

from ablations.engine import dispatch as module
from ablations.engine.dispatch import TRIES, Dispatch
from ablations.engine.journal import Failure, Journal, Result
from ablations.engine.lease import LOST, leased, take
from ablations.engine.workers import WorkerDied, Workers
from tests.ablations.engine.toys import Toy
from tests.ablations.engine.toys import toy as stage


@dataclass
class Told(Workers):
    """Workers that end each stage at once, as `ends` says: by a status, by an exception, or never ("runs")."""

    journal: Journal
    ends: dict[str, list[object]]
    started: list[tuple[str, str]] = field(default_factory=list)
    cancelled: list[Future] = field(default_factory=list)
    closed: bool = False

    def start(self, journal, devices):
        return self

    def submit(self, stage, device):
        self.started.append((stage.id, device))
        end = self.ends.get(stage.id, ["finished"])
        end = end.pop(0) if len(end) > 1 else end[0]
        future = Future()
        if end is KeyboardInterrupt:
            raise KeyboardInterrupt
        if isinstance(end, Exception):
            future.set_exception(end)
        elif end != "runs":
            if end in ("finished", "diverged"):
                self.journal.write_result(stage.id, Result(end, "", {}, {}, {}))
            future.set_result(end)
        return future

    def status(self, future):
        return future.result()

    def cancel(self, future):
        self.cancelled.append(future)

    def close(self):
        self.closed = True


@pytest.fixture
def told(tmp_path):
    return Told(Journal(tmp_path), {})


def dispatched(told: Told, stages, devices=("cpu",)) -> Dispatch:
    dispatch = Dispatch(told, told.journal, list(devices))
    dispatch.add(stages)
    return dispatch


def told_by(events):
    """What was said of stages but for their progress: (kind, stage) each."""
    return [(event.kind, event.stage.id) for event in events if event.kind != "progress"]


def test_a_stage_starts_once_what_it_needs_has_finished_and_those_near_their_end_go_first(told):
    stages = [stage("a"), stage("b"), stage("c", "a"), stage("d", "a", "c")]
    events = told_by(dispatched(told, stages).run())
    assert [name for name, _ in told.started] == ["a", "c", "d", "b"]
    assert [name for kind, name in events if kind == "ended"] == ["a", "c", "d", "b"]
    assert told.closed


def test_each_stage_that_runs_holds_a_device(told):
    told.ends = {"a": ["runs"], "b": ["runs"]}
    run = dispatched(told, [stage("a"), stage("b"), stage("c")], ["cuda:0", "cuda:1"]).run()
    kinds = [next(run).kind for _ in range(4)]
    run.close()
    assert kinds == ["started", "started", "progress", "progress"]
    assert told.started == [("a", "cuda:0"), ("b", "cuda:1")]


def test_what_starts_is_told_with_those_that_share_its_worker(told, monkeypatch):
    monkeypatch.setattr(Told, "most", 2)
    monkeypatch.setattr(Toy, "company", lambda self, device: self.id[0])
    run = dispatched(told, [stage("a1"), stage("a2"), stage("a3"), stage("b")]).run()
    beside = {event.stage.id: event.beside for event in run if event.kind == "started"}
    assert beside == {"a1": ("a1", "a2"), "a2": ("a1", "a2"), "a3": ("a3",), "b": ("b",)}


def test_a_stage_whose_worker_dies_is_tried_once_more(told):
    told.ends = {"a": [WorkerDied("killed"), "finished"]}
    events = told_by(dispatched(told, [stage("a"), stage("b", "a")]).run())
    assert [one for one in events if one[0] != "started"] == [("died", "a"), ("ended", "a"), ("ended", "b")]
    assert told.journal.failure("a") is None


@pytest.mark.parametrize(
    ("end", "kind", "message"),
    [
        (WorkerDied("exit code -9"), "died", f"its worker died {TRIES} times: exit code -9"),
        (OSError(28, "No space left on device"), "machine", "its journal could not be written: [Errno 28]"),
    ],
)
def test_what_cannot_be_run_has_failed_and_what_needs_it_is_left_out(told, end, kind, message):
    told.ends = {"a": [end]}
    events = list(dispatched(told, [stage("a"), stage("b", "a"), stage("c")]).run())
    ended = {event.stage.id: (event.kind, event.status) for event in events if event.kind in ("ended", "left_out")}
    assert ended == {"a": ("ended", "failed"), "b": ("left_out", ""), "c": ("ended", "finished")}
    assert [name for name, _ in told.started].count("a") == (TRIES if kind == "died" else 1)
    failure = told.journal.failure("a")
    assert failure.kind == kind
    assert failure.message.startswith(message)


def test_what_needs_a_diverged_stage_is_left_out(told):
    told.ends = {"a": ["diverged"]}
    events = told_by(dispatched(told, [stage("a"), stage("b", "a")]).run())
    assert events == [("started", "a"), ("ended", "a"), ("left_out", "b")]


def test_left_early_it_stops_what_is_under_way_and_keeps_what_has_finished(told):
    told.ends = {"b": ["runs"]}
    dispatch = dispatched(told, [stage("a"), stage("b"), stage("c", "b")])
    run = dispatch.run()
    while next(run).stage.id != "b":
        pass
    next(run)
    run.close()
    assert (len(told.cancelled), told.closed, dispatch.free) == (1, True, ["cpu"])
    assert told.journal.result("a") is not None
    assert told.journal.failure("b") == Failure("stopped", "the command was stopped")
    assert told.journal.failure("c") is None


def test_ctrl_c_in_a_stage_that_runs_in_this_process_marks_it_interrupted(told):
    told.ends = {"a": [KeyboardInterrupt]}
    with pytest.raises(KeyboardInterrupt):
        list(dispatched(told, [stage("a")]).run())
    assert told.journal.failure("a").status == "interrupted"
    assert told.closed


def test_more_stages_may_be_added_while_others_run_and_how_one_failed_before_is_forgotten(told):
    told.journal.write_failure("b", Failure("error", "an earlier try"))
    dispatch = dispatched(told, [stage("a")])
    for event in dispatch.run():
        if (event.kind, event.stage.id) == ("started", "a"):
            dispatch.add([stage("a"), stage("b", "a")])
    assert [name for name, _ in told.started] == ["a", "b"], "what is here stays"
    assert told.journal.failure("b") is None
    dispatch.add([stage("d", "b")])
    with pytest.raises(AssertionError, match="needs one that is not here"):
        dispatch.add([stage("e", "nothing")])


def test_what_rests_on_a_stage_that_failed_in_an_earlier_dispatch_is_left_out_and_that_failure_stays(told):
    failed = Failure("error", "no")
    told.journal.write_failure("a", failed)
    dispatch = Dispatch(told, told.journal, ["cpu"])
    dispatch.add([stage("b", "a"), stage("c", "a", "b"), stage("d")], [stage("a"), stage("b", "a"), stage("d")])
    events = {event.stage.id: event.kind for event in dispatch.run() if event.kind in ("ended", "left_out")}
    assert events == {"b": "left_out", "c": "left_out", "d": "ended"}
    assert told.journal.failure("a") == failed


@pytest.fixture
def often(monkeypatch):
    """What runs elsewhere is looked at all the time."""
    monkeypatch.setattr(module, "ELSEWHERE_SECONDS", 0.0)
    monkeypatch.setattr(module, "POLL_SECONDS", 0.01)


def test_what_another_command_runs_holds_up_nothing_and_ends_with_its_result(told, often):
    dispatch = dispatched(told, [stage("a"), stage("b"), stage("c", "a")])
    events = []
    with leased(told.journal.folder("a")):
        for event in dispatch.run():
            events.append((event.kind, event.stage.id))
            if events[-1] == ("ended", "b"):
                assert [found.pid for found in dispatch.holders()] == [os.getpid()]
                told.journal.write_result("a", Result("finished", "", {}, {}, {}))
    expected = [("elsewhere", "a"), ("started", "b"), ("ended", "b"), ("ended", "a"), ("started", "c"), ("ended", "c")]
    assert [one for one in events if one[0] != "progress"] == expected
    assert [name for name, _ in told.started] == ["b", "c"]


def test_what_another_command_gave_up_is_run_here(told, often):
    dispatch = dispatched(told, [stage("a")])
    with leased(told.journal.folder("a")):
        run = dispatch.run()
        assert next(run).kind == "elsewhere"
        told.journal.write_failure("a", Failure("stopped", "the command was stopped"))
    assert told_by(run) == [("started", "a"), ("ended", "a")]
    assert [name for name, _ in told.started] == ["a"]


def test_what_failed_at_another_command_has_failed_here_too(told, often):
    dispatch = dispatched(told, [stage("a"), stage("b", "a")])
    with leased(told.journal.folder("a")):
        run = dispatch.run()
        assert next(run).kind == "elsewhere"
        told.journal.write_failure("a", Failure("error", "no"))
    ended = [(event.kind, event.status) for event in run if event.kind != "progress"]
    assert ended == [("ended", "failed"), ("left_out", "")]
    assert told.started == []


def test_a_worker_that_finds_its_stage_taken_takes_another_and_comes_back(told, often):
    told.ends = {"a": ["elsewhere", "finished"]}
    events = told_by(dispatched(told, [stage("a"), stage("b")]).run())
    assert [one for one in events if one[0] != "started"] == [("elsewhere", "a"), ("ended", "b"), ("ended", "a")]


def test_what_another_command_finished_meanwhile_is_not_started(told):
    dispatch = dispatched(told, [stage("a"), stage("b", "a")])
    told.journal.write_result("a", Result("diverged", "", {}, {}, {}))
    assert told_by(dispatch.run()) == [("ended", "a"), ("left_out", "b")]
    assert told.started == []


@dataclass(frozen=True)
class Touched(Journal):
    """Tells of a lease, question by question, its number and since when it was not touched."""

    touches: list[tuple[int, float]]

    def last_touch(self, stage_id):
        return self.touches.pop(0)


@pytest.mark.parametrize(
    ("touches", "dies"),
    [
        ([(1, LOST + 1), (1, LOST + 11)], True),
        ([(1, LOST + 1), (1, 2.0), (1, LOST + 1)], False),
        ([(1, 2.0), (2, 2.0), (2, 2.0)], True),
        ([(1, 2.0), (0, 0.0), (0, 0.0)], True),
        ([(0, 0.0), (0, 0.0), (1, 2.0), (1, 2.0)], False),
    ],
    ids=["it stands still", "it comes back", "another has it", "another has finished it", "it is yet to begin"],
)
def test_a_worker_is_lost_once_two_looks_in_a_row_find_that_it_has_no_lease(
    tmp_path, monkeypatch, often, touches, dies
):
    monkeypatch.setattr(module, "WATCH_SECONDS", 0.0)
    told = Told(Touched(tmp_path, [(0, 0.0), *touches]), {"a": ["runs"]})
    run = dispatched(told, [stage("a")]).run()
    kinds = [next(run).kind for _ in ["started", *touches]]
    run.close()
    assert kinds == ["started", *["progress"] * (len(touches) - 1), "died" if dies else "progress"]


@pytest.mark.parametrize(("prompt", "within", "dies"), [(True, -1.0, True), (True, 60.0, False), (False, -1.0, False)])
def test_a_worker_is_lost_that_does_not_begin_for_long_where_none_waits(
    tmp_path, monkeypatch, often, prompt, within, dies
):
    monkeypatch.setattr(module, "WATCH_SECONDS", 0.0)
    monkeypatch.setattr(module, "BEGUN", within)
    told = Told(Journal(tmp_path), {"a": ["runs"]})
    told.prompt = prompt
    run = dispatched(told, [stage("a")]).run()
    kinds = [next(run).kind for _ in range(3)]
    run.close()
    assert kinds == ["started", "progress", "died" if dies else "progress"]


def test_two_that_a_stage_needs_fail_one_after_the_other_and_it_is_left_out_once(told, often):
    """One fails at another command, and is seen as the other one is about to start here."""
    told.ends = {"b": ["failed"]}
    dispatch = dispatched(told, [stage("a"), stage("d"), stage("b", "d"), stage("c", "a", "b")])
    held, events = take(told.journal.folder("a")), []
    for event in dispatch.run():
        events.append((event.kind, event.stage.id))
        if events[-1] == ("ended", "d"):
            told.journal.write_failure("a", Failure("error", "no"))
            held.release()
    ended = [one for one in events if one[0] in ("ended", "left_out")]
    assert ended == [("ended", "d"), ("ended", "a"), ("ended", "b"), ("left_out", "c")]


@dataclass
class Finding(Told):
    """Workers of which a stage that ends damaged has found its need so, which has no result now."""

    def submit(self, stage, device):
        if self.ends.get(stage.id, [""])[0] == "damaged":
            self.journal.forget_result(*stage.needs)
            self.journal.write_failure(stage.id, Failure("damaged", "a: weights have been altered"))
        return super().submit(stage, device)


def test_a_need_that_is_found_damaged_is_made_anew_though_the_driver_has_just_seen_its_result(tmp_path):
    workers = Finding(Journal(tmp_path), {"b": ["damaged", "finished"]})
    workers.journal.write_result("a", Result("finished", "", {}, {}, {}))
    dispatch = Dispatch(workers, workers.journal, ["cpu"])
    dispatch.add([stage("b", "a")], [stage("a")])
    events = [(event.kind, event.stage.id, event.status) for event in dispatch.run() if event.kind != "progress"]
    assert [name for name, _ in workers.started] == ["b", "a", "b"]
    assert events[1] == ("damaged", "b", "")
    assert events[-1] == ("ended", "b", "finished")


@dataclass
class Beside(Told):
    """Workers of which each runs up to `together` stages; those of a company end together, or early as it is said."""

    together: int = 8
    companies: list[tuple[str, ...]] = field(default_factory=list)

    @property
    def most(self):
        return self.together

    def submit_all(self, stages, device):
        self.companies.append(tuple(stage.id for stage in stages))
        return super().submit_all(stages, device)


@dataclass(frozen=True)
class Sociable(Toy):
    """A toy that runs beside those of its kind on a CPU."""

    alike: str = "alike"

    def company(self, device):
        return self.alike if device == "cpu" else ""


def sociable(name, *needs, alike="alike"):
    return Sociable(name, needs, alike=alike)


@pytest.fixture
def beside(tmp_path):
    return Beside(Journal(tmp_path), {})


def numbered(count, alike="alike"):
    return [sociable(f"{alike}{i}", alike=alike) for i in range(count)]


@pytest.mark.parametrize(
    ("count", "devices", "together", "sizes"),
    [
        (4, 1, 8, [4]),
        (9, 1, 8, [8]),
        (4, 2, 8, [2, 2]),
        (5, 2, 8, [3, 2]),
        (5, 3, 8, [2, 2, 1]),
        (2, 4, 8, [1, 1]),
        (20, 2, 8, [8, 8]),
        (3, 1, 1, [1]),
        (7, 3, 2, [2, 2, 2]),
    ],
)
def test_as_few_share_a_device_as_use_all_and_no_more_than_a_worker_runs(beside, count, devices, together, sizes):
    beside.together = together
    stages = numbered(count)
    beside.ends = {stage.id: ["runs"] for stage in stages}
    run = dispatched(beside, stages, ["cpu"] * devices).run()
    while next(run).kind == "started":
        pass
    run.close()
    assert [len(company) for company in beside.companies] == sizes


def test_they_share_with_their_like_alone_and_on_no_other_device(beside):
    mixed = [stage for pair in zip(numbered(2, "a"), numbered(2, "b"), strict=True) for stage in pair]
    list(dispatched(beside, [*mixed, stage("alone"), stage("lonely")]).run())
    assert beside.companies == [("a0", "a1"), ("b0", "b1"), ("alone",), ("lonely",)]
    beside.companies.clear()
    list(dispatched(beside, numbered(2, "c"), ["cuda:0"]).run())
    assert beside.companies == [("c0",), ("c1",)]


def test_the_device_of_several_is_free_once_all_of_them_have_ended(beside):
    stages = [*numbered(2), stage("next", "alike0"), stage("other")]
    beside.ends = {"alike1": ["runs"]}
    events = []
    dispatch = dispatched(beside, stages, ["cpu"])
    for event in dispatch.run():
        events.append((event.kind, event.stage.id))
        if events[-1] == ("progress", "alike1") and events.count(events[-1]) == 2:
            beside.journal.write_result("alike1", Result("finished", "", {}, {}, {}))
            dispatch.running[0].future.set_result("finished")
    order = [one for one in events if one[0] != "progress"]
    assert order.index(("ended", "alike0")) < order.index(("ended", "alike1")) < order.index(("started", "next"))
    assert dispatch.free == ["cpu"]


def leave(journal, name, how):
    """What a worker leaves of a stage, while others of its company go on."""
    if how in ("finished", "diverged"):
        journal.write_result(name, Result(how, "", {}, {}, {}))
    else:
        journal.write_failure(name, Failure(how, "why"))


@pytest.mark.parametrize(
    ("how", "told_of"),
    [("finished", "ended"), ("diverged", "ended"), ("error", "ended"), ("machine", "ended"), ("damaged", "damaged")],
)
def test_one_that_ended_early_frees_what_waits_for_it_and_the_others_go_on(beside, often, how, told_of):
    beside.ends = {"alike0": ["runs", "finished"], "alike1": ["runs"], "alike2": ["runs"]}
    waits = stage("waits", "alike0")
    dispatch = dispatched(beside, [*numbered(3), waits], ["cpu"])
    events, run = [], dispatch.run()
    for event in run:
        events.append((event.kind, event.stage.id))
        if events[-1] == ("progress", "alike2") and events.count(events[-1]) == 1:
            leave(beside.journal, "alike0", how)
            dispatch.free.append("cuda:0")
        if event.stage.id == "waits" and event.kind in ("ended", "left_out"):
            break
    assert [work.stage.id for work in dispatch.running] == ["alike1", "alike2"]
    run.close()
    said = [one for one in events if one[0] not in ("progress", "started")]
    assert said[0] == (told_of, "alike0")
    assert said[-1] == ("ended" if how in ("finished", "damaged") else "left_out", "waits")
    assert [name for name, _ in beside.started].count("alike0") == (2 if how == "damaged" else 1)


def test_a_failure_counts_once_its_worker_has_let_the_stage_go(beside, often):
    beside.ends = {"alike0": ["runs"], "alike1": ["runs"]}
    dispatch = dispatched(beside, numbered(2))
    run = dispatch.run()
    kinds = [next(run).kind for _ in range(4)]
    with leased(beside.journal.folder("alike0")):
        beside.journal.write_failure("alike0", Failure("error", "no"))
        kinds += [next(run).kind for _ in range(4)]
    assert kinds == ["started"] * 2 + ["progress"] * 6
    event = next(run)
    assert (event.kind, event.stage.id, event.status) == ("ended", "alike0", "failed")
    run.close()


def test_after_their_worker_died_each_is_tried_once_more_and_alone(beside):
    died = WorkerDied("exit code -9")
    beside.ends = {"alike0": [died, "finished"], "alike1": [died, died], "alike2": [died, "finished"]}
    events = list(dispatched(beside, numbered(3)).run())
    assert beside.companies[0] == ("alike0", "alike1", "alike2")
    assert sorted(beside.companies[1:]) == [("alike0",), ("alike1",), ("alike2",)]
    ended = {event.stage.id: event.status for event in events if event.kind == "ended"}
    assert ended == {"alike0": "finished", "alike1": "failed", "alike2": "finished"}
    assert [event.stage.id for event in events if event.kind == "died"] == ["alike0", "alike1", "alike2"]
    assert beside.journal.failure("alike1").kind == "died"


def test_what_had_its_result_when_its_worker_died_is_not_run_again(beside):
    beside.ends = {"alike0": [WorkerDied("killed")], "alike1": [WorkerDied("killed"), "finished"]}
    submit_all = beside.submit_all

    def leaves_one(stages, device):
        futures = submit_all(stages, device)
        if len(stages) > 1:
            beside.journal.write_result("alike0", Result("finished", "", {}, {}, {}))
        return futures

    beside.submit_all = leaves_one
    events = told_by(dispatched(beside, numbered(2)).run())
    assert [name for name, _ in beside.started] == ["alike0", "alike1", "alike1"]
    assert [one for one in events if one[0] == "ended"] == [("ended", "alike0"), ("ended", "alike1")]


def test_one_of_several_is_cancelled_and_frees_nothing_of_the_others(beside):
    beside.ends = {stage.id: ["runs"] for stage in numbered(3)}
    dispatch = dispatched(beside, numbered(3))
    run = dispatch.run()
    while next(run).kind == "started":
        pass
    dispatch.cancel(beside, dispatch.running[1])
    assert beside.journal.failure("alike1") == Failure("stopped", "the command was stopped")
    assert ([work.stage.id for work in dispatch.running], dispatch.free) == (["alike0", "alike2"], [])
    assert [event.kind for event in (next(run), next(run))] == ["progress"] * 2
    run.close()
    assert dispatch.free == ["cpu"]
    assert len(beside.cancelled) == 3


def test_one_that_another_command_runs_is_left_to_it_and_the_others_start(beside, often):
    dispatch = dispatched(beside, numbered(3))
    events = []
    with leased(beside.journal.folder("alike1")):
        for event in dispatch.run():
            events.append((event.kind, event.stage.id))
            if events[-1] == ("ended", "alike2"):
                beside.journal.write_result("alike1", Result("finished", "", {}, {}, {}))
    assert beside.companies == [("alike0", "alike2")]
    ended = [one for one in events if one[0] in ("elsewhere", "ended")]
    assert ended == [("elsewhere", "alike1"), ("ended", "alike0"), ("ended", "alike2"), ("ended", "alike1")]


def test_what_another_command_gave_up_runs_beside_others_with_no_failure_of_before(beside, often):
    """A worker takes one that it finds stopped for one that its own command has given up."""
    dispatch = dispatched(beside, numbered(2))
    with leased(beside.journal.folder("alike0")):
        run = dispatch.run()
        assert next(run).kind == "elsewhere"
        beside.journal.write_failure("alike0", Failure("stopped", "the command was stopped"))
    failures = [beside.journal.failure(e.stage.id) for e in run if (e.kind, e.stage.id) == ("started", "alike0")]
    assert failures == [None]
