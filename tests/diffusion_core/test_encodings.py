"""The decoders of L_0 against arbitrary precision, units, and what dequantisation does to a code's length."""

from __future__ import annotations

import math
from itertools import islice

import mpmath
import pytest
import torch
from torch import Tensor
from torch.distributions import Normal

from diffusion_core.encodings import Continuous, GreyLevels
from diffusion_core.terms import log_bin_probability, softmax_decoder
from tests.axes import across, paired

LEVELS = torch.arange(256, dtype=torch.float64) / 127.5 - 1
ALMOST_ONE = 1 - 2.0**-53


def exact_log_probability(level: int, mean: float, log_variance: float) -> mpmath.mpf:
    """The log-probability of a level's bin with 60 digits, in whichever tail keeps them."""
    sigma = mpmath.exp(mpmath.mpf(log_variance) / 2)
    x = mpmath.mpf(float(LEVELS[level]))
    lower = -mpmath.inf if level == 0 else (x - mpmath.mpf(1) / 255 - mean) / sigma
    upper = mpmath.inf if level == 255 else (x + mpmath.mpf(1) / 255 - mean) / sigma
    if lower + upper > 0:
        lower, upper = -upper, -lower
    return mpmath.log(mpmath.ncdf(upper) - mpmath.ncdf(lower))


def log_probabilities(mean: float, log_variance: float) -> Tensor:
    """[256]."""
    return log_bin_probability(LEVELS, torch.full_like(LEVELS, mean), torch.full_like(LEVELS, log_variance))


@paired(log_variance=(-14.0, -9.2, -6.0, -2.0, 0.0, 3.0, 20.0), mean=(-1.0, 0.0, 0.0013, 0.99, 1.004))
def test_probability_of_a_grey_level_agrees_with_sixty_digits(mean, log_variance):
    log_p = log_probabilities(mean, log_variance)
    with mpmath.workdps(60):
        for level in (0, 1, 64, 127, 128, 200, 254, 255):
            expected = float(exact_log_probability(level, mean, log_variance))
            assert log_p[level].item() == pytest.approx(expected, rel=1e-11, abs=1e-9), level


@paired(sigma=(1e-3, 0.02, 1.0), deviations=(-60, -40, -8, 8, 40, 60), level=(0, 3, 128, 252, 255))
def test_probability_and_its_slope_are_exact_far_out_in_the_tails(level, sigma, deviations):
    mean = float(LEVELS[level]) + sigma * deviations
    at = (mean, 2 * math.log(sigma))
    parameters = [torch.tensor([v], dtype=torch.float64, requires_grad=True) for v in at]
    log_p = log_bin_probability(LEVELS[level : level + 1], *parameters)
    slopes = torch.autograd.grad(log_p.sum(), parameters)
    with mpmath.workdps(60):
        expected = [mpmath.diff(lambda *m: exact_log_probability(level, *m), at, n) for n in ((0, 0), (1, 0), (0, 1))]
    for actual, value in zip((log_p, *slopes), expected, strict=True):
        assert actual.item() == pytest.approx(float(value), rel=1e-8, abs=1e-12)


def test_continuous_decoder_is_the_gaussian_density(generator):
    x0, mean, log_variance = torch.randn(3, 5, 2, 3, generator=generator, dtype=torch.float64)
    expected = -Normal(mean, (log_variance / 2).exp()).log_prob(x0).flatten(1).sum(1)
    torch.testing.assert_close(Continuous().decoder_term(x0, mean, log_variance), expected, rtol=1e-12, atol=0)


@across(levels=(2, 10, 17, 255, 256), u=(0.0, 0.5, ALMOST_ONE))
def test_every_grey_level_comes_back_from_its_encoding(levels, u):
    encoding = GreyLevels(levels)
    raw = torch.arange(levels, dtype=torch.uint8)
    x = encoding.encode(raw, torch.full((levels,), u, dtype=torch.float64))
    values = (x.double() + 1) * 127.5
    assert x.dtype == torch.float32
    assert x.abs().max() <= 1
    torch.testing.assert_close(values, values.round(), rtol=0, atol=1e-5)
    assert torch.equal(encoding.decode(x), raw)


def test_terms_take_a_level_at_its_8_bit_values_evenly_in_turn():
    encoding, raw = GreyLevels(17), torch.arange(17, dtype=torch.uint8).repeat(40)
    spread = list(islice(encoding.spread(raw, encoding.code(raw, 0, "code"), 0, "u"), 60))
    assert all(torch.equal(encoding.decode(x0), raw) for x0 in spread)
    values = ((torch.stack(spread).double() + 1) * 127.5).round().long() - 15 * raw.long()
    times = torch.stack([(values == value).sum(0) for value in range(15)])
    # 4 of each in 60; independent draws would take some value none or 10 times at most pixels.
    assert (int(times.min()), int(times.max())) >= (2, 4)
    assert int(times.max()) <= 6
    # The first of them alone are uniform: 680 pixels.
    assert torch.bincount(values[0], minlength=15).double().sub(680 / 15).abs().max() < 5 * (680 / 15) ** 0.5


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_as_a_density_a_level_fills_the_scale_around_its_8_bit_values(levels):
    """From half a value before the first of them, w k, to half a value after the last, w (k + 1) − 1."""
    encoding, k, width = GreyLevels(levels), torch.arange(levels, dtype=torch.uint8), 256 // levels
    for u, first in ((0.0, -0.5), (1.0, width - 0.5)):
        expected = (width * k.double() + first) / 127.5 - 1
        ends = encoding.dequantise(k, torch.full((levels,), u, dtype=torch.float64)).double()
        torch.testing.assert_close(ends, expected, rtol=0, atol=1e-6)


def test_decoding_takes_the_nearest_value_and_stays_within_the_levels():
    assert GreyLevels().decode(torch.tensor([-7.0, -1.0, -1 + 1.4 / 255, 0.999, 3.0])).tolist() == [0, 0, 1, 255, 255]
    assert GreyLevels(17).decode(torch.tensor([-7.0, 3.0])).tolist() == [0, 16]


def test_what_dequantisation_costs():
    """Minus the logarithm of a level's width."""
    digits, grey, points = GreyLevels(17), GreyLevels(), Continuous()
    assert [encoding.offset_bits for encoding in (digits, grey, points)] == [-math.log2(15), 0, 0]


@across(gamma=(-40.0, -9.0, -3.0, 2.0), noise=(0.0, -5.5))
def test_the_softmax_decoder_is_a_softmax_over_every_level(gamma, noise):
    """All 256 levels, those at both ends included, by torch's own log_softmax; and its gradient in γ by autograd."""
    eps = torch.full_like(LEVELS, noise)
    ours_at, theirs_at = (torch.full((256,), gamma, dtype=torch.float64, requires_grad=True) for _ in range(2))
    ours = softmax_decoder(LEVELS[:, None], eps[:, None], ours_at, LEVELS)[:, 0]
    z = LEVELS + torch.exp(0.5 * theirs_at) * eps
    logits = -0.5 * torch.exp(-theirs_at)[:, None] * (z[:, None] - LEVELS) ** 2
    theirs = torch.log_softmax(logits, dim=1).diagonal()
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11)
    gradients = [torch.autograd.grad(log_p.sum(), at)[0] for log_p, at in ((ours, ours_at), (theirs, theirs_at))]
    torch.testing.assert_close(*gradients, rtol=1e-6, atol=1e-9)
