"""The Pareto front on hand-made points."""

import math

import numpy as np
import pytest

from analysis.statistics.pareto import pareto_front

NAN = math.nan


@pytest.mark.parametrize(
    ("costs", "values", "sign", "expected"),
    [
        ([1, 2, 3], [3.0, 2.0, 1.0], -1, [True, True, True]),
        ([1, 2, 3], [1.0, 2.0, 3.0], -1, [True, False, False]),
        ([1, 2, 3], [1.0, 2.0, 3.0], 1, [True, True, True]),
        # Equal points stand together; at one cost only the best does, at one value only the cheapest.
        ([1, 1, 2], [5.0, 5.0, 5.0], -1, [True, True, False]),
        ([1, 1, 2], [5.0, 4.0, 3.0], -1, [False, True, True]),
        # What is not known is neither on the front nor keeps others off it.
        ([NAN, 1, 2], [0.0, NAN, 5.0], -1, [False, False, True]),
        ([], [], 1, []),
    ],
)
def test_pareto_front(costs, values, sign, expected):
    assert pareto_front(costs, values, sign) == expected


def test_the_front_is_what_no_other_point_dominates():
    points = np.random.default_rng(0).integers(0, 12, (200, 2)).tolist()
    dominated = [any(a <= x and b <= y and (a, b) != (x, y) for a, b in points) for x, y in points]
    assert pareto_front(*zip(*points, strict=True), -1) == [not one for one in dominated]
