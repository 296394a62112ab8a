"""The Pareto front of points: those that no other dominates."""

from __future__ import annotations

import math
from collections.abc import Sequence


def pareto_front(costs: Sequence[float], values: Sequence[float], sign: int) -> list[bool]:
    """A flag per point, True unless another dominates it: costs no more, is no worse, and is better in one of these.

    `sign` · value is better where it is larger. Equal points stand or fall together; nan is never on the front.
    """
    points = [(cost, -sign * value) for cost, value in zip(costs, values, strict=True)]
    front: set[tuple[float, float]] = set()
    lowest = math.inf
    # Points come by cost, and of equal costs the best first, so only earlier points can dominate one.
    for point in sorted({point for point in points if not any(math.isnan(part) for part in point)}):
        if not front or point[1] < lowest:
            front.add(point)
            lowest = point[1]
    return [point in front for point in points]
