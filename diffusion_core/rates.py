"""The learning rate over a training's N steps: a peak η times a rise over the first w steps times a shape.

    constant        1
    linear          1 − n/N
    cosine          (1 + cos(π n/N))/2                Loshchilov & Hutter 2017, arXiv:1608.03983
    inverse_sqrt    √(w/max(n, w))                    Karras et al. 2024, arXiv:2312.02696, Eq. 67
    wsd             min(1, (1 − n/N)/c)               Hägele et al. 2024, arXiv:2405.18392

A rate that falls to zero leaves less of the noise of single batches in the weights, which is most visible in samples.
Before its cooldown, the last share c of all steps, `wsd` does not depend on N: trainings of any length share one trunk,
and each is a branch of it (`trunk_steps`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, get_args

Rate = Literal["constant", "linear", "cosine", "inverse_sqrt", "wsd"]
RATES: tuple[Rate, ...] = get_args(Rate)
COOLDOWN = 0.3
"""c, the share of a training's steps over which `wsd` falls, unless it is chosen."""

SHAPES: dict[Rate, Callable[[int, int, int, float], float]] = {
    "constant": lambda n, steps, warmup, cooldown: 1.0,
    "linear": lambda n, steps, warmup, cooldown: 1 - n / steps,
    "cosine": lambda n, steps, warmup, cooldown: (1 + math.cos(math.pi * n / steps)) / 2,
    "inverse_sqrt": lambda n, steps, warmup, cooldown: math.sqrt(max(warmup, 1) / max(n, warmup, 1)),
    "wsd": lambda n, steps, warmup, cooldown: 1.0 if n <= trunk_steps(steps, cooldown) else (1 - n / steps) / cooldown,
}
"""Shape → its share of the peak at step n of `steps`, after a rise over `warmup`."""


def share_of_peak(rate: Rate, n: int, steps: int, warmup: int, cooldown: float = COOLDOWN) -> float:
    """The learning rate of step n = 0, 1, … as a share of its peak."""
    return min(1.0, (n + 1) / max(1, warmup)) * SHAPES[rate](n, steps, warmup, cooldown)


def trunk_steps(steps: int, cooldown: float = COOLDOWN) -> int:
    """The first (1 − c) N steps of `wsd`, before its cooldown."""
    # A share such as 0.3 is no binary fraction: (1 - 0.3) * 10 is below 7.
    return math.floor((1 - cooldown) * steps + 1e-9 * steps)
