"""Cells that differ in the average of their weights share one training, and each evaluates its own of them."""

from __future__ import annotations

from collections import Counter
from functools import partial

import pytest
import torch

from ablations.data.tensors import read_tensors
from ablations.engine.journal import Journal
from ablations.engine.workers import perform
from ablations.settings.making import cell_of as read_back
from ablations.settings.registry import parameters
from ablations.stages.artifacts import WEIGHTS, snapshot_at
from ablations.stages.graph import unique
from ablations.stages.restore import load_learner
from analysis.errors import InputError
from diffusion_core.averages import Power, Raw
from diffusion_core.trainer import part
from tests.ablations.cells import (
    POINTS,
    TINY,
    assert_same,
    cell_of,
    cells_of,
    over,
    result_of,
    results_of,
    stages_in,
    stages_of_cell,
    training_in,
    training_of,
)

ALL = "average=tracked,raw,0.05,0.15"


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


def test_what_no_training_tells_is_one_line():
    with pytest.raises(InputError, match=r"^average=0\.01 cannot be told [^\n]*17% off"):
        cells_of("average=0.01")


KEPT = over(POINTS, "training.steps=40", "training.report_every=5", "average=0.15", "training.snapshots=8")


def test_what_is_evaluated_is_the_average_that_its_cell_asks_for_by_what_its_training_has_kept(tmp_path):
    training = training_in(*KEPT)
    result_of(training, tmp_path)
    folder, plan = tmp_path / training.id, training.cell.training
    weights = read_tensors(folder / WEIGHTS)[0]
    kept = {step: read_tensors(folder / snapshot_at(step))[0] for step in plan.snapshot_steps}
    found = {}
    for average in ("raw", "tracked", "0.1"):
        bound = next(stage for stage in stages_of_cell(*over(KEPT, f"average={average}")) if stage.kind == "bound")
        learner = load_learner(bound.cell, bound.cell.data.load(), Journal(tmp_path), bound.parts, torch.device("cpu"))
        found[average] = learner.state_dict()
    assert_same(found["raw"], part(weights, "learner"))
    assert_same(found["tracked"], part(weights, "average"))
    assert_same(found["0.1"], Power(0.1).weights(partial(part, weights), kept.get, plan))


def test_a_chain_hands_its_snapshots_on(tmp_path):
    """Those of a training that another cell, whose average is tracked, has scored on its way."""
    cells = cells_of(*over(KEPT, "average=tracked,0.15", "evaluation.rungs=2"))
    stages = unique([stage for cell in cells for stage in stages_in(cell)])
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
