"""What is left is told of stages whose seconds are known here, by the clock of the test: nothing is trained."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import pytest

from ablations.driver.loads import BEGIN, JUDGE, Left, loads_of, seconds_of, side_by_side
from ablations.driver.pace import GUESSED, Clock, Pace, standing
from ablations.driver.work_units import alike, guessed
from ablations.engine.journal import Journal
from ablations.engine.stage import Event
from ablations.stages.artifacts import write_history
from ablations.stages.bound import BoundStage
from ablations.stages.rung import RungStage
from ablations.stages.samples import SamplesStage
from ablations.stages.training import TrainingStage
from tests.ablations.conftest import TINY, over, plan_of

STEP = 0.5
"""Seconds between two events."""


def planned(*words):
    ours = [word for word in TINY if not word.startswith(("training.steps", "evaluation."))]
    ours += ["parameterization=v,epsilon", "seeds=3", "training.steps=600"]
    return plan_of(*over(ours, *words))


RUNGS = ("evaluation.rungs=2", "evaluation.judged_rungs=1")


class Machine:
    """Stages, run as a driver runs them, on a clock of their own; parts take what `each` says."""

    def __init__(self, found, each, workers=2, expected=None):
        self.clock, self.each, self.workers = 0.0, each, workers
        self.data = found.here.data
        self.pace = Pace(self.data, workers, expected or {}, lambda: self.clock)

    def way(self, load):
        """(seconds, whether its share moves, the share then) of a stage, in order."""
        passes = seconds_of({key: n for key, n in load.own.items() if key not in (BEGIN, JUDGE)}, self.each)
        moves = isinstance(load.stage, (TrainingStage, SamplesStage, RungStage))
        way, at = [(self.each[BEGIN], False, load.start)], load.start
        for one in load.scored:
            way += [((one.share - at) * passes, moves, one.share), (seconds_of(one.amounts, self.each), False, 0.0)]
            at = one.share
        way.append(((1 - at) * passes, moves, 1.0))
        return [*way, (self.each[JUDGE] * load.own.get(JUDGE, 0.0), False, 1.0)]

    def run(self, stages, starts=None):
        """Run these; at each moment (time, seconds left as told), and when all was over."""
        self.pace.plan(stages, starts or {})
        loads = loads_of(stages, self.data, starts or {})
        waiting, running, told = list(loads.values()), {}, []
        inside = [stage for stage in stages if stage.id not in loads]
        over = {need for stage in stages for need in stage.needs} - {stage.id for stage in stages}
        while waiting or running:
            ready = [one for one in waiting if set(one.stage.needs) <= over]
            ready.sort(key=lambda one: -len(one.stage.needs))
            for load in ready[: self.workers - len(running)]:
                waiting.remove(load)
                running[load.stage.id] = (load, self.clock)
                self.pace.note(Event("started", load.stage))
            told.append((self.clock, self.pace.seconds(stages), self.pace.share(stages)))
            self.clock += STEP
            for name, (load, began) in list(running.items()):
                self.pace.note(Event("progress", load.stage, self.share(load, self.clock - began)))
                if self.clock - began >= sum(seconds for seconds, *_ in self.way(load)):
                    del running[name]
                    over.add(name)
                    self.pace.note(Event("ended", load.stage, 1.0, "finished"))
                    for rung in [one for one in inside if one.training.id == name]:
                        over.add(rung.id)
                        self.pace.note(Event("ended", rung, 1.0, "finished"))
        return told, self.clock

    def share(self, load, elapsed):
        share = load.start
        for seconds, moves, to in self.way(load):
            if moves:
                share += (to - share) * min(1.0, elapsed / max(seconds, 1e-9))
            elapsed -= seconds
            if elapsed < 0:
                break
        return round(share, 4) if load.stage.kind != "bound" else 0.0


def speeds(found, factors=None, factor=1.0):
    """What parts take: as guessed, times a factor, or one by its kind; at a factor of 2 a training takes 20 s."""
    stages = {alike(stage): stage for stage in found.stages() if not isinstance(stage, RungStage)}
    each = guessed({key: stage for key, stage in stages.items() if stage.work(found.here.data)}, found.here.data)
    kinds = factors or {}
    return {
        **{key: seconds * factor * kinds.get(stages[key].kind, 1.0) for key, seconds in each.items()},
        BEGIN: 0.5,
        JUDGE: 0.2,
    }


def errors(told, end, after=0.0):
    """The time that a command takes as was told at each moment, as a ratio to what it took."""
    return [(at + left) / end for at, left, _ in told if left is not None and at >= after]


@pytest.mark.parametrize("factor", [1.0, 4.0])
@pytest.mark.parametrize("words", [(), RUNGS], ids=" ".join)
def test_what_is_left_is_known_from_the_first_seconds_whatever_the_machine(words, factor):
    found = planned(*words)
    machine = Machine(found, speeds(found, factor=factor))
    told, end = machine.run(found.stages())
    ratios = errors(told, end)
    assert told[0][1] is None
    assert len(ratios) > len(told) / 2
    assert 0.75 < min(ratios) <= max(ratios) < 1.25


@pytest.mark.parametrize(
    "factors", [{"samples": 2.0}, {"bound": 2.0, "samples": 0.5}, {"training": 0.5}, {"training": 2.0}], ids=str
)
def test_kinds_that_take_other_ratios_than_was_guessed_change_it_by_less_than_a_half(factors):
    found = planned(*RUNGS)
    machine = Machine(found, speeds(found, factors, factor=2.0))
    told, end = machine.run(found.stages())
    ratios = errors(told, end)
    assert 0.6 < min(ratios) <= max(ratios) < 1.6
    later = errors(told, end, after=end / 2)
    assert 0.85 < min(later) <= max(later) < 1.15


def test_an_estimate_is_told_at_once_and_mended_as_stages_end():
    found = planned()
    each = speeds(found, factor=2.0)
    machine = Machine(found, each, expected={key: seconds / 2 for key, seconds in each.items()})
    told, end = machine.run(found.stages())
    ratios = errors(told, end)
    assert len(ratios) == len(told)
    assert ratios[0] == pytest.approx(0.5, abs=0.1)
    assert min(errors(told, end, after=end / 3)) > 0.9
    assert max(ratios) < 1.1


def test_the_share_grows_to_the_end():
    found = planned(*RUNGS)
    told, _ = Machine(found, speeds(found, {"samples": 2.0}, factor=2.0)).run(found.stages())
    shares = [share for *_, share in told]
    assert shares[0] == 0.0
    assert shares[-1] > 0.97
    assert min(b - a for a, b in pairwise(shares)) > -0.05


def early(found):
    """The stages up to the first judged rung: the first one at it takes the training there, others come after it."""
    stages = []
    for item in found.planned:
        rungs = [stage for stage in item.stages if isinstance(stage, RungStage)]
        first = [stage for stage in rungs if stage.step == max(rung.step for rung in rungs)]
        lead, *others = [replace(stage, needs=stage.training.needs) for stage in first]
        stages += [lead, *(replace(stage, needs=(*stage.needs, lead.id)) for stage in others)]
    return stages


def test_trainings_that_are_taken_to_a_rung_go_on_from_there(tmp_path):
    found, journal = planned(*RUNGS), Journal(tmp_path)
    machine = Machine(found, speeds(found, factor=2.0))
    first = early(found)
    told, end = machine.run(first)
    assert 0.75 < min(errors(told, end)) <= max(errors(told, end)) < 1.25
    assert machine.pace.seconds(first) == 0.0
    ids = {stage.id for stage in first}
    rest = [stage for stage in found.stages() if stage.id not in ids]
    for training in (stage for stage in rest if isinstance(stage, TrainingStage)):
        journal.folder(training.id).mkdir(parents=True)
        write_history(journal.folder(training.id), [{"step": 300.0, "train/network": 1.0}])
    starts = standing(rest, journal)
    assert set(starts.values()) == {0.5}
    before = machine.clock
    told, end = machine.run(rest, starts)
    ratios = [(at - before + left) / (end - before) for at, left, _ in told]
    assert 0.8 < min(ratios) <= max(ratios) < 1.2


def test_a_chain_takes_as_long_on_many_workers():
    found = planned("seeds=1", "parameterization=v")
    stages = [stage for stage in found.stages() if stage.kind != "floor"]
    each = speeds(found)
    loads = loads_of(stages, found.here.data)
    chain = [Left(stage, seconds_of(loads[stage.id].whole, each)) for stage in stages]
    total = sum(one.seconds for one in chain)
    assert side_by_side(chain, 1) == pytest.approx(total)
    assert side_by_side(chain, 8) == pytest.approx(total)
    two = [chain[0], Left(replace(chain[0].stage, id="another"), chain[0].seconds)]
    assert side_by_side(two, 2) == pytest.approx(chain[0].seconds)


def trainings(count):
    """So many trainings, alike."""
    found = planned("parameterization=v", f"seeds={count}")
    return [stage for stage in found.stages() if isinstance(stage, TrainingStage)], found.here.data


@pytest.mark.parametrize(("waits", "total"), [(8.0, 30.0), (40.0, 45.0)])
def test_stages_that_share_a_worker_hold_one_until_the_last_of_them_ends(waits, total):
    stages, _ = trainings(5)
    company = [Left(stage, 10.0 * (i + 1), True, i == 2) for i, stage in enumerate(stages[:3])]
    left = [*company, Left(stages[3], 5.0, True), Left(stages[4], waits)]
    assert side_by_side(left, 2) == total


def test_a_shared_clock_goes_the_slower_the_more_share_it():
    clock = Clock(10.0)
    clock.join(1, 10.0)
    assert clock.at(12.0) == 2.0
    clock.join(3, 12.0)
    assert clock.at(20.0) == 2.0 + 8.0 / 4
    clock.join(-2, 20.0)
    assert clock.at(22.0) == 4.0 + 2.0 / 2


@pytest.mark.parametrize("expected", [False, True])
def test_trainings_that_share_a_worker_are_each_told_at_their_part_of_its_seconds(expected):
    """Six of 20 seconds each, by threes: 120 seconds."""
    stages, data = trainings(6)
    (key,) = {alike(stage) for stage in stages}
    own = 20.0 / stages[0].work(data)
    clock = [0.0]
    pace = Pace(data, 1, {key: own, BEGIN: 0.0} if expected else {}, lambda: clock[0])
    pace.plan(stages)
    told = []
    for company in (stages[:3], stages[3:]):
        began, beside = clock[0], tuple(stage.id for stage in company)
        for stage in company:
            pace.note(Event("started", stage, beside=beside))
        for _ in range(60):
            clock[0] += 1.0
            for stage in company:
                pace.note(Event("progress", stage, (clock[0] - began) / 60))
            told.append((clock[0], pace.seconds(stages), pace.share(stages)))
        for stage in company:
            pace.note(Event("ended", stage, 1.0, "finished"))
    assert 0.97 < min(errors(told, 120.0)) <= max(errors(told, 120.0)) < 1.03
    assert [share for *_, share in told[::30]] == pytest.approx([1 / 120, 31 / 120, 61 / 120, 91 / 120], abs=0.01)
    assert pace.each()[key] == pytest.approx(own, rel=0.03)
    assert pace.seconds(stages) == 0.0


def test_of_stages_that_share_a_worker_the_rest_goes_faster_once_one_has_ended():
    """At 10, 20 and 30 seconds left they end after 30, 50 and 60: of 30 seconds each has had 10, of 20 two had 10."""
    stages, data = trainings(3)
    (key,) = {alike(stage) for stage in stages}
    clock, whole = [0.0], stages[0].work(data)
    pace = Pace(data, 1, {key: 40.0 / whole, BEGIN: 0.0}, lambda: clock[0])
    pace.plan(stages, {stage.id: start for stage, start in zip(stages, (0.75, 0.5, 0.25), strict=True)})
    for stage in stages:
        pace.note(Event("started", stage, beside=tuple(stage.id for stage in stages)))
    left = [pace.seconds([stage]) for stage in stages]
    assert left == pytest.approx([30.0, 50.0, 60.0])
    assert pace.seconds(stages) == pytest.approx(60.0)


def test_work_that_another_command_does_or_that_is_left_out_is_not_counted_twice():
    found = planned("seeds=1")
    stages = found.stages()
    each = speeds(found)
    pace = Pace(found.here.data, 1, each)
    pace.plan(stages)
    training = next(stage for stage in stages if isinstance(stage, TrainingStage))
    behind = [stage for stage in stages if training.id in stage.needs]
    before = pace.seconds(stages)
    for stage in (training, *behind):
        pace.note(Event("left_out", stage, 1.0))
    assert pace.seconds(stages) < before
    pace.note(Event("started", training))
    assert pace.seconds(stages) > 0


def test_larger_networks_are_guessed_to_take_longer():
    found = planned("seeds=1", "network.channels=8,32", "parameterization=v")
    kinds = {alike(stage): stage for stage in found.stages() if isinstance(stage, (TrainingStage, BoundStage))}
    each = guessed(kinds, found.here.data)
    of = {(stage.kind, stage.cell.network.channels): each[key] for key, stage in kinds.items()}
    assert of["training", 32] > 3 * of["training", 8]
    assert all(math.isfinite(seconds) and seconds > 0 for seconds in of.values())
    assert set(GUESSED) == {BEGIN, JUDGE}
