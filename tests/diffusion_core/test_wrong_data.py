"""Data of the wrong kind are refused where they are scored: a wrong input improves a bound beyond what is possible."""

from __future__ import annotations

import re
from functools import partial

import pytest
import torch

import diffusion_core as dc
from diffusion_core.fitting import bound_terms, noise_moments
from diffusion_core.flow import flow_likelihood
from diffusion_core.iwae import importance_weighted
from diffusion_core.likelihood import continuous_bound, estimate_variance
from diffusion_core.schedules import Cosine

LEVELS = torch.randint(0, 256, (6, 1, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
IMAGES = LEVELS / 255
POINTS = torch.randn(6, 2, generator=torch.Generator().manual_seed(0))
WRONG = [
    (dc.GreyLevels(256), IMAGES, r"stored as uint8 0..255, got torch.float32: for x in \[0, 1\] take"),
    (dc.GreyLevels(256), LEVELS[:0], "there are no examples"),
    (dc.GreyLevels(256), LEVELS[:, :, :2], r"expected \[N, 1, 4, 4\], got \[6, 1, 2, 4\]"),
    (dc.GreyLevels(17), LEVELS, "grey levels must lie in 0..16, and reach 25"),
    (dc.Continuous(), POINTS.round().long(), "points are real vectors, float32, got torch.int64"),
    (dc.Continuous(), POINTS / 0, "points must be finite"),
    (dc.Continuous(), POINTS[0], r"expected \[N, 2\], got \[2\]"),
]
SCORES = {
    "bound": partial(dc.bound, seed=0),
    "continuous bound": partial(continuous_bound, draws=1, seed=0),
    "importance-weighted bound": partial(importance_weighted, draws=2, seed=0),
    "flow": partial(flow_likelihood, steps=1, probes=1, seed=0),
    "moments": partial(noise_moments, draws=2, seed=0),
    "terms": partial(bound_terms, draws=2, seed=0),
}


def model_of(encoding, **more):
    points = isinstance(encoding, dc.Continuous)
    network, shape = (dc.Mlp(width=8), (2,)) if points else (dc.UNet(channels=8, attention=()), (1, 4, 4))
    made = dc.Diffusion(dc.Choices(network=network, horizon=4, schedule=Cosine(), **more), encoding, shape, classes=3)
    made.initialise(seed=0)
    return made


@pytest.mark.parametrize(("encoding", "data", "line"), WRONG)
def test_wrong_data_are_refused_by_each_score_and_by_training(encoding, data, line):
    model = model_of(encoding)
    for score in SCORES.values():
        with pytest.raises(ValueError, match=line):
            score(model, data)
    with pytest.raises(ValueError, match=line):
        estimate_variance(model, dc.DiffusionLearner(model).timesteps, data, draws=2, batch=3, seed=0)
    with pytest.raises(ValueError, match=line):
        dc.train(dc.DiffusionLearner(model), data, dc.Training(steps=1, batch=2), seed=0)


@pytest.mark.parametrize("score", SCORES)
def test_labelled_data_are_taken_wherever_data_are(score):
    labels = torch.tensor([0, 1, 2, 0, 1, -1])
    told = model_of(dc.Continuous(), conditioning=dc.Class())
    for model, scored in ((told, told.with_labels(labels)), (model_of(dc.Continuous()),) * 2):
        one, other = SCORES[score](model, dc.Labelled(POINTS, labels)), SCORES[score](scored, POINTS)
        found = [getattr(each, "total", getattr(each, "bits", getattr(each, "error", each))) for each in (one, other)]
        torch.testing.assert_close(found[0], found[1], rtol=0, atol=0)


def test_no_samples_and_double_networks_are_refused_in_a_line():
    model = model_of(dc.Continuous())
    with pytest.raises(ValueError, match="at least one sample can be drawn, got n=0"):
        dc.Ancestral().sample(model, 0, seed=0)
    with pytest.raises(ValueError, match=re.escape("networks compute in float32, or bf16 by autocast")):
        model.double()
