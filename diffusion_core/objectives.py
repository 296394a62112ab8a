"""Axis: the training objective, per example.

Up to a term that does not depend on the network's mean, every objective here is w(t) ‖ε − ε̂‖²/D. The weight w is what
really differs between them, whatever is predicted, so each objective states it:

    simple, hybrid   κ_t, the parameterization's own scale (1 for ε)
    weighted         SNR^power, in ε-, x_0- or v-space
    min_snr          min(1, γ/SNR)
    p2               1/(k + SNR)^γ
    vlb              T β²/(2 σ² α (1 − ᾱ_t)), in bits: with E over uniform t, the bound itself in bits/dim less L_T
                     (at t = 1 for a density decoder: a sum over bins flattens where σ_1 is below their width)
    vlb_continuous   ½ dγ/du, in bits

(Ho et al. 2020, eq. 12 and 14; Nichol & Dhariwal 2021, §3; Hang et al. 2023; Choi et al. 2022; Kingma et al. 2021.)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from diffusion_core.forward import Pair
from diffusion_core.parameterizations import X0, Epsilon, Mu, V
from diffusion_core.units import bits_per_nat


@dataclass(frozen=True)
class NoiseLevels:
    """The noise levels of a batch's examples, and what goes with them [B].

    `kappa` is the parameterization's κ, `rate()` is dγ/du at u = (t − 1)/(T − 1), a function because it costs time.
    """

    pair: Pair
    kappa: Tensor
    horizon: int
    rate: Callable[[], Tensor]


@dataclass(frozen=True)
class Example:
    """All that an objective may read of a batch.

    `error` [B] is ‖target − output‖²/D in the predicted quantity; `term()` is L_{t−1}, or L_0 where t = 1, in
    bits/dim; `variance_term()` is the same with the mean held fixed, so that σ² alone learns from it.
    """

    levels: NoiseLevels
    error: Tensor
    term: Callable[[], Tensor]
    variance_term: Callable[[], Tensor]


class Objective(ABC):
    """A loss per example.

    `reads_variance` tells whether σ² enters it, `learns_variance` whether it can teach one, `needs_learned` whether it
    is meant for nothing else, `reads_decoder` whether L_0 teaches the mean, `continuous` whether its times are real.
    """

    reads_variance: ClassVar[bool] = False
    learns_variance: ClassVar[bool] = False
    needs_learned: ClassVar[bool] = False
    reads_decoder: ClassVar[bool] = False
    continuous: ClassVar[bool] = False

    @abstractmethod
    def loss(self, example: Example) -> Tensor:
        """The loss of each example [B]."""

    @abstractmethod
    def eps_weight(self, levels: NoiseLevels, log_variance: Tensor) -> Tensor:
        """w(t) [B], the weight of ‖ε − ε̂‖²/D at σ² = exp(log_variance) [B]."""


@dataclass(frozen=True)
class Simple(Objective):
    """L_simple: the unweighted mean square error of the predicted quantity."""

    def loss(self, example: Example) -> Tensor:
        return example.error

    def eps_weight(self, levels: NoiseLevels, log_variance: Tensor) -> Tensor:
        return levels.kappa


@dataclass(frozen=True)
class Hybrid(Objective):
    """L_simple + λ L_vlb, L_vlb = E T L_{t−1} in bits/dim with the mean held fixed (Nichol & Dhariwal 2021, eq. 16)."""

    weight: float = 1e-3

    reads_variance: ClassVar[bool] = True
    learns_variance: ClassVar[bool] = True
    needs_learned: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not self.weight > 0:
            raise ValueError(f"hybrid needs weight > 0, got {self.weight}")

    def loss(self, example: Example) -> Tensor:
        return example.error + self.weight * example.levels.horizon * example.variance_term()

    def eps_weight(self, levels: NoiseLevels, log_variance: Tensor) -> Tensor:
        return levels.kappa


class EpsWeighted(Objective):
    """‖ε − ε̂‖²/D at a stated weight, whatever is predicted."""

    @abstractmethod
    def weight(self, pair: Pair) -> Tensor:
        """w(t) [B], the weight of ‖ε − ε̂‖²/D."""

    def loss(self, example: Example) -> Tensor:
        weight = self.weight(example.levels.pair) / example.levels.kappa
        return weight.to(example.error.dtype) * example.error

    def eps_weight(self, levels: NoiseLevels, log_variance: Tensor) -> Tensor:
        return self.weight(levels.pair)


@dataclass(frozen=True)
class Weighted(EpsWeighted):
    """SNR^power ‖·‖² in ε-, x_0- or v-space: with power 0 that space's unweighted error, whatever is predicted."""

    space: Literal["epsilon", "x0", "v"] = "epsilon"
    power: float = 0.0

    def weight(self, pair: Pair) -> Tensor:
        kappa = {"epsilon": Epsilon(), "x0": X0(), "v": V()}[self.space].kappa(pair)
        return torch.exp(-self.power * pair.gamma_t) * kappa


@dataclass(frozen=True)
class MinSnr(EpsWeighted):
    """min(SNR, γ) ‖x_0 − x̂_0‖² (Hang et al. 2023)."""

    gamma: float = 5.0

    def __post_init__(self) -> None:
        if not self.gamma > 0:
            raise ValueError(f"min_snr needs gamma > 0, got {self.gamma}")

    def weight(self, pair: Pair) -> Tensor:
        return (self.gamma * torch.exp(pair.gamma_t)).clamp(max=1)


@dataclass(frozen=True)
class P2(EpsWeighted):
    """‖ε − ε̂‖²/(k + SNR)^γ (Choi et al. 2022, eq. 8)."""

    k: float = 1.0
    gamma: float = 1.0

    def __post_init__(self) -> None:
        if not (self.k > 0 and self.gamma >= 0):
            raise ValueError(f"p2 needs k > 0 and gamma >= 0, got k={self.k} and gamma={self.gamma}")

    def weight(self, pair: Pair) -> Tensor:
        return (self.k + torch.exp(-pair.gamma_t)) ** -self.gamma


@dataclass(frozen=True)
class Vlb(Objective):
    """The bound: T L_{t−1} in bits/dim, with every constant, so that its mean over t is the bound less L_T."""

    reads_variance: ClassVar[bool] = True
    learns_variance: ClassVar[bool] = True
    reads_decoder: ClassVar[bool] = True

    def loss(self, example: Example) -> Tensor:
        return example.levels.horizon * example.term()

    def eps_weight(self, levels: NoiseLevels, log_variance: Tensor) -> Tensor:
        return levels.horizon * Mu().kappa(levels.pair) * bits_per_nat() / (2 * log_variance.exp())


@dataclass(frozen=True)
class VlbContinuous(Objective):
    """½ (dγ/du) ‖ε − ε̂‖²/D in bits/dim, u uniform: its mean is the bound in continuous time less L_0 and L_T.

    (Kingma et al. 2021, eq. 17.) It reads no pair of times and no σ².
    """

    continuous: ClassVar[bool] = True

    def loss(self, example: Example) -> Tensor:
        weight = self._weight(example.levels) / example.levels.kappa
        return weight.to(example.error.dtype) * example.error

    def eps_weight(self, levels: NoiseLevels, log_variance: Tensor) -> Tensor:
        return self._weight(levels)

    def _weight(self, levels: NoiseLevels) -> Tensor:
        return 0.5 * bits_per_nat() * levels.rate()
