"""The terms of the variational bound, per example and in nats (Ho et al. 2020, eq. 5).

    −log p(x_0) ≤ L_T + Σ_{t=2..T} L_{t−1} + L_0
    L_T     = KL(q(x_T | x_0) ‖ N(0, I))
    L_{t−1} = KL(q(x_{t−1} | x_t, x_0) ‖ p_θ(x_{t−1} | x_t))
    L_0     = −log p_θ(x_0 | x_1), by the encoding's decoder (`encodings.py`)

Each is one draw where the paper has an expectation over x_t ~ q(x_t | x_0).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from diffusion_core.forward import expand

if TYPE_CHECKING:
    from diffusion_core.reverse import Reverse


def sum_dims(value: Tensor) -> Tensor:
    """Sum over all but the batch: [B, …] → [B]."""
    return value.flatten(1).sum(1)


def mean_dims(value: Tensor) -> Tensor:
    """Mean over all but the batch: [B, …] → [B]."""
    return value.flatten(1).mean(1)


def kl_normal(squared_difference: Tensor, log_variance_q: Tensor, log_variance_p: Tensor) -> Tensor:
    """KL(N(μ_q, σ_q²) ‖ N(μ_p, σ_p²)) elementwise, from (μ_q − μ_p)² and the log-variances."""
    log_ratio = log_variance_p - log_variance_q
    return 0.5 * (log_ratio + torch.expm1(-log_ratio) + squared_difference * torch.exp(-log_variance_p))


def normal_nats(x: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """−log N(x; mean, σ²) elementwise."""
    return 0.5 * ((x - mean) ** 2 * torch.exp(-log_variance) + log_variance + math.log(2 * math.pi))


def denoising_term(x0: Tensor, p: Reverse) -> Tensor:
    """KL(q(x_s | x_t, x_0) ‖ p_θ(x_s | x_t)) [B], for steps that do not end in clean data.

    The means differ by c_0 (x_0 − x̂_0): taken so, nothing cancels.
    """
    squared_difference = (expand(p.step.coefficient_x0, x0) * (x0 - p.x0)) ** 2
    return sum_dims(kl_normal(squared_difference, expand(p.step.log_beta_tilde, x0), p.log_variance))


Decoder = Callable[[Tensor, Tensor, Tensor], Tensor]
"""−log p(x_0) [B] of x_0 [B, …] at a mean and a log σ²."""


def bound_term(x0: Tensor, p: Reverse, decoder: Decoder) -> Tensor:
    """L_{t−1} in nats [B], or L_0 by the decoder where the step ends in clean data."""
    if x0.device.type != "cpu":
        # To learn which rows end in clean data, the CPU would have to wait for the device.
        return term_in_all_rows(x0, p, decoder)
    rows = p.step.ends_clean.nonzero().flatten()
    clean = (value.expand(len(x0), *value.shape[1:])[rows] for value in (x0, p.mean, p.log_variance))
    terms = denoising_term(x0, p)
    return terms.index_copy(0, rows, decoder(*clean).to(terms.dtype)) if len(rows) else terms


def term_in_all_rows(x0: Tensor, p: Reverse, decoder: Decoder) -> Tensor:
    """The same, with the decoder in every row, at values that cannot overflow where it is not needed."""
    first = expand(p.step.ends_clean, x0).bool()
    clean = decoder(x0, torch.where(first, p.mean, x0), torch.where(first, p.log_variance, 0))
    return torch.where(p.step.ends_clean, clean, denoising_term(x0, p))


def prior_term(x0: Tensor, gamma_end: Tensor) -> Tensor:
    """L_T = ½ Σ [ᾱ_T (x_0² − 1) − log(1 − ᾱ_T)] [B], at the noise level γ_T [B]."""
    alpha_bar = expand(torch.sigmoid(-gamma_end), x0)
    return sum_dims(0.5 * (alpha_bar * (x0**2 - 1) - expand(logsigmoid(gamma_end), x0)))
