"""Autoencoders against torch.distributions, autograd and a search through all codes."""

from __future__ import annotations

import math

import mpmath
import pytest
import torch
from torch import nn
from torch.distributions import Independent, Normal, kl_divergence

from diffusion_core.autoencoder import KlAutoencoder
from diffusion_core.encodings import GreyLevels
from diffusion_core.randomness import normal
from diffusion_core.spaces import Latents


def small(**fields) -> Latents:
    return Latents(**{"width": 8, "channels": 3, **fields})


@pytest.fixture
def images(generator):
    return torch.randint(0, 17, (6, 1, 8, 8), generator=generator).to(torch.uint8)


@pytest.fixture
def moments(generator):
    return 2 * torch.randn(5, 6, 2, 2, generator=generator, dtype=torch.float64)


def kl_autoencoder(weight=1.0) -> KlAutoencoder:
    return KlAutoencoder(GreyLevels(17), nn.Identity(), nn.Identity(), 3, weight)


def posterior(moments) -> Independent:
    mean, log_variance = moments.chunk(2, dim=1)
    return Independent(Normal(mean, log_variance.exp().sqrt()), 3)


def test_divergence_density_and_draws_are_those_of_torch(moments, generator):
    noise = torch.randn(5, 3, 2, 2, generator=generator, dtype=torch.float64)
    model, q = kl_autoencoder(), posterior(moments)
    prior = Independent(Normal(torch.zeros_like(q.mean), torch.ones_like(q.mean)), 3)
    z = model.posterior(moments).sample(noise)
    torch.testing.assert_close(model.kl(moments), kl_divergence(q, prior))
    torch.testing.assert_close(z, q.mean + q.stddev * noise)
    torch.testing.assert_close(model.log_density(moments, z), q.log_prob(z))


@pytest.mark.parametrize("level", [0, 9, 16])
def test_the_probability_of_a_level_is_the_integral_over_its_share_of_the_scale(level):
    """A level k of digits holds the 8-bit values 15 k − ½ to 15 k + 14½, on a scale of 127.5 values to 1."""
    mean, sigma = 0.37, 0.21
    lower = -mpmath.inf if level == 0 else ((15 * level - 0.5) / 127.5 - 1 - mean) / sigma
    upper = mpmath.inf if level == 16 else ((15 * level + 14.5) / 127.5 - 1 - mean) / sigma
    with mpmath.workdps(40):
        expected = -mpmath.log(mpmath.ncdf(upper) - mpmath.ncdf(lower))
    raw = torch.tensor([[level]], dtype=torch.uint8)
    like = torch.full((1, 1), mean, dtype=torch.float64)
    nats = GreyLevels(17).level_term(raw, like, torch.tensor(2 * math.log(sigma), dtype=torch.float64))
    assert float(nats) == pytest.approx(float(expected), rel=1e-10)


@pytest.mark.parametrize("weight", [1.0, 0.25])
def test_the_loss_of_kl_is_the_negative_evidence_bound_and_its_weight_is_of_the_divergence(images, weight):
    model = small(kl_weight=weight).build(GreyLevels(17), (1, 8, 8))
    model.initialise(3)
    q = posterior(model.moments(images))
    z = q.mean + q.stddev * normal(5, 9, "z", (6, 3, 4, 4), images.device)
    sigma = math.exp(0.5 * model.log_variance.item())
    edges = (torch.arange(18).double() * 15 - 0.5) / 127.5 - 1
    edges[0], edges[-1] = -math.inf, math.inf
    cdf = Normal(model.decoder(z).double(), sigma).cdf(edges[torch.stack([images.long(), images.long() + 1])])
    prior = Independent(Normal(torch.zeros_like(q.mean), torch.ones_like(q.mean)), 3)
    expected = -(cdf[1] - cdf[0]).log().flatten(1).sum(1) + weight * kl_divergence(q, prior)
    found = model.batch_losses(images, 5, 9)["autoencoder"]
    torch.testing.assert_close(found.double(), expected / (64 * math.log(2)), rtol=1e-4, atol=1e-5)


@pytest.fixture
def vq():
    model = small(regularization="vq", codes=7, commitment=0.3).build(GreyLevels(17), (1, 8, 8))
    model.initialise(1)
    return model.double()


def test_codes_are_the_nearest(vq, generator):
    vq.codebook.data = torch.randn(7, 3, generator=generator)
    z = torch.randn(4, 3, 2, 5, generator=generator)
    nearest = torch.cdist(z.movedim(1, -1).flatten(0, 2), vq.codebook).argmin(1)
    assert torch.equal(vq.quantise(z).movedim(1, -1).flatten(0, 2), vq.codebook[nearest])
    assert vq.used(z) == len(nearest.unique())


def test_the_codebook_starts_among_the_codes_of_the_first_batch(vq, images):
    vq.batch_losses(images, 4, 0)
    places = vq.moments(images).movedim(1, -1).flatten(0, -2)
    assert len(vq.codebook.unique(dim=0)) == 7
    # Kernels where gradients are asked for may round otherwise than those where none are.
    assert torch.cdist(vq.codebook, places).min(1).values.max() < 1e-6


def test_the_loss_of_vq_and_where_its_gradients_go(vq, images):
    """The reconstruction reaches the encoder as if z were z_q; ‖sg z − z_q‖² the codes, c ‖z − sg z_q‖² the encoder."""
    vq.batch_losses(images, 4, 0)
    z = vq.moments(images)
    z_q = vq.quantise(z).detach()
    nats = vq.levels.level_term(images, vq.decoder(z_q), vq.log_variance)
    squares = ((z.detach() - z_q) ** 2).flatten(1).mean(1)
    expected = nats / (64 * math.log(2)) + 1.3 * squares
    loss = vq.batch_losses(images, 4, 1)["autoencoder"]
    torch.testing.assert_close(loss, expected)

    codes, *encoder = torch.autograd.grad(loss.sum(), [vq.codebook, *vq.encoder.parameters()])
    at_codes = z_q.clone().requires_grad_()
    terms = vq.levels.level_term(images, vq.decoder(at_codes), vq.log_variance).sum() / (64 * math.log(2))
    slope = torch.autograd.grad(terms, at_codes)[0] + 0.3 * 2 * (z.detach() - z_q) / z[0].numel()
    wanted = torch.autograd.grad(vq.moments(images), list(vq.encoder.parameters()), slope)
    for found, gradient in zip(encoder, wanted, strict=True):
        torch.testing.assert_close(found, gradient, rtol=1e-8, atol=1e-12)
    by_code = torch.zeros(7, 3, dtype=torch.float64)
    difference = (2 * (z_q - z.detach()) / z[0].numel()).movedim(1, -1).flatten(0, -2)
    by_code.index_add_(0, vq.indices(z).flatten(), difference)
    torch.testing.assert_close(codes, by_code, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize(
    ("attempt", "line"),
    [
        (lambda: Latents(f=2).build(GreyLevels(), (1, 7, 8)), r"space.f=2 does not divide .*7×8.*f=1$"),
        (lambda: Latents().shape_of((2,)), r"code of images.*space=pixels"),
    ],
)
def test_what_makes_no_autoencoder_is_refused(attempt, line):
    with pytest.raises(ValueError, match=line):
        attempt()
