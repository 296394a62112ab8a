"""Axis: the conditioning, what a network is told besides x_t and its time: a label y, and its own estimate of x_0.

    unconditional   nothing: ε̂(x_t)
    class           the label: ε̂(x_t | y), and with no label, y = K of K classes, ε̂(x_t)

One network learns both by being told no label for a share of the examples (Ho & Salimans 2022). If p(y) is the data's,
the best output without a label is the mean of the best outputs with each label, by its posterior:

    E[x_0 | x_t] = Σ_y p(y | x_t) E[x_0 | x_t, y]

With self-conditioning (Chen et al. 2022) the network is shown an estimate of x_0 beside x_t. Here it is the network's
own estimate at the same x_t, made with zeros in its place:

    x̂_0' = f(x_t, 0),   x̂_0 = f(x_t, x̂_0')

So p_θ(x_s | x_t) is a function of x_t, and the bound is that of the model which is sampled. (Chen et al. show samples
the x̂_0 of the step before. That is cheaper, but then x_s depends on the whole path, and has no such bound.) Training
takes x̂_0' without its gradient for half of the examples, and f(x_t, 0) for the others.

For bounded data, x̂_0' is shown clipped to the bounds. For others its part in x_t is shown, √ᾱ x̂_0' = x_t − √(1 − ᾱ)
ε̂', since the error of x̂_0' itself is √(1 − ᾱ)/√ᾱ times that of ε̂', which with the cosine schedule hid the points.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Generic, NamedTuple, TypeVar

import torch
from torch import Tensor

from diffusion_core.forward import expand
from diffusion_core.randomness import GOLDEN, Values, uniform
from diffusion_core.refusing import require

HOST = torch.device("cpu")

INPUTS = ("label", "self_conditioned")
"""The names of all that a training tells a network of an example: its label, and whether it is shown its own
estimate."""
SHOWN = 0.5
"""The share of examples that are shown their own estimate in training (Chen et al. 2022, §3.2)."""


@dataclass(frozen=True)
class Conditioning(ABC):
    """The inputs of a network besides x_t and its time: a label where it is `labelled`, and with `self_conditioning`
    its own estimate of x_0 (Chen et al. 2022, arXiv:2208.04202)."""

    self_conditioning: bool = False

    labelled: ClassVar[bool] = False
    younger: ClassVar[tuple[str, ...]] = ("self_conditioning",)

    @property
    def passes(self) -> int:
        """The number of passes of the network for x̂_0 at one x_t."""
        return 2 if self.self_conditioning else 1

    def draws(self, count: int, seed: int, step: int) -> Values:
        """The draws that decide what each of `count` examples of a training step is told, each [B], on the CPU."""
        if not self.self_conditioning:
            return {}
        return {"self_conditioned": uniform(seed, step, "self_conditioning", (count,), HOST) < SHOWN}

    @abstractmethod
    def inputs(self, draws: Values, classes: int) -> Values:
        """The `INPUTS` of each example [B], by its draws and its label; K = `classes`."""
        return {"self_conditioned": draws["self_conditioned"]} if self.self_conditioning else {}


@dataclass(frozen=True)
class Unconditional(Conditioning):
    """No label."""

    def inputs(self, draws: Values, classes: int) -> Values:
        return super().inputs(draws, classes)


@dataclass(frozen=True)
class Class(Conditioning):
    """The label of an example's class; training tells none for the share `dropout` of examples.

    (Ho & Salimans 2022, arXiv:2207.12598.) Without dropout the network never learns to do without a label: it cannot
    guide itself, and has no likelihood without labels.
    """

    dropout: float = 0.1

    labelled = True

    def __post_init__(self) -> None:
        require(
            0 <= self.dropout < 1,
            "conditioning.dropout is the share of labels that training leaves out, at least 0 and below 1, got "
            f"{self.dropout}: without any label take conditioning=unconditional",
        )

    def draws(self, count: int, seed: int, step: int) -> Values:
        draws = super().draws(count, seed, step)
        if self.dropout:
            draws["dropped"] = uniform(seed, step, "label", (count,), HOST) < self.dropout
        return draws

    def inputs(self, draws: Values, classes: int) -> Values:
        label = draws["label"]
        absent = label < 0
        if self.dropout:
            absent = absent | draws["dropped"]
        return super().inputs(draws, classes) | {"label": torch.where(absent, classes, label)}


class Labelled(NamedTuple):
    """Stored data [N, …] and the label of each, int64 [N]: its class 0..K − 1, or −1 where it has none."""

    values: Tensor
    labels: Tensor


Data = Tensor | Labelled
"""Stored data, with labels or without."""


def parts(data: Data, classes: int) -> tuple[Tensor, Tensor | None]:
    """Stored data [N, …], and their labels if K = `classes` > 0; ValueError where these are needed and missing."""
    values, labels = data if isinstance(data, Labelled) else (data, None)
    if not classes:
        return values, None
    if labels is None or len(labels) != len(values):
        actual = "none" if labels is None else f"{len(labels)} for {len(values)} examples"
        raise ValueError(f"a training with labels of {classes} classes takes Labelled(values, labels), got {actual}")
    check_labels(labels, classes)
    return values, labels


def check_labels(labels: Tensor, classes: int) -> None:
    """ValueError unless these are labels int64 [N] of `classes` classes: 0..K − 1, and −1 or K for none."""
    listed = labels.dtype == torch.int64 and labels.ndim == 1
    require(listed, f"labels must be int64 [N], got {labels.dtype} {list(labels.shape)}")
    wrong = labels[(labels < -1) | (labels > classes)][:1].tolist()
    require(not wrong, f"labels of {classes} classes are 0 to {classes - 1}, and -1 for none, got {wrong}")


def sample_labels(shares: Tensor, count: int, seed: int) -> Tensor:
    """The classes of samples 0..`count` − 1 of a seed, int64, by the `shares` [K] of the classes or by their counts.

    By the inverse of their distribution at (i φ⁻¹ + u) mod 1, with one u ~ U[0, 1) of the seed: any run of samples has
    nearly these shares, and the class of a sample does not depend on how many are drawn.
    """
    shares = shares.detach().to(HOST, torch.float64)
    sensible = shares.ndim == 1 and bool((shares >= 0).all()) and float(shares.sum()) > 0
    require(sensible, f"shares of classes must be at least 0, and not all of them 0, got {shares.tolist()}")
    place = (torch.arange(count, dtype=torch.float64) * GOLDEN + uniform(seed, 0, "sample/label", (1,), HOST)) % 1
    cumulative = shares.cumsum(0)
    return torch.searchsorted(cumulative / cumulative[-1], place, right=True)


Model = TypeVar("Model")


@dataclass(frozen=True, eq=False)
class Guide(Generic[Model]):
    """A `diffusion`, without clipping, that guides with w = `scale` at the noise levels `low` < σ ≤ `high`."""

    diffusion: Model
    scale: float
    low: float
    high: float

    def x0(self, own: Tensor, gamma: Tensor, of_guide: Callable[[Model], Tensor]) -> Tensor:
        """The guided x̂_0, from the diffusion's `own` [B, …] at noise levels γ [B] and the guide's, which is asked only
        if one of these is in the interval."""
        everywhere = self.low == 0 and self.high == math.inf
        sigma = torch.exp(0.5 * gamma)
        inside = (sigma > self.low) & (sigma <= self.high)
        if not (everywhere or bool(inside.any())):
            return own
        guide = of_guide(self.diffusion)
        guided = guide + self.scale * (own - guide)
        return guided if everywhere else torch.where(expand(inside, own).bool(), guided, own)
