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

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from diffusion_core.optimiser import Flat, load_tensors
from diffusion_core.randomness import Values
from diffusion_core.refusing import require
from diffusion_core.training import MOST_SNAPSHOTS, Training

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


def products(times: Sequence[float], stds: Sequence[float], time: Sequence[float], std: Sequence[float]) -> Tensor:
    """∫ p_a p_b dτ of all pairs of profiles a, of `times` and `stds`, and b, of `time` and `std`; float64 [a, b]."""
    t_a, t_b = (torch.as_tensor(values, dtype=torch.float64) for values in (times, time))
    g_a, g_b = (torch.tensor([exponent(s) for s in values], dtype=torch.float64) for values in (stds, std))
    t_a, g_a = t_a[:, None], g_a[:, None]
    later, power = torch.maximum(t_a, t_b), torch.where(t_a < t_b, g_b, g_a)
    ratio = torch.minimum(t_a, t_b) / later
    return (g_a + 1) * (g_b + 1) / (g_a + g_b + 1) * ratio**power / later


def coefficients(times: Sequence[float], stds: Sequence[float], time: float, std: float) -> Tensor:
    """x_i, float64: the weights of averages kept at these times in the combination for another one at `time`."""
    x = torch.linalg.solve(products(times, stds, times, stds), products(times, stds, [time], [std])[:, 0])
    return x / x.sum()


def profile_error(times: Sequence[float], stds: Sequence[float], time: float, std: float) -> float:
    """‖Σ x_i p_i − p‖/‖p‖ in L²: the share of a profile that the best combination misses."""
    x = torch.cat([coefficients(times, stds, time, std), -torch.ones(1)])
    times, stds = [*times, time], [*stds, std]
    among = products(times, stds, times, stds)
    return float(((x @ among @ x).clamp(min=0) / among[-1, -1]).sqrt())


def reconstruct(kept: Iterable[Values], x: Tensor) -> Values:
    """Σ x_i θ̂_i of averages that were kept, tensors by name; summed up in float64."""
    total: Values = {}
    for weight, average in zip(x.tolist(), kept, strict=True):
        for name, value in average.items():
            total[name] = total.get(name, torch.zeros_like(value, dtype=torch.float64)).add_(value, alpha=weight)
    return {name: value.to(average[name].dtype) for name, value in total.items()}


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
        says = f"average.std must be {LEAST_STD} to {MOST_STD}, where steps weigh nearly alike, got {self.std}"
        require(LEAST_STD <= self.std <= MOST_STD, f"{says}: average=raw takes the last weights")

    def refusal(self, plan: Training) -> str | None:
        if not plan.snapshots:
            return (
                f"average={self.std:g} is reconstructed from snapshots, and training.snapshots=0 keeps none: take "
                f"training.snapshots={ENOUGH}, or average=tracked"
            )
        off = self._off(plan)
        if off <= MOST_OFF:
            return None
        further = (count for count in (32, 64, 128, MOST_SNAPSHOTS) if plan.snapshots < count <= plan.steps)
        enough = next((count for count in further if self._off(replace(plan, snapshots=count)) <= MOST_OFF), None)
        instead = f"training.snapshots={enough}" if enough else "more training.steps"
        return (
            f"average={self.std:g} cannot be told well enough from {len(plan.snapshot_steps)} snapshots ({off:.0%} "
            f"off, {MOST_OFF:.0%} are allowed): take {instead}, or an average between {KEPT[0]:g} and {KEPT[1]:g}"
        )

    def _off(self, plan: Training) -> float:
        return profile_error(*_places(plan), plan.steps, self.std)

    def weights(self, ended: Callable[[str], Values], kept: Callable[[int], Values], plan: Training) -> Values:
        averages = (under(snapshot, str(std)) for snapshot in map(kept, plan.snapshot_steps) for std in KEPT)
        return ended("average") | reconstruct(averages, coefficients(*_places(plan), plan.steps, self.std))


def under(values: Values, prefix: str) -> Values:
    """The entries under `prefix/`, without it."""
    return {name.removeprefix(f"{prefix}/"): value for name, value in values.items() if name.startswith(f"{prefix}/")}


def _places(plan: Training) -> tuple[list[float], list[float]]:
    """The times and widths of the averages in a plan's snapshots, one after the other."""
    return [float(step) for step in plan.snapshot_steps for _ in KEPT], list(KEPT) * len(plan.snapshot_steps)


class Averages:
    """The averages of a learner while it trains, modules like it: `tracked`, and power functions by σ_rel if snapshots
    are taken. Their parameters lie in vectors like those of the learner, `flats`."""

    def __init__(self, learner: nn.Module, flats: Sequence[Flat], plan: Training) -> None:
        self.ema = plan.ema
        self.tracked = copy.deepcopy(learner).requires_grad_(False)
        self.powers = {std: copy.deepcopy(self.tracked) for std in (KEPT if plan.snapshots else ())}
        # Modules are walked once, not at every step.
        learned = dict(learner.named_parameters(remove_duplicate=False))
        places = {id(parameter): name for name, parameter in learner.named_parameters()}
        self.vectors = [
            [(Flat([average.get_parameter(places[id(p)]) for p in flat.tensors]).values, flat) for flat in flats]
            for average in (self.tracked, *self.powers.values())
        ]
        taught = {id(p) for flat in flats for p in flat.tensors}
        self.names = [name for name, p in learned.items() if id(p) in taught]
        self.buffers = list(zip(self.tracked.buffers(), learner.buffers(), strict=True))

    @torch.no_grad()
    def follow(self, step: int) -> None:
        """Move each average towards the weights after step n = 0, 1, …, by their share in it, and copy the buffers."""
        shares = [1 - min(self.ema, (1 + step) / (10 + step)), *(1 - kept_share(std, step + 1) for std in self.powers)]
        for vectors, share in zip(self.vectors, shares, strict=True):
            for values, flat in vectors:
                values.lerp_(flat.values, share)
        for mine, theirs in self.buffers:
            mine.copy_(theirs)

    def state(self) -> Values:
        """The power-function averages, by σ_rel and the parameter's name; these are no copies."""
        modules = self.powers.items()
        return {f"{std}/{name}": average.get_parameter(name).data for std, average in modules for name in self.names}

    def load(self, powers: Values) -> None:
        """Continue from these power functions; ValueError where they are of another learner."""
        load_tensors(self.state(), powers, "averages")
