"""Axis: the quantity that the network predicts.

Each choice is two functions through (x_0, ε): the target of the network, and the x̂_0 that an output stands for, where
x_t = √ᾱ x_0 + √(1 − ᾱ) ε. A third names the scale between errors,

    ‖target − output‖² = κ ‖x_0 − x̂_0‖² = κ/SNR ‖ε − ε̂‖²,

so that every objective can state its weight in one currency. All are finite where ᾱ = 0 and x_t is noise alone, but
for ε, which says nothing of x_0 there.

    epsilon    ε                           κ = SNR
    x0         x_0                         1
    mu         μ̃                           c_0²
    v          √ᾱ ε − √(1 − ᾱ) x_0         1/(1 − ᾱ)
    velocity   ε − x_0                     (√ᾱ + √(1 − ᾱ))²/(1 − ᾱ)
    edm        (x_0 − c_skip x_t)/c_out    1/c_out²
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from diffusion_core.forward import Step, expand, posterior_mean
from diffusion_core.refusing import require


class Parameterization(ABC):
    """The quantity that the network predicts, at the step (t, t − 1) that it is trained on.

    `needs_step` is True if the output has no meaning at a noise level alone, `reads_noise` if it gives x̂_0 even at ᾱ =
    0.
    """

    needs_step: ClassVar[bool] = False
    reads_noise: ClassVar[bool] = True

    def network_input(self, x_t: Tensor, step: Step) -> Tensor:
        """The network's first input at x_t [B, …]."""
        return x_t

    @abstractmethod
    def target(self, x0: Tensor, eps: Tensor, x_t: Tensor, step: Step) -> Tensor:
        """The output of a perfect network, shaped like x_0 [B, …]."""

    @abstractmethod
    def x0(self, output: Tensor, x_t: Tensor, step: Step) -> Tensor:
        """The x̂_0 that an output stands for."""

    @abstractmethod
    def kappa(self, step: Step) -> Tensor:
        """κ [B], the squared error of the target per squared error of x_0."""


@dataclass(frozen=True)
class Epsilon(Parameterization):
    """ε, the noise: x̂_0 = (x_t − √(1 − ᾱ) ε̂)/√ᾱ (Ho et al. 2020, arXiv:2006.11239, eq. 9, 15)."""

    reads_noise = False

    def target(self, x0: Tensor, eps: Tensor, x_t: Tensor, step: Step) -> Tensor:
        return eps

    def x0(self, output: Tensor, x_t: Tensor, step: Step) -> Tensor:
        return (x_t - step.noise(output)) / expand(step.alpha_bar_t.sqrt(), x_t)

    def kappa(self, step: Step) -> Tensor:
        return step.snr_t


@dataclass(frozen=True)
class X0(Parameterization):
    """x_0, the clean data."""

    def target(self, x0: Tensor, eps: Tensor, x_t: Tensor, step: Step) -> Tensor:
        return x0

    def x0(self, output: Tensor, x_t: Tensor, step: Step) -> Tensor:
        return output

    def kappa(self, step: Step) -> Tensor:
        return torch.ones_like(step.gamma_t)


@dataclass(frozen=True)
class Mu(Parameterization):
    """μ̃, the mean of q(x_{t−1} | x_t, x_0): x̂_0 = (μ − c_t x_t)/c_0."""

    needs_step = True

    def target(self, x0: Tensor, eps: Tensor, x_t: Tensor, step: Step) -> Tensor:
        return posterior_mean(x0, x_t, step)

    def x0(self, output: Tensor, x_t: Tensor, step: Step) -> Tensor:
        return (output - expand(step.coefficient_xt, x_t) * x_t) / expand(step.coefficient_x0, x_t)

    def kappa(self, step: Step) -> Tensor:
        return step.coefficient_x0**2


