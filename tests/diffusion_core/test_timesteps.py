"""Densities of the training times: every one keeps the expectation of a loss over uniform t."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import expit, logit
from scipy.stats import norm
from torch import Tensor

from diffusion_core.gamma import Gamma
from diffusion_core.schedules import Cosine, LogSnrLinear, Rectified
from diffusion_core.testing import check_timesteps
from diffusion_core.testing.timesteps import HORIZON, TIMES, grid
from diffusion_core.testing.variants import name
from diffusion_core.timesteps import (
    Importance,
    ImportanceSampler,
    LogitNormal,
    LogNormal,
    LowDiscrepancy,
    Timesteps,
    TimestepSampler,
    Uniform,
)
from tests.axes import members

TIMESTEPS = pytest.mark.parametrize("timesteps", members(Timesteps), ids=name)


def gamma_of(horizon: int) -> Gamma:
    """Noise levels of so many steps."""
    return Cosine().build(horizon)


def warm_sampler(loss: Tensor, choice: Importance | None = None) -> ImportanceSampler:
    """After `loss` [n, T]: n losses at each t."""
    sampler = (choice or Importance()).build(gamma_of(loss.shape[1]))
    for row in loss:
        sampler.record(torch.arange(1, loss.shape[1] + 1), row)
    return sampler


def noisy(loss: Tensor, generator: torch.Generator) -> Tensor:
    """Losses with this mean, spread as a squared error is."""
    return loss * torch.randn(loss.shape, generator=generator, dtype=torch.float64) ** 2


def estimates(sampler: TimestepSampler, loss: Tensor, batch: int, generator: torch.Generator) -> Tensor:
    """Weighted means over 3000 batches of noisy losses, whose mean over t is that of `loss` [T]."""
    means = []
    for u in torch.rand(3000, batch, generator=generator, dtype=torch.float64):
        t, weight = sampler(u)
        means.append((weight * noisy(loss[t - 1], generator)).mean())
    return torch.stack(means)


@TIMESTEPS
def test_every_density_keeps_what_densities_keep(timesteps):
    check_timesteps(timesteps)


def test_uniform_times_are_one_plus_the_floor_of_u_times_the_horizon():
    t, weight = Uniform().build(gamma_of(10))(torch.tensor([0.0, 0.09, 0.1, 0.55, 0.99], dtype=torch.float64))
    assert t.tolist() == [1, 1, 2, 6, 10]
    assert weight.tolist() == [1] * 5


@pytest.mark.parametrize("timesteps", [choice for choice in members(Timesteps) if choice.reweighted], ids=name)
def test_real_times_are_uniform_between_the_ends_and_weigh_alike(timesteps):
    t, weight = timesteps.build(gamma_of(HORIZON)).real(grid(5000))
    torch.testing.assert_close(t.sort().values, 1 + grid(5000) * (HORIZON - 1), rtol=0, atol=0.01)
    assert (t.dtype, weight.tolist()) == (torch.float64, [1] * 5000)


@pytest.mark.parametrize("batch", [1, 5, 16, 50])
def test_every_member_of_a_low_discrepancy_batch_is_uniform(batch):
    """Over all u_0, which alone is read."""
    sampler = LowDiscrepancy().build(gamma_of(HORIZON))
    u = torch.full((batch * HORIZON, batch), 0.123, dtype=torch.float64)
    u[:, 0] = grid(batch * HORIZON)
    t = torch.stack([sampler(row)[0] for row in u])
    counts = torch.stack([torch.bincount(column, minlength=HORIZON + 1)[1:] for column in t.T])
    assert torch.equal(counts, torch.full((batch, HORIZON), batch))


@pytest.mark.parametrize("u_0", [0.0, 0.31, 0.999])
def test_a_low_discrepancy_batch_is_spread_evenly(u_0):
    """Each t as often as the batch is longer than T; in real time the gaps are (T − 1)/B."""
    sampler = LowDiscrepancy().build(gamma_of(HORIZON))
    u = torch.full((3 * HORIZON,), u_0, dtype=torch.float64)
    assert torch.bincount(sampler(u)[0], minlength=HORIZON + 1)[1:].tolist() == [3] * HORIZON
    gaps = sampler.real(u[:8])[0].sort().values.diff()
    torch.testing.assert_close(gaps, torch.full((7,), (HORIZON - 1) / 8, dtype=torch.float64), rtol=1e-9, atol=0)


@pytest.mark.parametrize("batch", [4, 20, 50])
def test_low_discrepancy_takes_the_variance_of_a_line_down_by_the_batch(batch):
    """Var of m = T/B equally likely offsets, (m² − 1)/12, against B draws of T, (T² − 1)/(12 B): about 1/B."""
    horizon = 200
    sampler = LowDiscrepancy().build(gamma_of(horizon))
    means = torch.stack([sampler(torch.full((batch,), float(u)).double())[0].double().mean() for u in grid(horizon)])
    assert means.mean().item() == pytest.approx((1 + horizon) / 2, rel=1e-12)
    ratio = means.var(correction=0).item() / ((horizon**2 - 1) / (12 * batch))
    assert ratio == pytest.approx(batch * ((horizon / batch) ** 2 - 1) / (horizon**2 - 1), rel=1e-9)


def test_low_discrepancy_has_less_variance_than_uniform_on_a_smooth_loss(generator):
    """Where x_0 and ε are fixed; measured: 0.022 of it at a batch of 32."""
    loss = torch.sigmoid(torch.linspace(2.4, -3.6, 1000, dtype=torch.float64))
    u = torch.rand(3000, 32, generator=generator, dtype=torch.float64)
    uniform, even = (
        torch.stack([loss[sampler(row)[0] - 1].mean() for row in u])
        for sampler in (Uniform().build(gamma_of(1000)), LowDiscrepancy().build(gamma_of(1000)))
    )
    for estimate in (uniform, even):
        assert abs(estimate.mean() - loss.mean()) < 5 * estimate.std() / len(estimate) ** 0.5
    assert even.var() < 0.03 * uniform.var()


def test_importance_is_uniform_until_every_time_has_its_losses():
    sampler = Importance(history=3).build(gamma_of(HORIZON))
    u = grid(HORIZON * 4)
    for _ in range(4):
        t, weight = sampler(u)
        assert torch.equal(t, Uniform().build(gamma_of(HORIZON))(u)[0])
        assert weight.tolist() == [1] * len(u)
        assert sampler.density().tolist() == [1] * HORIZON
        sampler.record(TIMES[:-1], TIMES[:-1].double())
    assert sampler.diagnostics() == {"timesteps/warm": pytest.approx(24 / 25)}
    sampler.record(TIMES[-1:].expand(3), torch.ones(3))
    assert sampler.density().unique().numel() > 20
    assert sampler.diagnostics() == {"timesteps/warm": 1}


@pytest.mark.parametrize("timesteps", [choice for choice in members(Timesteps) if choice.reweighted], ids=name)
def test_each_time_owns_the_lower_edge_of_its_share_of_u(timesteps):
    sampler = timesteps.build(gamma_of(8))
    edges = torch.arange(8, dtype=torch.float64) / 8
    assert [int(sampler(edge.reshape(1))[0]) for edge in edges] == list(range(1, 9))


@TIMESTEPS
def test_each_time_has_the_run_of_u_that_its_density_says(timesteps):
    """From just above the density of all times before it to just below that and its own."""
    sampler = timesteps.build(gamma_of(8))
    edges = torch.cat([torch.zeros(1, dtype=torch.float64), sampler.density().cumsum(0) / 8])
    for way, end in ((1e-9, edges[:-1]), (-1e-9, edges[1:])):
        assert [int(sampler((edge + way).reshape(1))[0]) for edge in end] == list(range(1, 9))


@pytest.mark.parametrize("floor", [0.001, 0.3])
@pytest.mark.parametrize("history", [1, 10])
def test_importance_draws_in_proportion_to_the_root_mean_square_loss(history, floor, generator):
    """p(t) = (1 − floor) r_t/Σ r + floor/T, r_t = √(mean of L_t²)."""
    loss = torch.rand(history, HORIZON, generator=generator, dtype=torch.float64) * TIMES
    root = np.sqrt((loss.numpy() ** 2).mean(0))
    p = (1 - floor) * root / root.sum() + floor / HORIZON
    sampler = warm_sampler(loss, Importance(history, floor))
    np.testing.assert_allclose(sampler.density(), HORIZON * p, rtol=1e-12)
    t, weight = sampler(grid(200_000))
    np.testing.assert_allclose(np.bincount(t, minlength=HORIZON + 1)[1:] / len(t), p, atol=1e-5)
    np.testing.assert_allclose(weight, 1 / (HORIZON * p[t - 1]), rtol=1e-12)


def test_importance_weights_undo_its_density():
    """Σ_t p(t) w(t) L(t) is the mean of L."""
    sampler = warm_sampler(TIMES.double().expand(10, -1) ** -1.5)
    t, weight = sampler(grid(100_000))
    assert torch.equal(t.unique(), TIMES)
    weight_of = dict(zip(t.tolist(), weight.tolist(), strict=True))
    p = sampler.density() / HORIZON
    loss = (TIMES - 7.0).double() ** 2
    total = sum(p[t - 1].item() * weight_of[t] * loss[t - 1].item() for t in TIMES.tolist())
    assert total == pytest.approx(loss.mean().item(), rel=1e-12)


def test_importance_is_unbiased_with_less_variance_than_uniform_on_a_skewed_loss(generator):
    """L_t = 1/t times a squared normal, by a history of such losses; measured: 0.03 to 0.04 of uniform's variance."""
    loss = 1 / torch.arange(1, 1001, dtype=torch.float64)
    sampler = warm_sampler(noisy(loss.expand(10, -1), generator))
    uniform, weighted = (estimates(s, loss, 32, generator) for s in (Uniform().build(gamma_of(1000)), sampler))
    for estimate in (uniform, weighted):
        assert abs(estimate.mean() - loss.mean()) < 5 * estimate.std() / len(estimate) ** 0.5
    assert weighted.var() < 0.06 * uniform.var()


