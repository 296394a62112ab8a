"""Figures of google-research/vdm in float64 (tests/reference/vdm.npz), reproduced by the core.

Its z_0 is our x_1, its T steps of the diffusion loss are the steps T + 1..2 of our T + 1, its losses are in nats per
image. |ours − reference| ≤ 1e-10 |reference| + 1e-13.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import diffusion_core as dc
from diffusion_core.gamma import LearnedGamma, MonotoneNet
from diffusion_core.terms import prior_term, softmax_decoder, sum_dims
from tests.diffusion_core.problems import diffusion

with np.load(Path(__file__).parents[1] / "reference" / "vdm.npz") as file:
    FIGURES = {key: torch.from_numpy(file[key]) for key in file.files}
WIDTH = 64


def close(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-13)


def monotone_net() -> MonotoneNet:
    net = MonotoneNet(WIDTH)
    with torch.no_grad():
        net.slope.copy_(FIGURES["l1_kernel"].squeeze())
        net.sharpness.copy_(FIGURES["l2_kernel"].squeeze(0))
        net.bias.copy_(FIGURES["l2_bias"])
        net.height.copy_(FIGURES["l3_kernel"].squeeze(1))
    return net


def model(horizon: int, objective: dc.Objective | None = None) -> dc.Diffusion:
    """A diffusion with the reference's γ, whose network puts out its ε̂."""
    net = monotone_net()
    ends = (net(torch.tensor([0.0, 1.0], dtype=torch.float64)) + FIGURES["l1_bias"]).tolist()
    learned = diffusion(
        lambda x_t, t: FIGURES["eps_hat"],
        horizon,
        variance=dc.BetaTilde(),
        schedule=dc.LearnedSchedule(gamma_min=ends[0], gamma_max=ends[1], width=WIDTH),
        objective=objective,
        encoding=dc.GreyLevels(),
        shape=(4, 4, 3),
        real=True,
    )
    learned.gamma.shape.load_state_dict(net.state_dict())
    return learned.with_clip(False)


def test_gamma_and_its_rate():
    net, t = monotone_net(), FIGURES["t"]
    close(net(t) + FIGURES["l1_bias"], FIGURES["gamma"])
    gamma, rate = model(11).gamma.rate(1 + t * 10)
    close(gamma, FIGURES["gamma"])
    close(rate, FIGURES["dgamma_dt"])
    assert isinstance(model(11).gamma, LearnedGamma)


def reconstruction(gamma: Tensor) -> Tensor:
    """−log p(x_0 | z_0) [6] in nats, by a softmax over its grid of grey levels."""
    values = 2 * (torch.arange(256, dtype=torch.float64) + 0.5) / 256 - 1
    return -sum_dims(softmax_decoder(FIGURES["f"], FIGURES["eps_0"], gamma.expand(6), values))


def test_reconstruction_is_next_to_nothing_at_its_own_first_noise_level():
    for gamma_0 in ("-13.3", "-10.0", "-8.0", "-6.0"):
        close(
            reconstruction(torch.tensor([float(gamma_0)], dtype=torch.float64)), FIGURES[f"recon_gamma{gamma_0}_nats"]
        )
    own = reconstruction(FIGURES["gamma"][:1])
    torch.testing.assert_close(own, FIGURES["loss_recon_nats"], rtol=0, atol=1e-12)


def test_prior_loss():
    close(prior_term(FIGURES["f"], FIGURES["gamma"][-1:].expand(6)), FIGURES["loss_prior_nats"])


@pytest.mark.parametrize("horizon", [2, 11, 1000])
def test_continuous_diffusion_loss_whatever_the_horizon(horizon):
    continuous = dc.DiffusionLearner(model(horizon, dc.VlbContinuous()))
    t = 1 + FIGURES["t_cont"] * (horizon - 1)
    losses = continuous.losses(FIGURES["f"], t, FIGURES["eps"])
    close(losses["network"] * (48 * math.log(2)), FIGURES["loss_diff_continuous_nats"])


@pytest.mark.parametrize("steps", [10, 250])
def test_discrete_diffusion_loss_and_its_noise_levels(steps):
    discrete = model(steps + 1)
    k = 1 + (FIGURES[f"t_T{steps}"] * steps).round().long()
    step = discrete.chain().step(k)
    close(step.gamma_t, FIGURES[f"gamma_t_T{steps}"])
    close(step.gamma_s, FIGURES[f"gamma_s_T{steps}"])
    term = discrete.term(FIGURES["f"], FIGURES["eps"], discrete.chain(), k)
    close(steps * term, FIGURES[f"loss_diff_T{steps}_nats"])


@pytest.mark.parametrize("steps", [10, 250])
def test_an_ancestral_step(steps):
    discrete = model(steps + 1)
    k = 1 + (FIGURES[f"t_T{steps}"] * steps).round().long()
    z_t, noise = FIGURES[f"step_T{steps}_z_t"], FIGURES[f"step_T{steps}_eps"]
    # Each image has a time of its own, and a step has one for all: the k-th row of each is ours.
    rows = [
        dc.Ancestral().step(discrete, z_t, discrete.chain(), at, lambda: noise)[i] for i, at in enumerate(k.tolist())
    ]
    close(torch.stack(rows), FIGURES[f"step_T{steps}_z_s"])
