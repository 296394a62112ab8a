"""Axis: the training objective, per example.

Up to a term that does not depend on the network, every objective here is w(t) ‖ε − ε̂‖²/D. The weight w is what really
differs between them, whatever is predicted, so each objective states it:

    simple    κ_t, the parameterization's own scale (1 for ε)
    weighted  a weight named in ε-, x_0- or v-space
    vlb       T β²/(2 σ² α (1 − ᾱ_t)), in bits: with E over uniform t, the bound itself in bits/dim less L_T

(Ho et al. 2020, eq. 12 and 14.)
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from diffusion_core.forward import Pair
from diffusion_core.parameterizations import X0, Epsilon, Mu, V


@dataclass(frozen=True)
class Example:
    """What an objective may read of a batch; tensors are [B].

    `error` is ‖target − output‖²/D in the predicted quantity and `kappa` its scale per error of ε;
    `term()` is L_{t−1}, or L_0 where t = 1, in bits/dim.
    """

    error: Tensor
    kappa: Tensor
    pair: Pair
    horizon: int
    term: Callable[[], Tensor]


class Objective(ABC):
    """A loss per example. `reads_variance` tells whether σ² enters it, `learns_variance` whether it can teach one."""

    reads_variance: ClassVar[bool]
    learns_variance: ClassVar[bool]

    @abstractmethod
    def loss(self, example: Example) -> Tensor:
        """[B], unreduced."""

    @abstractmethod
    def eps_weight(self, kappa: Tensor, pair: Pair, log_variance: Tensor, horizon: int) -> Tensor:
        """w(t) [B], the weight of ‖ε − ε̂‖²/D at σ² = exp(log_variance) [B]."""


@dataclass(frozen=True)
class Simple(Objective):
    """L_simple: the unweighted mean square error of the predicted quantity."""

    reads_variance: ClassVar[bool] = False
    learns_variance: ClassVar[bool] = False

    def loss(self, example: Example) -> Tensor:
        return example.error

    def eps_weight(self, kappa: Tensor, pair: Pair, log_variance: Tensor, horizon: int) -> Tensor:
        return kappa


@dataclass(frozen=True)
class Weighted(Objective):
    """‖·‖² at a weight uniform in ε-, x_0- or v-space, whatever is predicted."""

    space: Literal["epsilon", "x0", "v"] = "epsilon"

    reads_variance: ClassVar[bool] = False
    learns_variance: ClassVar[bool] = False

    def loss(self, example: Example) -> Tensor:
        weight = self._kappa(example.pair) / example.kappa
        return weight.to(example.error.dtype) * example.error

    def eps_weight(self, kappa: Tensor, pair: Pair, log_variance: Tensor, horizon: int) -> Tensor:
        return self._kappa(pair)

    def _kappa(self, pair: Pair) -> Tensor:
        return {"epsilon": Epsilon(), "x0": X0(), "v": V()}[self.space].kappa(pair)


@dataclass(frozen=True)
class Vlb(Objective):
    """The bound: T L_{t−1} in bits/dim, with every constant, so that its mean over t is the bound less L_T."""

    reads_variance: ClassVar[bool] = True
    learns_variance: ClassVar[bool] = True

    def loss(self, example: Example) -> Tensor:
        return example.horizon * example.term()

    def eps_weight(self, kappa: Tensor, pair: Pair, log_variance: Tensor, horizon: int) -> Tensor:
        return horizon * Mu().kappa(pair) / (2 * log_variance.exp() * math.log(2))
