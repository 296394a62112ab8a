"""Properties of every spacing of steps: K different times of [1, T], T among them, from γ alone or from a fit."""

from __future__ import annotations

import torch

from diffusion_core.chain import whole
from diffusion_core.gamma import Gamma
from diffusion_core.schedules import Cosine, Linear, LogSnrLinear, Rectified, Schedule
from diffusion_core.spacings import Spacing
from diffusion_core.testing.choices import OF_EVERY_CHOICE
from diffusion_core.testing.saying import Property, require, require_flag

SCHEDULES: tuple[Schedule, ...] = (Linear(rescale=False), Cosine(), LogSnrLinear(), Rectified())
HORIZONS = (2, 3, 31, 250)


def terms(horizon: int) -> torch.Tensor:
    """Terms as a fit leaves them [T + 1, T + 1]: those of the step from t to s < t grow with t − s, with no pattern."""
    t, s = torch.meshgrid(torch.arange(horizon + 1.0), torch.arange(horizon + 1.0), indexing="ij")
    noise = torch.rand(horizon + 1, horizon + 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return torch.where(s < t, (t - s) ** 1.5 + noise, torch.inf)


def visits_as_many_times_as_asked_for(spacing: Spacing) -> None:
    """0 = τ_0 < 1 ≤ τ_1 < … < τ_K = T for every K and T, as rounded too, and all of 1..T for K = T."""
    for schedule in SCHEDULES:
        for horizon in HORIZONS:
            gamma = schedule.gamma(horizon)
            for steps in sorted({1, 2, 3, 10, horizon - 1, horizon} & set(range(1, horizon + 1))):
                _rise(spacing, gamma, steps)


def _rise(spacing: Spacing, gamma: Gamma, steps: int) -> None:
    times = spacing.times(gamma, steps, terms(gamma.horizon))
    where = f"{steps} steps of T={gamma.horizon}"
    rule = f"{where} must be {steps + 1} times of type int64, or float64, with τ_0 = 0"
    fits = times.dtype in (torch.int64, torch.float64) and len(times) == steps + 1
    require(spacing, rule, fits, f"{times.dtype} [{len(times)}]")
    for tau in (times, whole(times)):
        rising = tau[0] == 0 and tau[-1] == gamma.horizon and bool((tau.diff() > 0).all()) and tau[1] >= 1
        fact = f"they are {', '.join(map(str, tau.tolist()))}"
        require(spacing, f"{where} must rise from 0 by at least 1 to T", rising, fact)


def refuses_more_steps_than_there_are(spacing: Spacing) -> None:
    """It raises a ValueError in one line, and also for 0 steps."""
    gamma = Linear(rescale=False).gamma(31)
    for steps in (0, 32):
        try:
            spacing.times(gamma, steps, terms(31))
        except ValueError:
            continue
        require(spacing, f"{steps} steps of T=31 must be refused", False, "they are not: let `times` be the base's")


def reads_the_terms_only_if_it_says_so(spacing: Spacing) -> None:
    """`fitted` decides whether a network's bound is measured first."""
    gamma = Linear(rescale=False).gamma(31)
    with_terms = spacing.times(gamma, 7, terms(31))
    try:
        reads = not torch.equal(spacing.times(gamma, 7, terms(31)[:0]), with_terms)
    except ValueError:
        reads = True
    fact = f"its times {'follow' if reads else 'do not follow'} the terms"
    require_flag(spacing, "fitted", "the terms are read", reads, fact)


PROPERTIES: tuple[Property, ...] = (
    *OF_EVERY_CHOICE,
    visits_as_many_times_as_asked_for,
    refuses_more_steps_than_there_are,
    reads_the_terms_only_if_it_says_so,
)
