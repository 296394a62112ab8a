"""Metrics against closed forms, known limits and independent implementations."""

import dataclasses
import math
import subprocess
import sys

import numpy as np
import pytest
import scipy.stats
import torch
from torch import Tensor

from ablations.data.digits import Digits
from ablations.metrics import extractors, sample_quality

FID = "fid/train/digits-cnn"


@pytest.fixture(scope="module")
def images() -> dict[str, Tensor]:
    return Digits().load().images


@pytest.fixture(scope="module")
def extractor() -> extractors.Extractor:
    return extractors.load("digits-cnn")


@pytest.fixture(scope="module")
def reference(images, extractor) -> sample_quality.Reference:
    return sample_quality.Reference.of(images["train"], extractor)


def normal(n: int, d: int, seed: int = 0) -> Tensor:
    return torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def with_moments(mean: Tensor, covariance: Tensor, n: int = 500, seed: int = 0) -> Tensor:
    """Points whose sample mean and covariance are exactly these: whitened, then coloured."""
    x = normal(n, len(mean), seed)
    x = x - x.mean(0)
    white = torch.linalg.solve_triangular(torch.linalg.cholesky(x.T.cov()), x.T, upper=False)
    return (torch.linalg.cholesky(covariance) @ white).T + mean


def fid(x: Tensor, y: Tensor) -> float:
    return sample_quality.fid(sample_quality.fid_statistics(x), sample_quality.fid_statistics(y))


def test_fid_of_gaussians_that_share_axes():
    rotation = torch.linalg.qr(normal(8, 8)).Q
    a, b = torch.linspace(0.1, 4, 8, dtype=torch.float64), torch.linspace(9, 0.5, 8, dtype=torch.float64)
    shift = torch.arange(8, dtype=torch.float64)
    x = with_moments(shift, rotation @ a.diag() @ rotation.T, seed=1)
    y = with_moments(torch.zeros_like(shift), rotation @ b.diag() @ rotation.T, n=700, seed=2)
    closed = float((shift**2).sum() + ((a.sqrt() - b.sqrt()) ** 2).sum())
    assert fid(x, y) == pytest.approx(closed, abs=1e-6)
    assert fid(y, x) == pytest.approx(closed, abs=1e-6)


def test_fid_of_gaussians_whose_covariances_do_not_commute():
    a = torch.tensor([[2.0, 0.9], [0.9, 1.0]], dtype=torch.float64)
    b = torch.tensor([[1.0, -0.5], [-0.5, 3.0]], dtype=torch.float64)
    # For 2×2: tr √M = √(tr M + 2 √det M).
    root = math.sqrt(float((a @ b).trace()) + 2 * math.sqrt(float(torch.linalg.det(a @ b))))
    closed = float(a.trace() + b.trace()) - 2 * root
    zero = torch.zeros(2, dtype=torch.float64)
    assert fid(with_moments(zero, a, seed=1), with_moments(zero, b, seed=2)) == pytest.approx(closed, abs=1e-6)


def test_fid_of_equal_sets_is_zero_and_never_below():
    x = normal(300, 64)
    assert 0 <= fid(x, x) < 1e-8


def test_fid_of_a_constant_set_is_distance_plus_total_variance():
    y = with_moments(torch.full((4,), 2.0, dtype=torch.float64), torch.eye(4, dtype=torch.float64))
    assert fid(torch.zeros(50, 4), y) == pytest.approx(4 * 4 + 4, abs=1e-6)


def test_kid_of_one_law_has_mean_zero():
    values = [sample_quality.kid(normal(150, 8, 2 * i), normal(250, 8, 2 * i + 1)) for i in range(40)]
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

    assert sample_quality.kid(x, y) == pytest.approx(expected(a, b), rel=1e-9)
    assert sample_quality.kid(x, y, standardised=False) == pytest.approx(expected(x, y), rel=1e-9)


def test_kid_does_not_depend_on_the_scale_of_features():
    x, y = normal(100, 8, 1), normal(100, 8, 2) + 0.3
    assert sample_quality.kid(1000 * x + 7, 1000 * y + 7) == pytest.approx(sample_quality.kid(x, y), rel=1e-9)


def test_kid_takes_a_feature_that_is_constant_on_the_reference():
    x, y = normal(100, 4, 1), normal(100, 4, 2)
    x[:, 0] = y[:, 0] = 3.0
    assert math.isfinite(sample_quality.kid(x, y))


