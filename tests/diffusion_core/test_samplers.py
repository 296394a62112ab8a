"""What every sampler keeps, and what each draws and refuses. Its steps: test_gaussian.py, test_diffusers.py."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from diffusion_core.parameterizations import X0
from diffusion_core.samplers import Ancestral, Ddim, Sampler
from diffusion_core.solvers import DpmSolver, Heun
from diffusion_core.spacings import TrailingSpacing
from diffusion_core.testing import check_sampler
from diffusion_core.testing.problems import diffusion
from diffusion_core.testing.samplers import start_of
from diffusion_core.testing.variants import name
from tests.axes import members


@pytest.mark.parametrize("sampler", members(Sampler), ids=name)
def test_every_sampler_keeps_what_samplers_keep(sampler):
    check_sampler(sampler)


def test_all_samplers_start_from_the_noise_of_the_seed_and_the_samples_number():
    """So that cells which differ in these are paired."""
    first, *others = (start_of(sampler, 70) for sampler in members(Sampler))
    assert all(torch.equal(other, first) for other in others)
    model = diffusion(lambda x_t, t: 0 * x_t, 31)
    assert not torch.equal(next(Ancestral().path(model, 0, 70, seed=4)), first)


@pytest.mark.parametrize(
    ("sampler", "steps"),
    [
        (Ancestral(steps=4), [4, 3, 2]),
        (Ddim(steps=4), []),
        (Ddim(steps=4, eta=0.5), [4, 3, 2, 1]),
        (Heun(steps=4), []),
        (Heun(steps=4, churn=2.0), [3, 2, 1]),
        (DpmSolver(steps=4), []),
        (DpmSolver(steps=4, equation="sde"), [4, 3, 2, 1]),
    ],
    ids=name,
)
def test_a_sampler_draws_the_noise_that_it_reads_and_no_other(sampler, steps):
    """Heun's first step starts from as much noise as there is, and none is added."""
    model = diffusion(lambda x_t, t: 0 * x_t, 31, parameterization=X0(), real=sampler.between_times)
    chain, drawn = model.chain(4), []

    def noise(k: int) -> Tensor:
        drawn.append(k)
        return torch.zeros(1, 2)

    list(sampler.walk(model, torch.zeros(1, 2), chain, 4, noise))
    assert drawn == steps


def test_chains_of_5_and_10_steps_draw_the_same_noise_at_the_times_that_they_share():
    """x̂_0 = 0: an ancestral step is c_t x_t + √β z."""
    model = diffusion(lambda x_t, t: 0 * x_t, 30, parameterization=X0(), spacing=TrailingSpacing())

    def noise(steps: int) -> dict[int, Tensor]:
        chain, path = model.chain(steps), list(Ancestral(steps=steps).path(model, 0, 64, seed=0))
        pair = chain.pair(torch.arange(1, steps + 1))
        places = {k: path[steps - k : steps - k + 2] for k in range(2, steps + 1)}
        return {
            int(chain.times[k]): (after - pair.coefficient_xt[k - 1] * before) / pair.beta[k - 1].sqrt()
            for k, (before, after) in places.items()
        }

    five, ten = noise(5), noise(10)
    assert five.keys() < ten.keys()
    for t, z in five.items():
        torch.testing.assert_close(z, ten[t], rtol=0, atol=1e-4)


def test_steps_draw_independent_noise():
    """x̂_0 = 0 and one point in time: an ancestral step is c_t x_t + σ noise, so equal noise at two steps would show."""
    kept: list[Tensor] = []

    def output(x_t: Tensor, t: Tensor) -> Tensor:
        kept.append(x_t.clone())
        return 0 * x_t

    model = diffusion(output, 25, parameterization=X0())
    Ancestral().sample(model, 4000, seed=0, batch=4096)
    pair = model.chain().pair(torch.arange(1, 26))
    noise = [
        (kept[i + 1] - pair.coefficient_xt[24 - i] * kept[i]) / pair.beta[24 - i].sqrt() for i in range(len(kept) - 1)
    ]
    table = torch.stack([kept[0], *noise])[:, :, 0]
    correlation = torch.corrcoef(table.double()) - torch.eye(len(table))
    assert correlation.abs().max() < 6 / 4000**0.5
    torch.testing.assert_close(table.std(1), torch.ones(len(table), dtype=table.dtype), rtol=0.06, atol=0)


@pytest.mark.parametrize(
    ("sampler", "fields", "reason"),
    [
        (Ancestral, {"steps": -3}, r"sampler\.steps must be at least 1 or null for all, got -3"),
        (Ancestral, {"skip": 1.0}, r"sampler\.skip"),
        (Ddim, {"eta": -0.1}, r"sampler\.eta must lie in \[0, 1\]"),
        (Ddim, {"eta": 1.1}, r"sampler\.eta must lie in \[0, 1\]"),
        (Heun, {"churn": -1.0}, r"sampler\.churn must be at least 0"),
        (Heun, {"churn": float("nan")}, r"sampler\.churn must be at least 0"),
        (Heun, {"churn_min": 2.0, "churn_max": 1.0}, r"sampler\.churn must be at least 0"),
        (Heun, {"churn_noise": 0.0}, r"sampler\.churn must be at least 0"),
    ],
)
def test_settings_without_meaning_are_refused(sampler, fields, reason):
    with pytest.raises(ValueError, match=reason):
        sampler(**fields)
