"""p_θ(x_s | x_t) of a step between noise levels s < t: the one place where x̂_0 becomes a distribution.

    μ_θ = c_t x_t + c_0 x̂_0,   σ² by the variance (`variances.py`)

The network may have been trained on another step from t than this one: its x̂_0 is a statement about the noise level.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from diffusion_core.forward import Gaussian, Step, expand, posterior_mean


@dataclass(frozen=True)
class Reverse:
    """p_θ(x_s | x_t) = N(c_t x_t + c_0 x̂_0, exp(`log_variance`)) of the step `step`, at `x_t` and x̂_0 = `x0`."""

    step: Step
    x_t: Tensor
    x0: Tensor
    log_variance: Tensor

    @property
    def eps(self) -> Tensor:
        """ε̂."""
        return noise_of(self.x0, self.x_t, self.step)

    @property
    def mean(self) -> Tensor:
        return posterior_mean(self.x0, self.x_t, self.step)

    @property
    def gaussian(self) -> Gaussian:
        return Gaussian(self.mean, self.log_variance)


def noise_of(x0: Tensor, x_t: Tensor, step: Step) -> Tensor:
    """ε̂ = (x_t − √ᾱ x̂_0)/√(1 − ᾱ), at the noise level γ_t of `step`."""
    return (x_t - step.signal(x0)) / expand(step.one_minus_alpha_bar_t.sqrt(), x_t)
