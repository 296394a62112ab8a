"""p_θ: one function, written in the words of every parameterization, is one distribution."""

from __future__ import annotations

import torch
from torch import Tensor

from diffusion_core.diffusion import Diffusion
from diffusion_core.encodings import Continuous, GreyLevels
from diffusion_core.objectives import Vlb
from diffusion_core.parameterizations import X0, Parameterization
from diffusion_core.schedules import Schedule
from diffusion_core.testing.problems import bayes, denoiser_output, diffusion
from diffusion_core.variances import Variance
from tests.axes import across, members, paired, spoken

HORIZON = 60
SPOKEN = {"parameterization": members(Parameterization), "schedule": members(Schedule)}


def denoise(x_t: Tensor, alpha_bar: Tensor) -> Tensor:
    """Some nonlinear x̂_0 that leaves [−1, 1]."""
    return 1.5 * torch.tanh(x_t) + 0.5 * torch.sin(3 * x_t) * (1 - alpha_bar)


def model(parameterization: Parameterization, schedule: Schedule, variance: Variance | None = None) -> Diffusion:
    output = denoiser_output(denoise, parameterization, schedule, HORIZON)
    learned = variance is not None and variance.learned
    return diffusion(
        (lambda x_t, t: torch.cat([output(x_t, t), torch.zeros_like(x_t)], dim=1)) if learned else output,
        HORIZON,
        parameterization=parameterization,
        variance=variance,
        schedule=schedule,
        objective=Vlb(),
        encoding=GreyLevels(),
        shape=(1, 2, 2),
    )


def points(steps: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return 1.5 * torch.randn(steps, 1, 2, 2, generator=generator, dtype=torch.float64)


@paired(spoken, **SPOKEN, steps=(HORIZON, 13, 1), clip=(False, True))
def test_mean_is_bayes_rule_at_the_denoised_x0_for_every_parameterization(parameterization, schedule, steps, clip):
    diffusion = model(parameterization, schedule)
    chain = diffusion.chain(steps)
    x_t = points(steps)
    p = diffusion.reverse(x_t, chain, torch.arange(1, steps + 1), clip=clip)
    alpha_bar = torch.sigmoid(-diffusion.gamma(chain.times)).reshape(-1, 1, 1, 1)
    x0 = denoise(x_t, alpha_bar[1:])
    assert (x0.abs() > 1).any()
    x0 = x0.clamp(-1, 1) if clip else x0
    eps = (x_t - alpha_bar[1:].sqrt() * x0) / (1 - alpha_bar[1:]).sqrt()
    mean, _ = bayes(x0[1:], x_t[1:], alpha_bar[2:], alpha_bar[1:-1])
    torch.testing.assert_close(p.x0, x0, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(p.eps, eps, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(p.mean, torch.cat([x0[:1], mean]), rtol=1e-9, atol=1e-9)


@paired(spoken, **SPOKEN, variance=members(Variance))
def test_variance_of_p_does_not_depend_on_what_is_predicted(parameterization, schedule, variance):
    k = torch.arange(1, HORIZON + 1)
    ours, other = (
        diffusion.reverse(points(HORIZON), diffusion.chain(), k, clip=False)
        for diffusion in (model(p, schedule, variance) for p in (parameterization, X0()))
    )
    torch.testing.assert_close(ours.mean, other.mean, rtol=1e-9, atol=1e-9)
    assert torch.equal(ours.log_variance, other.log_variance)
    assert torch.equal(ours.gaussian.mean, ours.mean)
    assert torch.equal(ours.gaussian.log_variance, ours.log_variance)


@across(parameterization=members(Parameterization))
def test_unbounded_data_are_never_clipped(parameterization):
    schedule = members(Schedule)[0]
    output = denoiser_output(denoise, parameterization, schedule, HORIZON)
    unbounded = diffusion(
        output, HORIZON, parameterization=parameterization, schedule=schedule, encoding=Continuous(), shape=(1, 2, 2)
    )
    k = torch.arange(1, HORIZON + 1)
    clipped, free = (unbounded.reverse(points(HORIZON), unbounded.chain(), k, clip=clip).x0 for clip in (True, False))
    assert torch.equal(clipped, free)
    assert (clipped.abs() > 1).any()
