"""Density and coverage against their definition, their means under one law, and on outliers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from ablations.metrics.density_coverage import NEIGHBOURS, CoverageMetric, DensityMetric
from ablations.metrics.precision_recall import precision_recall
from ablations.metrics.sets import Examined, Judged
from tests.ablations.metrics.draws import normal


def scores(x, y):
    judged = Judged(Examined(x), Examined(y))
    return DensityMetric().compute(judged), CoverageMetric().compute(judged)


def test_density_and_coverage_equal_their_definition():
    x, y = 1.5 * normal(40, 3, 1), normal(30, 3, 2)
    reach = [sorted((y - point).norm(dim=1).tolist())[NEIGHBOURS] for point in y]
    inside = [[float((p - q).norm()) <= r for q, r in zip(y, reach, strict=True)] for p in x]
    density = sum(map(sum, inside)) / (NEIGHBOURS * len(x))
    coverage = sum(any(column) for column in zip(*inside, strict=True)) / len(y)
    assert 0.1 < density < 1
    assert 0.2 < coverage < 1
    assert scores(x, y) == pytest.approx((density, coverage), rel=1e-12)


def test_of_equal_sets_density_counts_each_sample_itself_and_coverage_is_whole():
    x = normal(50, 3)
    assert scores(x, x) == pytest.approx(((NEIGHBOURS + 1) / NEIGHBOURS, 1))


def test_their_means_under_one_law_are_the_published_ones():
    """E coverage = 1 − Π_{i<k} (N − 1 − i)/(2N − 1 − i), about 1 − 2^{−k}, of sets of N (Naeem et al. 2020, Lemma 2);
    E density = 1 (Lemma 1)."""
    n = 60
    found = [scores(normal(n, 2, 2 * i), normal(n, 2, 2 * i + 1)) for i in range(80)]
    expected = (1.0, 1 - math.prod((n - 1 - i) / (2 * n - 1 - i) for i in range(NEIGHBOURS)))
    for values, mean in zip(zip(*found, strict=True), expected, strict=True):
        error = np.std(values, ddof=1) / math.sqrt(len(values))
        assert abs(np.mean(values) - mean) < 3 * error < 0.05


def test_an_outlier_among_the_generated_widens_recall_and_no_coverage():
    real = torch.cat([normal(60, 2, 1), normal(60, 2, 2) + 30])
    generated = normal(100, 2, 3)
    far = torch.cat([generated, torch.full((1, 2), 40.0, dtype=torch.float64)])
    assert precision_recall(far, real)[1] > precision_recall(generated, real)[1] + 0.3
    assert scores(far, real)[1] == scores(generated, real)[1] < 0.55
