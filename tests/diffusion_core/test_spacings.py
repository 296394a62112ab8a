"""Which times a chain of fewer steps visits, whole or real: by formula, and by the least bound over every chain."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor

import diffusion_core as dc
from diffusion_core.chain import whole
from diffusion_core.checking import denoiser_output
from diffusion_core.fitting import bound_terms
from tests.axes import across, members
from tests.diffusion_core.mixture import MixtureData
from tests.diffusion_core.problems import diffusion

NOTHING = torch.zeros(0, 0)


def some_terms(horizon: int) -> Tensor:
    """Positive terms, infinite where s ≥ t."""
    terms = torch.rand(horizon + 1, horizon + 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return terms.masked_fill(torch.ones_like(terms).triu().bool(), math.inf)


@across(
    spacing=members(dc.Spacing),
    schedule=(dc.Linear(rescale=False), dc.Rectified()),
    horizon=(2, 31),
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


@across(spacing=members(dc.Spacing))
def test_fitted_says_whether_a_spacing_reads_the_terms_and_more_steps_than_there_are_are_refused(spacing):
    gamma = dc.Linear(rescale=False).gamma(31)
    for steps in (0, 32):
        with pytest.raises(ValueError, match="steps"):
            spacing.times(gamma, steps, some_terms(31))
    if spacing.fitted:
        with pytest.raises(ValueError, match="fit it first"):
            spacing.times(gamma, 7, NOTHING)
    else:
        assert torch.equal(spacing.times(gamma, 7, NOTHING), spacing.times(gamma, 7, some_terms(31)))


def test_uniform_and_quadratic_are_their_formulas():
    gamma = dc.Cosine().gamma(1000)
    k = np.arange(10)
    found = [spacing.times(gamma, 10, NOTHING)[1:].tolist() for spacing in (dc.UniformSpacing(), dc.QuadraticSpacing())]
    assert found[0] == [1 + round(999 * i / 9) for i in k.tolist()]
    assert found[1] == [1 + round(999 * (i / 9) ** 2) for i in k.tolist()]


@pytest.mark.parametrize("steps", [2, 333])
def test_trailing_is_that_of_diffusers(steps):
    """Whose times are told from 0 on."""
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler

    times = dc.TrailingSpacing().times(dc.Cosine().gamma(1000), steps, NOTHING)
    scheduler = DDIMScheduler(1000, timestep_spacing="trailing")
    scheduler.set_timesteps(steps)
    assert times[1:].flip(0).tolist() == (scheduler.timesteps + 1).tolist()


def test_optimal_is_the_best_of_all_chains():
    terms = some_terms(10)
    for steps in range(2, 10):
        chains = [(0, *between, 10) for between in itertools.combinations(range(1, 10), steps - 1)]
        costs = [sum(terms[t, s].item() for s, t in itertools.pairwise(chain)) for chain in chains]
        times = tuple(dc.OptimalSpacing().times(dc.Cosine().gamma(10), steps, terms).tolist())
        assert times == chains[costs.index(min(costs))]


@pytest.mark.parametrize("learned", [False, True])
def test_terms_are_those_that_the_likelihood_takes(learned):
    """Of every pair s < t, at the same images and noises: the mean of `Diffusion.term` of a chain that has the step.

    For an exact denoiser in μ, and for one in v that says something of its variance.
    """
    points = MixtureData().sample(1, 0)  # One point, which every draw is of.
    parameterization, draws, horizon = dc.V() if learned else dc.Mu(), 16, 5
    output = denoiser_output(MixtureData().denoise, parameterization, dc.Cosine(), horizon)
    choices = {"parameterization": parameterization, "schedule": dc.Cosine()}
    if learned:
        choices |= {"variance": dc.LearnedVariance(), "objective": dc.Vlb()}
    model = diffusion(
        lambda x_t, t: torch.cat([output(x_t, t), 0.3 * torch.tanh(x_t)], 1)[:, : 4 if learned else 2],
        horizon,
        **choices,
    )
    seen: list[Tensor] = []
    model.network.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    terms = bound_terms(model, points, draws=draws, seed=0)
    assert (terms.isinf() == torch.ones(horizon + 1, horizon + 1).triu().bool()).all()
    spaced = dc.with_optimal_spacing(model, points, draws=draws, seed=0)
    assert torch.equal(spaced.chain(3).times, dc.OptimalSpacing().times(model.gamma, 3, terms))
    x0 = dc.Continuous().draw(points, 0, 0, "fit/dequantise").expand(draws, 2)
    for t, x_t in enumerate(seen[:horizon], start=1):
        alpha_bar = torch.sigmoid(-model.gamma(torch.tensor(t)))
        eps = (x_t - alpha_bar.sqrt() * x0) / (1 - alpha_bar).sqrt()
        for s in range(t):
            chain = dc.Chain(model.gamma, torch.tensor(sorted({0, s, t, horizon})), "beta_1")
            expected = model.term(x0, eps, chain, torch.full((draws,), 2 if s else 1)).mean()
            torch.testing.assert_close(terms[t, s], expected.double(), rtol=1e-5, atol=1e-6)


HORIZON = 1000


def wanted(spacing: dc.LevelSpacing, first: float, last: float, steps: int) -> np.ndarray:
    """σ_1 < … < σ_K between two ends: (σ_max^{1/ρ} + i/(K − 1) (σ_min^{1/ρ} − σ_max^{1/ρ}))^ρ (Karras et al. 2022,
    eq. 5), or evenly spaced in log σ.
    """
    if isinstance(spacing, dc.LogSnrSpacing):
        return np.geomspace(first, last, steps)
    return np.linspace(first ** (1 / spacing.rho), last ** (1 / spacing.rho), steps) ** spacing.rho


@across(
    schedule=(dc.Linear(), dc.LogSnrLinear(shift=3.0), dc.Rectified()),
    spacing=(dc.KarrasSpacing(3.0), dc.LogSnrSpacing()),
)
def test_the_levels_are_the_formulas(schedule, spacing):
    """To the last time, or where that is noise alone to the one before."""
    gamma = schedule.gamma(HORIZON).requires_grad_(False)
    beyond = int(gamma.ends_in_noise)
    first, last = torch.exp(0.5 * gamma(torch.tensor([1, HORIZON - beyond]))).tolist()
    for steps in (2 + beyond, 18):
        times = spacing.times(gamma, steps, NOTHING)
        assert (times[0], times[1], times[-1]) == (0, 1, HORIZON)
        sigma = torch.exp(0.5 * gamma(times[1 : len(times) - beyond])).numpy()
        np.testing.assert_allclose(sigma, wanted(spacing, first, last, steps - beyond), rtol=1e-9)


def between(**choices: object) -> bool:
    """Whether a sampler's chain of even log-SNR has real times."""
    made = diffusion(lambda x_t, t: x_t, **{"horizon": 1000, "spacing": dc.LogSnrSpacing(), **choices})  # type: ignore[arg-type]
    assert not made.chain(5).times.is_floating_point(), "a bound's never has"
    return made.chain(5, real=True).times.is_floating_point()


