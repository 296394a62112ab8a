"""What every sampler keeps: a sample belongs to its seed and number, not to its batch. Moments: test_gaussian.py."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from diffusion_core.parameterizations import X0
from diffusion_core.samplers import Ancestral, Ddim, Sampler
from diffusion_core.schedules import Schedule
from diffusion_core.solvers import DpmSolver, Heun
from diffusion_core.testing import check_sampler, samplers
from diffusion_core.testing.problems import diffusion
from diffusion_core.testing.variants import name
from tests.axes import members


def of_a_kind(sampler: Sampler) -> bool:
    """Whether a sampler is another's kin: order 1 is DDIM, and Heun's churn is held to its algorithm in test_edm.py."""
    first_order = isinstance(sampler, DpmSolver) and sampler.order == 1
    return first_order or (isinstance(sampler, Heun) and sampler.churn > 0)


@pytest.mark.parametrize(
    "sampler",
    [pytest.param(s, marks=[pytest.mark.slow] if of_a_kind(s) else []) for s in members(Sampler)],
    ids=name,
)
def test_every_sampler_keeps_what_samplers_keep(sampler):
    check_sampler(sampler)


@pytest.mark.slow
@pytest.mark.parametrize("sampler", [Ancestral(), Ddim()], ids=name)
@pytest.mark.parametrize("schedule", members(Schedule), ids=name)
def test_samples_of_gaussian_data_have_their_variance_in_the_limit_under_every_schedule(sampler, schedule):
    """Every sampler's is among what samplers keep, under two schedules; a chain and the flow stand for all here."""
    samplers.variance_of_samples_tends_to_the_datas_as_the_horizon_grows(sampler, (schedule,))


@pytest.mark.parametrize("steps", [0, -3])
def test_a_sampler_without_a_step_is_refused_in_words(steps):
    with pytest.raises(ValueError, match=rf"sampler\.steps must be at least 1 or null for all, got {steps}"):
        Ancestral(steps=steps)


def start_of(sampler: Sampler) -> Tensor:
    """The first x that a sampler shows the network, of 70 samples."""
    seen: list[Tensor] = []

    def output(x_t: Tensor, t: Tensor) -> Tensor:
        seen.append(x_t.clone())
        return 0 * x_t

    sampler.sample(diffusion(output, 60, parameterization=X0()), 70, seed=3, clip=False, batch=128)
    return seen[0]


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

    list(sampler.walk(model, torch.zeros(1, 2), chain, 4, noise, clip=False))
    assert drawn == steps


def test_chains_of_any_steps_skips_and_samplers_start_from_one_noise():
    """So that cells which differ in these are paired; noise is that of the seed and the sample's number."""
    first = start_of(Ancestral(steps=20))
    for sampler in members(Sampler):
        # Churn adds noise of its own before the first step, unless σ is outside its reach.
        still = {"churn_max": 1e-3} if getattr(sampler, "churn", 0) else {}
        for fields in ({"steps": 20}, {"steps": 50}, {"steps": None}, {"steps": 20, "skip": 0.5}):
            assert torch.equal(start_of(replace(sampler, **fields, **still)), first), sampler
    other = diffusion(lambda x_t, t: 0 * x_t, 60, parameterization=X0())
    assert not torch.equal(next(Ancestral().path(other, 0, 70, seed=4, clip=False)), first)


def test_a_heun_step_calls_the_network_twice_but_for_the_last():
    for steps in (1, 2, 7, 25):
        calls: list[int] = []
        model = diffusion(lambda x_t, t, calls=calls: calls.append(int(t[0])) or 0 * x_t, 25, parameterization=X0())
        Heun(steps=steps).sample(model, 3, seed=0, clip=False)
        assert len(calls) == Heun(steps=steps).calls(steps) == 2 * steps - 1
        assert calls[-1] == model.chain(steps).times[1]


@pytest.mark.parametrize(
    "fields", [{"churn": -1.0}, {"churn_min": 2.0, "churn_max": 1.0}, {"churn_noise": 0.0}, {"churn": float("nan")}]
)
def test_churn_that_has_no_meaning_is_refused(fields):
    with pytest.raises(ValueError, match=r"sampler\.churn must be at least 0"):
        Heun(**fields)


def test_steps_draw_independent_noise():
    """x̂_0 = 0 and one point in time: an ancestral step is c_t x_t + σ noise, so equal noise at two steps would show."""
    kept: list[Tensor] = []

    def output(x_t: Tensor, t: Tensor) -> Tensor:
        kept.append(x_t.clone())
        return 0 * x_t

    model = diffusion(output, 25, parameterization=X0())
    Ancestral().sample(model, 4000, seed=0, clip=False, batch=4096)
    pair = model.chain().pair(torch.arange(1, 26))
    noise = [
        (kept[i + 1] - pair.coefficient_xt[24 - i] * kept[i]) / pair.beta[24 - i].sqrt() for i in range(len(kept) - 1)
    ]
    table = torch.stack([kept[0], *noise])[:, :, 0]
    correlation = torch.corrcoef(table.double()) - torch.eye(len(table))
    assert correlation.abs().max() < 6 / 4000**0.5
    torch.testing.assert_close(table.std(1), torch.ones(len(table), dtype=table.dtype), rtol=0.06, atol=0)


@pytest.mark.parametrize("values", [{"skip": 1.0}, {"skip": -0.1}, {"steps": 0}])
def test_settings_without_meaning_are_refused(values):
    with pytest.raises(ValueError, match=r"sampler\.(skip|steps)"):
        Ancestral(**values)


@pytest.mark.parametrize("eta", [-0.1, 1.1])
def test_eta_lies_between_the_flow_and_the_ancestral_chain(eta):
    with pytest.raises(ValueError, match=r"sampler\.eta must lie in \[0, 1\]"):
        Ddim(eta=eta)
