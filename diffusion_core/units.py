"""Units: the terms of a bound are in nats per example, what is reported is in bits per dimension.

    bits/dim = nats/(D ln 2),   D the dimensions of an example;   one of n equally likely values is log2 n bits

No other file of the core knows ln 2.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def bits_per_nat(dims: int = 1) -> float:
    """1/(D ln 2), the bits/dim of one nat per example; D = 1 for what is per dimension already."""
    return 1 / (dims * math.log(2))


def bits_per_dim(nats: Tensor, dims: int = 1) -> Tensor:
    """Nats per example of D = `dims` dimensions, in bits/dim."""
    return nats * bits_per_nat(dims)


def bits_of(ratio: float) -> float:
    """log2 of a number of values, or of the scale that one variable is stretched by."""
    return math.log2(ratio)


def bits_of_scales(scales: Tensor) -> float:
    """Σ_c log2 s_c of the scales [c] that as many variables are stretched by, in float64."""
    return float(torch.log2(scales.double()).sum())
