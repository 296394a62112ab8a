"""Schedules against their definitions and published end values."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from diffusion_core.schedules import Cosine, Linear, Schedule
from tests.axes import members, name

SCHEDULES = pytest.mark.parametrize("schedule", members(Schedule), ids=name)
HORIZONS = pytest.mark.parametrize("horizon", [25, 50, 1000, 4000])


def alpha_bar_of(schedule: Schedule, horizon: int) -> np.ndarray:
    return torch.sigmoid(-schedule.build(horizon)(torch.arange(horizon + 1))).numpy()


def beta_of(schedule: Schedule, horizon: int) -> np.ndarray:
    alpha_bar = alpha_bar_of(schedule, horizon)
    return 1 - alpha_bar[1:] / alpha_bar[:-1]


@SCHEDULES
@HORIZONS
def test_noise_level_rises_strictly_from_clean_data(schedule, horizon):
    gamma = schedule.build(horizon)(torch.arange(horizon + 1))
    assert gamma.dtype == torch.float64
    assert gamma[0] == -math.inf
    assert gamma[1:].isfinite().all()
    assert (gamma.diff() > 0).all()


@SCHEDULES
@HORIZONS
def test_signal_to_noise_ratio_falls_and_alpha_bar_starts_at_one(schedule, horizon):
    alpha_bar = alpha_bar_of(schedule, horizon)
    assert alpha_bar[0] == 1
    assert ((alpha_bar[1:] > 0) & (alpha_bar[1:] < 1)).all()
    assert (np.diff(alpha_bar[1:] / (1 - alpha_bar[1:])) < 0).all()


@SCHEDULES
def test_horizon_is_known_and_times_may_have_any_shape(schedule):
    gamma = schedule.build(60)
    assert gamma.horizon == 60
    t = torch.tensor([[1, 60, 7], [2, 0, 5]])
    assert torch.equal(gamma(t).flatten(), torch.stack([gamma(u) for u in t.flatten()]))


@SCHEDULES
def test_the_noise_levels_travel_in_the_state_dict(schedule):
    built, other = schedule.build(30), schedule.build(30)
    assert built.state_dict()
    assert all(torch.equal(value, other.state_dict()[key]) for key, value in built.state_dict().items())


def test_linear_beta_is_ho_et_al_at_1000_steps():
    expected = np.linspace(1e-4, 0.02, 1000)
    np.testing.assert_allclose(beta_of(Linear(), 1000), expected, rtol=1e-11)


@pytest.mark.parametrize("horizon", [50, 250, 4000])
def test_linear_beta_is_scaled_by_1000_over_the_horizon(horizon):
    expected = np.linspace(1e-4, 0.02, horizon) * 1000 / horizon
    np.testing.assert_allclose(beta_of(Linear(), horizon), expected, rtol=1e-10)
    np.testing.assert_allclose(beta_of(Linear(rescale=False), horizon), np.linspace(1e-4, 0.02, horizon), rtol=1e-10)


@pytest.mark.parametrize("horizon", [10, 1000])
def test_cosine_alpha_bar_is_nichol_and_dhariwal_but_for_the_cap_on_beta(horizon):
    def f(t: np.ndarray) -> np.ndarray:
        return np.cos((t / horizon + 0.008) / 1.008 * math.pi / 2) ** 2

    t = np.arange(horizon)
    np.testing.assert_allclose(alpha_bar_of(Cosine(), horizon)[:-1], f(t) / f(np.zeros(1)), rtol=1e-11)


def test_cosine_beta_ends_at_its_cap():
    beta = beta_of(Cosine(), 1000)
    assert beta[-1] == pytest.approx(0.999, rel=1e-12)
    assert beta.argmax() == 999
    assert beta[-2] == pytest.approx(0.75, abs=1e-4)


@pytest.mark.parametrize(("schedule", "end"), [(Linear(), 0.006353), (Cosine(), 4.928e-5)], ids=["linear", "cosine"])
def test_signal_that_is_left_at_1000_steps_is_the_published_one(schedule, end):
    """√ᾱ_T of Lin et al. 2023 ("Common diffusion noise schedules and sample steps are flawed"), Table 1."""
    assert math.sqrt(alpha_bar_of(schedule, 1000)[-1]) == pytest.approx(end, rel=2e-4)


@pytest.mark.parametrize("horizon", [250, 1000, 4000, 16000])
def test_rescaled_linear_ends_near_4e_5_whatever_the_horizon(horizon):
    assert 2e-5 < alpha_bar_of(Linear(), horizon)[-1] < 5e-5


def test_linear_without_rescaling_tends_to_pure_noise():
    ends = [alpha_bar_of(Linear(rescale=False), horizon)[-1] for horizon in (10, 100, 1000, 4000)]
    assert ends == sorted(ends, reverse=True)
    assert ends[0] > 0.89
    assert ends[-1] < 1e-17


@pytest.mark.parametrize("horizon", [2, 10, 20])
def test_rescaled_linear_refuses_a_horizon_that_takes_beta_to_one(horizon):
    with pytest.raises(ValueError, match=r"must stay below 1: take horizon > 20 or schedule\.rescale=false"):
        Linear().build(horizon)


def test_linear_accepts_the_horizons_that_its_refusal_names():
    assert Linear().build(21).horizon == 21
    assert Linear(rescale=False).build(2).horizon == 2


@pytest.mark.parametrize(("beta_1", "beta_T"), [(0, 0.02), (0.02, 1e-4), (1e-4, 1.0), (math.nan, 0.02)])
def test_linear_refuses_ends_that_are_no_variances(beta_1, beta_T):
    with pytest.raises(ValueError, match="linear needs 0 < beta_1 <= beta_T < 1"):
        Linear(beta_1, beta_T)


@pytest.mark.parametrize("arguments", [{"s": -0.1}, {"s": math.nan}, {"beta_max": 1.0}, {"beta_max": 0.0}])
def test_cosine_refuses_fields_out_of_range(arguments):
    with pytest.raises(ValueError, match="cosine needs"):
        Cosine(**arguments)
