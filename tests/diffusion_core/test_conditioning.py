"""Conditioning: an exact model scores and samples as the label's own model; which example is told which label."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from diffusion_core import flow, iwae
from diffusion_core.checking import denoiser_output
from diffusion_core.conditioning import INPUTS, Class, Conditioning, Labelled, Unconditional, sample_labels
from diffusion_core.diffusion import Diffusion
from diffusion_core.encodings import Continuous
from diffusion_core.fitting import noise_moments
from diffusion_core.flow import Heun, flow_likelihood
from diffusion_core.iwae import importance_weighted
from diffusion_core.likelihood import bound, continuous_bound
from diffusion_core.parameterizations import Epsilon
from diffusion_core.randomness import Values
from diffusion_core.samplers import Ancestral, Sampler
from diffusion_core.schedules import LogSnrLinear
from diffusion_core.stratified import Stratification
from diffusion_core.trainer import training_reports
from diffusion_core.training import Training
from tests.axes import members, name
from tests.diffusion_core.learners import BASE, learner_of_points
from tests.diffusion_core.mixture import MixtureData
from tests.diffusion_core.problems import diffusion

MIXTURE = MixtureData(components=3, radius=1.0, width=0.3)
NONE = 3
EVERY = (*members(Conditioning), Unconditional(self_conditioning=True), Class(self_conditioning=True), Class(dropout=0))


every_conditioning = pytest.mark.parametrize("conditioning", EVERY, ids=name)


@every_conditioning
def test_what_is_told_follows_from_the_seed_the_step_and_the_label_which_is_an_examples_own_or_none(conditioning):
    """`labelled` decides whether data need labels; some keep theirs, and −1 is none."""
    labels = torch.arange(-1, 3).repeat(512)

    def told(seed: int = 0, step: int = 0) -> Values:
        return conditioning.inputs({**conditioning.draws(len(labels), seed, step), "label": labels}, 3)

    values = told()
    assert set(values) <= set(INPUTS)
    assert all(value.shape == labels.shape and torch.equal(told()[key], value) for key, value in values.items())
    for key, draws in conditioning.draws(len(labels), 0, 0).items():
        assert not any(torch.equal(conditioning.draws(len(labels), *at)[key], draws) for at in ((1, 0), (0, 1)))
    assert conditioning.labelled == ("label" in values)
    if conditioning.labelled:
        assert values["label"].dtype == torch.int64
        assert ((values["label"] == NONE) | (values["label"] == labels)).all()
        # Of 1536 examples with a label, of which at most three of ten are told none.
        left_out = (values["label"][labels >= 0] == NONE).double().mean().item()
        assert left_out == pytest.approx(conditioning.dropout, abs=4 * (0.3 * 0.7 / 1536) ** 0.5)


def exact(horizon: int = 1000, denoise=MIXTURE.denoise, classes: int = 3, **more) -> Diffusion:
    """A diffusion that knows E[x_0 | x_t], and with classes E[x_0 | x_t, y]; nothing of x_0 is left in x_T."""
    schedule = LogSnrLinear(gamma_max=12.0)
    output = denoiser_output(denoise, Epsilon(), schedule, horizon)
    return diffusion(output, horizon, schedule=schedule, real=True, classes=classes, **more)


def of_class(y: int, horizon: int = 1000) -> Diffusion:
    """The model of one class alone, N(m, s² I), or of the mixture, from formulas of their own."""
    m, s = MIXTURE.centres[min(y, 2)], MIXTURE.width

    def denoise(x_t: Tensor, alpha_bar: Tensor) -> Tensor:
        gain = alpha_bar.sqrt() * s**2 / (alpha_bar * s**2 + 1 - alpha_bar)
        return (m + gain * (x_t - alpha_bar.sqrt() * m)).to(x_t.dtype)

    return exact(horizon, MIXTURE.denoise if y == NONE else denoise, 0)


def labelled_points(n: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(3, (n,), generator=generator)
    noise = torch.randn(n, 2, generator=generator, dtype=torch.float64)
    return (MIXTURE.centres[labels] + MIXTURE.width * noise).float(), labels


SCORES = {
    "bound": lambda model, x: bound(model, x, Stratification(2, 3), seed=0, batch=4).total,
    "continuous": lambda model, x: continuous_bound(model, x, draws=4, seed=0, batch=4).total,
    "iwae": lambda model, x: importance_weighted(model, x, draws=2, seed=0, steps=5).total,
    "flow": lambda model, x: flow_likelihood(model, x, steps=4, probes=2, seed=0).total,
}


@pytest.mark.parametrize("score", SCORES)
def test_each_row_is_scored_by_the_model_of_its_own_label(score, monkeypatch):
    """Also where batches cut them, and where some have none; −1 and K are both none."""
    monkeypatch.setattr(iwae, "CHUNK", 4)
    monkeypatch.setattr(flow, "BATCH", 4)
    # Fewer than what slopes over images are taken of: no image has a part in another's score.
    x, labels = labelled_points(14)
    labels[3], labels[10] = -1, NONE
    found = SCORES[score](exact(20).with_labels(labels), x)
    for y in range(4):
        own = labels.where(labels >= 0, NONE) == y
        truth = SCORES[score](of_class(y, 20), x)
        torch.testing.assert_close(found[own], truth[own], rtol=1e-4, atol=1e-4)
        assert (found - truth)[~own].abs().min() > 1e-3


def test_what_is_fitted_is_fitted_by_each_example_with_its_own_label():
    """E‖x_0 − x̂_0‖²/D is s (1 − ᾱ)/(ᾱ s + 1 − ᾱ) of one class, s = 0.3²: of others' labels it would be nearly 1."""
    (x, labels), model = labelled_points(300), exact(20)
    moments = noise_moments(model.with_labels(labels), x, draws=600, seed=0)
    s, alpha_bar = MIXTURE.width**2, moments.alpha_bar
    torch.testing.assert_close(moments.error, s * (1 - alpha_bar) / (alpha_bar * s + 1 - alpha_bar), rtol=0.15, atol=0)