def test_real_times_are_for_networks_that_know_them():
    assert between()
    assert not between(spacing=dc.UniformSpacing())
    assert not between(parameterization=dc.Mu()), "μ̃ is between two times"
    assert not between(horizon=999), "whole times that are told more than 1 apart"
    assert between(horizon=100, time="continuous")
    assert between(horizon=100, objective=dc.VlbContinuous())
    assert dc.Choices(horizon=999).knows_between is False


def test_whole_times_are_the_nearest_and_all_differ():
    for times, expected in (
        ([1, 2.4, 7.6, 10], [1, 2, 8, 10]),
        ([1, 1.1, 1.2, 10], [1, 2, 3, 10]),
        ([1, 9.7, 9.8, 10], [1, 8, 9, 10]),
        ([1, 3.97, 3.98, 3.99, 5], [1, 2, 3, 4, 5]),
    ):
        assert whole(torch.tensor([0, *times], dtype=torch.float64))[1:].tolist() == expected


def test_a_variance_that_was_fitted_at_whole_times_is_read_between_them():
    """A line in t is itself: σ² at x̂_0's variance on it."""
    made = diffusion(lambda x_t, t: x_t, HORIZON, real=True, variance=dc.Analytic(), spacing=dc.LogSnrSpacing())
    made.fit(0.2 + 0.5 * made.all_times[1:].double() / HORIZON)
    chain, k, x = made.chain(7, real=True), torch.arange(1, 8), torch.zeros(7, 2, dtype=torch.float64)
    p = made.reverse(x, chain, k)
    expected = dc.Analytic().log_variance(p.step, x[:, :0], x, 0.2 + 0.5 * chain.times[k] / HORIZON)
    torch.testing.assert_close(p.log_variance, expected, rtol=1e-12, atol=1e-12)
