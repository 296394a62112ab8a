"""Decoders of grey levels, p(x_0 | x_1) of values that are evenly spaced: a Gaussian over bins, and a softmax.

The first integrates N(μ, σ²) over each value's bin, open at both ends. The second needs no network: p(x_0 | x_1) ∝
q(x_1 | x_0), over the values there are (Kingma et al. 2021, §3.3).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from diffusion_core.forward import expand

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
