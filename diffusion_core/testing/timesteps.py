"""Properties of every density of training times: it draws as it says, and moves no expectation unless it says so.

They are checked before and after the sampler has seen losses: one that adapts must be right at every moment.
"""

from __future__ import annotations

import torch
from torch import Tensor

from diffusion_core.schedules import Cosine
from diffusion_core.testing.choices import OF_EVERY_CHOICE
from diffusion_core.testing.saying import (
    Property,
    at_t,
    at_times,
    nowhere,
    require,
    require_close,
    require_equal,
    require_flag,
)
from diffusion_core.timesteps import Timesteps, TimestepSampler

HORIZON = 25
DRAWS = HORIZON * 400
TIMES = torch.arange(1, HORIZON + 1)
GAMMA = Cosine().gamma(HORIZON)


def grid(n: int) -> Tensor:
    """n midpoints of [0, 1)."""
    return (torch.arange(n, dtype=torch.float64) + 0.5) / n


def told(timesteps: Timesteps, rounds: int = 20) -> TimestepSampler:
    """A sampler that has seen `rounds` losses at each t, of size t^−1.5."""
    sampler = timesteps.build(GAMMA)
    for _ in range(rounds):
        sampler.record(TIMES, TIMES.double() ** -1.5)
    return sampler


def at_draw(index: tuple[int, ...]) -> str:
    """The place of an index that counts draws."""
    return f"at draw {index[0]}"


def moments(timesteps: Timesteps) -> dict[str, TimestepSampler]:
    """The sampler before and after it has seen losses, each by a description in words."""
    return {"as built": timesteps.build(GAMMA), "after 20 losses at each t": told(timesteps)}


def times_cover_1_to_the_horizon_as_the_density_says(timesteps: Timesteps) -> None:
    """Over u ~ U[0, 1) the share of each t is `density()`/T, within 0.001; t is int64, the weight float64."""
    for when, sampler in moments(timesteps).items():
        t, weight = sampler(grid(DRAWS))
        types = (t.dtype, weight.dtype)
        rule = "times must be int64 and weights float64"
        require(timesteps, rule, types == (torch.int64, torch.float64), f"they are {types[0]} and {types[1]}")
        _inside(timesteps, t, when)
        share = torch.bincount(t, minlength=HORIZON + 1)[1:].double() / len(t)
        rule = f"the share of each t must be density()/T {when}"
        require_close(timesteps, rule, share, sampler.density() / HORIZON, rtol=0, atol=1e-3, place=at_t(HORIZON))


def _inside(timesteps: Timesteps, t: Tensor, when: str) -> None:
    fact = f"they go from {float(t.min()):g} to {float(t.max()):g} {when}"
    require(timesteps, f"times must lie within 1..T={HORIZON}", bool(((t >= 1) & (t <= HORIZON)).all()), fact)


def losses_have_the_mean_that_is_said(timesteps: Timesteps) -> None:
    """E weight(t) L(t) = (1/T) Σ_t L(t), where it is reweighted; the density is T p(t), which sums to T."""
    for when, sampler in moments(timesteps).items():
        t, weight = sampler(grid(DRAWS))
        loss = torch.linspace(3, 1, HORIZON, dtype=torch.float64) ** 2
        mean = (weight * loss[t - 1]).mean()
        expected = loss.mean() if timesteps.reweighted else (sampler.density() * loss).mean()
        rule = (
            f"losses must have the mean {'of uniform times' if timesteps.reweighted else 'that density() says'} {when}"
        )
        require_close(timesteps, rule, mean, expected, rtol=1e-2, place=nowhere)
        total = sampler.density().sum()
        require_close(
            timesteps,
            f"density() must sum to T {when}",
            total,
            torch.full_like(total, HORIZON),
            rtol=1e-9,
            place=nowhere,
        )


