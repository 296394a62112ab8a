"""Schedules against their definitions and published end values, at whole and real times, and at ᾱ_T = 0."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

import diffusion_core as dc
from diffusion_core.gamma import LARGEST
from tests.axes import across, members, name

HORIZONS = (25, 1000)
every_schedule = pytest.mark.parametrize("schedule", [*members(dc.Schedule), dc.Linear(rescale=False)], ids=name)


def moved(gamma: dc.Gamma) -> dc.Gamma:
    """γ without gradients; a learned one away from its start, so that its network has an effect."""
    gamma.requires_grad_(False)
    generator = torch.Generator().manual_seed(2)
    for parameter in gamma.parameters():
        parameter += 0.3 * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
    return gamma


def times_between(horizon: int) -> Tensor:
    """A time in each interval, away from the integers and from knots."""
    return torch.arange(1, horizon, dtype=torch.float64) + 0.37


@every_schedule
def test_gamma_rises_from_clean_data_at_whole_and_real_times(schedule):
    """γ_0 = −∞, and γ_T alone may be ∞: all others are finite, up to what float32 can divide by."""
    for horizon in HORIZONS:
        whole = torch.arange(horizon + 1)
        t = torch.cat([whole, times_between(horizon)]).sort().values
        for gamma in (schedule.gamma(horizon).requires_grad_(False), moved(schedule.gamma(horizon))):
            values = gamma(t)
            assert values.dtype == torch.float64
            assert values[0] == -math.inf
            assert values[1:-1].isfinite().all()
            assert (values.diff() > 0).all()
            assert values[-1] <= LARGEST or gamma.ends_in_noise
            assert gamma.ends_in_noise == (values[-1] == math.inf)
            alpha_bar = torch.sigmoid(-gamma(whole))
            assert alpha_bar[0] == 1
            assert (alpha_bar[1:] < 1).all()
            assert ((alpha_bar[1:] / (1 - alpha_bar[1:])).diff() < 0).all()
            assert (alpha_bar[-1] == 0) == gamma.ends_in_noise


@every_schedule
def test_rate_is_the_derivative_in_u_and_inverse_finds_the_time(schedule):
    """dγ/du, u = (t − 1)/(T − 1), by autograd and by central differences."""
    for horizon in (50,) if isinstance(schedule, dc.Linear) else (2, 50):
        gamma = moved(schedule.gamma(horizon))
        t = times_between(horizon).requires_grad_()
        (slope,) = torch.autograd.grad(gamma(t).sum(), t)
        with torch.no_grad():
            values, rate = gamma.rate(t)
            differences = (gamma(t + 1e-4) - gamma(t - 1e-4)) / 2e-4
        assert torch.equal(values, gamma(t))
        torch.testing.assert_close(rate, slope * (horizon - 1), rtol=1e-12, atol=0)
        torch.testing.assert_close(rate, differences * (horizon - 1), rtol=1e-6, atol=0)
        t = torch.cat([torch.arange(1, horizon + 1), times_between(horizon)])
        torch.testing.assert_close(gamma.inverse(gamma(t)), t, rtol=1e-9, atol=0)


@every_schedule
def test_shift_multiplies_sigma_and_zero_terminal_is_algorithm_1_of_lin_et_al(schedule):
    if schedule.learned:
        for field in ({"shift": 2.0}, {"zero_terminal": True}):
            with pytest.raises(ValueError, match="moves noise levels"):
                replace(schedule, **field).gamma(60)
        return
    schedule = replace(schedule, zero_terminal=False)
    t = torch.cat([torch.arange(1, 61), times_between(60)])
    sigma = torch.exp(0.5 * schedule.gamma(60)(t))
    shifted = replace(schedule, shift=2 * schedule.shift).gamma(60)(t)
    torch.testing.assert_close(torch.exp(0.5 * shifted), 2 * sigma, rtol=1e-12, atol=0)
    if not schedule.gamma(60).ends_in_noise:
        root = (1 + sigma**2) ** -0.5
        expected = (root - root[59]) * root[0] / (root[0] - root[59])
        found = torch.sigmoid(-replace(schedule, zero_terminal=True).gamma(60)(t)).sqrt()
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


def alpha_bar_of(schedule: dc.Schedule, horizon: int) -> np.ndarray:
    return torch.sigmoid(-schedule.gamma(horizon).requires_grad_(False)(torch.arange(horizon + 1))).numpy()


def beta_of(schedule: dc.Schedule, horizon: int) -> np.ndarray:
    alpha_bar = alpha_bar_of(schedule, horizon)
    return 1 - alpha_bar[1:] / alpha_bar[:-1]


def test_linear_beta_is_ho_et_al_at_1000_steps_and_scaled_by_1000_over_other_horizons():
    for horizon in (50, 1000, 4000):
        expected = np.linspace(1e-4, 0.02, horizon)
        np.testing.assert_allclose(beta_of(dc.Linear(rescale=False), horizon), expected, rtol=1e-10)
        np.testing.assert_allclose(beta_of(dc.Linear(), horizon), expected * 1000 / horizon, rtol=1e-10)


@pytest.mark.parametrize("horizon", [10, 1000])
def test_cosine_is_nichol_and_dhariwals_with_its_cap_on_beta(horizon):
    f = np.cos((np.arange(horizon + 1) / horizon + 0.008) / 1.008 * math.pi / 2) ** 2
    beta = np.minimum(1 - f[1:] / f[:-1], 0.999)
    assert beta[-1] == 0.999
    np.testing.assert_allclose(alpha_bar_of(dc.Cosine(), horizon)[1:], np.cumprod(1 - beta), rtol=1e-11)


@across(schedule=(dc.Sigmoid(-2, 4, 0.7), dc.Sigmoid(beta_max=0.15)), horizon=(10, 1000))
def test_sigmoid_alpha_bar_is_jabri_et_als_but_for_the_cap_on_beta(schedule, horizon):
    """ᾱ(u) = [S(1) − S(u)]/[S(1) − S(0)] with S(u) = 1/(1 + exp(−(start + (end − start) u)/τ)), and ᾱ(1) = 0."""
    u = np.linspace(0, 1, horizon + 1)
    s = 1 / (1 + np.exp(-(schedule.start + (schedule.end - schedule.start) * u) / schedule.tau))
    alpha_bar = (s[-1] - s) / (s[-1] - s[0])
    beta = np.minimum(1 - alpha_bar[1:] / alpha_bar[:-1], schedule.beta_max)
    assert beta[-1] == schedule.beta_max
    np.testing.assert_allclose(alpha_bar_of(schedule, horizon)[1:], np.cumprod(1 - beta), rtol=1e-11)


@across(schedule=(dc.LogSnrLinear(-9.0, 3.0), dc.LearnedLinear(-9.0, 3.0)), horizon=(2, 37))
def test_log_snr_linear_is_a_line_between_its_ends_at_t_1_and_t_T(schedule, horizon):
    """γ_t = γ((t − 1)/(T − 1)) (Kingma et al. 2021, whose z_0 is x_1); a learned line starts as one."""
    gamma = schedule.gamma(horizon).requires_grad_(False)
    t = torch.cat([torch.arange(1, horizon + 1), times_between(horizon)]).numpy()
    np.testing.assert_allclose(gamma(torch.tensor(t)), -9 + 12 * (t - 1) / (horizon - 1), rtol=1e-13, atol=1e-13)
    assert gamma(torch.tensor([1, horizon])).tolist() == [-9.0, 3.0]


def test_saved_interpolates_its_knots_evenly_spaced_in_u():
    knots, t = (-13.3, -7.0, -4.0, 5.0), torch.cat([torch.arange(1, 38), times_between(37)])
    expected = np.interp((t.numpy() - 1) / 36, np.linspace(0, 1, len(knots)), knots)
    np.testing.assert_allclose(dc.Saved(knots).gamma(37)(t), expected, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (lambda: dc.Linear(0, 0.02), "linear needs 0 < beta_1 <= beta_T < 1"),
        (lambda: dc.Linear().gamma(20), r"must stay below 1: take horizon > 20 or schedule\.rescale=false"),
        (lambda: dc.Linear(rescale=False).gamma(20_000), r"at T=20000 this schedule leaves a share of 1e-4[34] of x_0"),
        (lambda: dc.Sigmoid(tau=0.05).gamma(100), "at T=100 this schedule's noise does not rise from step to step"),
        (lambda: dc.Cosine(shift=math.nan).gamma(50), "shift must be above 0 and finite"),
        (
            lambda: dc.LogSnrLinear(shift=1e40).gamma(50),
            r"shift=1e\+40 makes γ go from .*, beyond the ±160 that float32",
        ),
        (
            lambda: dc.Rectified(zero_terminal=True).gamma(30),
            r"zero_terminal=true moves .* where this one is: leave it",
        ),
        (lambda: dc.Cosine(beta_max=1.0), "cosine needs 0 < beta_max < 1"),
        (lambda: dc.LearnedSchedule(gamma_max=math.nan), "learned needs gamma_min < gamma_max"),
        (lambda: dc.Saved((1.0, 2.0, 2.0)), "saved needs at least 2 knots, each above the one before"),
    ],
)
def test_fields_that_make_no_schedule_are_refused(build, reason):
    with pytest.raises(ValueError, match=reason):
        build()
