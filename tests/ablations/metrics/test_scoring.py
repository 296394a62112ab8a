"""Generated sets against what they are held against: means over sets, columns, and what is worked out once."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from ablations.metrics.discrepancies import EnergyDistance, energy_distance
from ablations.metrics.extractors import architectures
from ablations.metrics.extractors.architectures import features
from ablations.metrics.fid import Fid, FidPooled, fid, fid_statistics
from ablations.metrics.metric import FeatureSet
from ablations.metrics.scoring import Reference
from ablations.stages.stage import scores_of
from tests.ablations.metrics.conftest import normal

FID = "fid/train/digits-cnn"


def test_scores_of_points_are_the_mean_over_sets():
    drawn, held_out = [normal(50, 2, 1), normal(50, 2, 2) + 1], normal(60, 2, 3)
    values = [energy_distance(points, held_out) for points in drawn]
    reference = Reference("test", FeatureSet(held_out), None, None)
    assert reference.default == [EnergyDistance()]
    result = reference.values(reference.default, drawn)
    assert result == {"energy_distance/test": pytest.approx(values)}
    assert scores_of(result).metrics == {"energy_distance/test": pytest.approx(np.mean(values))}
    assert scores_of(result).curves == {"sets/energy_distance/test": ([1, 2], pytest.approx(values))}
    assert scores_of(reference.values(reference.default, drawn[:1])).curves == {}, "one set is its own mean"


def test_scores_of_images_are_the_mean_over_sets_under_names_that_hold_the_extractor(images, reference):
    parts = list(images["validation"].split(225))
    ones = [reference.values(reference.default, [part]) for part in parts]
    both = reference.values(reference.default, parts)
    against = {f"{metric}/train/digits-cnn" for metric in ("fid", "kid", "precision", "recall")}
    assert set(ones[0]) == against | {"is/digits-cnn", "memorisation/train"}
    assert both == {name: [*ones[0][name], *ones[1][name]] for name in both}


def test_pooled_sets_have_one_fid_in_a_column_that_names_their_images(images, extractor, reference):
    parts = list(images["validation"].split(225))
    values = reference.values([FidPooled(), Fid()], parts)
    statistics = [fid_statistics(features(extractor, x, x.device)[0]) for x in (torch.cat(parts), images["train"])]
    assert values.keys() == {FID, "fid_pooled/train/digits-cnn/450"}
    assert values["fid_pooled/train/digits-cnn/450"] == [pytest.approx(fid(*statistics), rel=1e-9)]
    assert scores_of(values).metrics[FID] > values["fid_pooled/train/digits-cnn/450"][0], "less bias"
    assert FidPooled.column("train", "digits-cnn", 450).label == "FID, n = 450"


@pytest.mark.parametrize("level", [0, 16])
def test_constant_images_get_finite_scores(level, images, reference):
    blank = torch.full((450, 1, 8, 8), level, dtype=torch.uint8)
    values = reference.values(reference.default, [blank, images["validation"]])
    assert all(map(math.isfinite, scores_of(values).metrics.values()))


def test_a_set_is_examined_once_for_all_metrics(images, extractor, monkeypatch):
    looked = []
    monkeypatch.setattr(architectures, "features", lambda *given: looked.append(len(given[1])) or features(*given))
    reference = Reference("train", FeatureSet(images["train"], extractor), None, 17)
    for _ in range(2):
        scored = reference.values(reference.default, [images["test"][:50]])
        assert not [name for name in scored if name.startswith("memorisation")], "nothing is held out"
    assert sorted(looked) == [50, 50, 897]
