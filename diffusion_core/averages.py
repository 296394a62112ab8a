"""Axis: the average, that is, the weights of a training that are evaluated; and averages of any length after the fact.

    tracked      θ̄_{n+1} = d θ̄_n + (1 − d) θ_{n+1}, as `training.ema` says       (`trainer.py`)
    raw          θ_n, the last weights
    power        a power-function average, from snapshots of two such             (Karras et al. 2024, arXiv:2312.02696)

The power-function average of weights θ(τ) up to time t, in steps, and its width in shares of t:

    θ̂(t) = ∫_0^t p(τ) θ(τ) dτ,   p(τ) = (γ + 1) τ^γ/t^{γ+1},   σ_rel² = (γ + 1)/((γ + 2)² (γ + 3))
    θ̂ ← β θ̂ + (1 − β) θ,         β = (1 − Δ/t)^{γ+1}

(§3.1). The update is exact for weights that are constant over Δ, and keeps nothing of the start, since β = 0 at t = Δ.

Averages θ̂_i kept at times t_i give any other one by the combination of profiles that is nearest to its own in L²,

    A x = b,   A_ij = ∫ p_i p_j dτ,   b_i = ∫ p_i p dτ,   Σ x_i = 1;     θ̂ ≈ Σ x_i θ̂_i

(§3.2, appendix C), ∫ p_a p_b dτ = (γ_a + 1)(γ_b + 1)/(γ_a + γ_b + 1) · (t_a/t_b)^{γ_b}/t_b where t_a ≤ t_b.

Snapshots needed, of σ_rel 0.05 and 0.10, evenly spaced: 24 bring weights within 1 % of tracked ones for all σ_rel in
0.03 … 0.25 on a path of sines and random walks; 12 do in trainings of the digits' U-Net of 500 and 1000 steps (raw
weights are 4 to 19 % off these). With 32 it is 0.6 % and 0.2 %. The part of a profile that the combination misses
predicts the error before anything is trained (`profile_error`): where it is below `MOST_OFF`, weights were within 0.4 %
of tracked ones in these trainings, and within 1.4 % on that path.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from diffusion_core.optimiser import Flat, take_over
from diffusion_core.randomness import Values
from diffusion_core.training import MOST_SNAPSHOTS, Training

__all__ = [
    "Average",
    "Power",
    "Raw",
    "Tracked",
    "coefficients",
    "exponent",
    "kept_share",
    "profile_error",
    "reconstruct",
]

KEPT = (0.05, 0.10)
"""σ_rel of the two averages that are kept while a network trains (§3.2)."""
LEAST_STD, MOST_STD = 0.004, 0.284
"""The range of σ_rel. A smaller one needs too many snapshots; at 12^−½ = 0.289 all steps would weigh alike, γ = 0."""
MOST_OFF = 0.05
"""The largest share of a profile, in L², that a reconstruction may miss."""
ENOUGH = 32
"""The number of snapshots with which averages of σ_rel 0.02 … 0.25 miss less than that."""


@lru_cache(maxsize=256)
def exponent(std: float) -> float:
    """γ of a relative standard deviation σ_rel: the largest root of (γ + 2)² (γ + 3) = (γ + 1)/σ_rel²."""
    inverse = float(std) ** -2
    return float(np.roots([1.0, 7.0, 16.0 - inverse, 12.0 - inverse]).real.max())


def kept_share(std: float, time: float, steps: float = 1.0) -> float:
    """β, the share that an average keeps of itself over the last `steps` up to `time`; 0 if it only begins there."""
    return float((1 - steps / time) ** (exponent(std) + 1))


def products(times: Tensor, stds: Sequence[float], others: Tensor, other_stds: Sequence[float]) -> Tensor:
    """∫ p_a p_b dτ of all pairs of profiles, float64 [a, b]."""
    t_a, t_b = times.double()[:, None], others.double()[None]
    g_a, g_b = _exponents(stds)[:, None], _exponents(other_stds)[None]
    later, power = torch.maximum(t_a, t_b), torch.where(t_a < t_b, g_b, g_a)
    ratio: Tensor = torch.minimum(t_a, t_b) / later
    return (g_a + 1) * (g_b + 1) / (g_a + g_b + 1) * ratio**power / later


def coefficients(times: Sequence[float], stds: Sequence[float], time: float, std: float) -> Tensor:
    """x_i, float64: the weights of averages kept at these times in the combination for another one at `time`."""
    kept, wanted = torch.tensor(times, dtype=torch.float64), torch.tensor([time], dtype=torch.float64)
    x: Tensor = torch.linalg.solve(products(kept, stds, kept, stds), products(kept, stds, wanted, [std])[:, 0])
    return x / x.sum()


def profile_error(times: Sequence[float], stds: Sequence[float], time: float, std: float) -> float:
    """‖Σ x_i p_i − p‖/‖p‖ in L²: the share of a profile that the best combination misses."""
    kept, wanted = torch.tensor(times, dtype=torch.float64), torch.tensor([time], dtype=torch.float64)
    x = coefficients(times, stds, time, std)
    inner, among = products(kept, stds, wanted, [std])[:, 0], products(kept, stds, kept, stds)
    own = products(wanted, [std], wanted, [std])[0, 0]
    return float(((x @ among @ x - 2 * x @ inner + own).clamp(min=0) / own).sqrt())


def reconstruct(kept: Iterable[Values], x: Tensor) -> Values:
    """Σ x_i θ̂_i of averages that were kept, tensors by name; summed up in float64."""
    total: Values = {}
    dtypes = {}
    for weight, average in zip(x.tolist(), kept, strict=True):
        for name, value in average.items():
            dtypes[name] = value.dtype
            total[name] = total[name].add_(value, alpha=weight) if name in total else value.double() * weight
    return {name: value.to(dtypes[name]) for name, value in total.items()}


def _exponents(stds: Sequence[float]) -> Tensor:
    return torch.tensor([exponent(std) for std in stds], dtype=torch.float64)


class Average(ABC):
    """A choice of the weights of a training that are evaluated."""

    snapshots: ClassVar[int] = 0
    """The number of snapshots that a training takes for it by default."""

    def refusal(self, plan: Training) -> str | None:
        """The reason why a training by this plan does not give these weights; None if it does."""
        return None

    @abstractmethod
    def weights(self, ended: Callable[[str], Values], kept: Callable[[int], Values], plan: Training) -> Values:
        """The state of a learner with these weights, from what a training by this plan has left.

        `ended` gives the last state of the `learner` or of its `average`, `kept` the snapshot that was taken at a step.
        """


@dataclass(frozen=True)
class Tracked(Average):
    """The exponential moving average with the decay `training.ema`."""

    def weights(self, ended: Callable[[str], Values], kept: Callable[[int], Values], plan: Training) -> Values:
        return ended("average")


@dataclass(frozen=True)
class Raw(Average):
    """The weights after the last step, no average of them."""

    def weights(self, ended: Callable[[str], Values], kept: Callable[[int], Values], plan: Training) -> Values:
        return ended("learner")


@dataclass(frozen=True)
class Power(Average):
    """The power-function average whose relative standard deviation is `std`, at the end of a training.

    Buffers are copied from the learner, as for a tracked average.
    """

    std: float = 0.1
    snapshots = ENOUGH

    def __post_init__(self) -> None:
        if not LEAST_STD <= self.std <= MOST_STD:
            raise ValueError(
                f"average.std must be {LEAST_STD} to {MOST_STD}, where steps weigh nearly alike, got {self.std}: "
                "average=raw takes the last weights"
            )

    def refusal(self, plan: Training) -> str | None:
        if not plan.snapshots:
            return (
                f"average={self.std:g} is reconstructed from snapshots, and training.snapshots=0 keeps none: take "
                f"training.snapshots={ENOUGH}, or average=tracked"
            )
        off = self._off(plan)
        if off <= MOST_OFF:
            return None
        more = (count for count in (32, 64, 128, MOST_SNAPSHOTS) if plan.snapshots < count <= plan.steps)
        enough = next((count for count in more if self._off(replace(plan, snapshots=count)) <= MOST_OFF), None)
        instead = "more training.steps" if enough is None else f"training.snapshots={enough}"
        return (
            f"average={self.std:g} cannot be told well enough from {len(plan.snapshot_steps)} snapshots ({off:.0%} "
            f"off, {MOST_OFF:.0%} are allowed): take {instead}, or an average between {KEPT[0]:g} and {KEPT[1]:g}"
        )

    def _off(self, plan: Training) -> float:
        return profile_error(*_places(plan), plan.steps, self.std)

    def weights(self, ended: Callable[[str], Values], kept: Callable[[int], Values], plan: Training) -> Values:
        averages = (_of(std, snapshot) for snapshot in map(kept, plan.snapshot_steps) for std in KEPT)
        return ended("average") | reconstruct(averages, coefficients(*_places(plan), plan.steps, self.std))


def _of(std: float, snapshot: Values) -> Values:
    prefix = f"{std}/"
    return {name.removeprefix(prefix): value for name, value in snapshot.items() if name.startswith(prefix)}


def _places(plan: Training) -> tuple[list[float], list[float]]:
    """The times and widths of the averages in a plan's snapshots, one after the other."""
    pairs = [(float(step), std) for step in plan.snapshot_steps for std in KEPT]
    return [time for time, _ in pairs], [std for _, std in pairs]


