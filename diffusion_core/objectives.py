"""Axis: the training objective, per example.

Up to a term that does not depend on the network's mean, every objective here is a weight times ‖x_0 − x̂_0‖²/D, which is
SNR times that of ‖ε − ε̂‖²/D. The weight is what really differs between them, whatever is predicted, so each states it:

                     of ‖x_0 − x̂_0‖²/D           of ‖ε − ε̂‖²/D
    simple, hybrid   κ, the parameterization's   κ/SNR (1 for ε)
    weighted         SNR^power κ of a space      SNR^power in ε-space
    min_snr          min(SNR, γ)                 min(1, γ/SNR)
    p2               SNR/(k + SNR)^γ             1/(k + SNR)^γ
    edm              (σ² + σ_d²)/(σ σ_d)²        1 + σ²/σ_d²,   σ² = 1/SNR
    vlb              T c_0²/(2 σ_t²), in bits    T β²/(2 σ_t² α (1 − ᾱ)), in bits
    vlb_continuous   ½ SNR dγ/du, in bits        ½ dγ/du, in bits

With E over uniform t, `vlb` is the bound of x_0 itself in bits/dim less L_T, with x̂_0 as it is, not held in [−1, 1].
Its row above is that at t = 1 for a density decoder alone: a sum over bins flattens where σ_1 is below their width.

(Ho et al. 2020, eq. 12 and 14; Nichol & Dhariwal 2021, §3; Hang et al. 2023; Choi et al. 2022; Karras et al. 2022,
§5; Kingma et al. 2021.)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from diffusion_core.forward import Step
from diffusion_core.parameterizations import X0, EdmParameterization, Mu, V
from diffusion_core.refusing import require
from diffusion_core.terms import bits_per_nat


@dataclass(frozen=True)
class NoiseLevels:
    """The noise levels of a batch's examples: the `step`, of a chain of `horizon` steps, and further quantities [B].

    `kappa` is the parameterization's κ, `rate`() is dγ/du at u = (t − 1)/(T − 1), a function because it costs time.
    """

    step: Step
    kappa: Tensor
    horizon: int
    rate: Callable[[], Tensor]


@dataclass(frozen=True)
class Example:
    """All that an objective may read of a batch: its noise `levels`, and three losses.

    `error` [B] is ‖target − output‖²/D in the predicted quantity; `term`() is L_{t−1}, or L_0 where t = 1, in
    bits/dim; `variance_term`() is the same with the mean held fixed, so that σ² alone learns from it. Neither is there
    in continuous time.
    """

    levels: NoiseLevels
    error: Tensor
    term: Callable[[], Tensor]
    variance_term: Callable[[], Tensor]


class Objective(ABC):
    """A loss per example.

    `reads_variance` says whether σ² enters it, `learns_variance` whether it can teach one, `needs_learned` whether it
    is meant for nothing else, `reads_decoder` whether L_0 teaches the mean, `is_bound` whether its expectation over
    uniform t is a bound. `discrete` and `continuous` say at which times it has a meaning (`learner.py`).
    """

    reads_variance: ClassVar[bool] = False
    learns_variance: ClassVar[bool] = False
    needs_learned: ClassVar[bool] = False
    reads_decoder: ClassVar[bool] = False
    is_bound: ClassVar[bool] = False
    discrete: ClassVar[bool] = True
    continuous: ClassVar[bool] = True

    @abstractmethod
    def loss(self, example: Example) -> Tensor:
        """The loss of each example [B]."""

    @abstractmethod
    def x0_weight(self, levels: NoiseLevels, log_variance: Tensor) -> Tensor:
        """The weight [B] of ‖x_0 − x̂_0‖²/D at σ² = exp(log_variance) [B]."""

    def eps_weight(self, levels: NoiseLevels, log_variance: Tensor) -> Tensor:
        """The weight [B] of ‖ε − ε̂‖²/D; not finite where ᾱ = 0, and ε is known."""
        return self.x0_weight(levels, log_variance) / levels.step.snr_t


def per_example(objective: Objective, example: Example) -> Tensor:
    """The loss of each example [B]; ValueError where the objective gives another shape, which would train silently."""
    loss, expected = objective.loss(example), tuple(example.error.shape)
    says = f"{type(objective).__name__}.loss must give one loss an example, a tensor {list(expected)}"
    require(tuple(loss.shape) == expected, f"{says}: got {list(loss.shape)}")
    return loss


@dataclass(frozen=True)
class Simple(Objective):
    """L_simple, the unweighted mean square error of what is predicted (Ho et al. 2020, arXiv:2006.11239, eq. 14)."""

    def loss(self, example: Example) -> Tensor:
        return example.error

    def x0_weight(self, levels: NoiseLevels, log_variance: Tensor) -> Tensor:
        return levels.kappa


@dataclass(frozen=True)
class Hybrid(Objective):
    """L_simple + λ L_vlb, L_vlb = E T L_{t−1} in bits/dim with the mean held fixed, λ = `weight`.

    (Nichol & Dhariwal 2021, arXiv:2102.09672, eq. 16.)
    """

    weight: float = 1e-3

    reads_variance = True
    learns_variance = True
    needs_learned = True
    continuous = False

    def __post_init__(self) -> None:
        require(self.weight > 0, f"hybrid needs weight > 0, got {self.weight}")

    def loss(self, example: Example) -> Tensor:
        return example.error + self.weight * example.levels.horizon * example.variance_term()

    def x0_weight(self, levels: NoiseLevels, log_variance: Tensor) -> Tensor:
        return levels.kappa


class Reweighted(Objective):
    """‖x_0 − x̂_0‖²/D at a stated weight, whatever is predicted."""

    @abstractmethod
    def level_weight(self, levels: NoiseLevels) -> Tensor:
        """The weight [B] of ‖x_0 − x̂_0‖²/D, which no σ² enters."""

    def loss(self, example: Example) -> Tensor:
        weight = self.level_weight(example.levels) / example.levels.kappa
        return weight.to(example.error.dtype) * example.error

    def x0_weight(self, levels: NoiseLevels, log_variance: Tensor) -> Tensor:
        return self.level_weight(levels)


@dataclass(frozen=True)
class Weighted(Reweighted):
    """SNR^`power` ‖·‖² in a `space`, of ε, x_0 or v: at power 0 its unweighted error, whatever is predicted."""

    space: Literal["epsilon", "x0", "v"] = "epsilon"
    power: float = 0.0

    def level_weight(self, levels: NoiseLevels) -> Tensor:
        snr = levels.step.snr_t
        if self.space == "epsilon":
            return snr ** (self.power + 1)  # One power: at SNR = 0 a product would be ∞ · 0.
        return snr**self.power * {"x0": X0(), "v": V()}[self.space].kappa(levels.step)


@dataclass(frozen=True)
class MinSnr(Reweighted):
    """min(SNR, `gamma`) ‖x_0 − x̂_0‖² (Hang et al. 2023, arXiv:2303.09556)."""

    gamma: float = 5.0

    def __post_init__(self) -> None:
        require(self.gamma > 0, f"min_snr needs gamma > 0, got {self.gamma}")

    def level_weight(self, levels: NoiseLevels) -> Tensor:
        return levels.step.snr_t.clamp(max=self.gamma)


@dataclass(frozen=True)
class P2(Reweighted):
    """‖ε − ε̂‖²/(`k` + SNR)^`gamma` (Choi et al. 2022, arXiv:2204.00227, eq. 8)."""

    k: float = 1.0
    gamma: float = 1.0

    def __post_init__(self) -> None:
        holds = self.k > 0 and self.gamma >= 0
        require(holds, f"p2 needs k > 0 and gamma >= 0, got k={self.k} and gamma={self.gamma}")

    def level_weight(self, levels: NoiseLevels) -> Tensor:
        return levels.step.snr_t * (self.k + levels.step.snr_t) ** -self.gamma


@dataclass(frozen=True)
class EdmObjective(Reweighted):
    """λ(σ) ‖x_0 − x̂_0‖²/D, λ = (σ² + σ_d²)/(σ σ_d)² = 1/c_out² (Karras et al. 2022, arXiv:2206.00364, §5).

    It is the unweighted error of `parameterization=edm` with the same σ_d (`sigma_data`).
    """

    sigma_data: float = 0.5

    def __post_init__(self) -> None:
        EdmParameterization(self.sigma_data)

    def level_weight(self, levels: NoiseLevels) -> Tensor:
        return EdmParameterization(self.sigma_data).kappa(levels.step)


@dataclass(frozen=True)
class Vlb(Objective):
    """The bound: T L_{t−1} in bits/dim, with every constant, so that its mean over t is the bound less L_T.

    (Ho et al. 2020, arXiv:2006.11239, eq. 12.)
    """

    reads_variance = True
    learns_variance = True
    reads_decoder = True
    is_bound = True
    continuous = False

    def loss(self, example: Example) -> Tensor:
        return example.levels.horizon * example.term()

    def x0_weight(self, levels: NoiseLevels, log_variance: Tensor) -> Tensor:
        return levels.horizon * Mu().kappa(levels.step) * bits_per_nat() / (2 * log_variance.exp())


@dataclass(frozen=True)
class VlbContinuous(Reweighted):
    """½ (dγ/du) ‖ε − ε̂‖²/D in bits/dim, u uniform: its mean is the bound in continuous time less L_0 and L_T.

    (Kingma et al. 2021, arXiv:2107.00630, eq. 17.) It reads no step of times and no σ².
    """

    is_bound = True
    discrete = False

    def level_weight(self, levels: NoiseLevels) -> Tensor:
        return 0.5 * bits_per_nat() * levels.rate() * levels.step.snr_t