@pytest.mark.parametrize("sampler", [Ancestral(), Heun(steps=10)], ids=name)
def test_a_sample_is_that_of_the_model_of_its_label(sampler):
    """Whatever stands beside it: of label y at the same noise."""
    labels = torch.arange(150) % 4
    samples = drawn(sampler, exact(20).with_labels(labels), batch=64)
    for y in range(4):
        truth = drawn(sampler, of_class(y, 20))
        torch.testing.assert_close(samples[labels == y], truth[labels == y], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(drawn(sampler, exact(20).with_labels(labels), 20, first=130), samples[130:])


def drawn(sampler: Sampler, model: Diffusion, n: int = 150, **more) -> Tensor:
    return sampler.sample(model, n, seed=0, **more)


def test_labels_of_other_rows_are_no_labels():
    x, model = torch.zeros(4, 2), exact(20)
    view = model.with_labels(torch.tensor([0, 1, 2]))
    line = r"^labels of 3 rows are given, and 4 rows are asked: take diffusion.select\(slice\(i, j\)\)$"
    with pytest.raises(ValueError, match=line):
        view.predict(x, torch.full((4,), 7.0))


PLAN = Training(steps=20, batch=6, warmup=0, precision="float32")


def trained_on(data) -> None:
    next(training_reports(learner_of_points(LABELLED)[0], data, PLAN, 0))


LABELLED = replace(BASE, conditioning=Class())
POINTS, OWN = learner_of_points(LABELLED)[1]
REFUSED = [
    (lambda: trained_on(Labelled(POINTS, OWN.float())), r"^labels must be int64 \[N\], got torch.float32 \[40\]$"),
    (lambda: trained_on(Labelled(POINTS, OWN + 2)), "^labels of 3 classes are 0 to 2, and -1 for none, got \\[4\\]$"),
    (lambda: trained_on(Labelled(POINTS, OWN[1:])), "^a training with labels .* got 39 for 40 examples$"),
    (lambda: Diffusion(LABELLED, Continuous(), (2,)), "^conditioning=class tells the network labels, and these data"),
    (lambda: sample_labels(torch.tensor([-1.0, 2.0]), 5, 0), "^shares of classes must be at least 0"),
]


@pytest.mark.parametrize(("attempt", "line"), REFUSED)
def test_what_is_no_label_and_no_share_is_refused(attempt, line):
    with pytest.raises(ValueError, match=line):
        attempt()


SHARES = torch.tensor([0.5, 0.0, 0.2, 0.3], dtype=torch.float64)


def test_any_run_of_samples_has_nearly_the_shares_of_the_classes():
    """Multiples of the golden ratio: of n in a run, an interval holds its share but for O(log n)."""
    for seed in range(2):
        labels = sample_labels(SHARES, 4096, seed)
        assert labels.dtype == torch.int64
        for length in (16, 512):
            runs = labels.unfold(0, length, 37)
            counts = torch.stack([(runs == y).sum(1) for y in range(4)], 1)
            assert (counts - length * SHARES).abs().max() < 1.5 + 0.5 * math.log(length)
            assert (counts[:, 1] == 0).all()


def test_the_class_of_a_sample_is_its_own():
    """However many are drawn; of another seed another; from shares or from counts."""
    labels = sample_labels(SHARES, 300, 7)
    assert torch.equal(sample_labels(SHARES, 40, 7), labels[:40])
    assert torch.equal(sample_labels(torch.tensor([50, 0, 20, 30]), 300, 7), labels)
    assert not torch.equal(sample_labels(SHARES, 300, 8), labels)
    assert sample_labels(torch.ones(1), 5, 0).tolist() == [0] * 5
