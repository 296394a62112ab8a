"""The likelihood of the probability flow against densities that are known: Gaussian data, a mixture, grey levels."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal

import diffusion_core as dc
from diffusion_core.checking import GaussianData, denoiser_output
from tests.axes import name
from tests.diffusion_core.mixture import MixtureData
from tests.diffusion_core.problems import DATA, diffusion

HORIZON = 1000


def exact_model(
    data: GaussianData | MixtureData, schedule: dc.Schedule, parameterization: dc.Parameterization | None = None, **more
) -> dc.Diffusion:
    parameterization = parameterization or dc.Epsilon()
    output = denoiser_output(data.denoise, parameterization, schedule, HORIZON)
    return diffusion(output, HORIZON, parameterization=parameterization, schedule=schedule, real=True, **more)


def gaussian_flow(x0: Tensor, model: dc.Diffusion) -> Tensor:
    """bits/dim of x_0 [N, 2]: the flow of Gaussian data is linear, x_T/√V_T = x_1/√V_1 with V = ᾱ s + 1 − ᾱ."""
    alpha_bar_1, alpha_bar_T = torch.sigmoid(-model.gamma(torch.tensor([1, HORIZON])))
    v_1, v_T = (a * DATA.variance + 1 - a for a in (alpha_bar_1, alpha_bar_T))
    x_T = alpha_bar_1.sqrt() * x0 * (v_T / v_1).sqrt()
    log_density = Normal(0.0, 1.0).log_prob(x_T) + 0.5 * torch.log(alpha_bar_1 * v_T / v_1)
    return -log_density.mean(1) / math.log(2)


@pytest.mark.parametrize(
    ("parameterization", "schedule"), [(dc.Epsilon(), dc.Linear()), (dc.EdmParameterization(), dc.Saved())], ids=name
)
def test_on_gaussian_data_the_flow_has_its_closed_form(parameterization, schedule):
    x0 = torch.tensor([[0.5, -1.0], [0.0, 0.0], [2.0, 3.0]])
    model = exact_model(DATA, schedule, parameterization)
    ours = dc.flow_likelihood(model, x0, steps=32, probes=2, seed=0)
    torch.testing.assert_close(ours.total, gaussian_flow(x0.double(), model), rtol=2e-5, atol=2e-5)
    assert ours.probe_error == 0


MIXTURE = MixtureData(components=4, radius=1.0, width=0.2)


def test_hutchinsons_estimate_is_unbiased_and_its_error_is_stated():
    x0 = MIXTURE.sample(100, 1)
    model = exact_model(MIXTURE, dc.LogSnrLinear())
    exact = dc.flow_likelihood(model, x0, steps=24, probes=2, seed=0).total
    one = diffusion(  # The same problem with a dimension more than there are probes.
        lambda x, t: torch.cat([model.network(x[:, :2], t * 1000 / HORIZON), standard(x[:, 2:], t, model)], dim=1),
        HORIZON,
        schedule=dc.LogSnrLinear(),
        real=True,
        shape=(3,),
    )
    third = torch.randn(100, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ours = dc.flow_likelihood(one, torch.cat([x0, third], dim=1), steps=24, probes=2, seed=0)
    alone = -Normal(0.0, 1.0).log_prob(third).flatten() / math.log(2)
    difference = (3 * ours.total - 2 * exact - alone).mean().item() / 3
    assert 0 < ours.probe_error < 0.06
    assert abs(difference) < 4 * ours.probe_error + 1e-3


def standard(x_t: Tensor, t: Tensor, model: dc.Diffusion) -> Tensor:
    """ε̂ for x_0 ~ N(0, 1): E[ε | x_t] = √(1 − ᾱ) x_t."""
    return torch.sigmoid(model.gamma(t)).sqrt()[:, None].to(x_t.dtype) * x_t


def test_the_offset_makes_a_density_a_probability_of_grey_levels():
    """One pixel, x_0 ~ N(0, 0.3): mean bits per level are those of E_u log ∫ of the density over the level's share."""
    data, levels = GaussianData((0.3,)), 17
    model = exact_model(data, dc.LogSnrLinear(), encoding=dc.GreyLevels(levels), shape=(1, 1, 1))
    raw = torch.arange(levels, dtype=torch.uint8).repeat(700 // levels)[:, None, None, None]
    ours = dc.flow_likelihood(model, raw, steps=16, probes=1, seed=0).total.reshape(-1, levels).mean(0)
    width = 256 // levels
    u = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000
    x = (torch.arange(levels)[:, None] * width + u * width - 0.5) / 127.5 - 1
    expected = -(Normal(0.0, 0.3**0.5).log_prob(x) / math.log(2)).mean(1) - math.log2(width / 127.5)
    torch.testing.assert_close(ours, expected, rtol=0, atol=0.05)


@pytest.mark.parametrize(
    ("schedule", "parameterization", "reason"),
    [
        (dc.Linear(), dc.Mu(), "parameterization=mu predicts a mean between two times"),
        (
            dc.Rectified(),
            dc.V(),
            "ends in noise alone, at an infinite noise level that no integral over noise levels reaches",
        ),
    ],
)
def test_of_a_mean_between_two_times_and_from_noise_alone_there_is_no_flow(schedule, parameterization, reason):
    model, x0 = exact_model(DATA, schedule, parameterization), torch.zeros(2, 2)
    with pytest.raises(ValueError, match=reason):
        dc.flow_likelihood(model, x0, steps=2, probes=1, seed=0)
    with pytest.raises(ValueError, match=reason):
        dc.continuous_bound(model, x0, draws=2, seed=0)
