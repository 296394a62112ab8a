"""Guidance: against derivatives of known densities, the paths of EDM2's toy problem, and what is not asked."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

import diffusion_core as dc
from diffusion_core.checking import denoiser_output
from tests.axes import members, name
from tests.diffusion_core.mixture import MixtureData
from tests.diffusion_core.problems import diffusion

MIXTURE = MixtureData(components=3, radius=1.0, width=0.5)
FIGURES = np.load(Path(__file__).parents[1] / "reference" / "edm2_toy.npz")
TOY = {key: torch.from_numpy(FIGURES[key]) for key in FIGURES}


def mixture(parameterization: dc.Parameterization) -> dc.Diffusion:
    """The exact model of a mixture, with a label and without."""
    output = denoiser_output(MIXTURE.denoise, parameterization, dc.Linear(), 40)
    return diffusion(output, 40, parameterization=parameterization, classes=3)


def points(n: int) -> Tensor:
    return 1.5 * torch.randn(n, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def log_densities(x_t: Tensor, alpha_bar: Tensor) -> Tensor:
    """log p_t(x_t, y) up to what all classes share [B, 3], of one width per class."""
    variance = alpha_bar * MIXTURE.width**2 + 1 - alpha_bar
    offset = x_t[:, None] - alpha_bar.sqrt() * MIXTURE.centres
    return -0.5 * (offset**2).sum(-1) / variance


@pytest.mark.parametrize("parameterization", members(dc.Parameterization), ids=name)
def test_the_score_is_that_of_the_data_and_so_many_times_that_of_the_label(parameterization):
    """∇ log p_t(x) + w ∇ log p_t(y | x), by autograd of the mixture's density."""
    model, x, scale = mixture(parameterization), points(6), 3.0
    labels, chain = torch.tensor([0, 1, 2, 0, 1, 2]), model.chain()
    for k in (1, 15, 40):
        alpha_bar = chain.step(torch.tensor([k])).alpha_bar_t
        x_t = x.clone().requires_grad_()
        joint = log_densities(x_t, alpha_bar)
        marginal = torch.logsumexp(joint, 1)
        posterior = joint.gather(1, labels[:, None])[:, 0] - marginal
        (expected,) = torch.autograd.grad((marginal + scale * posterior).sum(), x_t)
        view = dc.guided(model.with_labels(labels), model.with_labels(None), scale)
        p = view.reverse(x, chain, torch.full((6,), k))
        torch.testing.assert_close((alpha_bar.sqrt() * p.x0 - x) / (1 - alpha_bar), expected, rtol=1e-8, atol=1e-8)
        torch.testing.assert_close(-p.eps / (1 - alpha_bar).sqrt(), expected, rtol=1e-8, atol=1e-8)


def toy_denoised(which: str, x: Tensor, sigma: float) -> Tensor:
    """x + σ² ∇ log p of a class, or of both, of EDM2's toy problem at a noise level σ."""
    of = torch.tensor([which in ("AB", "AB"[label]) for label in TOY["label"]])
    covariance = TOY["Sigma"][of] + sigma**2 * torch.eye(2, dtype=torch.float64)
    density = MixtureSameFamily(Categorical(TOY["phi"][of]), MultivariateNormal(TOY["mu"][of], covariance))
    with torch.enable_grad():
        x_in = x.detach().requires_grad_()
        (score,) = torch.autograd.grad(density.log_prob(x_in).sum(), x_in)
    return x + sigma**2 * score


def toy_model() -> dc.Diffusion:
    """A diffusion in continuous time between σ = 0.002 and 5 whose labels are A, B, and none for both."""
    schedule = dc.LogSnrLinear(2 * math.log(0.002), 2 * math.log(5.0))
    gamma = schedule.gamma(1000)

    def x0(x_t: Tensor, t: Tensor, label: Tensor) -> Tensor:
        level = gamma(t[:1])
        x = x_t / torch.sigmoid(-level).sqrt()
        return toy_denoised(("A", "B", "AB")[int(label[0])], x, math.exp(0.5 * float(level)))

    choices = {"parameterization": dc.X0(), "schedule": schedule, "spacing": dc.KarrasSpacing()}
    return diffusion(x0, 1000, real=True, classes=2, **choices)


def test_heuns_guided_paths_are_those_of_edm2s_toy():
    """Class A guided by both with w = 2, from σ = 5 in 32 steps: the state after each."""
    model, start, scale = toy_model(), TOY["ode/x_init"], 2
    chain = model.chain(32, real=True)
    sigma = torch.exp(0.5 * model.gamma(chain.times)).flip(0)
    torch.testing.assert_close(sigma, TOY["ode/sigma"], rtol=1e-10, atol=0)
    labels = torch.zeros(16, dtype=torch.int64)
    view = dc.guided(model.with_labels(labels), model.with_labels(None), scale)
    alpha = torch.sigmoid(-model.gamma(chain.times)).sqrt().flip(0)
    path = dc.Heun().walk(view, alpha[0] * start, chain, 32, lambda k: torch.zeros_like(start))
    with torch.no_grad():
        ours = torch.stack([start, *(x / a for x, a in zip(path, alpha[1:], strict=True))])
    torch.testing.assert_close(ours, TOY[f"ode/w{scale}"], rtol=0, atol=1e-8)


