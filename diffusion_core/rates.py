"""The learning rate over a training's N steps: a peak η times a rise over the first w steps times a shape.

    constant        1
    linear          1 − n/N
    cosine          (1 + cos(π n/N))/2                Loshchilov & Hutter 2017, arXiv:1608.03983
    inverse_sqrt    √(w/max(n, w)), w at least 1      Karras et al. 2024, arXiv:2312.02696, Eq. 67
    wsd             min(1, (1 − n/N)/c), c = 0.3      Hägele et al. 2024, arXiv:2405.18392

One that falls to zero ends with less of the noise that single batches bring into the weights, which samples show most.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, get_args

Rate = Literal["constant", "linear", "cosine", "inverse_sqrt", "wsd"]
RATES: tuple[Rate, ...] = get_args(Rate)
COOLDOWN = 0.3
"""c, the share of a training's steps over which `wsd` falls."""

SHAPES: dict[Rate, Callable[[int, int, int], float]] = {
    "constant": lambda n, steps, warmup: 1.0,
    "linear": lambda n, steps, warmup: 1 - n / steps,
    "cosine": lambda n, steps, warmup: (1 + math.cos(math.pi * n / steps)) / 2,
    "inverse_sqrt": lambda n, steps, warmup: math.sqrt(max(warmup, 1) / max(n, warmup, 1)),
    "wsd": lambda n, steps, warmup: min(1.0, (1 - n / steps) / COOLDOWN),
}
"""Shape → its share of the peak at step n of so many, after a rise over `warmup`."""


def share_of_peak(rate: Rate, n: int, steps: int, warmup: int) -> float:
    """The learning rate of step n = 0, 1, … as a share of its peak."""
    return min(1.0, (n + 1) / max(1, warmup)) * SHAPES[rate](n, steps, warmup)
