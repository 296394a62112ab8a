"""FID against held-out images, against the distance of two Gaussians and a copier of training images."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import linalg

from ablations.metrics.fid import Fid, FidHeldOut
from ablations.metrics.sets import Examined, Judged
from tests.ablations.metrics.draws import normal


def sets(generated, real, held_out):
    """Points stand for features, which an examined set without an extractor gives as they are."""
    return Judged(Examined(generated), Examined(real), Examined(held_out))


def test_it_is_the_distance_of_gaussians_to_the_held_out_set():
    x, held_out = 1.5 * normal(400, 5) + 1, normal(300, 5, 1)
    mean = x.mean(0) - held_out.mean(0)
    a, b = (np.cov(one.numpy(), rowvar=False) for one in (x, held_out))
    known = float(mean @ mean) + np.trace(a + b - 2 * linalg.sqrtm(a @ b).real)
    assert FidHeldOut().compute(sets(x, normal(300, 5, 2), held_out)) == pytest.approx(known, rel=1e-6)


def test_a_copier_is_told_by_it_alone():
    real, held_out = normal(60, 5, 0), normal(60, 5, 1)
    copies = sets(real, real, held_out)
    assert Fid().compute(copies) == pytest.approx(0, abs=1e-6)
    assert FidHeldOut().compute(copies) > 0.1
    assert FidHeldOut().compute(copies) == pytest.approx(FidHeldOut().compute(sets(real, normal(60, 5, 2), held_out)))


def test_its_column_names_the_extractor_and_no_set():
    column = FidHeldOut.column("train", "digits-cnn")
    assert (column.name, column.scale, column.relevant) == ("fid_held_out/digits-cnn", "log", 0.05)
    assert not column.on_validation
