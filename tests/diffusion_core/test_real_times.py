"""Samplers at noise levels that no whole time has: what is visited, and the paths, by equations in σ and in numpy.

The integrators here are written from their papers, for x/√ᾱ = x_0 + σ ε of a mixture whose denoiser is known.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch

from diffusion_core.chain import Chain, strided_times, whole
from diffusion_core.choices import Choices
from diffusion_core.forward import Pair
from diffusion_core.objectives import VlbContinuous
from diffusion_core.parameterizations import Mu
from diffusion_core.problems import diffusion
from diffusion_core.samplers import Ancestral
from diffusion_core.schedules import Cosine, LearnedSchedule, Linear, LogSnrLinear, Rectified, Saved, Schedule
from diffusion_core.spacings import KarrasSpacing, LevelSpacing, LogSnrSpacing, UniformSpacing
from diffusion_core.variances import Analytic
from tests.axes import across

HORIZON = 1000
NOTHING = torch.zeros(0, 0)


def wanted(spacing: LevelSpacing, first: float, last: float, steps: int) -> np.ndarray:
    """σ_1 < … < σ_K between two ends: (σ_max^{1/ρ} + i/(K − 1) (σ_min^{1/ρ} − σ_max^{1/ρ}))^ρ (Karras et al. 2022,
    eq. 5), or evenly spaced in log σ.
    """
    if isinstance(spacing, KarrasSpacing):
        rho = spacing.rho
        i = np.arange(steps)
        sigma = (last ** (1 / rho) + i / (steps - 1) * (first ** (1 / rho) - last ** (1 / rho))) ** rho
        return sigma[::-1]
    return np.geomspace(first, last, steps)


SCHEDULES = (Linear(), Cosine(), LogSnrLinear(shift=3.0), Rectified(end=0.999), Saved((-12.0, -3.0, 4.0)))


@across(schedule=(*SCHEDULES, LearnedSchedule()), spacing=(KarrasSpacing(), KarrasSpacing(3.0), LogSnrSpacing()))
def test_the_levels_are_the_formulas(schedule, spacing):
    gamma = schedule.gamma(HORIZON).requires_grad_(False)
    first, last = torch.exp(0.5 * gamma(torch.tensor([1, HORIZON]))).tolist()
    for steps in (2, 3, 18, 250):
        times = spacing.times(gamma, steps, NOTHING)
        assert (times[0], times[1], times[-1]) == (0, 1, HORIZON)
        sigma = torch.exp(0.5 * gamma(times[1:])).numpy()
        np.testing.assert_allclose(sigma, wanted(spacing, first, last, steps), rtol=1e-9)


@across(schedule=(Rectified(), Linear(zero_terminal=True)), spacing=(KarrasSpacing(), LogSnrSpacing()))
def test_below_noise_alone_the_levels_are_spaced_from_the_time_before(schedule, spacing):
    gamma = schedule.gamma(HORIZON)
    first, last = torch.exp(0.5 * gamma(torch.tensor([1, HORIZON - 1]))).tolist()
    for steps in (3, 18):
        times = spacing.times(gamma, steps, NOTHING)
        assert times[-1] == HORIZON
        sigma = torch.exp(0.5 * gamma(times[1:-1])).numpy()
        np.testing.assert_allclose(sigma, wanted(spacing, first, last, steps - 1), rtol=1e-9)
    assert spacing.times(gamma, 2, NOTHING).tolist() == [0, 1, HORIZON]


def ends(schedule: Schedule) -> tuple[float, float]:
    """σ_1 and σ_T, from ᾱ."""
    if isinstance(schedule, Linear):
        alpha_bar = np.cumprod(1 - np.linspace(1e-4, 0.02, HORIZON))[[0, -1]]
        return tuple(np.sqrt((1 - alpha_bar) / alpha_bar).tolist())
    assert isinstance(schedule, LogSnrLinear)
    return math.exp(schedule.gamma_min / 2), math.exp(schedule.gamma_max / 2)


def between(**choices: object) -> bool:
    """Whether a sampler's chain of even log-SNR has real times."""
    made = diffusion(lambda x_t, t: x_t, **{"horizon": 1000, "spacing": LogSnrSpacing(), **choices})  # type: ignore[arg-type]
    assert not made.chain(5).times.is_floating_point(), "a bound's never has"
    return made.chain(5, real=True).times.is_floating_point()


