"""Metrics that are asked for by name: what they start, what they score, what is refused."""

from __future__ import annotations

import math
from statistics import fmean

import pytest
import torch

from ablations.data.shipped import Digits
from ablations.data.tensors import read_tensors
from ablations.engine.journal import Journal
from ablations.engine.workers import perform
from ablations.metrics import extractors
from ablations.metrics.discrepancies import Mmd
from ablations.metrics.fid import Fid, FidInfinity
from ablations.metrics.metric import Comparison, FeatureSet
from ablations.metrics.neighbours import DensityMetric
from ablations.settings.registry import cell_id
from ablations.stages.artifacts import SAMPLES, write_artifact
from ablations.stages.metrics import MetricStage, floor_of, metric_floors
from analysis.errors import InputError
from tests.ablations.cells import TINY, cell_of, cells_of, over, result_of, results_of, stages_of_cell

ASKED = "evaluation.metrics=[mmd,precision,density,mmd]"
"""`precision` is one that every cell has."""
MMD = "mmd/train/digits-cnn"
EXTRACTOR = "digits-cnn"
FEW = over(TINY, "training.steps=2", "sampler=ddim", "sampler.steps=2")


def metrics_in(stages):
    return {stage.fills: stage for stage in stages if isinstance(stage, MetricStage)}


def test_what_is_asked_for_besides_changes_no_cell_and_no_stage():
    words = ["horizon=25", "evaluation.quality=[validation,test]"]
    plain, asked = cell_of(*words), cell_of(*words, ASKED)
    assert cell_id(plain, "d", "float32") == cell_id(asked, "d", "float32")
    ids = {stage.id: stage for stage in stages_of_cell(*words, ASKED)}
    without = {stage.id for stage in stages_of_cell(*words)}
    assert ids.keys() > without
    more = metrics_in(ids.values())
    assert sorted(more) == ["density/train/digits-cnn", "density/val/digits-cnn", MMD, "mmd/val/digits-cnn"]
    assert [floor.metric for floor in metric_floors([asked], "d", "x")] == ["mmd", "density"]
    for stage in more.values():
        assert stage.optional
        assert ids[stage.samples].held_out == stage.held_out
        assert set(stage.needs) == {*ids[stage.samples].needs, stage.samples}


def score(metric, images, real):
    extractor = extractors.load(EXTRACTOR)
    return metric.compute(Comparison(FeatureSet(images, extractor), FeatureSet(real, extractor)))


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """Two sets of a cell that are judged by more metrics."""
    root = tmp_path_factory.mktemp("judged")
    stages = stages_of_cell(*FEW, "evaluation.metrics=[mmd,density]")
    return root, stages, results_of(stages, root)


def test_a_metric_that_breaks_costs_no_other_and_a_value_that_is_no_number_is_noted(judged, monkeypatch):
    root, stages, _ = judged
    mmd, density = (metrics_in(stages)[name] for name in (MMD, "density/train/digits-cnn"))
    for stage in (mmd, density):
        Journal(root).forget_result(stage.id)
    with monkeypatch.context() as patch:
        patch.setattr(Mmd, "compute", lambda self, judged: 1 / 0)
        patch.setattr(DensityMetric, "compute", lambda self, judged: math.nan)
        assert perform(mmd, Journal(root), "cpu") == "failed"
        noted = result_of(density, root)
    assert Journal(root).failure(mmd.id).message == "ZeroDivisionError: division by zero"
    assert (noted.metrics, noted.metadata["notes"]) == ({}, f"without {density.fills}, which is not finite")
    assert result_of(mmd, root).metrics[MMD] > 0


