"""Generated sets of a size of one's own, against training or test images, and what real images score beside them."""

from __future__ import annotations

from statistics import fmean, stdev

import pytest
import torch

from ablations.data.digits import Digits
from ablations.data.mixture2d import Mixture2d
from ablations.data.tensors import read_tensors
from ablations.driver.execute import records_of
from ablations.driver.written import head_with
from ablations.engine.journal import Journal
from ablations.metrics import extractors
from ablations.metrics.energy_distance import EnergyDistance
from ablations.metrics.fid import Fid, FidInfinity
from ablations.metrics.sets import Examined, Judged
from ablations.settings.identity import described
from tests.ablations.conftest import TINY, over, plan_of, result_of

WORDS = over(TINY, "training.steps=20", "sampler=ddim", "sampler.steps=2")
EXTRACTOR = "digits-cnn"


def results_of(root, *words):
    """A plan's stages by kind, with what each came to, and grid.json."""
    plan = plan_of(*over(WORDS, *words))
    found = {}
    for stage in plan.stages():
        found.setdefault(stage.kind, []).append((stage, result_of(stage, root)))
    journal = Journal(root)
    return found, head_with(plan, journal, records_of(plan, journal), {"command": "", "seconds": 0.0})


def score(metric, images, real):
    extractor = extractors.load(EXTRACTOR)
    return metric.compute(Judged(Examined(images, extractor), Examined(real, extractor)))


def test_sets_are_as_large_as_asked_for_and_held_against_the_reference(tmp_path):
    found, head = results_of(
        tmp_path, "evaluation.n=150", "evaluation.reference=test", "evaluation.metrics=[fid_infinity]"
    )
    data = Digits().load().images
    ((samples, scored),) = found["samples"]
    drawn = read_tensors(Journal(tmp_path).folder(samples.id) / "samples.safetensors")[0]["samples"]
    assert len(drawn) == 2 * 150
    values = [score(Fid(), part, data["test"]) for part in drawn.split(150)]
    assert scored.metrics[f"fid/test/{EXTRACTOR}"] == pytest.approx(fmean(values), rel=1e-6)
    assert not [name for name in scored.metrics if name.startswith("memorisation") or "/train" in name]
    ((_, extrapolated),) = found["metric"]
    values = [score(FidInfinity(), part, data["test"]) for part in drawn.split(150)]
    column = f"fid_infinity/test/{EXTRACTOR}"
    assert extrapolated.metrics[column] == pytest.approx(fmean(values), rel=1e-6)
    assert extrapolated.metrics[f"{column}_set_sd"] == pytest.approx(stdev(values), rel=1e-6)
    # Three sets of 150 are in the 450 validation images, and no test image is held against itself.
    real = [score(Fid(), part, data["test"]) for part in data["validation"].split(150)]
    assert head["floors"][f"fid/test/{EXTRACTOR}"]["value"] == pytest.approx(fmean(real), rel=1e-6)
    assert head["floors"][f"fid/test/{EXTRACTOR}"]["label"] == "held-out images, n = 150"
    assert column in head["floors"]
    names = [metric["name"] for metric in head["metrics"]]
    assert names == ["nll/test", f"fid/test/{EXTRACTOR}", f"is/{EXTRACTOR}", column]
    assert head["quality_n"] == 150


def test_where_no_split_has_as_many_there_is_no_floor_and_the_page_says_so(tmp_path):
    found, head = results_of(tmp_path, "evaluation.n=500", "evaluation.sets=1")
    ((_, scored),) = found["samples"]
    assert f"fid/train/{EXTRACTOR}" in scored.metrics
    assert head["floors"] == {}
    assert head["extractor_accuracy"] is not None
    assert (
        "No floor is shown: no held-out split has n = 500 images, and what fewer score is another value."
        in (head["footnotes"])
    )


def test_against_training_images_validation_and_test_images_make_the_floor(tmp_path):
    found, _ = results_of(tmp_path, "evaluation.n=400", "evaluation.reference=train", "evaluation.sets=1")
    ((_, floor),) = found["floor"]
    data = Digits().load().images
    real = [score(Fid(), data[split][:400], data["train"]) for split in ("validation", "test")]
    assert floor.metrics[f"fid/train/{EXTRACTOR}"] == pytest.approx(fmean(real), rel=1e-6)
    assert f"fid/train/{EXTRACTOR}" in found["samples"][0][1].metrics


def test_points_may_be_held_against_training_points(tmp_path):
    words = [word for word in WORDS if not word.startswith("network.")]
    plan = plan_of(*over(words, "data=mixture2d", "evaluation.n=300", "evaluation.reference=train"))
    data = Mixture2d().load().images
    results = {stage.kind: result_of(stage, tmp_path) for stage in plan.stages()}
    (samples,) = [stage for stage in plan.stages() if stage.kind == "samples"]
    drawn = read_tensors(Journal(tmp_path).folder(samples.id) / "samples.safetensors")[0]["samples"]
    train = Examined(data["train"])
    values = [EnergyDistance().compute(Judged(Examined(part), train)) for part in drawn.split(300)]
    assert results["samples"].metrics["energy_distance/train"] == pytest.approx(fmean(values), rel=1e-6)
    real = torch.split(data["validation"], 300)
    values = [EnergyDistance().compute(Judged(Examined(part), train)) for part in real]
    assert results["floor"].metrics["energy_distance/train"] == pytest.approx(
        fmean(values[: len(data["validation"]) // 300])
    )


def test_the_first_answer_reads_no_test_images():
    early = [
        [
            stage.scores
            for stage in plan_of(*over(WORDS, *words, "variance=beta,beta_tilde", "training.steps=80")).stages()
            if stage.kind == "rung"
        ]
        for words in (["evaluation.rungs=1"], ["evaluation.rungs=1", "evaluation.reference=test"])
    ]
    assert "samples" in early[0]
    assert set(early[1]) == {"bound"}


def test_points_have_no_samples_judged_on_the_way_whatever_they_are_held_against():
    words = [word for word in WORDS if not word.startswith("network.")]
    words = over(words, "data=mixture2d", "variance=beta,beta_tilde", "training.steps=80", "evaluation.rungs=1")
    stages = plan_of(*words, "evaluation.reference=train").stages()
    assert {stage.scores for stage in stages if stage.kind == "rung"} == {"bound"}


@pytest.mark.parametrize("word", ["evaluation.iwae=2", "evaluation.n=150", "evaluation.reference=test"])
def test_a_field_that_is_not_set_is_left_out_of_every_id_and_one_that_is_set_changes_what_reads_it(word):
    name = word.split(".")[1].split("=")[0]
    plain, asked = plan_of(*WORDS), plan_of(*WORDS, word)
    assert name not in described(plain.planned[0].cell)["evaluation"]
    assert name in described(asked.planned[0].cell)["evaluation"]
    assert plain.planned[0].cell_id != asked.planned[0].cell_id
    shared = {stage.id for stage in plain.stages()} & {stage.id for stage in asked.stages()}
    kinds = {stage.kind for stage in plain.stages() if stage.id not in shared}
    assert kinds == ({"bound"} if name == "iwae" else {"samples", "floor"})
