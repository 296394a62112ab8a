"""Which times a chain of fewer steps visits: by formula, and by the least bound over every chain there is."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from diffusion_core.chain import Chain, whole
from diffusion_core.diffusion import Diffusion
from diffusion_core.encodings import Continuous
from diffusion_core.fitting import bound_terms, with_fitted_variance, with_optimal_spacing
from diffusion_core.objectives import Vlb
from diffusion_core.parameterizations import Mu, V
from diffusion_core.problems import denoiser_output, diffusion
from diffusion_core.schedules import Cosine, Linear, LogSnrLinear, Rectified
from diffusion_core.spacings import (
    OptimalSpacing,
    QuadraticSpacing,
    Spacing,
    TrailingSpacing,
    UniformSpacing,
)
from diffusion_core.variances import Analytic, LearnedVariance
from tests.axes import across, members
from tests.diffusion_core.mixture import MixtureData

NOTHING = torch.zeros(0, 0)


def some_terms(horizon: int) -> Tensor:
    """Positive terms, infinite where s ≥ t."""
    terms = torch.rand(horizon + 1, horizon + 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return terms.masked_fill(torch.ones_like(terms).triu().bool(), math.inf)


@across(
    spacing=members(Spacing),
    schedule=(Linear(rescale=False), Cosine(), LogSnrLinear(), Rectified()),
    horizon=(2, 3, 31, 250),
)
def test_every_spacing_visits_as_many_times_as_asked_for_the_last_among_them(spacing, schedule, horizon):
    """0 = τ_0 < 1 ≤ τ_1 < … < τ_K = T for every K and T, also as rounded, whatever the terms of a fit."""
    gamma = schedule.gamma(horizon)
    for steps in {1, 2, 3, 10, horizon - 1, horizon} & set(range(1, horizon + 1)):
        times = spacing.times(gamma, steps, some_terms(horizon))
        assert times.dtype in (torch.int64, torch.float64)
        for tau in (times, whole(times)):
            assert (len(tau), tau[0], tau[-1]) == (steps + 1, 0, horizon)
            assert (tau.diff() > 0).all()
            assert tau[1] >= 1


@across(spacing=members(Spacing))
def test_fitted_says_whether_a_spacing_reads_the_terms_and_more_steps_than_there_are_are_refused(spacing):
    gamma = Linear(rescale=False).gamma(31)
    for steps in (0, 32):
        with pytest.raises(ValueError, match="steps"):
            spacing.times(gamma, steps, some_terms(31))
    if spacing.fitted:
        with pytest.raises(ValueError, match="fit it first"):
            spacing.times(gamma, 7, NOTHING)
    else:
        assert torch.equal(spacing.times(gamma, 7, NOTHING), spacing.times(gamma, 7, some_terms(31)))


def test_uniform_and_quadratic_are_their_formulas():
    gamma = Cosine().gamma(1000)
    k = np.arange(10)
    found = [spacing.times(gamma, 10, NOTHING)[1:].tolist() for spacing in (UniformSpacing(), QuadraticSpacing())]
    assert found[0] == [1 + round(999 * i / 9) for i in k.tolist()]
    assert found[1] == [1 + round(999 * (i / 9) ** 2) for i in k.tolist()]


@pytest.mark.parametrize("steps", [2, 3, 5, 7, 10, 13, 50, 333])
def test_trailing_is_lin_et_als_and_diffusers(steps):
    """round(arange(T, 0, −T/K)) (§3.3), whose times are told from 0 on by the library."""
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler

    times = TrailingSpacing().times(Cosine().gamma(1000), steps, NOTHING)
    expected = np.round(np.arange(1000, 0, -1000 / steps)).astype(int)
    assert times.tolist() == [0, *expected[::-1]]
    scheduler = DDIMScheduler(1000, timestep_spacing="trailing")
    scheduler.set_timesteps(steps)
    assert times[1:].flip(0).tolist() == (scheduler.timesteps + 1).tolist()


def cost(terms: Tensor, times: tuple[int, ...]) -> float:
    return sum(terms[t, s].item() for s, t in itertools.pairwise(times))


def least(terms: Tensor, steps: int) -> tuple[float, tuple[int, ...]]:
    """The least sum of terms over every chain of so many steps, and the chain."""
    last = len(terms) - 1
    chains = [(0, *between, last) for between in itertools.combinations(range(1, last), steps - 1)]
    return min((cost(terms, chain), chain) for chain in chains)


def test_optimal_is_the_best_of_all_chains():
    terms = some_terms(10)
    for steps in range(2, 10):
        times = tuple(OptimalSpacing().times(Cosine().gamma(10), steps, terms).tolist())
        best, chain = least(terms, steps)
        assert times == chain
        assert cost(terms, times) == pytest.approx(best, rel=1e-12)


def taught(horizon: int) -> Diffusion:
    """A mixture's exact denoiser that says something of its variance."""
    output = denoiser_output(MixtureData().denoise, V(), Cosine(), horizon)
    return diffusion(
        lambda x_t, t: torch.cat([output(x_t, t), 0.3 * torch.tanh(x_t)], dim=1),
        horizon,
        parameterization=V(),
        variance=LearnedVariance(),
        schedule=Cosine(),
        objective=Vlb(),
    )


