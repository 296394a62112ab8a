"""p_θ: one function, written in the words of every parameterization, is one distribution."""

from __future__ import annotations

import torch
from torch import Tensor

from diffusion_core.encodings import Continuous, GreyLevels
from diffusion_core.parameterizations import Parameterization
from diffusion_core.problems import denoiser_output, diffusion
from diffusion_core.schedules import Schedule
from tests.axes import members, paired, spoken
from tests.diffusion_core.mixture import bayes

HORIZON = 60


def denoise(x_t: Tensor, alpha_bar: Tensor) -> Tensor:
    """Some nonlinear x̂_0 that leaves [−1, 1]."""
    return 1.5 * torch.tanh(x_t) + 0.5 * torch.sin(3 * x_t) * (1 - alpha_bar)


@paired(
    spoken,
    parameterization=members(Parameterization),
    schedule=members(Schedule),
    encoding=(GreyLevels(), Continuous()),
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
    assert torch.equal(p.gaussian.mean, p.mean)
    assert torch.equal(p.gaussian.log_variance, p.log_variance)
