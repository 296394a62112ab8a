"""Metrics of features and points against closed forms, their definitions and other libraries."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
import torch
from torch import Tensor

from ablations.metrics import metric as sets
from ablations.metrics.discrepancies import Mmd, energy_distance, kid, mmd
from ablations.metrics.fid import FidHeldOut, FidInfinity, FidPooled, fid_statistics, inception_score
from ablations.metrics.metric import Comparison, FeatureSet
from ablations.metrics.neighbours import FIFTH, THIRD, CoverageMetric, DensityMetric, precision_recall
from tests.ablations.metrics.conftest import normal


def of_points(x: Tensor, y: Tensor) -> Comparison:
    return Comparison(FeatureSet(x), FeatureSet(y))


def density_and_coverage(x: Tensor, y: Tensor) -> tuple[float, float]:
    return DensityMetric().compute(of_points(x, y)), CoverageMetric().compute(of_points(x, y))


def mean_and_error(values: list[float]) -> tuple[float, float]:
    return float(np.mean(values)), float(np.std(values, ddof=1) / math.sqrt(len(values)))


X, Y, NO_NUMBERS = normal(25, 2, 1), normal(21, 2, 2), normal(9, 2) / 0
ONE_BAD = normal(9, 4).index_fill(0, torch.tensor([3]), torch.nan)
REFUSED = [
    (lambda: fid_statistics(normal(1, 4)), "FID needs at least 2 samples"),
    (lambda: fid_statistics(ONE_BAD), "FID: 1 of 9"),
    (lambda: kid(normal(1, 2), Y), "KID needs at least 2"),
    (lambda: Mmd(width=0), r"mmd.width must be above 0, got 0"),
    (lambda: Mmd().compute(of_points(X, 0 * Y)), "takes its bandwidth from the real samples, which are all equal"),
    (lambda: energy_distance(NO_NUMBERS, Y), "energy distance: 9 of 9"),
    (lambda: precision_recall(normal(4, 4), normal(9, 4)), "precision and recall needs at least 5"),
    (lambda: density_and_coverage(X, normal(5, 2)), "density and coverage needs at least 6"),
    (lambda: inception_score(normal(9, 4).log()), "IS: .* not finite"),
]


@pytest.mark.parametrize(("score", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_what_has_no_score_is_refused(score, message):
    with pytest.raises(ValueError, match=message):
        score()


@pytest.mark.parametrize("score", [lambda: mmd(X, Y + 1, 1.0), lambda: density_and_coverage(X, Y)])
def test_more_samples_than_a_chunk_are_all_read(score, monkeypatch):
    whole = score()
    monkeypatch.setattr(sets, "CHUNK", 10)
    assert score() == pytest.approx(whole, rel=1e-12)


@pytest.mark.parametrize(
    ("metric", "against", "column"),
    [
        (FidHeldOut, "train", "fid_held_out/digits-cnn"),
        (FidInfinity, "test", "fid_infinity/test/digits-cnn"),
        (FidPooled, "test", "fid_pooled/test/digits-cnn/900"),
        (Mmd, "val", "mmd/val/digits-cnn"),
    ],
)
def test_a_column_names_what_is_compared_and_the_extractor(metric, against, column):
    assert metric.column(against, "digits-cnn", 900).name == column


# Energy distance


def test_energy_distance_is_the_square_of_scipys_and_zero_of_equal_sets():
    x, y = normal(300, 1, 1), 2 * normal(200, 1, 2) + 1
    assert energy_distance(x, y) == pytest.approx(scipy.stats.energy_distance(x[:, 0], y[:, 0]) ** 2, rel=1e-9)
    assert energy_distance(normal(1500, 2), normal(1500, 2).flip(0)) == pytest.approx(0, abs=1e-12)


def test_energy_distance_of_gaussians_in_the_plane():
    a, b = 1.0, 3.0
    # |X − Y| is Rayleigh with σ² = a² + b².
    closed = 2 * math.sqrt((a**2 + b**2) * math.pi / 2) - (a + b) * math.sqrt(math.pi)
    assert energy_distance(a * normal(4000, 2, 1), b * normal(3000, 2, 2)) == pytest.approx(closed, rel=0.06)
    mean, error = mean_and_error([energy_distance(normal(50, 2, i), normal(80, 2, i + 100)) for i in range(60)])
    # Of one law it is its stated bias.
    assert abs(mean - math.sqrt(math.pi) * (1 / 50 + 1 / 80)) < 3 * error


# MMD


def test_mmd_of_gaussians_in_the_plane():
    """E exp(−|z|²/(2σ²)) = σ²/(σ² + v) exp(−|m|²/(2(σ² + v))) of z ~ N(m, v I) in two dimensions."""
    a, b, shift, sigma = 1.0, 2.0, torch.tensor([1.5, 0.0]), 1.2

    def kernel(variance: float, distance: float = 0.0) -> float:
        total = sigma**2 + variance
        return sigma**2 / total * math.exp(-(distance**2) / (2 * total))

    closed = kernel(2 * a**2) + kernel(2 * b**2) - 2 * kernel(a**2 + b**2, 1.5)
    draws = [(a * normal(1000, 2, 2 * i), b * normal(900, 2, 2 * i + 1) + shift) for i in range(20)]
    mean, error = mean_and_error([mmd(x, y, sigma) for x, y in draws])
    assert abs(mean - closed) < 3 * error < 0.06 * closed
    mean, error = mean_and_error([mmd(normal(60, 4, 2 * i), normal(90, 4, 2 * i + 1), 2.0) for i in range(60)])
    # The biased estimate would stand about (1 − E k)(1/60 + 1/90), many errors away.
    assert abs(mean) < 3 * error < 0.005


def test_the_bandwidth_is_that_of_the_real_set_whatever_its_scale():
    x, y = normal(80, 3, 1), normal(70, 3, 2) * 2
    sigma = math.sqrt(float(y.var(0).sum()))
    assert Mmd().compute(of_points(x, y)) == pytest.approx(mmd(x, y, sigma), rel=1e-12)
    assert Mmd(width=0.5).compute(of_points(x, y)) == pytest.approx(mmd(x, y, sigma / 2), rel=1e-12)
    assert Mmd().compute(of_points(1000 * x, 1000 * y)) == pytest.approx(mmd(x, y, sigma), rel=1e-9)


# KID


def test_kid_of_one_law_has_mean_zero_whatever_the_scale_of_features():
    draws = [(normal(150, 8, 2 * i), normal(250, 8, 2 * i + 1)) for i in range(20)]
    mean, error = mean_and_error([kid(x, y) for x, y in draws])
    # The biased estimate would stand about E k(x, x)/150, many errors away.
    assert abs(mean) < 3 * error < 0.02
    x, y = draws[0]
    assert kid(1000 * x + 7, 1000 * y + 7) == pytest.approx(kid(x, y), rel=1e-9)
    x[:, 0] = y[:, 0] = 3.0
    assert math.isfinite(kid(x, y))


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


# Inception score


@pytest.mark.parametrize("height", [50.0, 1e4])
def test_inception_score_counts_classes(height):
    assert inception_score(torch.zeros(20, 10)) == pytest.approx(1)
    assert inception_score(height * torch.eye(10).repeat(5, 1)) == pytest.approx(10)
    assert inception_score(height * torch.eye(10)[:4].repeat(5, 1)) == pytest.approx(4)
    p = 0.8
    logits = torch.tensor([[p, 1 - p], [1 - p, p]], dtype=torch.float64).log()
    information = math.log(2) + p * math.log(p) + (1 - p) * math.log(1 - p)
    assert inception_score(logits) == pytest.approx(math.exp(information))


# Precision and recall, density and coverage


def test_precision_and_recall_are_the_right_way_round():
    modes = torch.cat([normal(100, 4, i) + 20 * i for i in range(4)])
    collapsed = normal(400, 4, 9)
    precision, recall = precision_recall(collapsed, modes)
    assert precision > 0.7
    assert recall <= 0.25
    assert precision_recall(modes, collapsed) == pytest.approx((recall, precision))
    assert precision_recall(modes, modes) == (1, 1)


def inside(points: Tensor, others: Tensor, k: int) -> list[list[float]]:
    """Of each point whether it lies in the ball of each of the others, which reaches to its k-th neighbour."""
    reach = [sorted((others - other).norm(dim=1).tolist())[k] for other in others]
    return [[float((p - q).norm()) <= r for q, r in zip(others, reach, strict=True)] for p in points]


def test_they_equal_their_definitions():
    x, y = 1.5 * normal(40, 3, 1), normal(30, 3, 2)
    shares = [float(np.mean([any(row) for row in inside(p, q, THIRD)])) for p, q in ((x, y), (y, x))]
    assert precision_recall(x, y) == pytest.approx(shares)
    met = np.array(inside(x, y, FIFTH))
    density, coverage = met.sum() / (FIFTH * len(x)), met.any(0).mean()
    assert 0.1 < density < 1
    assert 0.2 < coverage < 1
    assert density_and_coverage(x, y) == pytest.approx((density, coverage), rel=1e-12)
    assert density_and_coverage(x, x) == pytest.approx(((FIFTH + 1) / FIFTH, 1))


def test_means_of_density_and_coverage_under_one_law_are_the_published_ones():
    """E coverage = 1 − Π_{i<k} (N − 1 − i)/(2N − 1 − i), about 1 − 2^{−k}, of sets of N (Naeem et al. 2020, Lemma 2);
    E density = 1 (Lemma 1)."""
    n = 60
    found = [density_and_coverage(normal(n, 2, 2 * i), normal(n, 2, 2 * i + 1)) for i in range(80)]
    expected = (1.0, 1 - math.prod((n - 1 - i) / (2 * n - 1 - i) for i in range(FIFTH)))
    for values, known in zip(zip(*found, strict=True), expected, strict=True):
        mean, error = mean_and_error(values)
        assert abs(mean - known) < 3 * error < 0.05
