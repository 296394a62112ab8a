"""What the network predicts, p_θ as one distribution in all of its words, and the terms of its bound."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

import diffusion_core as dc
from diffusion_core.chain import strided_times
from diffusion_core.checking import denoiser_output
from diffusion_core.terms import denoising_term, kl_normal
from tests.axes import across, go_together, members, paired, spoken
from tests.diffusion_core.mixture import bayes
from tests.diffusion_core.problems import diffusion

HORIZON = 60


def denoise(x_t: Tensor, alpha_bar: Tensor) -> Tensor:
    """Some nonlinear x̂_0 that leaves [−1, 1]."""
    return 1.5 * torch.tanh(x_t) + 0.5 * torch.sin(3 * x_t) * (1 - alpha_bar)


@paired(
    spoken,
    parameterization=members(dc.Parameterization),
    schedule=members(dc.Schedule),
    encoding=(dc.GreyLevels(), dc.Continuous()),
    steps=(HORIZON, 13, 1),
    clip=(False, True),
)
def test_p_is_that_of_bayes_rule_at_the_denoised_x0_for_every_parameterization(
    parameterization, schedule, encoding, steps, clip
):
    """At σ² = β of the chain's own steps; data without bounds are never clipped."""
    output = denoiser_output(denoise, parameterization, schedule, HORIZON)
    choices = {"parameterization": parameterization, "schedule": schedule, "encoding": encoding}
    model = diffusion(output, HORIZON, **choices, shape=(1, 2, 2)).with_clip(clip)
    chain, generator = model.chain(steps), torch.Generator().manual_seed(1)
    x_t = 1.5 * torch.randn(steps, 1, 2, 2, generator=generator, dtype=torch.float64)
    p = model.reverse(x_t, chain, torch.arange(1, steps + 1))
    alpha_bar = torch.sigmoid(-model.gamma(chain.times)).reshape(-1, 1, 1, 1)
    x0 = denoise(x_t, alpha_bar[1:])
    assert (x0.abs() > 1).any()
    x0 = x0.clamp(-1, 1) if clip and encoding.bounded else x0
    eps = (x_t - alpha_bar[1:].sqrt() * x0) / (1 - alpha_bar[1:]).sqrt()
    mean, _ = bayes(x0[1:], x_t[1:], alpha_bar[2:], alpha_bar[1:-1])
    beta = 1 - alpha_bar[2:] / alpha_bar[1:-1]
    torch.testing.assert_close(p.x0, x0, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(p.eps, eps, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(p.mean, torch.cat([x0[:1], mean]), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(p.log_variance[1:], beta.log(), rtol=1e-9, atol=1e-9)


def test_kl_of_nearly_equal_variances_keeps_its_digits():
    """½(r + e^{−r} − 1) = r²/4 − r³/12 + …, far below the rounding of each summand."""
    r = torch.tensor([1e-7, 1e-5, 1e-3], dtype=torch.float64)
    expected = r**2 / 4 - r**3 / 12 + r**4 / 48
    actual = kl_normal(torch.zeros(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64), r)
    torch.testing.assert_close(actual, expected, rtol=1e-8, atol=0)


@across(schedule=members(dc.Schedule), steps=(HORIZON, 13), variance=members(dc.Variance))
def test_denoising_term_is_the_kl_of_bayes_posterior_and_p(schedule, steps, variance):
    """At k = 2..K of a chain; ε̂ enters no term."""
    generator = torch.Generator().manual_seed(0)
    chain = dc.Chain(schedule.gamma(HORIZON), strided_times(HORIZON, steps), schedule.first_step)
    step = chain.step(torch.arange(2, steps + 1))
    alpha_bar = torch.sigmoid(-chain.gamma(chain.times[1:]))[:, None]
    x0, x0_hat, x_t = torch.randn(3, steps - 1, 4, generator=generator, dtype=torch.float64)
    log_variance = variance.log_variance(step, torch.full_like(x0, 0.3), x_t, 0.4 * (1 - alpha_bar[1:, 0]))
    mean_q, variance_q = bayes(x0, x_t, alpha_bar[1:], alpha_bar[:-1])
    mean_p, _ = bayes(x0_hat, x_t, alpha_bar[1:], alpha_bar[:-1])
    expected = kl_divergence(Normal(mean_q, variance_q.sqrt()), Normal(mean_p, (log_variance / 2).exp())).sum(1)
    term = denoising_term(x0, dc.ReverseStep(step, x_t, x0_hat, log_variance))
    torch.testing.assert_close(term, expected, rtol=1e-8, atol=1e-12)


every = across(go_together, parameterization=members(dc.Parameterization), schedule=members(dc.Schedule))


class Draw:
    """x_0, ε and x_t [T, 4] at every t of a schedule."""

    def __init__(self, schedule: dc.Schedule) -> None:
        chain = dc.Chain(schedule.gamma(HORIZON).requires_grad_(False), torch.arange(HORIZON + 1), schedule.first_step)
        self.step = chain.step(torch.arange(1, HORIZON + 1))
        self.alpha_bar = torch.sigmoid(-chain.gamma(torch.arange(HORIZON + 1)))[:, None]
        generator = torch.Generator().manual_seed(0)
        self.x0, self.eps = torch.randn(2, HORIZON, 4, generator=generator, dtype=torch.float64)
        self.root, self.rest = self.alpha_bar[1:].sqrt(), (1 - self.alpha_bar[1:]).sqrt()
        self.x_t = self.root * self.x0 + self.rest * self.eps


@every
def test_a_perfect_output_stands_for_x0_and_an_error_of_it_for_one_of_x0_by_kappa(parameterization, schedule):
    """κ is ‖target(x_0 + δ) − target(x_0)‖²/‖δ‖² at fixed x_t, and an output off by √κ is x̂_0 off by 1.

    x_0 comes back through 1/√ᾱ_T at the worst (about 800 for cosine at this horizon).
    """
    draw, choice = Draw(schedule), parameterization
    target, kappa = choice.target(draw.x0, draw.eps, draw.x_t, draw.step), choice.kappa(draw.step)
    torch.testing.assert_close(choice.x0(target, draw.x_t, draw.step), draw.x0, rtol=1e-11, atol=1e-11)
    off = choice.x0(target + kappa.sqrt()[:, None], draw.x_t, draw.step)
    one = torch.ones(HORIZON, dtype=torch.float64)
    torch.testing.assert_close(((off - draw.x0) ** 2).mean(1), one, rtol=1e-7, atol=0)
    x0 = draw.x0 + 1
    far, near = (choice.target(x, (draw.x_t - draw.root * x) / draw.rest, draw.x_t, draw.step) for x in (x0, draw.x0))
    torch.testing.assert_close(kappa, ((far - near) ** 2).mean(1), rtol=1e-9, atol=0)


@every
def test_what_is_shown_is_a_positive_multiple_of_xt_and_needs_step_says_what_is_read(parameterization, schedule):
    """Without `needs_step` all follows from γ_t alone, as continuous time needs. Float32 data stay float32."""
    draw, choice = Draw(schedule), parameterization
    level = dc.Step.level(draw.step.gamma_t)
    ratio = choice.network_input(draw.x_t, draw.step) / draw.x_t
    torch.testing.assert_close(ratio, ratio[:, :1].expand_as(ratio))
    assert (ratio > 0).all()
    if not choice.needs_step:
        for function in (
            lambda step: choice.target(draw.x0, draw.eps, draw.x_t, step),
            lambda step: choice.x0(draw.eps, draw.x_t, step),
            choice.kappa,
        ):
            assert torch.equal(function(level), function(draw.step))
    x0, eps, x_t = draw.x0.float(), draw.eps.float(), draw.x_t.float()
    target = choice.target(x0, eps, x_t, draw.step)
    found = target, choice.x0(target, x_t, draw.step), choice.network_input(x_t, level)
    assert {value.dtype for value in found} == {torch.float32}
