"""Rungs of a rate with a trunk: finished trainings of so many steps, bit by bit, for the price of their cooldown."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from ablations import run
from ablations.data.tensors import read_tensors
from ablations.driver.beginning import seconds_of_rounds
from ablations.driver.estimates import Measured
from ablations.driver.loads import BEGIN, JUDGE, loads_of
from ablations.driver.pace import standing
from ablations.driver.rounds import at_first_rung, planned
from ablations.driver.work_units import alike
from ablations.engine.files import CHECKPOINT, FORK
from ablations.engine.journal import Journal
from ablations.engine.perform import perform
from ablations.results.records import Record, with_besides
from ablations.settings.budget import fork_of, rungs
from ablations.stages import artifacts, training_loop
from ablations.stages.artifacts import WEIGHTS, read_history, write_history
from ablations.stages.bound import bound_of
from ablations.stages.branch import BranchStage
from ablations.stages.graph import training_of
from ablations.stages.restore import restore
from ablations.stages.rung import RungStage, at_rung, rung_of
from ablations.stages.training import TrainingStage
from analysis.schema import RUNG_SECONDS
from diffusion_core.trainer import Trainer, part
from diffusion_core.training import Training
from tests.ablations.conftest import over, plan_of, reproducible, result_of, rows
from tests.ablations.search.conftest import POINTS
from tests.ablations.stages.test_rungs import curve

PLAIN = [word for word in POINTS if word.split("=")[0] in ("data", "horizon", "schedule")]
PLAIN += [word for word in POINTS if word.startswith(("network", "training", "evaluation"))]
ON_POINTS = over(PLAIN, "training.rate=wsd", "training.clip=0.5", "evaluation.rungs=2")
"""80 steps and rungs at 20 and 40, which leave the trunk at 10 and 20."""


def stages(*words):
    return plan_of(*over(ON_POINTS, *words)).stages()


def branches_in(stages_):
    return [stage for stage in stages_ if isinstance(stage, BranchStage)]


def weights(root, stage):
    return read_tensors(root / stage.id / WEIGHTS)[0]


def assert_same(one, other):
    assert one.keys() == other.keys()
    assert [name for name in one if not bool((one[name] == other[name]).all())] == []


def alone(steps, root):
    """The training of so many steps by itself, its weights and result."""
    (training,) = [s for s in stages(f"training.steps={steps}", "evaluation.rungs=0") if isinstance(s, TrainingStage)]
    result = result_of(training, root)
    return training, weights(root, training), result


def seconds_of_branches(root):
    """Seconds that a cell is said to have taken for each branch by itself, besides its training."""
    (planned,), journal = plan_of(*ON_POINTS).planned, Journal(root)
    curves = journal.result(training_of(planned.stages).id).curves
    branches = [branch for branch in branches_in(planned.stages) if journal.result(branch.id)]
    alone = [replace(planned, stages=(branch,)) for branch in branches]
    records = [with_besides(Record(one, "finished", "", {}, curves, {}), [], journal) for one in alone]
    return {branch.id: record.metrics[RUNG_SECONDS] for branch, record in zip(branches, records, strict=True)}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A training of 80 steps and those of its rungs, in the order in which a command runs them."""
    root = tmp_path_factory.mktemp("whole")
    for stage in stages():
        if isinstance(stage, (TrainingStage, RungStage)):
            result_of(stage, root)
    return root


@pytest.mark.parametrize("steps", [20, 40])
def test_a_branch_is_bit_by_bit_the_training_of_so_many_steps(steps, whole, tmp_path):
    (branch,) = [branch for branch in branches_in(stages()) if branch.cell.training.steps == steps]
    training, expected, result = alone(steps, tmp_path)
    assert branch.id == training.id
    assert_same(weights(whole, branch), expected)
    found = Journal(whole).result(branch.id)
    for name in reproducible(result.curves):
        assert found.curves[name] == result.curves[name], name


def test_a_rung_is_scored_as_that_training_is(whole, tmp_path):
    for rung in (stage for stage in stages() if isinstance(stage, RungStage)):
        training, left, _ = alone(rung.step, tmp_path)
        cell, data = training.cell, training.cell.data.load()
        averaged = restore(cell, data.encoding, data, part(left, "average")).diffusion
        expected = bound_of(at_rung(cell), averaged, data.images["validation"]).total.mean()
        assert Journal(whole).result(rung.id).metrics["nll/val"] == float(expected)


