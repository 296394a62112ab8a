"""Densities of the training times: every one keeps the expectation of a loss over uniform t."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import expit, logit
from scipy.stats import norm
from torch import Tensor

import diffusion_core as dc
from diffusion_core.choices import refusal
from diffusion_core.timesteps import ImportanceSampler
from tests.axes import across, members, name

HORIZON = 25
TIMES = torch.arange(1, HORIZON + 1)
TIMESTEPS = pytest.mark.parametrize("timesteps", members(dc.Timesteps), ids=name)
WARM = pytest.mark.parametrize("rounds", [0, 20], ids=["as built", "warm"])
"""Losses seen at each t: a density that adapts must be right at every moment."""


def grid(n: int) -> Tensor:
    """n midpoints of [0, 1)."""
    return (torch.arange(n, dtype=torch.float64) + 0.5) / n


def gamma_of(horizon: int) -> dc.Gamma:
    """Noise levels of so many steps."""
    return dc.Cosine().gamma(horizon)


def warm_sampler(loss: Tensor, choice: dc.Importance) -> ImportanceSampler:
    """After `loss` [n, T]: n losses at each t."""
    sampler = choice.build(gamma_of(loss.shape[1]))
    for row in loss:
        sampler.record(torch.arange(1, loss.shape[1] + 1), row)
    return sampler


def told(timesteps: dc.Timesteps, rounds: int = 20) -> dc.TimestepSampler:
    """A sampler that has seen `rounds` losses at each t, of size t^−1.5."""
    sampler = timesteps.build(gamma_of(HORIZON))
    for _ in range(rounds):
        sampler.record(TIMES, TIMES.double() ** -1.5)
    return sampler


@TIMESTEPS
@WARM
def test_times_are_drawn_as_the_density_says_and_weights_undo_it_if_it_is_no_part_of_the_objective(timesteps, rounds):
    """E weight(t) L(t) = (1/T) Σ_t L(t), if reweighted, and (1/T) Σ_t T p(t) L(t) if not."""
    sampler, u = told(timesteps, rounds), grid(400 * HORIZON)
    (t, weight), density = sampler(u), sampler.density()
    assert (t.dtype, weight.dtype) == (torch.int64, torch.float64)
    assert density.sum().item() == pytest.approx(HORIZON, rel=1e-9)
    share = torch.bincount(t, minlength=HORIZON + 1)[1:].double() / len(t)
    torch.testing.assert_close(share, density / HORIZON, rtol=0, atol=1e-3)
    expected = 1 / density[t - 1] if timesteps.reweighted else torch.ones_like(weight)
    torch.testing.assert_close(weight, expected, rtol=1e-9, atol=0)
    loss = torch.linspace(3, 1, HORIZON, dtype=torch.float64) ** 2
    mean = loss.mean() if timesteps.reweighted else (density * loss).mean()
    torch.testing.assert_close((weight * loss[t - 1]).mean(), mean, rtol=1e-2, atol=0)
    for end in (0.0, 1 - 2.0**-53):
        t, _ = sampler(torch.full((3,), end, dtype=torch.float64))
        assert ((t >= 1) & (t <= HORIZON)).all()
    assert all(map(torch.equal, sampler(u[:77]), told(timesteps, rounds)(u[:77]))), "it draws of its own"


@TIMESTEPS
def test_real_times_lie_between_the_ends_and_keep_the_mean_of_uniform_ones_if_reweighted(timesteps):
    """E weight u^n = 1/(n + 1), u = (t − 1)/(T − 1); else they are within 1 of the whole times of the same u."""
    sampler = timesteps.build(gamma_of(HORIZON))
    t, weight = sampler.real(grid(400 * HORIZON))
    assert (t.dtype, weight.dtype) == (torch.float64, torch.float64)
    assert ((t >= 1) & (t <= HORIZON)).all()
    if not timesteps.reweighted:
        assert (t - sampler(grid(400 * HORIZON))[0]).abs().max() <= 1
        return
    for n in range(3):
        assert (weight * ((t - 1) / (HORIZON - 1)) ** n).mean().item() == pytest.approx(1 / (n + 1), rel=1e-2)


@pytest.mark.parametrize("u_0", [0.0, 0.999])
def test_a_low_discrepancy_batch_is_spread_evenly(u_0):
    """Each t as often as the batch is longer than T; in real time the gaps are (T − 1)/B."""
    sampler = dc.LowDiscrepancy().build(gamma_of(HORIZON))
    u = torch.full((3 * HORIZON,), u_0, dtype=torch.float64)
    assert torch.bincount(sampler(u)[0], minlength=HORIZON + 1)[1:].tolist() == [3] * HORIZON
    gaps = sampler.real(u[:8])[0].sort().values.diff()
    torch.testing.assert_close(gaps, torch.full((7,), (HORIZON - 1) / 8, dtype=torch.float64), rtol=1e-9, atol=0)


def test_importance_is_uniform_until_every_time_has_its_losses():
    sampler = dc.Importance(history=3).build(gamma_of(HORIZON))
    u = grid(HORIZON * 4)
    for _ in range(4):
        t, weight = sampler(u)
        assert torch.equal(t, dc.Uniform().build(gamma_of(HORIZON))(u)[0])
        assert weight.tolist() == [1] * len(u)
        assert sampler.density().tolist() == [1] * HORIZON
        sampler.record(TIMES[:-1], TIMES[:-1].double())
    assert sampler.diagnostics() == {"timesteps/warm": pytest.approx(24 / 25)}
    sampler.record(TIMES[-1:].expand(3), torch.ones(3))
    assert sampler.density().unique().numel() > 20
    assert sampler.diagnostics() == {"timesteps/warm": 1}


@across(floor=(0.001, 0.3), history=(1, 10))
def test_importance_draws_in_proportion_to_the_root_mean_square_loss(floor, history):
    """p(t) = (1 − floor) r_t/Σ r + floor/T, r_t = √(mean of L_t²)."""
    generator = torch.Generator().manual_seed(0)
    loss = torch.rand(history, HORIZON, generator=generator, dtype=torch.float64) * TIMES
    root = np.sqrt((loss.numpy() ** 2).mean(0))
    p = (1 - floor) * root / root.sum() + floor / HORIZON
    sampler = warm_sampler(loss, dc.Importance(history, floor))
    np.testing.assert_allclose(sampler.density(), HORIZON * p, rtol=1e-12)


@pytest.mark.parametrize("batch", [7, 400])
def test_importance_remembers_the_last_losses_at_each_time(batch, generator):
    """Also where a batch holds one t more often than the history is long."""
    sampler = dc.Importance().build(gamma_of(HORIZON))
    t = 1 + (HORIZON * torch.rand(800, generator=generator) ** 3).long()
    loss = torch.rand(800, generator=generator, dtype=torch.float64)
    for part in zip(t.split(batch), loss.split(batch), strict=True):
        sampler.record(*part)
    for at, row in zip(TIMES, sampler.history, strict=True):
        own = loss[t == at][-10:]
        assert sorted(row.tolist()) == sorted([*own.tolist(), *[0.0] * (10 - len(own))])
    assert sampler.count.tolist() == [int((t == at).sum()) for at in TIMES]


U = np.linspace(0.0005, 0.9995, 1000)


@across(mean=(0.0, -0.7), std=(0.6, 1.9))
def test_logit_normal_has_the_density_of_a_normal_logit(mean, std):
    """Each t the mass of logit u ~ N(mean, std²) between (t − 1)/T and t/T; real t its quantiles, by scipy.stats."""
    sampler = dc.LogitNormal(mean, std).build(gamma_of(HORIZON))
    with np.errstate(divide="ignore"):
        edges = logit(np.arange(HORIZON + 1) / HORIZON)
    expected = HORIZON * np.diff(norm(mean, std).cdf(edges))
    np.testing.assert_allclose(sampler.density(), expected, rtol=1e-8, atol=1e-12)
    t, _ = sampler.real(torch.from_numpy(U))
    np.testing.assert_allclose((t - 1) / (HORIZON - 1), expit(norm(mean, std).ppf(U)), rtol=1e-10)


@across(mean=(-1.2, 0.0), schedule=[dc.Cosine(), dc.Rectified(shift=3.0)])
def test_log_normal_has_a_normal_log_sigma_between_the_schedules_ends(mean, schedule):
    """The times' ln σ = γ/2 is distributed as N(mean, std²) cut off at σ_1 and σ_T, by scipy.stats."""
    horizon, std = 400, 0.5
    gamma = schedule.gamma(horizon)
    sampler = dc.LogNormal(mean, std).build(gamma)
    cut = norm(mean, std)
    first, last = cut.cdf(gamma(torch.tensor([1, horizon])).numpy() / 2)
    # By the edges half-way between whole times, where no density within a cell is assumed.
    edges = torch.cat([torch.tensor([1.0]), torch.arange(1, horizon) + 0.5, torch.tensor([float(horizon)])])
    expected = (cut.cdf(gamma(edges).numpy() / 2) - first) / (last - first)
    np.testing.assert_allclose(sampler.density(), horizon * np.diff(expected), rtol=1e-8, atol=1e-12)
    t, _ = sampler.real(torch.from_numpy(U))
    found = (cut.cdf(gamma(t).numpy() / 2) - first) / (last - first)
    np.testing.assert_allclose(found, U, rtol=0, atol=np.diff(expected).max() / 4)


@pytest.mark.parametrize(("share", "refused"), [(1e-300, True), (0.009, True), (0.011, False)])
def test_log_normal_is_refused_where_nearly_all_of_it_lies_off_the_schedule(share, refused):
    """A normal of deviation 0.1 that has this share on the schedule's side of its last σ."""
    last = float(dc.LogSnrLinear().gamma(100)(torch.tensor(100)) / 2)
    choice = dc.LogNormal(last + 0.1 * norm.isf(share), 0.1)
    told = refusal(dc.Choices(horizon=100, timesteps=choice, schedule=dc.LogSnrLinear()))
    assert (told is not None and f"to {last:.3g}: take a mean" in told) == refused
