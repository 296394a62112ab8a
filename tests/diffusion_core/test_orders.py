"""Samplers converge at the order that their papers claim; the whole table is `docs/convergence.md`."""

from __future__ import annotations

import math

import pytest
import torch

from diffusion_core.samplers import Ancestral, Ddim
from diffusion_core.schedules import Cosine, Linear, LogSnrLinear, Rectified
from diffusion_core.solvers import DpmSolver, Heun
from diffusion_core.spacings import LogSnrSpacing, UniformSpacing
from diffusion_core.testing.orders import angles, exact_flow, flow_errors, known_model, order, variance_errors
from diffusion_core.testing.problems import GaussianData, MixtureData
from diffusion_core.testing.variants import name
from diffusion_core.variances import Beta, BetaTilde
from tests.axes import across, paired

GAUSSIAN, MIXTURE = GaussianData((0.3, 1.7)), MixtureData(components=8, width=0.2)
COUNTS = (32, 64, 128)
EVEN = (LogSnrLinear(-8.0, 4.0), UniformSpacing())
STEPS = (EVEN, (Linear(), LogSnrSpacing()), (Rectified(end=0.98), LogSnrSpacing()))
"""Schedules with spacings that are even in log-SNR."""


@paired(data=(GAUSSIAN, MIXTURE), steps=STEPS, sampler=(Ddim(), DpmSolver(order=1), DpmSolver(order=2), Heun()))
def test_the_order_of_a_sampler_of_the_flow(data, steps, sampler):
    expected = 2 if sampler in (DpmSolver(order=2), Heun()) else 1
    assert order(COUNTS, flow_errors(sampler, data, *steps, COUNTS)) == pytest.approx(expected, abs=0.2)


@across(data=(GAUSSIAN, MIXTURE), sampler=(Ddim(), Heun()))
def test_the_order_along_the_straight_path_from_noise_alone(data, sampler):
    expected = 2 if sampler == Heun() else 1
    errors = flow_errors(sampler, data, Rectified(), UniformSpacing(), COUNTS)
    assert order(COUNTS, errors) == pytest.approx(expected, abs=0.2)


def test_in_steps_of_equal_time_a_method_with_memory_has_order_2_but_for_a_factor_log_k():
    """The j-th step from clean data has the length 1/j in log-SNR for any K, where x̂_0 is curved by j²/K²: it errs by
    1/(j K²), and so does the j-th from noise alone.
    """
    errors = flow_errors(DpmSolver(order=2), GAUSSIAN, Rectified(), UniformSpacing(), COUNTS)
    less = [error / math.log(count) for error, count in zip(errors, COUNTS, strict=True)]
    assert order(COUNTS, less) == pytest.approx(2, abs=0.15)


@pytest.mark.parametrize("schedule", [Linear(), Cosine(), Rectified()], ids=name)
def test_in_few_steps_of_equal_time_order_2_is_nearer_to_the_flow_than_order_1(schedule):
    """The step to t = 1 is by far the longest there, and to extrapolate over it would be worse than DDIM."""
    first, second = (
        flow_errors(DpmSolver(order=order), MIXTURE, schedule, UniformSpacing(), (5, 10, 20)) for order in (1, 2)
    )
    assert all(b < a for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize(
    ("sampler", "variance", "expected"),
    [
        (Ancestral(), Beta(), 1),
        (Ancestral(), BetaTilde(), 1),
        (Ddim(eta=0.5), BetaTilde(), 1),
        (DpmSolver(order=1, equation="sde"), BetaTilde(), 1),
        (DpmSolver(order=2, equation="sde"), BetaTilde(), 2),
        (Heun(churn=1.0), BetaTilde(), 2),
    ],
    ids=["ancestral beta", "ancestral beta_tilde", "ddim 0.5", "sde 1", "sde 2M", "heun churn"],
)
def test_the_weak_order_of_a_sampler_that_draws_noise(sampler, variance, expected):
    """By the variance of Gaussian data. β̃ is too small by so much in 32 steps that a sixth of its order is missing."""
    errors = variance_errors(sampler, GAUSSIAN, *EVEN, COUNTS, variance)
    assert order(COUNTS, errors) == pytest.approx(expected, abs=0.25)


def test_the_fine_solution_is_the_flow_of_gaussian_data():
    """A mixture of one component, at the origin, is Gaussian."""
    one, same = MixtureData(components=1, radius=0.0, width=0.5), GaussianData((0.25, 0.25))
    ends = angles(known_model(same, Rectified(), UniformSpacing()))
    x = torch.randn(5, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(exact_flow(one, x, *ends), exact_flow(same, x, *ends), rtol=1e-8, atol=0)
