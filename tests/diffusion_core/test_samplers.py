"""What every sampler keeps, and what each draws and refuses. Its steps: test_diffusers.py, test_edm.py."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

import diffusion_core as dc
from diffusion_core.randomness import BLOCK, seeded
from tests.axes import members, name
from tests.diffusion_core.learners import random_model
from tests.diffusion_core.problems import diffusion

every_sampler = pytest.mark.parametrize("sampler", members(dc.Sampler), ids=name)


def nothing(x_t: Tensor, t: Tensor) -> Tensor:
    """A network that puts out zero."""
    return 0 * x_t


def asked(sampler: dc.Sampler, horizon: int = 31, n: int = 3, **more) -> list[Tensor]:
    """The times t of each call of a network while n samples are drawn."""
    seen: list[Tensor] = []

    def spy(x_t: Tensor, t: Tensor) -> Tensor:
        seen.append(t)
        return 0 * x_t

    sampler.sample(diffusion(spy, horizon, **more), n, seed=0, batch=max(n, 64))
    return seen


def start_of(sampler: dc.Sampler, n: int) -> Tensor:
    """The noise that n paths over some of 31 steps start from; a sampler may add noise to it before its first call."""
    return next(sampler.path(diffusion(nothing, 31), 0, n, seed=0))


@every_sampler
def test_a_sample_belongs_to_its_seed_and_number(sampler):
    """However many are drawn in whichever batches, up to how a batch is computed; nor does autocast reach it."""
    kind = "images" if isinstance(sampler, dc.Ancestral) else "points"
    model, sampler, n = random_model(kind), replace(sampler, steps=4), BLOCK + 6
    every = sampler.sample(model, n, seed=3)
    assert every.shape == (n, *model.shape)
    assert len(torch.unique(every, dim=0)) == n
    for part in (sampler.sample(model, 10, seed=3), sampler.sample(model, n, seed=3, batch=50)):
        torch.testing.assert_close(part, every[: len(part)], rtol=1e-5, atol=1e-5)
    free, drawn = model.with_clip(False), []
    for seed, around in ((0, 1), (0, 2), (1, 1)):
        with seeded(around, "the global generator"), torch.autocast("cpu", torch.bfloat16, enabled=around == 2):
            drawn.append(sampler.sample(free, 5, seed=seed))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.isclose(drawn[0], drawn[2]).any()


@every_sampler
def test_the_network_is_asked_at_the_chains_times_from_the_last_to_the_first(sampler):
    """One time for all of a batch, and none between them unless `between_times`; even in log-SNR they are real ones."""
    spaced = {"real": True, "spacing": dc.LogSnrSpacing()}
    real = diffusion(nothing, 1000, **spaced).chain(5, real=True).times[1:].flip(0).tolist()
    for steps, horizon, more, times in (
        (4, 31, {}, [31, 21, 11, 1]),
        (None, 31, {}, list(range(31, 0, -1))),
        (5, 1000, spaced, pytest.approx(real, rel=1e-6)),
    ):
        seen = asked(replace(sampler, steps=steps, skip=0.0), horizon, **more)
        assert all((t == t[0]).all() for t in seen)
        visited = list(dict.fromkeys(float(t[0]) for t in seen))
        if sampler.between_times:
            known = real if more else times
            visited = [t for t in visited if any(math.isclose(t, time, rel_tol=1e-6) for time in known)]
        assert visited == times


@every_sampler
def test_calls_is_how_often_the_network_is_called(sampler):
    for skip, steps in ((0.0, 31), (0.5, 15)):
        assert len(asked(replace(sampler, steps=None, skip=skip))) == sampler.calls(steps)


@every_sampler
def test_skipping_starts_from_the_samples_own_unit_noise_at_the_first_kept_step(sampler):
    """Of 31 steps, 6 are left out; of 10 kept times, 2, and the eighth is 1 + 7 · 30/9. Cells stay paired."""
    n, start = 4000, start_of(replace(sampler, steps=None, skip=0.0), 4000)
    assert start.mean(0).abs().max() < 5 / n**0.5
    assert (start.var(0) - 1).abs().max() < 5 * (2 / n) ** 0.5
    for steps, skip, first in ((None, 0.2, 25), (10, 0.2, 24), (10, 0.0, 31), (4, 0.9, 1), (4, 0.5, 11)):
        part = replace(sampler, steps=steps, skip=skip)
        times = [int(t[0]) for t in asked(part)]
        assert times[0] == first or sampler.between_times
        assert max(times[1:] or times) <= first
        assert torch.equal(start_of(part, n), start)


@every_sampler
@torch.no_grad()
def test_reads_variance_says_whether_it_enters_a_step(sampler):
    """It decides which cells share their samples, and which may be strided."""
    model = random_model("points")
    x, noise = torch.randn(2, 4, *model.shape, generator=torch.Generator().manual_seed(0))
    one, other = (
        sampler.step(model.with_variance(variance), x, model.chain(), 4, noise.clone)
        for variance in (dc.Beta(), dc.BetaTilde())
    )
    assert sampler.reads_variance != torch.equal(one, other)


def test_chains_of_5_and_10_steps_draw_the_same_noise_at_the_times_that_they_share():
    """x̂_0 = 0: an ancestral step is c_t x_t + √β z."""
    model = diffusion(lambda x_t, t: 0 * x_t, 30, parameterization=dc.X0(), spacing=dc.TrailingSpacing())

    def noise(steps: int) -> dict[int, Tensor]:
        chain, path = model.chain(steps), list(dc.Ancestral(steps=steps).path(model, 0, 64, seed=0))
        step = chain.step(torch.arange(1, steps + 1))
        places = {k: path[steps - k : steps - k + 2] for k in range(2, steps + 1)}
        return {
            int(chain.times[k]): (after - step.coefficient_xt[k - 1] * before) / step.beta[k - 1].sqrt()
            for k, (before, after) in places.items()
        }

    five, ten = noise(5), noise(10)
    assert five.keys() < ten.keys()
    for t, z in five.items():
        torch.testing.assert_close(z, ten[t], rtol=0, atol=1e-4)