def test_it_takes_the_steps_of_its_cooldown_alone(whole, monkeypatch, tmp_path):
    """What is left of the trunk lies in the longer training's folder, which trains as if nobody had asked."""
    branch = branches_in(stages())[-1]
    trunk = training_of(stages())
    names = sorted(path.name for path in (whole / trunk.id).glob(f"{FORK}*"))
    assert names == [f"{FORK}10.safetensors", f"{FORK}20.safetensors"]
    assert_same(weights(whole, trunk), alone(80, tmp_path)[1])
    began = []
    run = Trainer.run
    monkeypatch.setattr(Trainer, "run", lambda *given: began.append(given[3]) or run(*given))
    Journal(whole).forget_result(branch.id)
    result_of(branch, whole)
    assert [start[0] for start in began] == [20]
    assert branch.begins == pytest.approx(20 / 40)
    reported = {line["step"]: line["seconds"] for line in read_history(whole / branch.id)}
    assert list(reported) == [10, 20, 30, 40]
    # The clock of reports has run on since step 20, whatever the machine did in between.
    assert 0 < seconds_of_branches(whole)[branch.id] <= reported[40] - reported[20] + 2e-3


@pytest.mark.parametrize("lost", ["all", "a byte", "nothing of the trunk"])
def test_where_the_trunk_left_nothing_whole_it_is_trained_from_its_beginning(lost, whole, tmp_path):
    branch, trunk = branches_in(stages())[-1], training_of(stages())
    if lost == "a byte":
        result_of(trunk, tmp_path)
        for path in (tmp_path / trunk.id).glob(f"{FORK}*"):
            path.write_bytes(path.read_bytes()[:-1] + b"?")
    elif lost == "nothing of the trunk":
        result_of(replace(trunk, forks=frozenset()), tmp_path)
        assert standing([branch], Journal(tmp_path)) == {branch.id: 0.0}
    took = result_of(branch, tmp_path).metrics["cost/train_seconds"]
    assert_same(weights(tmp_path, branch), weights(whole, branch))
    if lost != "all":
        assert seconds_of_branches(tmp_path) == {branch.id: pytest.approx(took, abs=2e-3)}


def test_a_trunk_on_its_way_is_to_leave_its_state_unless_it_is_past_that(tmp_path):
    branch, trunk, journal = branches_in(stages())[-1], training_of(stages()), Journal(tmp_path)
    for step, share in ((10, {}), (30, {branch.id: 0.0})):
        write_history(journal.folder(trunk.id), [{"step": step, "seconds": 1.0}])
        assert standing([branch], journal) == share


def test_a_training_goes_on_from_what_a_rung_left_that_came_first(whole, tmp_path, monkeypatch):
    """A pruner's rungs, the first answer's: each goes on from the one before, and the training from the last."""
    trunk = training_of(stages())
    began = []
    run = Trainer.run
    monkeypatch.setattr(Trainer, "run", lambda *given: began.append(given[3]) or run(*given))
    for step in (20, 40):
        rung = rung_of(trunk, step)
        assert not rung.leads
        for stage in (*rung.before, rung):
            result_of(stage, tmp_path)
        assert Journal(tmp_path).result(rung.id).metrics["nll/val"] == Journal(whole).result(rung.id).metrics["nll/val"]
    result_of(trunk, tmp_path)
    assert [start and start[0] for start in began] == [None, 10, 20]
    for stage in (trunk, *branches_in(stages())):
        assert_same(weights(tmp_path, stage), weights(whole, stage))


@pytest.mark.parametrize("cuts", [1, 3])
def test_killed_between_they_come_to_the_same(cuts, whole, tmp_path, monkeypatch):
    """Cut at each of their first checkpoints, of which there is one at every report."""
    write, journal = training_loop.write_checkpoint, Journal(tmp_path)
    read, reads = artifacts.read_artifact, []
    monkeypatch.setattr(artifacts, "read_artifact", lambda *given: reads.append(given[1]) or read(*given))
    monkeypatch.setattr(training_loop, "CHECKPOINT_SECONDS", 0)

    def cut(*given):
        write(*given)
        raise ZeroDivisionError

    # The shortest has no report between its fork and its end.
    for stage in (training_of(stages()), branches_in(stages())[-1]):
        with monkeypatch.context() as patch:
            patch.setattr(training_loop, "write_checkpoint", cut)
            assert perform(stage, journal, "cpu") == "failed"
            reads.clear()
            assert {perform(stage, journal, "cpu") for _ in range(cuts)} <= {"failed", "finished"}
        # A state may be large.
        assert reads.count(CHECKPOINT) <= cuts
        assert perform(stage, journal, "cpu") == "finished"
        assert_same(weights(tmp_path, stage), weights(whole, stage))


