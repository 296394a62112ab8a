"""KID against its power sums, and its mean under one law."""

from __future__ import annotations

import math

import numpy as np
import pytest
from torch import Tensor

from ablations.metrics.kid import kid
from tests.ablations.metrics.draws import normal


def test_kid_of_one_law_has_mean_zero():
    values = [kid(normal(150, 8, 2 * i), normal(250, 8, 2 * i + 1)) for i in range(40)]
    error = np.std(values, ddof=1) / math.sqrt(len(values))
    # The biased estimate would stand about E k(x, x)/150, many errors away.
    assert abs(np.mean(values)) < 3 * error < 0.02


def test_kid_on_the_line_equals_its_power_sums():
    n = 100
    x, y = normal(n, 1, 1) + 0.5, 2 * normal(n, 1, 2)
    a, b = ((values - y.mean()) / y.std() for values in (x, y))

    # Σ (uv + 1)³ = Σ_j C(3, j) (Σ uʲ)(Σ vʲ), less the pairs of a point with itself.
    def pairs(u: Tensor) -> float:
        return sum(math.comb(3, j) * float((u**j).sum() ** 2 - (u ** (2 * j)).sum()) for j in range(4))

    def expected(u: Tensor, v: Tensor) -> float:
        between = sum(math.comb(3, j) * float((u**j).sum() * (v**j).sum()) for j in range(4))
        return (pairs(u) + pairs(v)) / (n * (n - 1)) - 2 * between / n**2

    assert kid(x, y) == pytest.approx(expected(a, b), rel=1e-9)
    assert kid(x, y, standardised=False) == pytest.approx(expected(x, y), rel=1e-9)


def test_kid_does_not_depend_on_the_scale_of_features():
    x, y = normal(100, 8, 1), normal(100, 8, 2) + 0.3
    assert kid(1000 * x + 7, 1000 * y + 7) == pytest.approx(kid(x, y), rel=1e-9)


def test_kid_takes_a_feature_that_is_constant_on_the_reference():
    x, y = normal(100, 4, 1), normal(100, 4, 2)
    x[:, 0] = y[:, 0] = 3.0
    assert math.isfinite(kid(x, y))