@pytest.mark.parametrize("height", [50.0, 1e4])
def test_inception_score_counts_classes(height):
    assert sample_quality.inception_score(torch.zeros(20, 10)) == pytest.approx(1)
    assert sample_quality.inception_score(height * torch.eye(10).repeat(5, 1)) == pytest.approx(10)
    assert sample_quality.inception_score(height * torch.eye(10)[:4].repeat(5, 1)) == pytest.approx(4)


def test_inception_score_of_a_soft_pair():
    p = 0.8
    logits = torch.tensor([[p, 1 - p], [1 - p, p]], dtype=torch.float64).log()
    information = math.log(2) + p * math.log(p) + (1 - p) * math.log(1 - p)
    assert sample_quality.inception_score(logits) == pytest.approx(math.exp(information))


def test_precision_and_recall_are_the_right_way_round():
    modes = torch.cat([normal(100, 4, i) + 20 * i for i in range(4)])
    collapsed = normal(400, 4, 9)
    precision, recall = sample_quality.precision_recall(collapsed, modes)
    assert precision > 0.7
    assert recall <= 0.25
    assert sample_quality.precision_recall(modes, collapsed) == pytest.approx((recall, precision))
    assert sample_quality.precision_recall(modes, modes) == (1, 1)


def test_precision_and_recall_equal_their_definition():
    x, y = normal(40, 3, 1), 1.5 * normal(60, 3, 2)

    def covered(points: Tensor, others: Tensor) -> float:
        within = [
            any((p - o).norm() <= sorted((others - o).norm(dim=1).tolist())[sample_quality.NEIGHBOURS] for o in others)
            for p in points
        ]
        return sum(within) / len(within)

    assert sample_quality.precision_recall(x, y) == pytest.approx((covered(x, y), covered(y, x)))