def test_branches_are_no_part_of_the_cells_and_are_trained_after_them():
    plain, asked = plan_of(*over(ON_POINTS, "evaluation.rungs=0")), plan_of(*ON_POINTS)
    assert [item.cell_id for item in asked.planned] == [item.cell_id for item in plain.planned]
    found = asked.stages()
    trunk = training_of(found)
    assert trunk.id == training_of(plain.stages()).id
    assert trunk.forks == {10, 20}
    assert trunk.scored == ()
    for branch in branches_in(found):
        assert trunk.id in branch.needs
        assert branch.besides
        assert not branch.validates
        (rung,) = [stage for stage in found if isinstance(stage, RungStage) and branch.id in stage.needs]
        assert rung.step == branch.cell.training.steps
    early = at_first_rung(plan_of(*ON_POINTS, "parameterization=epsilon,v", "seeds=2"))
    assert Counter(stage.kind for stage in early.stages() if stage.of_cell) == {"branch": 4, "rung": 4}
    assert {stage.begins for stage in branches_in(early.stages())} == {0.0}


def test_what_they_take_is_counted_by_where_they_begin(tmp_path):
    """Three passes of each of 128 examples a step."""
    asked = plan_of(*over(ON_POINTS, "parameterization=epsilon,v", "seeds=2"))
    data, step = asked.here.data, 3 * 128
    whole, early = (loads_of(stages_, data) for stages_ in (asked.stages(), at_first_rung(asked).stages()))
    for branch in branches_in(asked.stages()):
        steps, key = branch.cell.training.steps, alike(branch)
        assert whole[branch.id].whole[key] == (steps - steps / 2) * step
        assert branch.id not in early or early[branch.id].whole[key] == steps * step
    # Of 80 steps of a training, the first round takes 10 too, besides those of the first cooldown.
    kinds = {key for load in whole.values() for key in load.kinds}
    each = {key: float(key[0] == "training") for key in kinds} | {BEGIN: 0.0, JUDGE: 0.0}
    first, second = seconds_of_rounds(planned(asked), Journal(tmp_path), Measured(each))
    assert first * len(asked.here.devices) == pytest.approx(4 * 20 * step, rel=1e-3)
    assert second * len(asked.here.devices) == pytest.approx(4 * (70 + 20) * step, rel=1e-3)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [(250, 150), (500, 350)]),
        ({"cooldown": 0.5}, [(250, 100), (500, 250)]),
        # Rungs at 50 would not be warm, or leave no report of the trunk.
        ({"warmup": 200}, [(500, 350)]),
        ({"report_every": 250}, [(500, 250)]),
        ({"cooldown": 1.0, "warmup": 0}, []),
    ],
)
def test_rungs_are_those_that_leave_the_trunk_at_a_report(changes, expected):
    plan = Training(**{"steps": 1000, "report_every": 50, "warmup": 100, "rate": "wsd", **changes})
    found = rungs(plan, 2)
    assert [(steps, fork_of(plan, steps)) for steps in found] == expected
    for steps, fork in expected:
        assert fork <= (1 - plan.cooldown) * steps < fork + plan.report_every


@pytest.mark.thorough
def test_a_command_comes_to_the_score_of_the_shorter_training(tmp_path, without_pictures):
    """By workers and by rounds, with another cell whose training is that of the rung."""
    words = over(ON_POINTS, "training.steps=40,80", "evaluation.rungs=1", "seeds=3", "name=tiny", f"results={tmp_path}")
    assert run.main(words) == 0
    found = rows(tmp_path / "tiny")
    assert {row["status"] for row in found} == {"finished"}
    cells = {row["axis.training.steps"]: row["cell_id"] for row in found}
    points = curve(tmp_path, "rung/nll/val")
    assert {(cell, step) for cell, _, step in points} == {(cells["80"], 40), (cells["40"], 20)}
    assert all(float(row["cost/rung_seconds"]) > 0 for row in found)
    training = {row["seed"]: row["training_id"] for row in found if row["cell_id"] == cells["40"]}
    journal = Journal(tmp_path / ".stages")
    assert all((journal.folder(training[seed]) / WEIGHTS).exists() for seed in ("0", "1", "2"))
