"""What metrics ask of the samples that they are given: enough of them, numbers alone; and that all of them are read."""

from __future__ import annotations

import pytest
import torch

from ablations.metrics import sets
from ablations.metrics.density_coverage import met, radii
from ablations.metrics.energy_distance import energy_distance
from ablations.metrics.fid import fid_statistics
from ablations.metrics.inception_score import inception_score
from ablations.metrics.kid import kid
from ablations.metrics.mmd import mmd
from ablations.metrics.precision_recall import precision_recall
from tests.ablations.metrics.draws import normal

X, Y, NO_NUMBERS = normal(25, 2, 1), normal(21, 2, 2), normal(9, 2) / 0
ONE_BAD = normal(9, 4).index_fill(0, torch.tensor([3]), torch.nan)
REFUSED = [
    (lambda: fid_statistics(normal(1, 4)), "FID needs at least 2 samples"),
    (lambda: fid_statistics(ONE_BAD), "FID: 1 of 9"),
    (lambda: kid(normal(1, 2), Y), "KID needs at least 2"),
    (lambda: kid(Y, NO_NUMBERS), "KID: 9 of 9"),
    (lambda: mmd(normal(1, 2), Y, 1.0), "MMD needs at least 2"),
    (lambda: energy_distance(normal(0, 2), Y), "energy distance needs at least 1"),
    (lambda: energy_distance(NO_NUMBERS, Y), "energy distance: 9 of 9"),
    (lambda: precision_recall(normal(4, 4), normal(9, 4)), "precision and recall needs at least 5"),
    (lambda: radii(normal(5, 2)), "density and coverage needs at least 6"),
    (lambda: met(normal(0, 2), Y, torch.ones(21)), "density and coverage needs at least 1"),
    (lambda: inception_score(normal(9, 4).log()), "IS: .* not finite"),
]


@pytest.mark.parametrize(("score", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_too_few_samples_and_what_is_no_number_are_refused(score, message):
    with pytest.raises(ValueError, match=message):
        score()


@pytest.mark.parametrize(
    "score", [lambda: mmd(X, Y + 1, 1.0), lambda: met(X, Y, radii(Y)).tolist()], ids=["mmd", "met"]
)
def test_more_samples_than_a_chunk_are_all_read(score, monkeypatch):
    whole = score()
    monkeypatch.setattr(sets, "CHUNK", 10)
    assert score() == pytest.approx(whole, rel=1e-12)