def test_sets_are_as_large_as_asked_for_and_held_against_the_reference(tmp_path):
    words = over(FEW, "evaluation.n=150", "evaluation.reference=test", "evaluation.metrics=[fid_infinity]")
    stages = stages_of_cell(*words)
    results, data = results_of(stages, tmp_path), Digits().load().images
    (samples,) = [stage for stage in stages if stage.sets]
    drawn = read_tensors(tmp_path / samples.id / SAMPLES)[0]["samples"].split(150)
    assert len(drawn) == 2
    scored = results[samples.id].metrics
    assert scored[f"fid/test/{EXTRACTOR}"] == pytest.approx(fmean(score(Fid(), p, data["test"]) for p in drawn))
    assert not [name for name in scored if name.startswith("memorisation") or "/train" in name]
    ((column, stage),) = metrics_in(stages).items()
    values = [score(FidInfinity(), part, data["test"]) for part in drawn]
    assert results[stage.id].metrics == pytest.approx({column: fmean(values)})
    assert results[stage.id].curves == {f"sets/{column}": [[1, 2], pytest.approx(values)]}
    # Three sets of 150 are in the 450 validation images, and no test image is held against itself.
    real = [score(Fid(), part, data["test"]) for part in data["validation"].split(150)]
    floor = result_of(floor_of(samples.cell, "d", "x"), tmp_path)
    assert floor.metrics[f"fid/test/{EXTRACTOR}"] == pytest.approx(fmean(real), rel=1e-6)
    assert result_of(floor_of(cell_of(*over(FEW, "evaluation.n=500")), "d", "x"), tmp_path).metrics == {}


def test_pooled_sets_fill_the_column_that_was_planned(judged):
    root, stages, _ = judged
    (drawn,) = [stage for stage in stages if stage.sets]
    (stage,) = metrics_in(stages_of_cell(*FEW, "evaluation.metrics=[fid_pooled]")).values()
    assert (stage.samples, stage.fills) == (drawn.id, f"fid_pooled/train/{EXTRACTOR}/128"), "two sets of 64"
    samples = read_tensors(root / drawn.id / SAMPLES)[0]["samples"]
    pooled = score(Fid(), samples, drawn.cell.data.load().images["train"])
    assert result_of(stage, root).metrics == {stage.fills: pytest.approx(pooled)}


def test_labels_of_samples_reach_what_reads_them(tmp_path):
    words = ["horizon=25", "evaluation.metrics=[class_memorisation]"]
    (stage,) = metrics_in(stages_of_cell(*words, "conditioning=class")).values()
    assert metrics_in(stages_of_cell(*words)) == {}
    data, journal = Digits().load(), Journal(tmp_path)
    # The first set are copies, the second held-out images; a class is told by its label alone.
    samples = {"samples": torch.cat([data.images["train"][:450], data.images["test"]])}
    labels = {"labels": torch.cat([data.labels["train"][:450], data.labels["test"]])}
    write_artifact(journal.folder(stage.samples), SAMPLES, samples | labels)
    result = result_of(stage, tmp_path)
    assert result.metrics[stage.fills] == pytest.approx((1 + 0.05) / 2)
    # Against both held-out splits together, each of which is a part of them.
    (floor,) = metric_floors([stage.cell], "d", "x")
    assert result_of(floor, tmp_path).metrics[stage.fills] == pytest.approx(0.05, abs=0.001)
    with pytest.raises(InputError, match="reads the labels of samples, and these have none: take conditioning=class"):
        cells_of(*words)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("evaluation.metrics=[mdm]", "no metric of samples called 'mdm': there are .*did you mean 'mmd'"),
        ("evaluation.metrics=[nll]", "no metric of samples called 'nll': there are cl"),
        (
            "data=mixture2d network=mlp evaluation.metrics=[fid]",
            "fid is a metric of images, and this data is of points",
        ),
        ("data=mixture2d network=mlp evaluation.rungs=2 evaluation.judged_rungs=1", "test points are read once"),
    ],
)
def test_what_cannot_be_judged_is_refused_in_a_line(words, expected):
    with pytest.raises(InputError, match=expected):
        cells_of("horizon=25", *words.split())
