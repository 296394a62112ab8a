"""p_θ(x_s | x_t) for a pair (t, s): the one place where a network's output becomes a distribution.

    output ─▶ x̂_0 (by the parameterization, at the pair it was trained on) ─▶ clipped, or not
           ─▶ μ_θ = c_t x_t + c_0 x̂_0,  ε̂ = (x_t − √ᾱ x̂_0)/√(1 − ᾱ)

Clipping acts on x̂_0, so it means the same for every parameterization: μ and ε̂ are rebuilt from the clipped x̂_0.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from diffusion_core.forward import Gaussian, Pair, expand, posterior_mean
from diffusion_core.parameterizations import Parameterization
from diffusion_core.variances import Variance


@dataclass(frozen=True)
class Reverse:
    """p_θ(x_s | x_t) = N(mean, exp(log_variance)), with the x̂_0 and ε̂ [B, …] that it rests on."""

    mean: Tensor
    log_variance: Tensor
    x0: Tensor
    eps: Tensor

    @property
    def gaussian(self) -> Gaussian:
        return Gaussian(self.mean, self.log_variance)


def split_output(output: Tensor, variance: Variance) -> tuple[Tensor, Tensor]:
    """The halves of a network's channels: what predicts the mean, and what a learned variance reads."""
    if not variance.learned:
        return output, output[:, :0]
    mean, raw = output.chunk(2, dim=1)
    return mean, raw


def denoise(
    prediction: Tensor, x_t: Tensor, pair: Pair, trained_pair: Pair, parameterization: Parameterization, *, clip: bool
) -> tuple[Tensor, Tensor]:
    """(x̂_0, ε̂) that a prediction [B, C, …] at x_t stands for; of `pair`, the noise level γ_t alone is read."""
    x0 = parameterization.x0(prediction, x_t, trained_pair)
    if clip:
        x0 = clipped(x0)
    return x0, noise_of(x0, x_t, pair)


def clipped(x0: Tensor) -> Tensor:
    """x̂_0 held within [−1, 1], where bounded data lie."""
    return x0.clamp(-1, 1)


def noise_of(x0: Tensor, x_t: Tensor, pair: Pair) -> Tensor:
    """ε̂ = (x_t − √ᾱ x̂_0)/√(1 − ᾱ)."""
    signal = expand(pair.alpha_bar_t.sqrt(), x_t) * x0
    return (x_t - signal) / expand(pair.one_minus_alpha_bar_t.sqrt(), x_t)


def reverse(
    output: Tensor,
    x_t: Tensor,
    pair: Pair,
    trained_pair: Pair,
    parameterization: Parameterization,
    variance: Variance,
    x0_variance: Tensor,
    *,
    clip: bool,
) -> Reverse:
    """p_θ of the step `pair` from the network's output [B, C or 2C, …] at x_t [B, C, …].

    `x0_variance` [B] is Var(x_0 | x_t), which only a fitted σ² reads.
    """
    prediction, raw = split_output(output, variance)
    x0, eps = denoise(prediction, x_t, pair, trained_pair, parameterization, clip=clip)
    return Reverse(posterior_mean(x0, x_t, pair), variance.log_variance(pair, raw, x_t, x0_variance), x0, eps)
