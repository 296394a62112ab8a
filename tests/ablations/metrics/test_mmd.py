"""MMD² against its closed form on Gaussians, a sum over all pairs, and its limits."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ablations.metrics.mmd import Mmd, mmd
from ablations.metrics.sets import Examined, Judged
from tests.ablations.metrics.draws import normal


def test_mmd_of_gaussians_in_the_plane():
    """E exp(−|z|²/(2σ²)) = σ²/(σ² + v) exp(−|m|²/(2(σ² + v))) of z ~ N(m, v I) in two dimensions."""
    a, b, shift, sigma = 1.0, 2.0, 1.5, 1.2

    def kernel(variance: float, distance: float = 0.0) -> float:
        total = sigma**2 + variance
        return sigma**2 / total * math.exp(-(distance**2) / (2 * total))

    closed = kernel(2 * a**2) + kernel(2 * b**2) - 2 * kernel(a**2 + b**2, shift)
    values = []
    for i in range(20):
        x, y = a * normal(1000, 2, 2 * i), b * normal(900, 2, 2 * i + 1)
        y[:, 0] += shift
        values.append(mmd(x, y, sigma))
    error = np.std(values, ddof=1) / math.sqrt(len(values))
    assert abs(np.mean(values) - closed) < 3 * error < 0.06 * closed


def test_mmd_is_its_sum_over_pairs():
    x, y, sigma = normal(12, 3, 1), 2 * normal(9, 3, 2), 0.7

    def kernel(p, q):
        return math.exp(-float(((p - q) ** 2).sum()) / (2 * sigma**2))

    def within(points):
        pairs = [kernel(p, q) for i, p in enumerate(points) for j, q in enumerate(points) if i != j]
        return sum(pairs) / len(pairs)

    between = [kernel(p, q) for p in x for q in y]
    assert mmd(x, y, sigma) == pytest.approx(within(x) + within(y) - 2 * sum(between) / len(between), rel=1e-12)


def test_mmd_of_one_law_has_mean_zero():
    values = [mmd(normal(60, 4, 2 * i), normal(90, 4, 2 * i + 1), 2.0) for i in range(60)]
    error = np.std(values, ddof=1) / math.sqrt(len(values))
    # The biased estimate would stand about (1 − E k)(1/60 + 1/90), many errors away.
    assert abs(np.mean(values)) < 3 * error < 0.005


def test_the_bandwidth_is_that_of_the_real_set_whatever_its_scale():
    x, y = normal(80, 3, 1), normal(70, 3, 2) * 2
    judged = Judged(Examined(x), Examined(y))
    sigma = math.sqrt(float(y.var(0).sum()))
    assert Mmd().compute(judged) == pytest.approx(mmd(x, y, sigma), rel=1e-12)
    assert Mmd(width=0.5).compute(judged) == pytest.approx(mmd(x, y, sigma / 2), rel=1e-12)
    scaled = Judged(Examined(1000 * x), Examined(1000 * y))
    assert Mmd().compute(scaled) == pytest.approx(Mmd().compute(judged), rel=1e-9)


def test_what_has_no_answer_is_refused():
    with pytest.raises(ValueError, match=r"mmd.width must be above 0, got 0"):
        Mmd(width=0)
    with pytest.raises(ValueError, match="takes its bandwidth from the real samples, which are all equal"):
        Mmd().compute(Judged(Examined(normal(5, 2)), Examined(0 * normal(5, 2))))
