"""Bounds by way of latents: on a linear-Gaussian model, whose likelihood is known, and of codes that are made up."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import repeat

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

import diffusion_core as dc
from diffusion_core import stratified
from diffusion_core.autoencoder import HASTE
from diffusion_core.checking import column
from diffusion_core.latents import CHUNK, LatentCode, standard
from diffusion_core.likelihood import Vae
from tests.diffusion_core.problems import diffusion

HORIZON = 12
SHAPE, CODE = (1, 2, 2), (2, 1, 1)


class Affine(nn.Module):
    """x [B, …] → A x + b, then some constant channels, shaped [B, *shape]."""

    def __init__(self, matrix: Tensor, offset: Tensor, shape: tuple[int, ...], constant: Tensor | None = None) -> None:
        super().__init__()
        self.matrix, self.offset, self.shape, self.constant = matrix, offset, shape, constant

    def forward(self, x: Tensor) -> Tensor:
        y = x.flatten(1) @ self.matrix.T + self.offset
        if self.constant is not None:
            y = torch.cat([y, self.constant.expand(len(x), -1)], dim=1)
        return y.reshape(len(x), *self.shape)


@dataclass(frozen=True)
class LinearGaussian:
    """z ~ N(m, diag S²) [2], x ~ N(W z + b, s² I) [4]; W has orthogonal columns, so that the posterior is diagonal.

    Grey levels are bins so narrow beside s that their probability is the density times their width, to 1e-8.
    """

    s: float = 10.0

    @property
    def W(self) -> Tensor:
        return torch.tensor([[6.0, 2.0], [6.0, -2.0], [-6.0, 2.0], [6.0, 2.0]], dtype=torch.float64)

    b = torch.tensor([0.3, -0.1, 0.2, 0.0], dtype=torch.float64)
    m = torch.tensor([0.7, -1.5], dtype=torch.float64)
    S = torch.tensor([1.7, 0.4], dtype=torch.float64)

    def bits(self, raw: Tensor) -> Tensor:
        """−log2 P(x)/D [B], of levels 1..254, from the marginal of x."""
        covariance = self.W @ torch.diag(self.S**2) @ self.W.T + self.s**2 * torch.eye(4, dtype=torch.float64)
        x = raw.flatten(1).double() / 127.5 - 1
        log_density = MultivariateNormal(self.W @ self.m + self.b, covariance).log_prob(x)
        return -(log_density + 4 * math.log(2 / 255)) / (4 * math.log(2))

    def latents(self) -> LatentCode:
        """The model as an autoencoder with the exact posterior, in latents scaled to N(0, I)."""
        precision = self.S**-2 + (self.W**2).sum(0) / self.s**2
        matrix = self.W.T / self.s**2 / precision[:, None]
        offset = (self.S**-2 * self.m - self.W.T @ self.b / self.s**2) / precision
        encoder = Affine(matrix, offset, (4, 1, 1), -precision.log())
        autoencoder = dc.KlAutoencoder(dc.GreyLevels(), encoder, Affine(self.W, self.b, SHAPE), 2, weight=1.0).double()
        autoencoder.decoder_scale.data.fill_(2 * math.log(self.s) / HASTE)
        return LatentCode(autoencoder.requires_grad_(False), self.m, self.S, SHAPE, CODE)


MODEL = LinearGaussian()


@pytest.fixture
def raw(generator):
    return torch.randint(1, 255, (50, *SHAPE), generator=generator).to(torch.uint8)


def test_with_the_exact_encoder_every_draw_of_the_evidence_bound_is_the_likelihood(raw):
    for seed in (0, 1):
        score = Vae(MODEL.latents()).bound(raw, seed=seed)
        torch.testing.assert_close(score.total, MODEL.bits(raw), rtol=0, atol=1e-6)
        assert score.reconstruction.std() > 1e-3, "its parts depend on the draw"


def of_standard_normal(schedule=None):
    """The diffusion of x_0 ~ N(0, I), whose exact denoiser is ε̂ = σ x_t, in the model's latents."""
    schedule = schedule or dc.Linear(rescale=False)
    gamma = schedule.gamma(HORIZON)
    return diffusion(
        lambda x_t, t: column(torch.sigmoid(gamma(t)).sqrt(), x_t) * x_t,
        HORIZON,
        schedule=schedule,
        encoding=MODEL.latents(),
        shape=CODE,
        real=True,
    )


