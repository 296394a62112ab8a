"""Estimates count each stage's parts at the seconds of a part that is measured. No test looks at how long one takes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from ablations.driver import beginning, estimates, work_units
from ablations.driver.beginning import seconds_of_rounds
from ablations.driver.estimates import COMMAND, DELIVERED, DRAWN, FIRST, Measured, measured
from ablations.driver.loads import BEGIN, JUDGE
from ablations.driver.rounds import planned as rounds_of
from ablations.driver.work_units import Pass, alike
from ablations.engine.journal import Journal
from ablations.launchers.local import Local
from ablations.launchers.serial import Serial
from ablations.stages.artifacts import write_history
from tests.ablations.conftest import TINY, over, plan_of

CPU = torch.device("cpu")
MEASURES = ("training", "scoring", "sampling", "autoencoder")


@pytest.fixture
def short(monkeypatch):
    """Judging is not measured, and passes as little as can be."""
    monkeypatch.setattr(estimates, "MEASURED", 1e-3)
    monkeypatch.setattr(estimates, "_judging", lambda *given: 0.25)


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("parameterization=mu", "sampler.steps=5"),
        ("schedule=learned", "objective=vlb"),
        ("variance=learned", "objective=hybrid"),
        ("space=latents", "space.f=2", "space.steps=10"),
        ("data=mixture2d", "network=mlp"),
    ],
    ids=" ".join,
)
def test_every_kind_of_pass_can_be_measured(words, short):
    tiny = TINY if "network=mlp" not in words else [word for word in TINY if not word.startswith("network.")]
    found = plan_of(*tiny, *words)
    known = measured(found.stages(), "cpu", 1)
    assert known.seconds(found.stages(), found.here.data, 1) > 0
    assert known.memory is None or known.memory > 0


def test_judging_is_measured(monkeypatch):
    monkeypatch.setattr(estimates, "MEASURED", 1e-3)
    found = plan_of(*TINY)
    assert 0 < measured(found.stages(), "cpu", 1).each[JUDGE] < 60
    assert measured([], "cpu", 1).each == {BEGIN: estimates.STAGE, JUDGE: 0.0}


def test_several_processes_measure_side_by_side(short):
    """What a worker takes is the same whoever measures it: other processes have keys of the same kinds."""
    found = plan_of(*TINY)
    together, alone = (measured(found.stages(), "cpu", count, quick=True) for count in (2, 1))
    assert together.each.keys() == alone.each.keys()
    assert all(seconds > 0 for seconds in together.each.values())


def test_each_network_is_measured_once_in_each_way_and_passes_count_at_their_own_seconds(monkeypatch, short):
    found = plan_of(*over(TINY, "network.channels=8,16", "variance=beta,beta_tilde"))
    asked = []
    for i, name in enumerate(MEASURES):

        def make(cell, data, device, count, name=name, seconds=10.0**-i):
            asked.append((name, cell.network.channels))
            return Pass(lambda: seconds, 1)

        monkeypatch.setitem(work_units.MAKERS, name, make)
    monkeypatch.setattr(estimates, "_seconds", lambda action, device, threads, most: action())
    stages, data = found.stages(), found.here.data
    seconds = measured(stages, "cpu", 1).seconds(stages, data, 1)
    assert sorted(asked) == sorted((name, channels) for name in MEASURES[:3] for channels in (8, 16))
    kinds = {"training": 1.0, "bound": 0.1, "samples": 0.01, "floor": 0.0}
    expected = sum(kinds[stage.kind] * stage.work(data) for stage in stages)
    judged = {"samples": 2, "floor": 2}
    expected += sum(estimates.STAGE + 0.25 * judged.get(stage.kind, 0) for stage in stages)
    assert seconds == pytest.approx(expected)
    # 2 trainings of 60 steps of 64 images at 3 passes each, and 4 cells' draws and samples.
    assert seconds > 2 * 60 * 64 * 3


@pytest.mark.parametrize(
    ("stages", "workers", "sizes"),
    [(0, 2, []), (3, 4, [1, 1, 1]), (6, 4, [2, 2, 1, 1]), (16, 2, [8, 8]), (18, 2, [6, 6, 3, 3]), (9, 1, [5, 4])],
)
def test_companies_are_as_few_as_use_all_workers(stages, workers, sizes):
    assert estimates.companies_of(stages, workers, 8) == sizes


@pytest.mark.parametrize(
    ("words", "workers", "most", "members"),
    [
        ((), 1, 8, {8: 6, 16: 6}),
        ((), 4, 8, {8: 2, 16: 2}),
        ((), 1, 4, {8: 3, 16: 3}),
        ((), 1, 1, {8: 1, 16: 1}),
        (("network.dropout=0.1",), 1, 8, {8: 1, 16: 1}),
        # Networks with a learned variance have more outputs, and companies of their own: of six, or of four and two.
        (("variance=beta,learned", "objective=vlb"), 1, 8, {8: 6, 16: 6}),
        (("variance=beta,learned", "objective=vlb"), 1, 4, {8: 3, 16: 3}),
    ],
    ids=str,
)
def test_trainings_of_one_network_share_a_worker_where_there_are_more_of_them_than_workers(
    words, workers, most, members
):
    found = plan_of(*over(TINY, "network.channels=8,16", "parameterization=v,epsilon", "seeds=3", *words))
    stages = found.stages()
    trainings = [stage for stage in stages if stage.kind == "training"]
    known = estimates.members_of(stages, "cpu", workers, most)
    assert {stage.cell.network.channels: known[alike(stage)] for stage in trainings} == members
    assert {known[alike(stage)] for stage in stages if stage.kind != "training"} == {1}
    assert set(estimates.members_of(stages, "cuda:0", workers, most).values()) == {1}


def test_a_training_that_is_taken_to_a_rung_first_is_one_training(tmp_path):
    found = plan_of(*TINY, "seeds=3", "parameterization=v,epsilon", "evaluation.rungs=2")
    stages = [stage for one in rounds_of(found) for stage in one.plan.missing(Journal(tmp_path))]
    assert any(stage.kind == "rung" and stage.leads for stage in stages)
    trainings = {stage.id: alike(stage) for stage in stages if stage.kind == "training"}
    known = estimates.members_of(stages, "cpu", 1, 8)
    assert len(trainings) == 6
    assert {known[key] for key in trainings.values()} == {6}


def test_a_company_is_measured_as_one_and_each_member_takes_its_part(monkeypatch, short):
    found = plan_of(*TINY, "seeds=3")
    (key,) = {alike(stage) for stage in found.stages() if stage.kind == "training"}
    alone = estimates.company_pass
    made = []

    def company(*given):
        made.append(given[-1])
        return alone(*given)

    monkeypatch.setattr(estimates, "company_pass", company)
    monkeypatch.setattr(estimates, "_seconds", lambda action, device, threads, most: (action(), 1.0)[1])
    parts = {most: measured(found.stages(), "cpu", 1, most=most).each[key] for most in (1, 8)}
    assert made == [3]
    # A step of a batch of 64, and of three: a backward pass counts two.
    assert parts == {1: pytest.approx(1 / (3 * 64)), 8: pytest.approx(1 / (3 * 3 * 64))}


@pytest.mark.parametrize(
    ("launcher", "most"), [(Local(), 8), (Local(together=3), 3), (Local(together=1), 1), (Serial(), 1)], ids=str
)
def test_as_many_are_measured_side_by_side_as_the_launcher_has(monkeypatch, launcher, most):
    found = plan_of(*TINY)
    monkeypatch.setattr(beginning, "measured", lambda stages, device, processes, quick, most: most)
    assert beginning.measured_there(replace(found.here, launcher=launcher), found.stages()) == most


def test_rounds_take_together_what_all_takes_and_the_first_what_begins_a_command(tmp_path, short):
    found = plan_of(*TINY, "parameterization=v,epsilon", "seeds=5", "evaluation.rungs=2")
    stages, data, journal = found.stages(), found.here.data, Journal(tmp_path)
    known = measured(stages, "cpu", 1)
    rounds = rounds_of(found)
    assert [one.rung for one in rounds] == [True, False, False]
    taken = seconds_of_rounds(rounds, journal, known)
    assert all(seconds > 0 for seconds in taken)
    beside = COMMAND + FIRST + (1 + 2) * DRAWN + DELIVERED * len(found.planned)
    assert sum(taken) - beside == pytest.approx(known.seconds(stages, data, 1))
    assert seconds_of_rounds(rounds[:1], journal, Measured(known.each))[0] < sum(taken) / 2


def test_a_training_that_is_half_done_takes_half_as_long(tmp_path, short):
    found = plan_of(*TINY)
    (training,) = [stage for stage in found.stages() if stage.kind == "training"]
    known = Measured(dict.fromkeys(measured(found.stages(), "cpu", 1).each, 1e-3))
    rounds, journal = rounds_of(found), Journal(tmp_path)
    whole = sum(seconds_of_rounds(rounds, journal, known))
    write_history(journal.folder(training.id), [{"step": 30, "seconds": 1.0}])
    left = sum(seconds_of_rounds(rounds, journal, known))
    assert whole - left == pytest.approx(training.work(found.here.data) / 2 * 1e-3)
