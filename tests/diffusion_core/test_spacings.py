"""Which times a chain of fewer steps visits: by formula, and by the least bound over every chain there is."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from diffusion_core.diffusion import Diffusion
from diffusion_core.encodings import Continuous
from diffusion_core.fitting import bound_terms, with_fitted_variance, with_optimal_spacing
from diffusion_core.objectives import Vlb
from diffusion_core.parameterizations import Mu, V
from diffusion_core.schedules import Cosine, Linear, LogSnrLinear, Rectified
from diffusion_core.spacings import (
    KarrasSpacing,
    LogSnrSpacing,
    OptimalSpacing,
    QuadraticSpacing,
    Spacing,
    UniformSpacing,
)
from diffusion_core.testing import check_spacing
from diffusion_core.testing.exact import exact_model
from diffusion_core.testing.problems import GaussianData, MixtureData, denoiser_output, diffusion
from diffusion_core.testing.variants import name
from diffusion_core.variances import Analytic, AnalyticMse, Beta, BetaTilde, LearnedVariance
from tests.axes import across, members

NOTHING = torch.zeros(0, 0)
DATA = GaussianData((0.3, 1.7))


def some_terms(horizon: int) -> Tensor:
    """Positive terms, infinite where s ≥ t."""
    terms = torch.rand(horizon + 1, horizon + 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return terms.masked_fill(torch.ones_like(terms).triu().bool(), math.inf)


@pytest.mark.parametrize("spacing", members(Spacing), ids=name)
def test_every_spacing_keeps_what_spacings_keep(spacing):
    check_spacing(spacing)


def test_uniform_and_quadratic_are_their_formulas():
    gamma = Cosine().build(1000)
    k = np.arange(10)
    found = [spacing.times(gamma, 10, NOTHING)[1:].tolist() for spacing in (UniformSpacing(), QuadraticSpacing())]
    assert found[0] == [1 + round(999 * i / 9) for i in k.tolist()]
    assert found[1] == [1 + round(999 * (i / 9) ** 2) for i in k.tolist()]


@across(schedule=(Cosine(), LogSnrLinear(), Linear(), Rectified(end=0.999)), steps=(5, 10))
def test_level_spacings_are_even_on_their_own_scale(schedule, steps):
    """γ evenly spaced, and σ_i = (σ_max^{1/ρ} + i/(N − 1) (σ_min^{1/ρ} − σ_max^{1/ρ}))^ρ (Karras et al. 2022, eq. 5).

    A whole time is next to its place there, where it need not make room for another.
    """
    horizon = 4000
    gamma = schedule.build(horizon)
    levels = gamma(torch.arange(1, horizon + 1)).numpy()
    sigma = np.exp(levels / 2)
    share = np.arange(steps) / (steps - 1)
    wanted = {
        LogSnrSpacing(): levels[0] + share * (levels[-1] - levels[0]),
        KarrasSpacing(): 2 * 7 * np.log(sigma[0] ** (1 / 7) + share * (sigma[-1] ** (1 / 7) - sigma[0] ** (1 / 7))),
        KarrasSpacing(rho=3.0): 6 * np.log(sigma[0] ** (1 / 3) + share * (sigma[-1] ** (1 / 3) - sigma[0] ** (1 / 3))),
    }
    for spacing, expected in wanted.items():
        times = spacing.times(gamma, steps, NOTHING)[1:].numpy()
        real = np.interp(expected, levels, np.arange(1, horizon + 1))
        gaps = np.concatenate([[horizon], np.diff(real), [horizon]])
        alone = np.minimum(gaps[:-1], gaps[1:]) >= steps
        # Next to the ends, where there are no more whole times, places make room for each other.
        alone &= (horizon - real >= steps) | (np.arange(steps) == steps - 1)
        assert alone.any()
        assert np.abs(times - real)[alone].max() <= 1
        assert (np.abs(times - real) <= steps).all()


def test_where_the_last_level_is_infinite_the_others_are_spaced_from_the_one_before():
    gamma = Cosine(zero_terminal=True).build(100)
    levels = gamma(torch.arange(1, 100)).numpy()
    times = LogSnrSpacing().times(gamma, 6, NOTHING)
    real = np.interp(np.linspace(levels[0], levels[-1], 5), levels, np.arange(1, 100))
    assert times[-1] == 100
    assert np.abs(times[1:-1].numpy() - real).max() <= 1
    assert LogSnrSpacing().times(gamma, 2, NOTHING).tolist()[-1] == 100


@pytest.mark.parametrize("rho", [0.0, -7.0, math.nan])
def test_karras_refuses_an_exponent_that_is_none(rho):
    with pytest.raises(ValueError, match="karras needs rho > 0"):
        KarrasSpacing(rho=rho)


def test_optimal_asks_to_be_fitted_first():
    model = exact_model(30, Beta()).with_spacing(OptimalSpacing())
    with pytest.raises(ValueError, match="spacing=optimal reads the terms of a trained network's bound: fit it first"):
        model.chain(5)
    assert model.chain().steps == 30


def cost(terms: Tensor, times: tuple[int, ...]) -> float:
    return sum(terms[t, s].item() for s, t in itertools.pairwise(times))


def least(terms: Tensor, steps: int) -> tuple[float, tuple[int, ...]]:
    """The least sum of terms over every chain of so many steps, and the chain."""
    last = len(terms) - 1
    chains = [(0, *between, last) for between in itertools.combinations(range(1, last), steps - 1)]
    return min((cost(terms, chain), chain) for chain in chains)


@pytest.mark.parametrize("steps", range(2, 10))
def test_optimal_is_the_best_of_all_chains(steps):
    terms = some_terms(10)
    times = OptimalSpacing().times(Cosine().build(10), steps, terms)
    best, chain = least(terms, steps)
    assert tuple(times.tolist()) == chain
    assert cost(terms, tuple(times.tolist())) == pytest.approx(best, rel=1e-12)


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


def models(horizon: int, points: Tensor) -> dict[str, Diffusion]:
    output = denoiser_output(MixtureData().denoise, V(), Cosine(), horizon)
    plain = diffusion(output, horizon, parameterization=V(), schedule=Cosine())
    return {
        "beta": plain,
        "learned": taught(horizon),
        "analytic": with_fitted_variance(plain, Analytic(), points, draws=256, seed=1, clip=False),
    }


@pytest.mark.parametrize("kind", ["beta", "learned", "analytic"])
@pytest.mark.parametrize("steps", [2, 4, 7])
def test_on_measured_terms_optimal_is_the_best_of_all_chains_and_never_worse_than_uniform(kind, steps):
    points = MixtureData().sample(300, 0)
    model = models(12, points)[kind]
    terms = bound_terms(model, points, draws=64, seed=0, clip=False)
    spaced = with_optimal_spacing(model, points, draws=64, seed=0, clip=False)
    times = tuple(spaced.chain(steps).times.tolist())
    best, _ = least(terms, steps)
    assert cost(terms, times) == pytest.approx(best, rel=1e-12)
    uniform = tuple(model.chain(steps).times.tolist())
    assert best <= cost(terms, uniform)
    assert uniform != times
    assert spaced.denoiser is model.denoiser
    assert torch.equal(spaced.x0_variance[1:].nan_to_num(), model.x0_variance[1:].nan_to_num())


@pytest.mark.parametrize("variance", [Beta(), BetaTilde(), AnalyticMse()], ids=name)
@pytest.mark.parametrize("parameterization", [V(), Mu()], ids=name)
def test_terms_of_gaussian_data_have_their_closed_form(variance, parameterization):
    """½ [log σ²/β̃ + β̃/σ² − 1 + c_0² m/σ²] with m = Var(x_0 | x_t), and ½ [log 2π σ² + m/σ²] where s = 0.

    Where s = 0, σ² = 1 − ᾱ_t for β and β̃, and m for the measured one.
    """
    horizon, draws = 15, 20_000
    model = exact_model(horizon, variance, DATA, parameterization, Cosine())
    alpha_bar = torch.sigmoid(-model.gamma(torch.arange(horizon + 1))).numpy()
    s = DATA.variance.numpy()
    m = s * (1 - alpha_bar[1:, None]) / (alpha_bar[1:, None] * s + 1 - alpha_bar[1:, None])
    model.fit(torch.from_numpy(m.mean(1)))
    raw = DATA.variance.sqrt() * torch.randn(40_000, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    terms = bound_terms(model, raw, draws=draws, seed=0, clip=False).numpy()
    assert terms.shape == (horizon + 1, horizon + 1)
    assert np.isinf(terms[np.triu_indices(horizon + 1)]).all()
    for t in range(1, horizon + 1):
        for before in range(t):
            a, b, mse = alpha_bar[t], alpha_bar[before], m[t - 1]
            beta = 1 - a / b
            tilde = beta * (1 - b) / (1 - a)
            c0 = math.sqrt(b) * beta / (1 - a)
            fitted = tilde + c0**2 * mse.mean()
            if before == 0:
                sigma2 = fitted if variance.fitted else 1 - a
                expected = 0.5 * (math.log(2 * math.pi * sigma2) + mse / sigma2).sum()
            else:
                sigma2 = {Beta: beta, BetaTilde: tilde, AnalyticMse: fitted}[type(variance)]
                expected = 0.5 * (math.log(sigma2 / tilde) + tilde / sigma2 - 1 + c0**2 * mse / sigma2).sum()
            # What is drawn is m, to 5 √(2/draws) of the largest of two.
            error = 5 * math.sqrt(2 / draws) * 0.5 * (c0**2 * mse / sigma2).sum()
            assert terms[t, before] == pytest.approx(expected, abs=error + 1e-9), (t, before)


@pytest.mark.parametrize("kind", ["beta", "learned", "analytic"])
def test_terms_are_those_that_the_likelihood_takes(kind):
    """Of every pair s < t, at the same images and noises: the mean of `Diffusion.term` of a chain that has the step."""
    points = MixtureData().sample(1, 0)  # One point, which every draw is of.
    model = models(8, MixtureData().sample(300, 0))[kind]
    draws = 16
    terms = bound_terms(model, points, draws=draws, seed=0, clip=False)
    seen: list[Tensor] = []
    model.network.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    assert torch.equal(bound_terms(model, points, draws=draws, seed=0, clip=False), terms)
    x0 = Continuous().draw(points, 0, 0, "fit/dequantise").expand(draws, 2)
    for t, x_t in enumerate(seen[:8], start=1):
        alpha_bar = torch.sigmoid(-model.gamma(torch.tensor(t)))
        eps = (x_t - alpha_bar.sqrt() * x0) / (1 - alpha_bar).sqrt()
        for s in range(1, t):
            chain = model.chain(3)
            step = type(chain)(chain.gamma, torch.tensor(sorted({0, s, t, 8})), "beta_1")
            k = torch.full((draws,), 2)
            expected = model.term(x0, eps, step, k, clip=False).mean()
            torch.testing.assert_close(terms[t, s], expected.double(), rtol=1e-5, atol=1e-6)
