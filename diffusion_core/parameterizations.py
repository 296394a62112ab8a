"""Axis: what the network predicts.

Each choice is two functions through (x_0, ε): the target of the network, and the x̂_0 that an output stands for, where
x_t = √ᾱ x_0 + √(1 − ᾱ) ε. A third names the scale between errors,

    ‖target − output‖² = κ ‖ε − ε̂‖²,

so that every objective can state its weight in one currency, the effective ε-weight.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from diffusion_core.forward import Pair, expand, posterior_mean


class Parameterization(ABC):
    """The quantity that the network predicts, at the pair (t, t − 1) that it is trained on.

    `needs_pair` tells whether a noise level alone does not say what the output means.
    """

    needs_pair: ClassVar[bool] = False

    @abstractmethod
    def target(self, x0: Tensor, eps: Tensor, x_t: Tensor, pair: Pair) -> Tensor:
        """The output of a perfect network, shaped like x_0 [B, …]."""

    @abstractmethod
    def x0(self, output: Tensor, x_t: Tensor, pair: Pair) -> Tensor:
        """The x̂_0 that an output stands for."""

    @abstractmethod
    def kappa(self, pair: Pair) -> Tensor:
        """κ [B], the squared error of the target per squared error of ε."""


@dataclass(frozen=True)
class Epsilon(Parameterization):
    """ε, the noise: x̂_0 = (x_t − √(1 − ᾱ) ε̂)/√ᾱ (Ho et al. 2020, eq. 9 and 15)."""

    def target(self, x0: Tensor, eps: Tensor, x_t: Tensor, pair: Pair) -> Tensor:
        return eps

    def x0(self, output: Tensor, x_t: Tensor, pair: Pair) -> Tensor:
        noise = expand(pair.one_minus_alpha_bar_t.sqrt(), x_t) * output
        return (x_t - noise) / expand(pair.alpha_bar_t.sqrt(), x_t)

    def kappa(self, pair: Pair) -> Tensor:
        return pair.alpha_bar_t.new_ones(pair.alpha_bar_t.shape)


@dataclass(frozen=True)
class X0(Parameterization):
    """x_0, the clean data."""

    def target(self, x0: Tensor, eps: Tensor, x_t: Tensor, pair: Pair) -> Tensor:
        return x0

    def x0(self, output: Tensor, x_t: Tensor, pair: Pair) -> Tensor:
        return output

    def kappa(self, pair: Pair) -> Tensor:
        return pair.one_minus_alpha_bar_t / pair.alpha_bar_t


@dataclass(frozen=True)
class Mu(Parameterization):
    """μ̃, the mean of q(x_{t−1} | x_t, x_0): x̂_0 = (μ − c_t x_t)/c_0."""

    needs_pair: ClassVar[bool] = True

    def target(self, x0: Tensor, eps: Tensor, x_t: Tensor, pair: Pair) -> Tensor:
        return posterior_mean(x0, x_t, pair)

    def x0(self, output: Tensor, x_t: Tensor, pair: Pair) -> Tensor:
        return (output - expand(pair.coefficient_xt, x_t) * x_t) / expand(pair.coefficient_x0, x_t)

    def kappa(self, pair: Pair) -> Tensor:
        return pair.coefficient_x0**2 * pair.one_minus_alpha_bar_t / pair.alpha_bar_t


@dataclass(frozen=True)
class V(Parameterization):
    """v = √ᾱ ε − √(1 − ᾱ) x_0 (Salimans & Ho 2022): x̂_0 = √ᾱ x_t − √(1 − ᾱ) v."""

    def target(self, x0: Tensor, eps: Tensor, x_t: Tensor, pair: Pair) -> Tensor:
        return expand(pair.alpha_bar_t.sqrt(), eps) * eps - expand(pair.one_minus_alpha_bar_t.sqrt(), x0) * x0

    def x0(self, output: Tensor, x_t: Tensor, pair: Pair) -> Tensor:
        noise = expand(pair.one_minus_alpha_bar_t.sqrt(), x_t) * output
        return expand(pair.alpha_bar_t.sqrt(), x_t) * x_t - noise

    def kappa(self, pair: Pair) -> Tensor:
        return 1 / pair.alpha_bar_t
