"""The Pareto front of points: those that no other dominates."""

from __future__ import annotations

import math
from collections.abc import Sequence


def pareto_front(costs: Sequence[float], values: Sequence[float], sign: int) -> list[bool]:
    """Which of k points no other dominates: costs no more and is no worse, and one of the two strictly.

    `sign` · value is better where it is larger. Equal points stand or fall together; nan is never on the front.
    """
    points = [(cost, -sign * value) for cost, value in zip(costs, values, strict=True)]
    known = [point for point in points if not any(math.isnan(part) for part in point)]
    return [
        point in known and not any(other[0] <= point[0] and other[1] <= point[1] and other != point for other in known)
        for point in points
    ]
