"""The terms of the variational bound, per example and in nats (Ho et al. 2020, eq. 5), and p_θ, which they are of.

    −log p(x_0) ≤ L_T + Σ_{t=2..T} L_{t−1} + L_0
    L_T     = KL(q(x_T | x_0) ‖ N(0, I))
    L_{t−1} = KL(q(x_{t−1} | x_t, x_0) ‖ p_θ(x_{t−1} | x_t)),   p_θ(x_s | x_t) = N(c_t x_t + c_0 x̂_0, σ²)
    L_0     = −log p_θ(x_0 | x_1), by the encoding's decoder (`encodings.py`)

Each is one draw where the paper has an expectation over x_t ~ q(x_t | x_0). σ² is that of `variances.py`. The network
may have been trained on another step from t than p_θ's: its x̂_0 is a statement about the noise level.

Grey levels are evenly spaced values, and have two decoders. One integrates N(μ, σ²) over each value's bin, open at both
ends. The other needs no network: p(x_0 | x_1) ∝ q(x_1 | x_0), over the values there are (Kingma et al. 2021, §3.3).

What is reported is in bits per dimension, nats/(D ln 2) for the D dimensions of an example; one of n equally likely
values is log2 n bits. No other file of the core knows ln 2.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from diffusion_core.forward import Step, expand, posterior_mean


@dataclass(frozen=True)
class ReverseStep:
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


def noise_of(x0: Tensor, x_t: Tensor, step: Step) -> Tensor:
    """ε̂ = (x_t − √ᾱ x̂_0)/√(1 − ᾱ), at the noise level γ_t of `step`."""
    return (x_t - step.signal(x0)) / expand(step.one_minus_alpha_bar_t.sqrt(), x_t)


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


def denoising_term(x0: Tensor, p: ReverseStep) -> Tensor:
    """KL(q(x_s | x_t, x_0) ‖ p_θ(x_s | x_t)) [B], for steps that do not end in clean data.

    The means differ by c_0 (x_0 − x̂_0): taken so, nothing cancels.
    """
    squared_difference = (expand(p.step.coefficient_x0, x0) * (x0 - p.x0)) ** 2
    return sum_dims(kl_normal(squared_difference, expand(p.step.log_beta_tilde, x0), p.log_variance))


Decoder = Callable[[Tensor, Tensor, Tensor], Tensor]
"""−log p(x_0) [B] of x_0 [B, …] at a mean and a log σ²."""


def bound_term(x0: Tensor, p: ReverseStep, decoder: Decoder) -> Tensor:
    """L_{t−1} in nats [B], or L_0 by the decoder where the step ends in clean data."""
    if x0.device.type != "cpu":
        # To learn which rows end in clean data, the CPU would have to wait for the device.
        return term_in_all_rows(x0, p, decoder)
    rows = p.step.ends_clean.nonzero().flatten()
    clean = (value.expand(len(x0), *value.shape[1:])[rows] for value in (x0, p.mean, p.log_variance))
    terms = denoising_term(x0, p)
    return terms.index_copy(0, rows, decoder(*clean).to(terms.dtype)) if len(rows) else terms


def term_in_all_rows(x0: Tensor, p: ReverseStep, decoder: Decoder) -> Tensor:
    """The same, with the decoder in every row, at values that cannot overflow where it is not needed."""
    first = expand(p.step.ends_clean, x0).bool()
    clean = decoder(x0, torch.where(first, p.mean, x0), torch.where(first, p.log_variance, 0))
    return torch.where(p.step.ends_clean, clean, denoising_term(x0, p))


def prior_term(x0: Tensor, gamma_end: Tensor) -> Tensor:
    """L_T = ½ Σ [ᾱ_T (x_0² − 1) − log(1 − ᾱ_T)] [B], at the noise level γ_T [B]."""
    alpha_bar = expand(torch.sigmoid(-gamma_end), x0)
    return sum_dims(0.5 * (alpha_bar * (x0**2 - 1) - expand(logsigmoid(gamma_end), x0)))


REACH = 20.0
"""Standard deviations beyond which a level's share of a softmax is below float64's last digit, whatever ε is drawn."""
NOWHERE = 1e6
"""A distance so large that its share is 0, but that still has a gradient."""
DISTANCES = 2**24
"""The distances to a level's neighbours that are in memory at once, float64: 128 MB for each tensor made of them."""