def test_real_times_are_for_networks_that_know_them():
    assert between()
    assert not between(spacing=UniformSpacing())
    assert not between(parameterization=Mu()), "μ̃ is between two times"
    assert not between(horizon=999), "whole times that are told more than 1 apart"
    assert between(horizon=100, time="continuous")
    assert between(horizon=100, objective=VlbContinuous())
    assert Choices(horizon=999).knows_between is False


def rounded(times: list[float]) -> list[int]:
    return whole(torch.tensor([0, *times], dtype=torch.float64))[1:].tolist()


def test_whole_times_are_the_nearest_and_all_differ():
    assert rounded([1, 2.4, 7.6, 10]) == [1, 2, 8, 10]
    assert rounded([1, 1.1, 1.2, 10]) == [1, 2, 3, 10]
    assert rounded([1, 9.7, 9.8, 10]) == [1, 8, 9, 10]
    assert rounded([1, 1.01, 1.02, 3.9, 5]) == [1, 2, 3, 4, 5]
    assert rounded([1, 3.97, 3.98, 3.99, 5]) == [1, 2, 3, 4, 5]
    kept = strided_times(1000, 10)
    assert whole(kept) is kept


def test_each_step_has_noise_of_its_own_that_follows_from_the_seed():
    """250 of 1000 times, of which six round to 1."""
    made = diffusion(lambda x_t, t: 0 * x_t, HORIZON, real=True, schedule=Linear(), spacing=LogSnrSpacing())
    chain = made.chain(250, real=True)
    assert len(set(chain.times.round().tolist())) < 220
    assert len(set(chain.noise_times)) == 251
    assert (chain.noise_times[0], chain.noise_times[-1]) == (0, HORIZON)
    seen: dict[int, torch.Tensor] = {}

    class Spying(Ancestral):
        def step(self, diffusion, x_t, chain, k, noise: Callable[[], torch.Tensor]):
            seen[k] = noise()
            return x_t

    first, second = ([*Spying(steps=250).path(made, 0, 64, seed=0)] and dict(seen) for _ in range(2))
    assert all(torch.equal(first[k], second[k]) for k in range(1, 251))
    kept = torch.stack([first[k].flatten() for k in range(1, 251)]).double()
    assert (torch.corrcoef(kept) - torch.eye(250)).abs().max() < 6 / 128**0.5


def test_a_variance_that_was_fitted_at_whole_times_is_read_between_them():
    """A line in t is itself."""
    made = diffusion(lambda x_t, t: x_t, HORIZON, real=True, variance=Analytic(), spacing=LogSnrSpacing())
    made.fit(0.2 + 0.5 * made.all_times[1:].double() / HORIZON)
    chain = made.chain(7, real=True)
    k = torch.arange(1, 8)
    x = torch.zeros(7, 2, dtype=torch.float64)
    p = made.reverse(x, chain, k)
    pair = Pair(made.gamma(chain.times[k]), made.gamma(chain.times[k - 1]), p.pair.log_first)
    line = 0.2 + 0.5 * chain.times[k] / HORIZON
    expected = Analytic().log_variance(pair, x[:, :0], x, line)
    torch.testing.assert_close(p.log_variance, expected, rtol=1e-12, atol=1e-12)
    full = Chain(made.gamma, made.all_times.double(), "beta_1")
    here, there = (made.reverse(x, each, k).log_variance for each in (made.chain(), full))
    torch.testing.assert_close(here, there, rtol=0, atol=0)
