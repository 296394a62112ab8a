"""Autoencoders against torch.distributions, autograd and a search through all codes."""

from __future__ import annotations

import copy
import math

import mpmath
import pytest
import torch
from torch import nn
from torch.distributions import Independent, Normal, kl_divergence

from diffusion_core.autoencoder import HASTE, KlAutoencoder, VqAutoencoder
from diffusion_core.encodings import GreyLevels
from diffusion_core.randomness import normal
from diffusion_core.spaces import Latents, Pixels, Space
from diffusion_core.trainer import train
from diffusion_core.training import Training
from tests.axes import across, members

LATENTS = [member for member in members(Space) if isinstance(member, Latents)]


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
    z = model.draw(moments, noise)
    torch.testing.assert_close(model.kl(moments), kl_divergence(q, prior))
    torch.testing.assert_close(z, q.mean + q.stddev * noise)
    torch.testing.assert_close(model.log_density(moments, z), q.log_prob(z))
    torch.testing.assert_close(model.variance(moments), q.variance)
    assert torch.equal(model.mean(moments), q.mean)


@across(levels=(2, 17, 256), log_variance=(-12.0, -4.0, 0.0, 8.0), mean=(-3.0, -0.93, 0.2, 1.4))
def test_the_probabilities_of_all_levels_sum_to_one(levels, mean, log_variance):
    raw = torch.arange(levels, dtype=torch.uint8)[:, None]
    like = torch.full((levels, 1), mean, dtype=torch.float64)
    nats = GreyLevels(levels).level_term(raw, like, torch.tensor(log_variance, dtype=torch.float64))
    assert float(torch.logsumexp(-nats, 0)) == pytest.approx(0, abs=1e-10)


@pytest.mark.parametrize("level", [0, 1, 9, 16])
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


def test_the_loss_of_kl_is_the_negative_evidence_bound_and_its_weight_is_of_the_divergence(images):
    losses = []
    for weight in (0.0, 1.0, 0.25):
        model = small(kl_weight=weight).build(GreyLevels(17), (1, 8, 8))
        model.initialise(3)
        moments = model.moments(images)
        noise = normal(5, 9, "z", (6, 3, 4, 4), images.device)
        q = posterior(moments)
        z = q.mean + q.stddev * noise
        x = model.decoder(z).double()
        sigma = math.exp(0.5 * model.log_variance.item())
        edges = (torch.arange(18).double() * 15 - 0.5) / 127.5 - 1
        edges[0], edges[-1] = -math.inf, math.inf
        cdf = Normal(x, sigma).cdf(edges[(images.long() + torch.tensor([0, 1])[:, None, None, None, None])])
        prior = Independent(Normal(torch.zeros_like(q.mean), torch.ones_like(q.mean)), 3)
        expected = -(cdf[1] - cdf[0]).log().flatten(1).sum(1) + weight * kl_divergence(q, prior)
        found = model.batch_losses(images, 5, 9)["autoencoder"]
        torch.testing.assert_close(found.double(), expected / (64 * math.log(2)), rtol=1e-4, atol=1e-5)
        losses.append(found)
    assert (losses[1] > losses[2]).all()
    assert (losses[2] > losses[0]).all()


@pytest.fixture
def vq():
    model = small(regularization="vq", codes=7, commitment=0.3).build(GreyLevels(17), (1, 8, 8))
    model.initialise(1)
    return model.double()


def test_codes_are_the_nearest(vq, generator):
    assert isinstance(vq, VqAutoencoder)
    vq.codebook.data = torch.randn(7, 3, generator=generator)
    z = torch.randn(4, 3, 2, 5, generator=generator)
    found = vq.quantise(z)
    for b in range(4):
        for i in range(2):
            for j in range(5):
                distances = ((vq.codebook - z[b, :, i, j]) ** 2).sum(1)
                assert torch.equal(found[b, :, i, j], vq.codebook[distances.argmin()])
    assert vq.used(z) == len(vq.indices(z).unique())