def weights_undo_the_density_at_every_time(timesteps: Timesteps) -> None:
    """weight(t) = 1/(T p(t)): a density that a cell reports is the one that it drew from; 1 if not `reweighted`."""
    for when, sampler in moments(timesteps).items():
        t, weight = sampler(grid(DRAWS))
        rule = f"the weight must be {'1/density()' if timesteps.reweighted else '1'} at each t that is drawn {when}"
        require_close(
            timesteps,
            rule,
            weight,
            1 / sampler.density()[t - 1] if timesteps.reweighted else torch.ones_like(weight),
            rtol=1e-9,
            place=at_times(t, HORIZON),
        )


def times_stay_within_the_horizon_at_the_ends_of_u(timesteps: Timesteps) -> None:
    """u = 0, and the largest double below 1."""
    for when, sampler in moments(timesteps).items():
        for u in (0.0, 1 - 2.0**-53):
            t, _ = sampler(torch.full((3,), u, dtype=torch.float64))
            _inside(timesteps, t, f"at u={u} {when}")


def real_times_lie_between_the_ends_and_keep_the_mean_of_uniform_ones(timesteps: Timesteps) -> None:
    """For continuous time: t real in [1, T], E weight L(t) = ∫ L over t uniform between the ends, if `reweighted`.

    Else the share of times before each place is that of whole times, as far as rounding to them allows.
    """
    t, weight = timesteps.build(GAMMA).real(grid(DRAWS))
    types = (t.dtype, weight.dtype)
    rule = "real times and weights must be float64"
    require(timesteps, rule, types == (torch.float64, torch.float64), f"they are {types[0]} and {types[1]}")
    _inside(timesteps, t, "as real times")
    share = (t - 1) / (HORIZON - 1)
    if not timesteps.reweighted:
        whole, _ = timesteps.build(GAMMA)(grid(DRAWS))
        far = float((t - whole).abs().max())
        rule = "real times must be within 1 of the whole ones of the same u"
        require(timesteps, rule, far <= 1, f"they differ by up to {far:.3g}")
        return
    for power in (0, 1, 2):
        mean = (weight * share**power).mean()
        rule = f"the weighted mean of u^{power}, u = (t - 1)/(T - 1), must be {1 / (power + 1):g}"
        require_close(timesteps, rule, mean, torch.full_like(mean, 1 / (power + 1)), rtol=1e-2, place=nowhere)


def follows_the_losses_only_if_it_says_so(timesteps: Timesteps) -> None:
    """`adapts` decides which cells make sense: a density that moves has no meaning where t are real."""
    before, after = (sampler.density() for sampler in moments(timesteps).values())
    moves = not torch.equal(before, after)
    fact = f"its density {'moves' if moves else 'stays'} with the losses"
    require_flag(timesteps, "adapts", "the density follows the losses", moves, fact)


def what_it_remembers_is_carried_by_its_state(timesteps: Timesteps) -> None:
    """A training continued from a checkpoint draws the same times as an unbroken one."""
    unbroken, continued = told(timesteps), timesteps.build(GAMMA)
    continued.load_state_dict({key: value.clone() for key, value in told(timesteps, 9).state_dict().items()})
    for _ in range(11):
        continued.record(TIMES, TIMES.double() ** -1.5)
    rule = "what it remembers must be in its buffers, so that a resumed training draws the same times"
    for resumed, whole in zip(continued(grid(77)), unbroken(grid(77)), strict=True):
        require_equal(timesteps, rule, resumed, whole, at_draw)


def draws_nothing_of_its_own(timesteps: Timesteps) -> None:
    """Times follow from u alone, which the seed draws: cells of one seed stay paired."""
    first, second = (timesteps.build(GAMMA)(grid(77)) for _ in range(2))
    for a, b in zip(first, second, strict=True):
        require_equal(timesteps, "times must follow from u and what was recorded alone", a, b, at_draw)


PROPERTIES: tuple[Property, ...] = (
    *OF_EVERY_CHOICE,
    times_cover_1_to_the_horizon_as_the_density_says,
    losses_have_the_mean_that_is_said,
    weights_undo_the_density_at_every_time,
    times_stay_within_the_horizon_at_the_ends_of_u,
    real_times_lie_between_the_ends_and_keep_the_mean_of_uniform_ones,
    follows_the_losses_only_if_it_says_so,
    what_it_remembers_is_carried_by_its_state,
    draws_nothing_of_its_own,
)