@pytest.mark.parametrize("batch", [1, 7, 64, 400])
def test_importance_remembers_the_last_losses_at_each_time_in_their_order(batch, generator):
    """Also where a batch holds one t more often than the history is long."""
    sampler = Importance().build(gamma_of(HORIZON))
    every: dict[int, list[float]] = {t: [] for t in TIMES.tolist()}
    for _ in range(1 + 800 // batch):
        t = 1 + (HORIZON * torch.rand(batch, generator=generator) ** 3).long()
        loss = torch.rand(batch, generator=generator, dtype=torch.float64)
        sampler.record(t, loss)
        for at, value in zip(t.tolist(), loss.tolist(), strict=True):
            every[at].append(value)
    assert sampler.count.tolist() == [len(losses) for losses in every.values()]
    assert max(len(losses) for losses in every.values()) > 100 * (batch < 400)
    for row, losses in zip(sampler.history, every.values(), strict=True):
        kept = min(10, len(losses))
        in_order = row.roll(-(len(losses) % 10)) if kept == 10 else row[:kept]
        assert in_order.tolist() == losses[-kept:]


def test_importance_is_carried_by_its_state_and_continues_as_if_unbroken(generator):
    loss = torch.rand(14, HORIZON, generator=generator, dtype=torch.float64)
    unbroken, continued = warm_sampler(loss), Importance().build(gamma_of(HORIZON))
    state = {key: value.clone() for key, value in warm_sampler(loss[:9]).state_dict().items()}
    assert {key: value.dtype for key, value in state.items()} == {"history": torch.float64, "count": torch.int64}
    continued.load_state_dict(state)
    for row in loss[9:]:
        continued.record(TIMES, row)
    assert torch.equal(continued.density(), unbroken.density())
    for one, other in zip(continued(grid(77)), unbroken(grid(77)), strict=True):
        assert torch.equal(one, other)


def test_only_importance_follows_the_losses():
    assert [choice for choice in members(Timesteps) if choice.adapts] == [Importance()]
    for timesteps in (Uniform(), LowDiscrepancy()):
        sampler = timesteps.build(gamma_of(HORIZON))
        sampler.record(TIMES, TIMES.double())
        assert sampler.density().tolist() == [1] * HORIZON
        assert sampler.diagnostics() == sampler.state_dict() == {}


@pytest.mark.parametrize("arguments", [{"history": 0}, {"floor": 0.0}, {"floor": 1.1}])
def test_importance_refuses_fields_out_of_range(arguments):
    with pytest.raises(ValueError, match="importance needs history >= 1 and 0 < floor <= 1"):
        Importance(**arguments)


U = np.linspace(0.0005, 0.9995, 1000)


def test_only_densities_that_are_part_of_the_objective_leave_a_loss_as_it_is():
    kept = {choice for choice in members(Timesteps) if not choice.reweighted}
    assert kept == {LogitNormal(), LogNormal()}
    for choice in kept:
        for sampler in (choice.build(gamma_of(HORIZON)), choice.build(Rectified().build(HORIZON))):
            assert sampler(grid(50))[1].tolist() == sampler.real(grid(50))[1].tolist() == [1] * 50


@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (-0.7, 0.6), (0.5, 1.9)])
@pytest.mark.parametrize("horizon", [25, 1000])
def test_logit_normal_has_the_density_of_a_normal_logit(mean, std, horizon):
    """Each t the mass of logit u ~ N(mean, std²) between (t − 1)/T and t/T; real t its quantiles, by scipy.stats."""
    sampler = LogitNormal(mean, std).build(gamma_of(horizon))
    with np.errstate(divide="ignore"):
        edges = logit(np.arange(horizon + 1) / horizon)
    expected = horizon * np.diff(norm(mean, std).cdf(edges))
    np.testing.assert_allclose(sampler.density(), expected, rtol=1e-8, atol=1e-12)
    t, _ = sampler.real(torch.from_numpy(U))
    np.testing.assert_allclose((t - 1) / (horizon - 1), expit(norm(mean, std).ppf(U)), rtol=1e-10)
    whole, _ = sampler(torch.from_numpy(U))
    np.testing.assert_array_equal(whole, 1 + np.floor(expit(norm(mean, std).ppf(U)) * horizon))