@pytest.fixture
def both_signs(monkeypatch) -> Iterator[list[float]]:
    """ε = 1 and ε = −1 in place of draws: two nodes that are exact for the mean of a square of ε."""
    signs: list[float] = []

    def fixed(seed, purpose, shape, device):
        return repeat(torch.full(shape, signs[-1], dtype=torch.float64))

    monkeypatch.setattr(stratified, "spread_normals", fixed)
    return signs


@pytest.mark.parametrize("schedule", [None, dc.LogSnrLinear()])
def test_the_whole_bound_of_latent_diffusion_is_the_likelihood(raw, schedule, both_signs):
    """With σ² = β a chain over N(0, I) is reversed exactly, so encoder, chain and scale leave no gap."""
    model = of_standard_normal(schedule)
    totals = []
    for sign in (1.0, -1.0):
        both_signs.append(sign)
        totals.append(dc.bound(model, raw, dc.Stratification(HORIZON, 0), seed=3).total)
    torch.testing.assert_close(torch.stack(totals).mean(0), MODEL.bits(raw), rtol=0, atol=1e-6)


def test_the_offset_is_the_jacobian_of_the_scale():
    """log2 |det dz/dx_0| per dimension of the image, by autograd."""
    image, shape = (3, 4, 6), (2, 2, 3)
    code = replace(MODEL.latents(), image_shape=image, code_shape=shape)
    size, dims = math.prod(shape), math.prod(image)
    jacobian = torch.autograd.functional.jacobian(
        lambda x: code.unscaled(x.reshape(1, *shape)).flatten(), torch.zeros(size, dtype=torch.float64)
    )
    expected = float(torch.linalg.slogdet(jacobian).logabsdet) / (dims * math.log(2))
    assert code.offset_bits == code.density_offset_bits == pytest.approx(expected, abs=1e-12)
    assert code.share == size / dims


def test_the_scale_is_mean_and_variance_of_draws_over_images_and_places_per_channel(generator):
    """Of more images than go through the encoder at once; channel 1 differs between places."""
    offset = torch.tensor([10.0, 0.0, -4.0, 0.2, 0.5, -1.0]).repeat_interleave(4)
    offset[4:6] += 2
    encoder = Affine(torch.randn(24, 4, generator=generator), offset, (6, 2, 2))
    model = dc.KlAutoencoder(dc.GreyLevels(), encoder, nn.Identity(), 3, 1.0)
    images = torch.randint(256, (CHUNK + 200, *SHAPE), generator=generator).to(torch.uint8)
    moments, found = model.moments(images).double().numpy(), standard(model, images)
    mean, sd = moments[:, :3], np.exp(0.5 * moments[:, 3:])
    draws = mean + sd * np.random.default_rng(0).standard_normal((400, *mean.shape))
    np.testing.assert_allclose(found.mean, draws.mean((0, 1, 3, 4)), atol=0.01)
    np.testing.assert_allclose(found.scale, draws.std((0, 1, 3, 4)), rtol=0.01)
    # What tells images apart, place by place: that places differ, as they do in channel 1, says nothing of the image.
    signal = np.stack([mean[:, :, i, j].var(0) for i in range(2) for j in range(2)]).mean(0)
    np.testing.assert_allclose(found.active, signal / draws.var((0, 1, 3, 4)), rtol=0.02)
    assert mean[:, 1].var() > 1.5 * signal[1]


def test_what_is_diffused_is_quantised_before_it_is_decoded_and_has_no_likelihood():
    levels = dc.GreyLevels(17)
    codebook = torch.tensor([[-1.0], [0.0], [0.9]])
    autoencoder = dc.VqAutoencoder(levels, nn.Identity(), nn.Identity(), codebook, 0.25)
    code = LatentCode(autoencoder, torch.zeros(1), torch.full((1,), 2.0), (1, 1, 3), (1, 1, 3))
    x0 = torch.tensor([-0.4, 0.1, 7.0]).reshape(1, 1, 1, 3)
    expected = levels.decode(torch.tensor([-1.0, 0.0, 0.9]).reshape(1, 1, 1, 3))
    assert torch.equal(code.decode(x0), expected)
    for attempt in (code.code, code.density_code):
        with pytest.raises(ValueError, match="no density"):
            attempt(expected, 0, "x")
