"""The energy distance against scipy and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from ablations.metrics.energy_distance import energy_distance
from tests.ablations.metrics.draws import normal


def test_energy_distance_is_the_square_of_scipys():
    x, y = normal(300, 1, 1), 2 * normal(200, 1, 2) + 1
    scipys = scipy.stats.energy_distance(x[:, 0].numpy(), y[:, 0].numpy())
    assert energy_distance(x, y) == pytest.approx(scipys**2, rel=1e-9)


def test_energy_distance_of_gaussians_in_the_plane():
    a, b = 1.0, 3.0
    # |X − Y| is Rayleigh with σ² = a² + b².
    closed = 2 * math.sqrt((a**2 + b**2) * math.pi / 2) - (a + b) * math.sqrt(math.pi)
    measured = energy_distance(a * normal(4000, 2, 1), b * normal(3000, 2, 2))
    assert measured == pytest.approx(closed, rel=0.06)


def test_energy_distance_of_equal_sets_is_zero_in_any_order():
    x = normal(1500, 2)
    assert energy_distance(x, x.flip(0)) == pytest.approx(0, abs=1e-12)


def test_energy_distance_of_one_law_is_its_stated_bias():
    values = [energy_distance(normal(50, 2, 2 * i), normal(80, 2, 2 * i + 1)) for i in range(60)]
    error = np.std(values, ddof=1) / math.sqrt(len(values))
    assert abs(np.mean(values) - math.sqrt(math.pi) * (1 / 50 + 1 / 80)) < 3 * error
