"""Cells that differ in the average of their weights share one training, and each evaluates its own of them."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from ablations.data.tensors import read_tensors
from ablations.driver.beginning import without_rungs
from ablations.engine.journal import Journal
from ablations.engine.perform import perform
from ablations.settings.identity import parameters, read_by_id
from ablations.settings.making import cell_of as read_back
from ablations.stages.artifacts import WEIGHTS, snapshot_at
from ablations.stages.bound import BoundStage, bound_of
from ablations.stages.restore import build, load_learner
from ablations.stages.rung import RungStage, rung_of
from ablations.stages.training import TrainingStage, stored_of
from ablations.tracking.model import read_model, write_model
from analysis.errors import InputError
from diffusion_core.averages import Power, Raw, Tracked, kept_share
from diffusion_core.batches import batch_indices
from diffusion_core.trainer import Trainer, part
from tests.ablations.conftest import TINY, cell_of, over, plan_of, result_of
from tests.ablations.grids.test_grid import GRIDS, shipped
from tests.ablations.stages.test_rungs import ON_POINTS

ALL = "average=tracked,raw,0.05,0.15"
DIGEST = "d" * 12


def stages_by_average(*words):
    """The stages of each cell, by the average that it evaluates."""
    return {item.levels["average"]: item.stages for item in plan_of(*words).planned}


def training_of(stages):
    (training,) = {stage for stage in stages if isinstance(stage, TrainingStage)}
    return training


def test_they_share_one_training_and_each_has_scores_of_its_own():
    found = stages_by_average(*TINY, ALL)
    kinds = Counter(stage.kind for stage in {stage.id: stage for stages in found.values() for stage in stages}.values())
    assert kinds == {"training": 1, "bound": 2 * 4, "samples": 4}
    assert len({stages[-1].id for stages in found.values()}) == 4
    fitted = stages_by_average(*TINY, ALL, "variance=analytic", "spacing=optimal", "evaluation.horizon=5")
    assert len({stage.id for stages in fitted.values() for stage in stages if stage.kind == "fit"}) == 4
    assert len({training_of(stages).id for stages in fitted.values()}) == 1


def test_asked_for_by_name_the_tracked_one_is_what_was_ever_evaluated():
    unset, named = (plan_of(*TINY, *words) for words in ([], ["average=tracked"]))
    assert [stage.id for stage in unset.stages()] == [stage.id for stage in named.stages()]
    assert unset.planned[0].cell_id == named.planned[0].cell_id
    cell = cell_of(*TINY)
    assert "average" not in read_by_id(cell)
    assert "snapshots" not in read_by_id(cell)["training"]
    assert (cell.average, cell.training.snapshots) == (Tracked(), 0)


@pytest.mark.parametrize("name", [name for name in GRIDS if name != "average"])
def test_no_grid_of_before_evaluates_another(name):
    cells = [point.cell for point in shipped(name).points]
    assert {(cell.average, cell.training.snapshots) for cell in cells} == {(Tracked(), 0)}


def test_the_autoencoder_of_latents_has_none():
    latent = stages_by_average(*TINY, "space=latents", "space.f=2", ALL)
    shared = {stage.id for stage in latent["raw"]} & {stage.id for stage in latent["0.05"]}
    kinds = {stage.kind for stage in latent["raw"] if stage.id in shared}
    assert kinds == {"autoencoder", "training", "reconstruction"}


@pytest.mark.parametrize(
    ("words", "average", "snapshots"),
    [
        ("average=0.05", Power(0.05), 32),
        ("average=1e-1", Power(0.1), 32),
        ("average=power", Power(0.1), 32),
        ("average=power average.std=0.07", Power(0.07), 32),
        ("average=0.05 training.snapshots=16", Power(0.05), 16),
        ("training=long average=0.05", Power(0.05), 32),
        ("average=raw", Raw(), 0),
        ("average=raw,0.05", Raw(), 32),
    ],
)
def test_a_number_is_a_power_functions_width_and_brings_its_snapshots(words, average, snapshots):
    cell = cell_of(*words.split())
    assert (cell.average, cell.training.snapshots) == (average, snapshots)
    assert read_back(parameters(cell), cell.seed) == cell


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (
            "average=0.05 training.snapshots=0",
            "training.snapshots=0 keeps none: take training.snapshots=32, or average",
        ),
        ("average=0.01", r"average=0\.01 cannot be told .*17% off.* take training\.snapshots=128, or an average"),
        ("average=0.5", r"average\.std must be 0\.004 to 0\.284.*got 0\.5"),
        ("average=-1", r"average\.std must be 0\.004 to 0\.284.*got -1"),
        ("average=ema", "no average called 'ema': there are power, raw, tracked"),
        ("average=0.05,0.1 average.std=0.1", "average=0.05 and average=0.1 are the same cell: leave one of them out"),
        ("average=tracked,raw horizon=0 space=latents", "average=tracked and average=raw are the same cell"),
        ("average=raw average.std=0.1", "average=raw has nothing to set"),
        ("average=[0.05,0.1]", "several values are written average=0.05,0.1"),
        ("training.snapshots=1000", "training.snapshots must be 0 for none, or 1 to 256"),
        ("training.snapshots=0.5", r"training\.snapshots must be a whole number"),
    ],
)
def test_what_no_training_tells_is_one_line(words, reason):
    with pytest.raises(InputError, match=reason) as error:
        plan_of(*words.split())
    assert "\n" not in str(error.value)


def test_cells_of_other_averages_have_no_rungs_and_a_pruners_rung_is_of_the_tracked_one():
    found = stages_by_average(*TINY, ALL, "evaluation.rungs=2")
    rungs = {
        average: [stage.id for stage in stages if isinstance(stage, RungStage)] for average, stages in found.items()
    }
    assert {average: len(ids) for average, ids in rungs.items()} == {"tracked": 3, "raw": 0, "0.05": 0, "0.15": 0}
    assert len({rung_of(training_of(stages), 20).id for stages in found.values()}) == 1


def test_a_dry_run_says_which_cells_have_no_rungs():
    assert without_rungs(plan_of(*TINY, ALL, "evaluation.rungs=1")) == [
        "3 cells without rungs, which average=tracked alone has"
    ]
    for words in (ALL, "average=tracked evaluation.rungs=1"):
        assert without_rungs(plan_of(*TINY, *words.split())) == []


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """A training of digits that keeps snapshots, by its stage, and the weights after each of its steps."""
    root = tmp_path_factory.mktemp("results")
    words = [*over(TINY, "training.steps=120", "training.precision=float32"), "average=0.05", "training.snapshots=24"]
    training = training_of(plan_of(*words).stages())
    result_of(training, root)
    cell, data, cpu = training.cell, training.cell.data.load(), torch.device("cpu")
    learner, stored = build(cell, data.encoding, data, cpu), stored_of(data.encoding, data, cpu)
    trainer, path = Trainer(learner, cell.training, cpu), []
    for step in range(cell.training.steps):
        batch = stored[batch_indices(cell.seed, step, len(stored), cell.training.batch)]
        if step == 0:
            trainer.begin(batch, cell.seed)
        trainer.step(batch, cell.seed, step)
        path.append(flat(dict(learner.named_parameters())))
    return root, words, training, path


def flat(weights):
    return torch.cat([weights[name].detach().flatten().double() for name in sorted(weights)])


def restored(root, words, average):
    """The weights of a cell as they are evaluated, its parameters as one vector and all of its state."""
    item = plan_of(*over(words, f"average={average}")).planned[0]
    (bound, *_) = [stage for stage in item.stages if isinstance(stage, BoundStage)]
    learner = load_learner(item.cell, item.cell.data.load(), Journal(root), bound.parts, torch.device("cpu"))
    return flat(dict(learner.named_parameters())), learner.state_dict()


@pytest.mark.parametrize("std", [0.03, 0.05, 0.08, 0.15, 0.2])
def test_what_is_reconstructed_is_within_a_percent_of_what_was_tracked(std, ended):
    root, words, _, path = ended
    tracked = torch.zeros_like(path[0])
    for step, weights in enumerate(path):
        tracked.lerp_(weights, 1 - kept_share(std, step + 1))
    found, _ = restored(root, words, std)
    assert (found - tracked).norm() < 0.01 * tracked.norm()
    # The average is another thing than what it is of.
    assert (path[-1] - tracked).norm() > 10 * (found - tracked).norm()


def test_raw_is_the_learner_and_tracked_what_its_file_holds(ended):
    root, words, training, path = ended
    weights, _ = read_tensors(root / training.id / WEIGHTS)
    assert {name.split("/")[0] for name in weights} == {"learner", "average"}
    raw, state = restored(root, words, "raw")
    assert torch.equal(raw, path[-1])
    assert all(torch.equal(state[name], value) for name, value in part(weights, "learner").items())
    _, state = restored(root, words, "tracked")
    assert all(torch.equal(state[name], value) for name, value in part(weights, "average").items())


@pytest.mark.parametrize("average", ["raw", "0.05", "0.25"])
def test_scores_are_those_of_each_cells_own_average(average, ended):
    """By the bound of a network that holds the weights which were tracked through every step."""
    root, words, _, path = ended
    item = plan_of(*over(words, f"average={average}")).planned[0]
    (bound,) = [stage for stage in item.stages if isinstance(stage, BoundStage) and stage.split == "validation"]
    tracked = torch.zeros_like(path[0])
    for step, weights in enumerate(path):
        tracked.lerp_(weights, 1 if average == "raw" else 1 - kept_share(float(average), step + 1))
    data = item.cell.data.load()
    wanted, last = (bound_by(item.cell, data, weights) for weights in (tracked, path[-1]))
    score = result_of(bound, root).metrics["nll/val"]
    assert score == pytest.approx(wanted, abs=4e-3)
    assert average == "raw" or abs(score - last) > 8e-3


def bound_by(cell, data, weights):
    """The bound on validation images of a network with these weights, one after another by their names."""
    learner = build(cell, data.encoding, data, torch.device("cpu"))
    parameters = dict(sorted(learner.named_parameters()))
    with torch.no_grad():
        for parameter, part_of in zip(
            parameters.values(), weights.split([value.numel() for value in parameters.values()]), strict=True
        ):
            parameter.copy_(part_of.view_as(parameter))
    return float(bound_of(cell, learner.diffusion.eval(), data.images["validation"]).total.mean())


@pytest.mark.parametrize("average", ["raw", "0.08"])
def test_its_model_is_the_average_that_the_cell_evaluates(average, ended, tmp_path):
    root, words, _, _ = ended
    item = plan_of(*over(words, f"average={average}")).planned[0]
    write_model(tmp_path, item.cell, item.parts, Journal(root))
    cell, model = read_model(tmp_path, torch.device("cpu"))
    assert cell == item.cell
    found = flat({f"diffusion.{name}": value for name, value in model.named_parameters()})
    assert torch.equal(found, restored(root, words, average)[0])


def test_a_training_that_is_cut_leaves_the_same_snapshots(goes_on):
    goes_on(training_of(plan_of(*ON_POINTS, "average=0.05", "training.snapshots=8").stages()), cuts=2)


@pytest.mark.parametrize("lost", ["missing", "altered"])
def test_a_snapshot_that_is_lost_is_made_anew(lost, tmp_path, capsys):
    """Found by the next command where it is missing, when it is read where it was altered."""
    stages = plan_of(*ON_POINTS, "average=0.15", "training.snapshots=8").stages()
    training = training_of(stages)
    (bound, *_) = [stage for stage in stages if isinstance(stage, BoundStage)]
    journal, path = Journal(tmp_path), tmp_path / training.id / snapshot_at(30)
    rung = rung_of(training, 40)
    result_of(rung, tmp_path)
    if lost == "missing":
        # Before the training is over: it goes on from before.
        path.unlink()
        result_of(training, tmp_path)
        assert f"goes on from step 0, since {path.name} is missing" in capsys.readouterr().err
    result_of(training, tmp_path)
    before = result_of(bound, tmp_path).metrics["nll/val"]
    if lost == "missing":
        path.unlink()
        assert journal.result(training.id) is None
    else:
        path.write_bytes(path.read_bytes()[:-1] + b"?")
        journal.forget_result(bound.id)
        assert perform(bound, journal, "cpu") == "damaged"
        assert journal.result(training.id) is None
    result_of(training, tmp_path)
    journal.forget_result(bound.id)
    assert result_of(bound, tmp_path).metrics["nll/val"] == before