def model_of(kind: str, horizon: int) -> Diffusion:
    if kind == "learned":
        return taught(horizon)
    parameterization = Mu() if kind == "mu" else V()
    output = denoiser_output(MixtureData().denoise, parameterization, Cosine(), horizon)
    plain = diffusion(output, horizon, parameterization=parameterization, schedule=Cosine())
    if kind != "analytic":
        return plain
    return with_fitted_variance(plain, Analytic(), MixtureData().sample(300, 0), draws=256, seed=1)


KINDS = pytest.mark.parametrize("kind", ["beta", "mu", "learned", "analytic"])


@KINDS
def test_on_measured_terms_optimal_is_the_best_of_all_chains_and_never_worse_than_uniform(kind):
    points = MixtureData().sample(300, 0)
    model = model_of(kind, 12)
    terms = bound_terms(model, points, draws=64, seed=0)
    spaced = with_optimal_spacing(model, points, draws=64, seed=0)
    assert spaced.denoiser is model.denoiser
    torch.testing.assert_close(spaced.x0_variance, model.x0_variance, rtol=0, atol=0, equal_nan=True)
    for steps in (2, 4, 7):
        times, uniform = (tuple(made.chain(steps).times.tolist()) for made in (spaced, model))
        best, _ = least(terms, steps)
        assert cost(terms, times) == pytest.approx(best, rel=1e-12)
        assert best <= cost(terms, uniform)
        assert uniform != times


@KINDS
def test_terms_are_those_that_the_likelihood_takes(kind):
    """Of every pair s < t, at the same images and noises: the mean of `Diffusion.term` of a chain that has the step."""
    points = MixtureData().sample(1, 0)  # One point, which every draw is of.
    model, draws = model_of(kind, 8), 16
    seen: list[Tensor] = []
    model.network.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    terms = bound_terms(model, points, draws=draws, seed=0)
    assert (terms.isinf() == torch.ones(9, 9).triu().bool()).all()
    x0 = Continuous().draw(points, 0, 0, "fit/dequantise").expand(draws, 2)
    for t, x_t in enumerate(seen[:8], start=1):
        alpha_bar = torch.sigmoid(-model.gamma(torch.tensor(t)))
        eps = (x_t - alpha_bar.sqrt() * x0) / (1 - alpha_bar).sqrt()
        for s in range(t):
            chain = Chain(model.gamma, torch.tensor(sorted({0, s, t, 8})), "beta_1")
            k = torch.full((draws,), 2 if s else 1)
            expected = model.term(x0, eps, chain, k).mean()
            torch.testing.assert_close(terms[t, s], expected.double(), rtol=1e-5, atol=1e-6)
