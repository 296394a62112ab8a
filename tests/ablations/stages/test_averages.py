"""Cells that differ in the average of their weights share one training, and each evaluates its own of them."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from ablations.data.tensors import read_tensors
from ablations.engine.journal import Journal
from ablations.engine.workers import perform
from ablations.settings.making import cell_of as read_back
from ablations.settings.registry import parameters
from ablations.stages.artifacts import WEIGHTS, snapshot_at
from ablations.stages.bound import BoundStage
from ablations.stages.graph import once, training_of
from ablations.stages.restore import build, load_learner
from ablations.stages.training import stored_of
from analysis.errors import InputError
from diffusion_core.averages import Power, Raw, kept_share
from diffusion_core.trainer import Trainer, batch_indices, part
from tests.ablations.cells import (
    POINTS,
    TINY,
    cell_of,
    cells_of,
    over,
    result_of,
    results_of,
    stages_in,
    stages_of_cell,
    training_in,
)

ALL = "average=tracked,raw,0.05,0.15"
DIGEST = "d" * 12


def stages_by_average(*words):
    """The stages of each cell, by the average that it evaluates."""
    return {str(cell.average): stages_in(cell) for cell in cells_of(*words)}


def test_they_share_one_training_and_each_has_scores_of_its_own():
    found = stages_by_average(*TINY, ALL)
    kinds = Counter(stage.kind for stage in {stage.id: stage for stages in found.values() for stage in stages}.values())
    assert kinds == {"training": 1, "bound": 2 * 4, "samples": 4}
    assert len({stages[-1].id for stages in found.values()}) == 4
    fitted = stages_by_average(*TINY, ALL, "variance=analytic", "spacing=optimal", "evaluation.horizon=5")
    assert len({stage.id for stages in fitted.values() for stage in stages if stage.kind == "fit"}) == 4
    assert len({training_of(stages).id for stages in fitted.values()}) == 1


@pytest.mark.parametrize(
    ("words", "average", "snapshots"),
    [
        ("average=power average.std=0.07", Power(0.07), 32),
        ("average=0.05 training.snapshots=16", Power(0.05), 16),
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
        ("average=raw average.std=0.1", "no field of average=raw called 'std': there are none"),
        ("training.snapshots=1000", "training.snapshots must be 0 for none, or 1 to 256"),
    ],
)
def test_what_no_training_tells_is_one_line(words, reason):
    with pytest.raises(InputError, match=reason) as error:
        cells_of(*words.split())
    assert "\n" not in str(error.value)


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """A training of points that keeps snapshots, by its stage, and the weights after each of its steps."""
    root = tmp_path_factory.mktemp("results")
    words = over(POINTS, "training.steps=60", "training.precision=float32", "average=0.05", "training.snapshots=24")
    training = training_in(*words)
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


def bounds_of(words, average):
    stages = stages_of_cell(*over(words, f"average={average}"))
    return [stage for stage in stages if isinstance(stage, BoundStage)]


def restored(root, words, average):
    """The weights of a cell as they are evaluated, its parameters as one vector and all of its state."""
    (bound, *_) = bounds_of(words, average)
    learner = load_learner(bound.cell, bound.cell.data.load(), Journal(root), bound.parts, torch.device("cpu"))
    return flat(dict(learner.named_parameters())), learner.state_dict()


@pytest.mark.parametrize("std", [0.03, 0.05, 0.2])
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


KEPT = over(POINTS, "training.steps=40", "training.report_every=5", "average=0.15", "training.snapshots=8")


def test_a_chain_hands_its_snapshots_on(tmp_path):
    """Those of a training that another cell, whose average is tracked, has scored on its way."""
    cells = cells_of(*over(KEPT, "average=tracked,0.15", "evaluation.rungs=2"))
    stages = once([stage for cell in cells for stage in stages_in(cell)])
    chained, alone = results_of(stages, tmp_path / "chain"), results_of(stages_of_cell(*KEPT), tmp_path / "alone")
    assert [stage.until for stage in stages if stage.trains] == [10, 20, 40]
    assert all(
        chained[stage].metrics.get("nll/test") == result.metrics.get("nll/test") for stage, result in alone.items()
    )


def test_a_snapshot_that_was_altered_makes_its_training_run_anew(tmp_path):
    training, bound, *_ = stages_of_cell(*KEPT)
    journal, path = Journal(tmp_path), tmp_path / training.id / snapshot_at(15)
    result_of(training, tmp_path)
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert perform(bound, journal, "cpu") == "failed"
    assert f"{path.name} has been altered" in journal.failure(bound.id).message
    assert journal.result(training.id) is None
