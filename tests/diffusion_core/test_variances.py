"""σ² against β and β̃ of the step, full and strided, under both rules for the first step."""

from __future__ import annotations

import pytest
import torch

from diffusion_core.schedules import Schedule
from diffusion_core.testing import check_variance, variances
from diffusion_core.testing.saying import run
from diffusion_core.testing.variances import HORIZON, STEPS, chain_of, log_variance_at
from diffusion_core.testing.variants import name
from diffusion_core.variances import (
    Analytic,
    AnalyticMse,
    Beta,
    BetaTilde,
    Fitted,
    LearnedDiagonal,
    LearnedVariance,
    Moments,
    Variance,
)
from tests.axes import across, members

RULES = ("beta_tilde_2", "beta_1")


@pytest.mark.parametrize("variance", members(Variance), ids=name)
def test_every_variance_keeps_what_variances_keep(variance):
    """Under every schedule, those of its check among them."""
    check_variance(variance)
    for schedule in members(Schedule):
        run(variances.PROPERTIES, variance, schedule)


@across(schedule=members(Schedule), steps=STEPS)
def test_fixed_variances_are_beta_and_beta_tilde_of_the_chains_own_steps(schedule, steps):
    pair, truth = chain_of(schedule, steps)
    for variance, expected in ((Beta(), truth.beta[1:]), (BetaTilde(), truth.beta_tilde)):
        torch.testing.assert_close(log_variance_at(variance, pair)[1:].exp(), expected, rtol=1e-10, atol=0)


@across(schedule=members(Schedule), steps=STEPS, rule=RULES)
def test_fixed_variances_take_the_chains_rule_at_the_first_step(schedule, steps, rule):
    pair, truth = chain_of(schedule, steps, rule)
    expected = {"beta_tilde_2": truth.beta_tilde[0], "beta_1": truth.beta_1[0]}[rule].log().item()
    assert log_variance_at(Beta(), pair)[0].item() == pytest.approx(expected, rel=1e-10)
    assert log_variance_at(BetaTilde(), pair)[0].item() == pytest.approx(expected, rel=1e-10)


@across(schedule=members(Schedule), raw=(-1.5, 0.0, 2.0))
def test_learned_diagonal_is_log_beta_plus_what_the_network_says_at_every_step(schedule, raw):
    pair, truth = chain_of(schedule, HORIZON)
    torch.testing.assert_close(
        log_variance_at(LearnedDiagonal(), pair, raw), truth.beta.log() + raw, rtol=0, atol=1e-10
    )


@across(schedule=members(Schedule), steps=STEPS, rule=RULES)
def test_learned_runs_from_beta_tilde_to_beta_of_the_chains_own_steps_in_the_logarithm(schedule, steps, rule):
    """β̃ at o = −1, β at o = 1, their geometric mean at o = 0; where β̃_1 = 0, β̃_2 or β_1 stands for it."""
    pair, truth = chain_of(schedule, steps, rule)
    first = {"beta_tilde_2": truth.beta_tilde[:1], "beta_1": truth.beta_1}[rule]
    lower, upper = torch.cat([first, truth.beta_tilde]).log(), truth.beta.log()
    for raw in (-1.5, -1.0, 0.0, 1.0, 2.5):
        expected = lower + (upper - lower) * (raw + 1) / 2
        torch.testing.assert_close(log_variance_at(LearnedVariance(), pair, raw), expected, rtol=0, atol=1e-10)


def test_fitted_is_trained_as_beta_tilde():
    assert {v.trained_as for v in members(Variance) if isinstance(v, Fitted)} == {BetaTilde()}


def test_analytic_reads_what_is_told_of_the_noise_and_analytic_mse_the_error_of_x0():
    """E(‖ε‖² − ‖ε̂‖²)/D (1 − ᾱ)/ᾱ in [0, Var x_0], which is all that is unknown at ᾱ = 0; and E‖x_0 − x̂_0‖²/D."""
    noise = torch.tensor([0.25, 0.75, -0.3, 1.2, 0.0], dtype=torch.float64)
    error = torch.tensor([0.5, 0.0, 1.3, 7.0, 0.1], dtype=torch.float64)
    alpha_bar = torch.tensor([0.5, 0.75, 0.5, 0.25, 0.0], dtype=torch.float64)
    moments = Moments(noise, torch.zeros_like(noise), error, alpha_bar, torch.tensor(1.5, dtype=torch.float64))
    assert Analytic().x0_variance(moments).tolist() == [0.25, 0.25, 0.0, 1.5, 1.5]
    assert AnalyticMse().x0_variance(moments).tolist() == error.tolist()
    assert Analytic().remark(moments) == ""


def test_analytic_reads_the_error_of_x0_where_ten_standard_errors_of_its_estimate_exceed_var_x0():
    """Var x_0 is 1.5; the standard error is that of what is told of the noise, times (1 − ᾱ)/ᾱ."""
    noise, error = torch.tensor([[0.75] * 4, [0.5, 0.5, 7.0, 0.5]], dtype=torch.float64)
    noise_se = torch.tensor([0.149, 0.151, 0.151, 0.0501], dtype=torch.float64)
    alpha_bar = torch.tensor([0.5, 0.5, 0.5, 0.25], dtype=torch.float64)
    moments = Moments(noise, noise_se, error, alpha_bar, torch.tensor(1.5, dtype=torch.float64))
    assert Analytic().x0_variance(moments).tolist() == [0.75, 0.5, 1.5, 0.5]
    assert "at 3 of 4 t, variance=analytic takes the estimate of analytic_mse" in Analytic().remark(moments)
