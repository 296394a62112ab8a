"""Randomness is a function of (seed, step, purpose), and no two draws share a stream."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import Normal

import diffusion_core as dc
from diffusion_core import randomness
from diffusion_core.fitting import noise_moments
from diffusion_core.randomness import (
    WORDS,
    key,
    normal,
    spread_normals,
    state,
)
from diffusion_core.trainer import permutation, training_reports

CPU = torch.device("cpu")


def test_a_draw_depends_on_seed_step_and_purpose_and_on_nothing_else():
    base = normal(1, 2, "eps", (4,), CPU)
    torch.manual_seed(999)
    assert torch.equal(base, normal(1, 2, "eps", (4,), CPU))
    others = [normal(0, 2, "eps", (4,), CPU), normal(1, 3, "eps", (4,), CPU), normal(1, 2, "t", (4,), CPU)]
    assert not any(torch.equal(base, other) for other in others)


def test_keys_are_the_same_on_every_machine():
    """blake2b of "0/0/eps", 8 bytes, little-endian, from another implementation (b2sum -l 64)."""
    assert key(0, 0, "eps") == int.from_bytes(bytes.fromhex("ac025915dc52e4e1"), "little")


def test_a_state_is_mt19937_at_words_that_are_a_hash_of_its_name():
    """The words by openssl (dgst -shake128), the stream that follows by numpy's generator of that kind."""
    named = state("0/0/eps")
    words = named.numpy().view(np.uint64)[WORDS].astype(np.uint32)
    assert words[:4].astype("<u4").tobytes().hex() == "0be315ebdbe3456b3102a16be9f8aca9"
    theirs = np.random.MT19937()
    theirs.state = {"bit_generator": "MT19937", "state": {"key": words, "pos": 624}}
    ours = torch.empty(2000, dtype=torch.int32).random_(generator=torch.Generator().set_state(named))
    np.testing.assert_array_equal(ours.numpy(), theirs.random_raw(2000).astype(np.int64) % 2**31)


def spread(count: int, shape: tuple[int, ...], purpose: str = "eps") -> Tensor:
    return torch.stack(list(islice(spread_normals(0, purpose, shape, CPU), count)))


def test_each_spread_draw_is_a_normal_one_and_its_elements_are_independent():
    draws = spread(3, (200_000, 2)).double()
    for noise in draws:
        at = torch.linspace(-3, 3, 25, dtype=torch.float64)
        share = (noise.flatten()[:, None] <= at).double().mean(0)
        assert (share - Normal(0, 1).cdf(at)).abs().max() < 5 * 0.5 / noise.numel() ** 0.5
        assert abs(torch.corrcoef(noise.T)[0, 1]) < 5 / len(noise) ** 0.5
        assert abs(torch.corrcoef((noise**2).T)[0, 1]) < 5 / len(noise) ** 0.5
    assert not torch.equal(draws[0].float(), spread(1, (200_000, 2), "other")[0])


@pytest.mark.parametrize("count", [5, 22])
def test_spread_draws_fill_the_normal_evenly_however_many_there_are(count):
    """The mean of ε_j² over j has the variance 2/n where they are independent."""
    squares = (spread(count, (20_000,)).double() ** 2).mean(0)
    assert squares.mean().item() == pytest.approx(1, abs=0.02)
    assert squares.var().item() < 0.35 * 2 / count


CHOICES = dc.Choices(
    network=dc.UNet(channels=2, multipliers=(1,), attention=(), heads=1, groups=1),
    conditioning=dc.Class(self_conditioning=True),
    coupling=dc.Immiscible(k=3),
    schedule=dc.LogSnrLinear(),
    time_input="log_snr",
    horizon=6,
)
RAW = torch.randint(17, (8, 1, 4, 4), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
LABELS = torch.arange(8) % 3


@pytest.fixture
def names(monkeypatch):
    """The names of all streams that are drawn from, in order."""
    given, state = [], randomness.state
    monkeypatch.setattr(randomness, "state", lambda name: given.append(name) or state(name))
    permutation.cache_clear()
    return given


def test_a_step_of_training_and_all_that_is_scored_and_sampled_draw_from_streams_of_their_own(names):
    learner = dc.DiffusionLearner.of(CHOICES, dc.GreyLevels(17), (1, 4, 4), classes=3)
    steps = training_reports(
        learner, dc.Labelled(RAW, LABELS), dc.Training(steps=2, batch=8, report_every=1, flips=True), seed=0
    )
    next(steps)
    names.clear()
    next(steps)
    # t, ε and two further draws of it, dequantisation, self-conditioning, the label; the batch, its flips, dropout.
    assert len(names) == 10
    model = learner.diffusion.with_labels(LABELS).eval()
    for score in (
        lambda: dc.bound(model, RAW, dc.Stratification(1, 2), seed=0),
        lambda: dc.continuous_bound(model, RAW, draws=2, seed=0),
        lambda: dc.importance_weighted(model, RAW, draws=2, seed=0),
        lambda: dc.flow_likelihood(model, RAW, steps=1, probes=2, seed=0),
        lambda: noise_moments(model, RAW, draws=8, seed=0),
        lambda: dc.Ancestral().sample(model, 8, seed=0),
    ):
        before = len(names)
        score()
        assert len(names) > before
    assert sorted(names) == sorted(set(names))