@pytest.mark.parametrize(("mean", "std"), [(-1.2, 1.2), (0.0, 0.5)])
@pytest.mark.parametrize("schedule", [Cosine(), LogSnrLinear(), Rectified(), Rectified(shift=3.0)], ids=name)
def test_log_normal_has_a_normal_log_sigma_between_the_schedules_ends(mean, std, schedule):
    """The times' ln σ = γ/2 is distributed as N(mean, std²) cut off at σ_1 and σ_T, by scipy.stats."""
    horizon = 400
    gamma = schedule.build(horizon)
    sampler = LogNormal(mean, std).build(gamma)
    cut = norm(mean, std)
    first, last = cut.cdf(gamma(torch.tensor([1, horizon])).numpy() / 2)
    # By the edges half-way between whole times, where no density within a cell is assumed.
    edges = torch.cat([torch.tensor([1.0]), torch.arange(1, horizon) + 0.5, torch.tensor([float(horizon)])])
    expected = (cut.cdf(gamma(edges).numpy() / 2) - first) / (last - first)
    np.testing.assert_allclose(sampler.density(), horizon * np.diff(expected), rtol=1e-8, atol=1e-12)
    t, _ = sampler.real(torch.from_numpy(U))
    found = (cut.cdf(gamma(t).numpy() / 2) - first) / (last - first)
    np.testing.assert_allclose(found, U, rtol=0, atol=np.diff(expected).max() / 4)


@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (-1.2, 1.2)])
def test_on_the_straight_path_the_two_normals_are_one_family(mean, std):
    """There ln σ = logit u: the same u of a uniform draw comes to the same place u_t = t/T, but for what is cut off."""
    horizon = 4000
    gamma = Rectified().build(horizon)
    u = torch.from_numpy(U)
    by_logit, by_level = (choice(mean, std).build(gamma).real(u)[0] / horizon for choice in (LogitNormal, LogNormal))
    np.testing.assert_allclose(by_level, by_logit, rtol=0, atol=1e-3)


@pytest.mark.parametrize(("choice", "called"), [(LogitNormal, "logit_normal"), (LogNormal, "log_normal")])
@pytest.mark.parametrize("std", [0.0, -1.0, float("nan")])
def test_a_normal_without_a_spread_is_refused(choice, called, std):
    with pytest.raises(ValueError, match=f"{called} needs std > 0"):
        choice(std=std)
