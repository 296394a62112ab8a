"""The forward process q, for any step (t, s) of noise levels with s < t.

    q(x_t | x_0)      = N(√ᾱ_t x_0, (1 − ᾱ_t) I)
    q(x_t | x_s)      = N(√α x_s, β I),            α = ᾱ_t/ᾱ_s,  β = 1 − α
    q(x_s | x_t, x_0) = N(c_t x_t + c_0 x_0, β̃ I)

with c_t = √α (1 − ᾱ_s)/(1 − ᾱ_t), c_0 = √ᾱ_s β/(1 − ᾱ_t), β̃ = β (1 − ᾱ_s)/(1 − ᾱ_t) (Ho et al. 2020, eq. 4, 6, 7). A
noise level is γ = −log(ᾱ/(1 − ᾱ)), so that ᾱ = sigmoid(−γ) and clean data (ᾱ = 1) is γ = −∞. One step serves the full
chain (s = t − 1), a strided one, and a continuous one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid


def expand(coefficient: Tensor, like: Tensor) -> Tensor:
    """A coefficient per example [B], shaped to multiply x [B, …] and in the dtype of x."""
    return coefficient.to(like.dtype).reshape(-1, *[1] * (like.ndim - 1))


@dataclass(frozen=True)
class Gaussian:
    """N(mean, exp(log_variance) I); `log_variance` broadcasts against `mean`."""

    mean: Tensor
    log_variance: Tensor

    def sample(self, noise: Tensor) -> Tensor:
        """mean + σ · noise, with noise ~ N(0, I)."""
        return self.mean + torch.exp(0.5 * self.log_variance) * noise


@dataclass(frozen=True)
class Step:
    """The coefficients of one step between noise levels `gamma_s` < `gamma_t`; every tensor is float64 [B].

    `log_first` is log σ² of a step that ends in clean data: there β̃ = 0, which no density can use, so the chain that
    the step belongs to lends it another value (`chain.py`).

    A coefficient is computed when it is first read.
    """

    gamma_t: Tensor
    gamma_s: Tensor
    log_first: Tensor

    @classmethod
    def level(cls, gamma: Tensor) -> Step:
        """A noise level without a step, for functions that read γ_t alone."""
        return cls(gamma, torch.full_like(gamma, -math.inf), gamma)

    def at(self, rows: Tensor) -> Step:
        """The steps of these rows, int64 [B], their coefficients looked up."""
        selected = Step(self.gamma_t[rows], self.gamma_s[rows], self.log_first[rows])
        names = [name for name, of in vars(Step).items() if isinstance(of, cached_property)]
        vars(selected).update({name: getattr(self, name)[rows] for name in names})
        return selected

    def signal(self, x: Tensor) -> Tensor:
        """√ᾱ_t x."""
        return expand(self.alpha_bar_t.sqrt(), x) * x

    def noise(self, x: Tensor) -> Tensor:
        """√(1 − ᾱ_t) x."""
        return expand(self.one_minus_alpha_bar_t.sqrt(), x) * x

    @cached_property
    def ends_clean(self) -> Tensor:
        """True where s is clean data (ᾱ_s = 1)."""
        return torch.isneginf(self.gamma_s)

    @cached_property
    def alpha_bar_t(self) -> Tensor:
        """ᾱ_t."""
        return torch.sigmoid(-self.gamma_t)

    @cached_property
    def one_minus_alpha_bar_t(self) -> Tensor:
        """1 − ᾱ_t, without cancellation."""
        return torch.sigmoid(self.gamma_t)

    @cached_property
    def snr_t(self) -> Tensor:
        """ᾱ_t/(1 − ᾱ_t)."""
        return torch.exp(-self.gamma_t)

    @cached_property
    def log_alpha(self) -> Tensor:
        """log α, α = ᾱ_t/ᾱ_s."""
        return logsigmoid(-self.gamma_t) - logsigmoid(-self.gamma_s)

    @cached_property
    def beta(self) -> Tensor:
        """β = 1 − α."""
        return -torch.expm1(self.log_alpha)

    @cached_property
    def log_beta(self) -> Tensor:
        return torch.log(self.beta)

    @cached_property
    def beta_tilde(self) -> Tensor:
        """β̃, 0 where the step ends in clean data."""
        return self.beta * torch.sigmoid(self.gamma_s) / self.one_minus_alpha_bar_t

    @cached_property
    def log_beta_tilde(self) -> Tensor:
        """log β̃, and `log_first` where the step ends in clean data."""
        log_beta_tilde = self.log_beta + logsigmoid(self.gamma_s) - logsigmoid(self.gamma_t)
        return torch.where(self.ends_clean, self.log_first, log_beta_tilde)

    @cached_property
    def coefficient_x0(self) -> Tensor:
        """c_0, the weight of x_0 in the posterior's mean."""
        return torch.exp(0.5 * logsigmoid(-self.gamma_s)) * self.beta / self.one_minus_alpha_bar_t

    @cached_property
    def coefficient_xt(self) -> Tensor:
        """c_t, the weight of x_t in the posterior's mean."""
        return torch.exp(0.5 * self.log_alpha) * torch.sigmoid(self.gamma_s) / self.one_minus_alpha_bar_t


def diffuse(x0: Tensor, eps: Tensor, gamma_t: Tensor) -> Tensor:
    """x_t = √ᾱ_t x_0 + √(1 − ᾱ_t) ε."""
    return expand(torch.sigmoid(-gamma_t).sqrt(), x0) * x0 + expand(torch.sigmoid(gamma_t).sqrt(), x0) * eps


def posterior_mean(x0: Tensor, x_t: Tensor, step: Step) -> Tensor:
    """μ̃ = c_t x_t + c_0 x_0."""
    return expand(step.coefficient_xt, x_t) * x_t + expand(step.coefficient_x0, x0) * x0


def posterior(x0: Tensor, x_t: Tensor, step: Step) -> Gaussian:
    """q(x_s | x_t, x_0); where s is clean data its log-variance is the chain's `log_first`."""
    return Gaussian(posterior_mean(x0, x_t, step), expand(step.log_beta_tilde, x_t))