@dataclass(frozen=True)
class V(Parameterization):
    """v = √ᾱ ε − √(1 − ᾱ) x_0: x̂_0 = √ᾱ x_t − √(1 − ᾱ) v (Salimans & Ho 2022, arXiv:2202.00512)."""

    def target(self, x0: Tensor, eps: Tensor, x_t: Tensor, step: Step) -> Tensor:
        return step.signal(eps) - step.noise(x0)

    def x0(self, output: Tensor, x_t: Tensor, step: Step) -> Tensor:
        return step.signal(x_t) - step.noise(output)

    def kappa(self, step: Step) -> Tensor:
        return 1 / step.one_minus_alpha_bar_t


@dataclass(frozen=True)
class Velocity(Parameterization):
    """ε − x_0, the velocity dx_u/du of the straight path x_u = (1 − u) x_0 + u ε.

    (Liu et al. 2023, arXiv:2209.03003; Lipman et al. 2023, arXiv:2210.02747.) With x_t = x_u/√(u² + (1 − u)²), its own
    scale: x̂_0 = (x_t − √(1 − ᾱ) output)/(√ᾱ + √(1 − ᾱ)).
    """

    def target(self, x0: Tensor, eps: Tensor, x_t: Tensor, step: Step) -> Tensor:
        return eps - x0

    def x0(self, output: Tensor, x_t: Tensor, step: Step) -> Tensor:
        return (x_t - step.noise(output)) / expand(self._length(step), x_t)

    def kappa(self, step: Step) -> Tensor:
        return self._length(step) ** 2 / step.one_minus_alpha_bar_t

    @staticmethod
    def _length(step: Step) -> Tensor:
        """√ᾱ + √(1 − ᾱ), which is 1 over the scale of x_u."""
        return step.alpha_bar_t.sqrt() + step.one_minus_alpha_bar_t.sqrt()


@dataclass(frozen=True)
class EdmParameterization(Parameterization):
    """F with x̂_0 = c_skip x + c_out F(c_in x), x = x_t/√ᾱ = x_0 + σ ε.

    (Karras et al. 2022, arXiv:2206.00364, Table 1.) There c_skip = σ_d²/(σ² + σ_d²), c_out = σ σ_d/√(σ² + σ_d²), c_in =
    1/√(σ² + σ_d²), σ_d (`sigma_data`) the data's standard deviation; here in x_t, with r² = 1 − ᾱ + ᾱ σ_d²: c_in x =
    x_t/r, and all stays finite as σ → ∞. At σ_d = 1 it is v-prediction with the other sign. Their c_noise = ¼ ln σ is
    `time_input=log_snr`, but for the scale that suits a network's embedding.
    """

    sigma_data: float = 0.5

    def __post_init__(self) -> None:
        require(self.sigma_data > 0, f"edm needs sigma_data > 0, got {self.sigma_data}")

    def network_input(self, x_t: Tensor, step: Step) -> Tensor:
        return x_t / expand(self._r(step), x_t)

    def target(self, x0: Tensor, eps: Tensor, x_t: Tensor, step: Step) -> Tensor:
        return (x0 - expand(self._skip(step), x_t) * x_t) / expand(self._out(step), x0)

    def x0(self, output: Tensor, x_t: Tensor, step: Step) -> Tensor:
        return expand(self._skip(step), x_t) * x_t + expand(self._out(step), x_t) * output

    def kappa(self, step: Step) -> Tensor:
        return 1 / self._out(step) ** 2

    def _r(self, step: Step) -> Tensor:
        return (step.one_minus_alpha_bar_t + self.sigma_data**2 * step.alpha_bar_t).sqrt()

    def _skip(self, step: Step) -> Tensor:
        """c_skip/√ᾱ, the factor of x_t."""
        return self.sigma_data**2 * step.alpha_bar_t.sqrt() / self._r(step) ** 2

    def _out(self, step: Step) -> Tensor:
        return self.sigma_data * step.one_minus_alpha_bar_t.sqrt() / self._r(step)