def log_bin_probability(
    x0: Tensor, mean: Tensor, log_variance: Tensor, half: float = 1 / 255, first: float = -1.0, last: float = 1.0
) -> Tensor:
    """log of N(mean, σ²) integrated over each value's bin x_0 ± `half`, elementwise and in float64.

    The bins of the `first` and the `last` value are open. Taken in the tail where the bin lies, as
    log Φ(b) + log(1 − Φ(a)/Φ(b)) with a < b ≤ −a, so that it stays finite and exact 40 standard deviations out.
    """
    x0, mean = x0.double(), mean.double()
    inverse_sigma = torch.exp(-0.5 * log_variance.double())
    lower = (x0 - mean - half) * inverse_sigma
    upper = (x0 - mean + half) * inverse_sigma
    right = (lower + upper) > 0
    a, b = torch.where(right, -upper, lower), torch.where(right, -lower, upper)
    log_a, log_b = torch.special.log_ndtr(a), torch.special.log_ndtr(b)
    inside = log_b + torch.log(-torch.expm1(log_a - log_b))
    log_below, log_above = torch.special.log_ndtr(upper), torch.special.log_ndtr(-lower)
    return torch.where(x0 < first + half, log_below, torch.where(x0 > last - half, log_above, inside))


def softmax_decoder(x0: Tensor, eps: Tensor, gamma: Tensor, values: Tensor) -> Tensor:
    """log p(x_0 | x_1) elementwise, float64: a softmax over `values` v of −½ e^{−γ} (x_1/√ᾱ_1 − v)².

    x_1/√ᾱ_1 = x_0 + e^{γ/2} ε, with γ [B]; x_0 [B, …] lies among the evenly spaced values. If examples have many
    dimensions, some are processed at a time.
    """
    count = max(1, DISTANCES // (math.prod(x0.shape[1:]) * len(values)))
    rows = (slice(i, i + count) for i in range(0, len(x0), count))
    return torch.cat([_softmax_decoder(x0[part], eps[part], gamma[part], values) for part in rows])


def _softmax_decoder(x0: Tensor, eps: Tensor, gamma: Tensor, values: Tensor) -> Tensor:
    x0, eps = x0.double(), eps.double()
    precision = expand(torch.exp(-0.5 * gamma), x0)[..., None]
    distance = level_distances(x0, gamma, values) * precision + eps[..., None]
    return -0.5 * eps**2 - torch.logsumexp(-0.5 * distance**2, dim=-1)


@torch.no_grad()
def level_distances(x0: Tensor, gamma: Tensor, values: Tensor) -> Tensor:
    """x_0 − v [B, …, V] for the values v that can matter, `NOWHERE` beyond the first and the last value.

    On a GPU all values are taken, since the CPU would have to wait to learn how many matter.
    """
    spacing = values[1] - values[0]
    if x0.device.type != "cpu":
        return x0[..., None] - values
    reach = float(REACH * torch.exp(0.5 * gamma.max()) / spacing)
    width = math.ceil(reach) if reach < len(values) - 1 else len(values) - 1
    offsets = torch.arange(-width, width + 1)
    level = ((x0 - values[0]) / spacing).round().long()[..., None] + offsets
    inside = (level >= 0) & (level < len(values))
    return torch.where(inside, -offsets * spacing, NOWHERE)


def bits_per_nat(dims: int = 1) -> float:
    """1/(D ln 2), the bits/dim of one nat per example; D = 1 for what is per dimension already."""
    return 1 / (dims * math.log(2))
