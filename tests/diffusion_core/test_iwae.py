"""The importance-weighted bound: exact where the reverse process is, else against integrals over a grid."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal

import diffusion_core as dc
from diffusion_core.checking import GaussianData
from diffusion_core.iwae import Weighted
from diffusion_core.likelihood import Vae, own_error
from diffusion_core.refusing import choice_name
from tests.diffusion_core.mixture import bayes
from tests.diffusion_core.problems import diffusion, exact_model
from tests.diffusion_core.test_latents import MODEL, SHAPE, of_standard_normal

HORIZON = 4
SCHEDULE = dc.LogSnrLinear(gamma_min=-4, gamma_max=5)
LN2 = math.log(2)


def weighted(model: dc.Diffusion | Vae, raw: Tensor, draws: int = 16, seed: int = 0, **more) -> Weighted:
    return dc.importance_weighted(model, raw, draws=draws, seed=seed, **more)


def points_of(data: GaussianData, n: int) -> Tensor:
    noise = torch.randn(n, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return (data.variance.sqrt() * noise).float()


def alpha_bars(model: dc.Diffusion) -> Tensor:
    return torch.sigmoid(-model.gamma(torch.arange(model.choices.horizon + 1))).detach()


@pytest.mark.parametrize("schedule", [SCHEDULE, dc.Rectified()], ids=choice_name)
@pytest.mark.parametrize("steps", [None, 1])
def test_where_the_reverse_process_is_exact_every_weight_is_the_density(schedule, steps):
    """N(0, I) stays N(0, I) under noise, and β is the variance of its reverse steps."""
    data = GaussianData((1.0, 1.0))
    raw = points_of(data, 40)
    result = weighted(exact_model(HORIZON, dc.Beta(), data, schedule=schedule), raw, steps=steps)
    exact = -Normal(0.0, 1.0).log_prob(raw.double()).sum(1)
    torch.testing.assert_close(result.nats, exact.expand(2, 16, -1), rtol=0, atol=2e-5)
    torch.testing.assert_close(result.looseness, torch.zeros(40, dtype=torch.float64), rtol=0, atol=1e-5)


def masses(model: dc.Diffusion, points: Tensor) -> Tensor:
    """p_θ(x_1) dx [G] of 1-D data whose x̂_0 is `curved`, by the rectangle rule on points [G] from x_T on; σ² = β."""
    alpha_bar, dx = alpha_bars(model), points[1] - points[0]
    mass = torch.exp(-(points**2) / 2) / math.sqrt(2 * math.pi) * dx
    for t in range(model.choices.horizon, 1, -1):
        mean, _ = bayes(curved(points), points, alpha_bar[t], alpha_bar[t - 1])
        sigma = (1 - alpha_bar[t] / alpha_bar[t - 1]).sqrt().expand_as(mean)
        mass = (Normal(mean, sigma).log_prob(points[:, None]).exp() * dx) @ mass
    return mass


def curved(x_t: Tensor) -> Tensor:
    """x̂_0 of a network that no Gaussian recursion knows."""
    return 0.7 * torch.tanh(x_t)


NOISY = dc.LogSnrLinear(gamma_min=-1, gamma_max=2)
POINTS = torch.linspace(-8, 8, 501, dtype=torch.float64)


def of_curved(encoding: dc.Encoding | None = None, shape: tuple[int, ...] = (1,)) -> dc.Diffusion:
    choices = {"parameterization": dc.X0(), "variance": dc.Beta(), "schedule": NOISY}
    return diffusion(lambda x_t, t: curved(x_t), 3, encoding=encoding, shape=shape, **choices).with_clip(False)


def assert_average(exact: Tensor, result: Weighted) -> None:
    """The mean weight of each of a few examples, given many times over, is its exact likelihood [B]."""
    weights = torch.exp(-result.nats.movedim(-1, 0)).reshape(len(exact), -1) * 2 ** (-result.offset)
    error = weights.std(1) / weights.shape[1] ** 0.5
    assert ((weights.mean(1) - exact).abs() < 4 * error).all()
    assert (error < 0.05 * exact).all()
    assert result.looseness.mean() > 0.1


def test_of_dequantised_grey_levels_the_weights_average_to_their_probability():
    """What dequantises a level is drawn with the path, so nothing of it is left: P(k) is the sum over its values."""
    model = of_curved(dc.GreyLevels(17), (1, 1, 1))
    sigma = (1 - alpha_bars(model)[1]).sqrt().expand_as(POINTS)
    values = torch.arange(256, dtype=torch.float64)[:, None] / 127.5 - 1
    below, above = (Normal(curved(POINTS), sigma).cdf(values + side / 255) for side in (-1, 1))
    below[0], above[-1] = 0, 1
    probability = (above - below) @ masses(model, POINTS)
    assert probability.sum().item() == pytest.approx(1, abs=1e-6)
    raw = torch.tensor([3, 6, 9, 12], dtype=torch.uint8)
    exact = torch.stack([probability[15 * k : 15 * k + 15].sum() for k in raw.tolist()])
    assert_average(exact, weighted(model, raw.repeat_interleave(100)[:, None, None, None], draws=80))


def test_a_code_and_a_vae_are_weighted_by_what_draws_the_code(generator):
    """The encoder's exact posterior leaves nothing to be weighted, a wider one has the likelihood as its limit."""
    raw = torch.randint(1, 255, (8, *SHAPE), generator=generator).to(torch.uint8)
    exact = MODEL.bits(raw)
    for model in (Vae(MODEL.latents()), of_standard_normal()):
        result = weighted(model, raw)
        torch.testing.assert_close(result.total, exact, rtol=0, atol=1e-5)
        torch.testing.assert_close(result.looseness, torch.zeros_like(exact), rtol=0, atol=1e-5)
    wide = MODEL.latents()
    wide.autoencoder.encoder.constant += math.log(2)
    for model in (Vae(wide), replace_encoding(of_standard_normal(), wide)):
        result = weighted(model, raw, draws=24)
        assert result.looseness.mean() > 0.05
        assert (result.total - exact).mean().item() == pytest.approx(0, abs=4 * own_error(result.halves) + 1e-3)


def replace_encoding(model: dc.Diffusion, encoding: dc.Encoding) -> dc.Diffusion:
    model.encoding = encoding
    return model


def test_weights_of_which_one_is_all_are_no_trouble_and_one_draw_is_refused():
    """Differences of 10,000 nats: the largest weight of a half counts alone."""
    result = Weighted(torch.tensor([[[0.0], [1e4]], [[3e4], [2e4]]], dtype=torch.float64), 1, 0.5)
    assert result.halves.flatten().tolist() == pytest.approx([1.5, 2e4 / LN2 + 1.5])
    assert result.looseness.item() == pytest.approx(5e3 / LN2 - 1)
    with pytest.raises(ValueError, match="at least 2 draws, got 1: by 1 it is the bound"):
        weighted(of_curved(), torch.zeros(3, 1), 1)
