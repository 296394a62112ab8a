"""Generated sets against what they are held against: means over sets, columns, and what is worked out once."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from ablations.metrics import sets as sets_module
from ablations.metrics.energy_distance import EnergyDistance, energy_distance
from ablations.metrics.judging import Yardstick
from ablations.metrics.kid import Kid
from ablations.metrics.registry import metric_of, names
from ablations.metrics.sets import Examined
from tests.ablations.metrics.conftest import normal

FID = "fid/train/digits-cnn"


def test_scores_of_points_are_the_mean_over_sets():
    drawn, held_out = [normal(50, 2, 1), normal(50, 2, 2) + 1], normal(60, 2, 3)
    values = [energy_distance(points, held_out) for points in drawn]
    yardstick = Yardstick("test", Examined(held_out), None, None)
    result = yardstick.default_scores(drawn)
    assert result == yardstick.scores([EnergyDistance()], drawn)
    assert result["energy_distance/test"] == pytest.approx(np.mean(values))
    assert result["energy_distance/test_set_sd"] == pytest.approx(np.std(values, ddof=1))
    assert yardstick.default_scores(drawn[:1]) == {"energy_distance/test": pytest.approx(values[0])}


def test_scores_of_images_are_the_mean_over_sets_under_names_that_hold_the_extractor(images, yardstick):
    parts = list(images["validation"].split(225))
    ones = [yardstick.default_scores([part]) for part in parts]
    both = yardstick.default_scores(parts)
    against = {f"{metric}/train/digits-cnn" for metric in ("fid", "kid", "precision", "recall")}
    assert set(ones[0]) == against | {"is/digits-cnn", "memorisation/train"}
    for name in ones[0]:
        assert both[name] == pytest.approx((ones[0][name] + ones[1][name]) / 2, abs=1e-12)
    assert both.keys() - ones[0].keys() == {f"{FID}_set_sd"}
    assert both[f"{FID}_set_sd"] == pytest.approx(np.std([one[FID] for one in ones], ddof=1))
    of_kid = yardstick.scores([Kid()], parts)
    assert of_kid.keys() == {"kid/train/digits-cnn", "kid/train/digits-cnn_set_sd"}
    assert of_kid["kid/train/digits-cnn"] == both["kid/train/digits-cnn"]


DIRECTED = [metric for metric in map(metric_of, names()) if metric.info.direction != "none"]


@pytest.mark.parametrize("metric", DIRECTED, ids=lambda metric: type(metric).__name__)
def test_better_is_where_real_samples_are_and_noise_is_not(metric, images, yardstick):
    if "images" in metric.info.of:
        real = images["validation"]
        noise = torch.randint(17, tuple(real.shape), generator=torch.Generator().manual_seed(0)).to(real)
    else:
        yardstick = Yardstick("test", Examined(normal(200, 2, 1)), None, None)
        real, noise = normal(200, 2, 2), 3 * normal(200, 2, 3)
    of_real, of_noise = (metric.compute(yardstick.judged(stored)) for stored in (real, noise))
    assert of_real > of_noise if metric.info.direction == "max" else of_real < of_noise


@pytest.mark.parametrize("level", [0, 16])
def test_constant_images_get_finite_scores(level, images, yardstick):
    blank = torch.full((450, 1, 8, 8), level, dtype=torch.uint8)
    scores = yardstick.default_scores([blank, images["validation"]])
    assert all(math.isfinite(value) for value in scores.values())


def test_a_set_is_examined_once_for_all_metrics(images, extractor, monkeypatch):
    looked = []
    features = sets_module.features
    monkeypatch.setattr(sets_module, "features", lambda *given: looked.append(len(given[1])) or features(*given))
    yardstick = Yardstick("train", Examined(images["train"], extractor), None, 17)
    for _ in range(2):
        scored = yardstick.default_scores([images["test"][:50]])
        assert not [name for name in scored if name.startswith("memorisation")], "nothing is held out"
    assert sorted(looked) == [50, 50, 897]