def test_the_memorisation_rate(images):
    train, validation, test = images["train"], images["validation"], images["test"]
    assert sample_quality.memorisation_rate(train[:200], train, test) == 1
    nearly = train[:200].clone()
    nearly[:, 0, 4, 4] ^= 1
    assert sample_quality.memorisation_rate(nearly, train, test) == 1
    assert sample_quality.memorisation_rate(test, train, test) == pytest.approx(0.05, abs=1 / len(test))
    assert sample_quality.memorisation_rate(validation, train, test) == pytest.approx(0.05, abs=0.03)
    noise = torch.randint(17, train[:200].shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    assert sample_quality.memorisation_rate(noise, train, test) == 0


def test_nearest_distance_is_exact(images):
    some, few = images["test"][:30], images["train"][:50]
    differences = some[:, None].numpy().astype(int) - few[None].numpy().astype(int)
    expected = np.sqrt((differences**2).sum((2, 3, 4)).min(1))
    np.testing.assert_allclose(sample_quality.nearest_distance(some, few).numpy(), expected, rtol=1e-15)
    assert not sample_quality.nearest_distance(images["train"][:50], images["train"]).any()


def test_energy_distance_is_the_square_of_scipys():
    x, y = normal(300, 1, 1), 2 * normal(200, 1, 2) + 1
    scipys = scipy.stats.energy_distance(x[:, 0].numpy(), y[:, 0].numpy())
    assert sample_quality.energy_distance(x, y) == pytest.approx(scipys**2, rel=1e-9)


def test_energy_distance_of_gaussians_in_the_plane():
    a, b = 1.0, 3.0
    # |X − Y| is Rayleigh with σ² = a² + b².
    closed = 2 * math.sqrt((a**2 + b**2) * math.pi / 2) - (a + b) * math.sqrt(math.pi)
    measured = sample_quality.energy_distance(a * normal(4000, 2, 1), b * normal(3000, 2, 2))
    assert measured == pytest.approx(closed, rel=0.06)


def test_energy_distance_of_equal_sets_is_zero_in_any_order():
    x = normal(1500, 2)
    assert sample_quality.energy_distance(x, x.flip(0)) == pytest.approx(0, abs=1e-12)


def test_energy_distance_of_one_law_is_its_stated_bias():
    values = [sample_quality.energy_distance(normal(50, 2, 2 * i), normal(80, 2, 2 * i + 1)) for i in range(60)]
    error = np.std(values, ddof=1) / math.sqrt(len(values))
    assert abs(np.mean(values) - math.sqrt(math.pi) * (1 / 50 + 1 / 80)) < 3 * error


def test_points_quality_is_the_mean_over_sets():
    sets, heldout = [normal(50, 2, 1), normal(50, 2, 2) + 1], normal(60, 2, 3)
    values = [sample_quality.energy_distance(points, heldout) for points in sets]
    result = sample_quality.points_quality(sets, heldout, "test")
    assert result["energy_distance/test"] == pytest.approx(np.mean(values))
    assert result["energy_distance/test_set_sd"] == pytest.approx(np.std(values, ddof=1))
    assert sample_quality.points_quality(sets[:1], heldout, "test") == {
        "energy_distance/test": pytest.approx(values[0])
    }


def test_quality_is_the_mean_over_sets_under_names_that_hold_the_extractor(images, reference, extractor):
    sets = list(images["validation"].split(225))
    ones = [sample_quality.quality([part], reference, extractor, "train", images["test"]) for part in sets]
    both = sample_quality.quality(sets, reference, extractor, "train", images["test"])
    against = {f"{metric}/train/digits-cnn" for metric in ("fid", "kid", "precision", "recall")}
    assert set(ones[0]) == against | {"is/digits-cnn", "memorisation/train"}
    for name in ones[0]:
        assert both[name] == pytest.approx((ones[0][name] + ones[1][name]) / 2, abs=1e-12)
    assert both[f"{FID}_set_sd"] == pytest.approx(np.std([one[FID] for one in ones], ddof=1))


def test_memorisation_is_counted_only_where_asked_for(images, extractor):
    reference = sample_quality.Reference.of(images["test"], extractor)
    result = sample_quality.quality([images["validation"]], reference, extractor, "test", None)
    assert not [name for name in result if name.startswith("memorisation")]
    assert "fid/test/digits-cnn" in result


def test_real_images_score_better_than_noise_and_than_one_image(images, reference, extractor):
    generator = torch.Generator().manual_seed(0)
    noise = torch.randint(17, images["test"].shape, generator=generator, dtype=torch.uint8)
    floor = sample_quality.floors([images["validation"], images["test"]], reference, extractor)
    assert floor["memorisation/train"] == pytest.approx(0.05, abs=0.005)
    for other in (noise, images["test"][:1].expand(450, -1, -1, -1)):
        scores = sample_quality.quality([other], reference, extractor, "train", images["test"])
        assert scores[FID] > 20 * floor[FID]
        assert scores["kid/train/digits-cnn"] > floor["kid/train/digits-cnn"] + 0.3
        assert scores["is/digits-cnn"] < floor["is/digits-cnn"] - 2
        assert scores["recall/train/digits-cnn"] < 0.5 * floor["recall/train/digits-cnn"]


@pytest.mark.parametrize("level", [0, 7, 16])
def test_constant_images_get_finite_scores(level, images, reference, extractor):
    blank = torch.full((450, 1, 8, 8), level, dtype=torch.uint8)
    scores = sample_quality.quality([blank, images["validation"]], reference, extractor, "train", images["test"])
    assert all(math.isfinite(value) for value in scores.values())


def test_equal_calls_give_equal_numbers(images, reference, extractor):
    first, second = (sample_quality.floors([images["test"]], reference, extractor) for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sample_quality.fid_statistics(normal(1, 4)), "FID needs at least 2 samples"),
        (lambda: sample_quality.fid_statistics(normal(9, 4).index_fill(0, torch.tensor([3]), math.nan)), "FID: 1 of 9"),
        (lambda: sample_quality.kid(normal(1, 4), normal(9, 4)), "KID needs at least 2"),
        (lambda: sample_quality.kid(normal(9, 4), normal(9, 4) / 0), "KID: 9 of 9"),
        (lambda: sample_quality.precision_recall(normal(4, 4), normal(9, 4)), "precision and recall needs at least 5"),
        (lambda: sample_quality.inception_score(normal(9, 4).log()), "IS: .* not finite"),
        (lambda: sample_quality.energy_distance(normal(0, 2), normal(9, 2)), "energy distance needs at least 1"),
        (lambda: sample_quality.points_quality([], normal(9, 2), "test"), "at least one set"),
        (lambda: sample_quality.energy_distance(normal(9, 2) / 0, normal(9, 2)), "energy distance: 9 of 9"),
    ],
)
def test_what_has_no_answer_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_reference_of_other_weights_is_refused(images, reference, extractor):
    with pytest.raises(ValueError, match="reference was built by an extractor with digest"):
        sample_quality.quality(
            [images["test"]], reference, dataclasses.replace(extractor, digest="0" * 12), "train", None
        )
    with pytest.raises(ValueError, match="at least one set"):
        sample_quality.quality([], reference, extractor, "train", None)


def test_torch_fidelity_is_imported_only_when_a_metric_is_asked_for():
    code = "import sys, ablations.metrics.sample_quality; sys.exit('torch_fidelity' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