def test_the_codebook_starts_among_the_codes_of_the_first_batch(vq, images):
    vq.batch_losses(images, 4, 0)
    places = vq.moments(images).movedim(1, -1).flatten(0, -2)
    assert len(vq.codebook.unique(dim=0)) == 7
    # Kernels where gradients are asked for may round otherwise than those where none are.
    assert all(bool(torch.isclose(places, code, atol=1e-6).all(1).any()) for code in vq.codebook)
    before = vq.codebook.clone()
    vq.batch_losses(images, 4, 1)
    assert torch.equal(vq.codebook, before)


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


@across(space=LATENTS, shape=((1, 8, 8), (3, 16, 24)))
def test_every_code_has_its_shape_and_every_reconstruction_the_images(space, shape):
    generator = torch.Generator().manual_seed(0)
    model = space.build(GreyLevels(), shape)
    raw = torch.randint(0, 256, (2, *shape), generator=generator).to(torch.uint8)
    z = model.mean(model.moments(raw))
    assert tuple(z.shape[1:]) == space.shape_of(shape) == (4, shape[1] // space.f, shape[2] // space.f)
    assert model.decode(z).shape == (2, *shape)
    assert math.log2(space.f) == space.halvings


@pytest.mark.parametrize(
    ("f", "shape", "allowed"), [(2, (1, 7, 8), "1"), (4, (1, 14, 14), "1 or 2"), (8, (3, 12, 20), "1 or 2 or 4")]
)
def test_sides_that_f_does_not_divide_are_refused_with_those_that_do(f, shape, allowed):
    for attempt in (Latents(f=f).shape_of, lambda shape: Latents(f=f).build(GreyLevels(), shape)):
        with pytest.raises(ValueError, match=rf"space.f={f} does not divide .*{shape[1]}×{shape[2]}.*f={allowed}$"):
            attempt(shape)


def test_points_have_no_code_and_pixels_keep_any_shape():
    assert Pixels().shape_of((3, 5, 7)) == (3, 5, 7)
    assert Pixels().shape_of((2,)) == (2,)
    with pytest.raises(ValueError, match=r"code of images.*space=pixels"):
        Latents().shape_of((2,))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("f", 3), ("channels", 0), ("width", 0), ("width", 12), ("blocks", 0), ("groups", 0), ("steps", 0)),
        *(("batch", 0), ("kl_weight", -1.0), ("commitment", -0.1), ("learning_rate", 0.0), ("codes", 1)),
    ],
)
def test_fields_out_of_range_are_refused(field, value):
    with pytest.raises(ValueError, match=field):
        Latents(**{field: value})


@pytest.mark.parametrize(("f", "regularization"), [(2, "kl"), (4, "vq")])
def test_an_autoencoder_learns(f, regularization, generator):
    """Bars that are bright or dark: half of a uniform code's bits go in a few steps, and a cut run is the same."""
    bright = torch.randint(0, 2, (64, 1, 8, 1), generator=generator)
    raw = (16 * bright).expand(64, 1, 8, 8).to(torch.uint8).contiguous()
    plan = Training(40, 32, 8e-3, warmup=5, report_every=20)
    model = Latents(f, regularization=regularization, width=8).build(GreyLevels(17), (1, 8, 8))
    model.initialise(0)
    start = copy.deepcopy(model)
    reports = [(r.losses, {k: v.clone() for k, v in r.state().items()}) for r in train(model, raw, plan, 0)]
    (_, half), (losses, end) = reports
    assert losses["autoencoder"] < math.log2(17) / 2
    (again,) = train(start, raw, plan, 0, (20, half))
    assert again.losses == losses
    assert all(torch.equal(value, end[key]) for key, value in again.state().items())


def test_diagnostics_are_the_decoders_sigma():
    model = kl_autoencoder()
    model.decoder_scale.data.fill_(2 * math.log(0.3) / HASTE)
    assert model.diagnostics() == {"train/decoder_sigma": pytest.approx(0.3)}