def noise_levels(model: dc.Diffusion, k: int) -> float:
    return math.exp(0.5 * float(model.gamma(model.chain().times[k])))


def draw(sampler: dc.Sampler, model: dc.Diffusion, n: int = 5, **more) -> Tensor:
    return sampler.sample(model, n, seed=0, **more)


@pytest.mark.parametrize("sampler", [dc.Ddim(), dc.Heun()], ids=name)
def test_a_guide_is_asked_within_the_interval_alone(sampler):
    """Wherever else the diffusion's own x̂_0 counts: an interval without a step leaves samples as they are."""
    asked: list[float] = []
    model, guide = (diffusion(lambda x_t, t, c=c: c * x_t, 40) for c in (0.5, 0.1))
    guide.network.register_forward_pre_hook(lambda _, given: asked.append(round(float(given[1][0]) / 25)))
    low, high = noise_levels(model, 10), noise_levels(model, 20)
    draw(sampler, dc.guided(model, guide, 2.0, low, high))
    # An end at a level includes it above, and leaves it out below.
    assert set(asked) == set(range(11, 21))
    assert len(asked) == (20 if isinstance(sampler, dc.Heun) else 10)
    asked.clear()
    between = dc.guided(model, guide, 2.0, low, noise_levels(model, 11) * (1 - 1e-9))
    assert torch.equal(draw(sampler, between), draw(sampler, model))
    assert asked == []


def test_clipping_acts_on_the_guided_estimate():
    """Not on those that it is made of: of 3 and 2.5, w = 4 makes 4.5, held to 1, and of 0.2 and 0.8 makes −1.6."""
    images = {"parameterization": dc.X0(), "encoding": dc.GreyLevels(), "shape": (1, 2, 2)}
    x = torch.zeros(3, 1, 2, 2, dtype=torch.float64)
    for own, other, free, held in ((3.0, 2.5, 4.5, 1.0), (0.2, 0.8, -1.6, -1.0)):
        model, guide = (diffusion(lambda x_t, t, c=c: c + 0 * x_t, 40, **images) for c in (own, other))
        for clip, value in ((False, free), (True, held)):
            view = dc.guided(model, guide, 4.0).with_clip(clip)
            p = view.reverse(x, model.chain(), torch.tensor([1, 20, 40]))
            torch.testing.assert_close(p.x0, torch.full_like(x, value))
            torch.testing.assert_close(view.predict(x, torch.full((3,), 7.0))[0], torch.full_like(x, value))


def idle(horizon: int = 40, **more) -> dc.Diffusion:
    return diffusion(lambda x_t, t: 0 * x_t, horizon, **more)


REFUSED = [
    (idle(), {"scale": math.nan}, "a guidance scale is at least 0 .*, got "),
    (idle(), {"scale": 2.0, "low": 3.0, "high": 1.0}, r"guidance acts at .* 0 <= low < high, got 3\.0 to 1\.0"),
    (idle(schedule=dc.Cosine()), {"scale": 2.0}, "a guide has the diffusion's T and its noise levels .*"),
    (idle(shape=(3,)), {"scale": 2.0}, r"a guide is of the diffusion's space: x_0 of \[2\], got \[3\]"),
]


@pytest.mark.parametrize(("guide", "arguments", "line"), REFUSED)
def test_what_is_no_scale_no_interval_and_no_guide_is_refused(guide, arguments, line):
    with pytest.raises(ValueError, match=f"^{line}"):
        dc.guided(idle(), guide, **arguments)


def test_a_guided_diffusion_keeps_its_guide_when_variance_and_spacing_are_swapped_and_takes_no_labels():
    model, guide = (diffusion(lambda x_t, t, c=c: c * x_t, 40) for c in (0.5, 0.1))
    for swap in (lambda m: m.with_spacing(dc.QuadraticSpacing()), lambda m: m.with_variance(dc.Beta())):
        one, other = swap(dc.guided(model, guide, 2.0)), dc.guided(swap(model), guide, 2.0)
        assert torch.equal(draw(dc.Ancestral(steps=5), one), draw(dc.Ancestral(steps=5), other))
    with pytest.raises(ValueError, match=r"^labels are given to a diffusion before it is guided"):
        dc.guided(mixture(dc.Epsilon()), mixture(dc.Epsilon()).with_labels(None), 2.0).with_labels(
            torch.zeros(3, dtype=torch.int64)
        )