class Averages:
    """The averages of a learner's weights while it trains: one in the module `tracked`, and power functions if
    snapshots are taken. Averages of the parameters in `flats` lie in vectors like theirs."""

    def __init__(self, tracked: nn.Module, learner: nn.Module, flats: Sequence[Flat], plan: Training) -> None:
        self.ema = plan.ema
        self.flats = flats
        self.stds = KEPT if plan.snapshots else ()
        names, mine = {id(p): name for name, p in learner.named_parameters()}, dict(tracked.named_parameters())
        followed = [Flat([mine[names[id(p)]] for p in flat.tensors]).values for flat in flats]
        self.vectors = [followed, *([torch.zeros_like(flat.values) for flat in flats] for _ in self.stds)]
        # Modules are walked once, not at every step.
        self.buffers = list(zip(tracked.buffers(), learner.buffers(), strict=True))
        self.names = {name: id(p) for name, p in learner.named_parameters(remove_duplicate=False)}

    def shares(self, step: int) -> list[float]:
        """1 − d and 1 − β of the step n = 0, 1, …: the new weights' share in each average."""
        return [1 - min(self.ema, (1 + step) / (10 + step)), *(1 - kept_share(std, step + 1) for std in self.stds)]

    @torch.no_grad()
    def follow(self, step: int) -> None:
        """Move each average towards the weights after step n = 0, 1, …, by their share in it, and copy the buffers."""
        for vectors, share in zip(self.vectors, self.shares(step), strict=True):
            for values, flat in zip(vectors, self.flats, strict=True):
                values.lerp_(flat.values, share)
        for mine, theirs in self.buffers:
            mine.copy_(theirs)

    def powers(self) -> Values:
        """The power-function averages, by σ_rel and the parameter's name; they are views and no copies."""
        powers: Values = {}
        for std, vectors in zip(self.stds, self.vectors[1:], strict=True):
            views = {
                id(p): view
                for flat, values in zip(self.flats, vectors, strict=True)
                for p, view in zip(flat.tensors, flat.views(values), strict=True)
            }
            powers |= {f"{std}/{name}": views[place] for name, place in self.names.items() if place in views}
        return powers

    def load(self, powers: Values) -> None:
        """Continue from these averages; ValueError where they are of another learner."""
        take_over(self.powers(), powers, "averages")
