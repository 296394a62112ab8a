"""FID against closed forms and known limits."""

from __future__ import annotations

import importlib
import math
import sys

import pytest
import torch
from torch import Tensor

from ablations.metrics import fid as metric
from tests.ablations.metrics.draws import normal, with_moments
from tests.forked import code_of, forked


def fid(x: Tensor, y: Tensor) -> float:
    return metric.fid(metric.fid_statistics(x), metric.fid_statistics(y))


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


def test_torch_fidelity_is_imported_only_when_a_metric_is_asked_for(tmp_path):
    def command():
        for name in [name for name in sys.modules if name.partition(".")[0] in ("ablations", "torch_fidelity")]:
            del sys.modules[name]
        importlib.import_module("ablations.metrics.registry").names()
        return "torch_fidelity" in sys.modules

    assert code_of(forked(command, tmp_path / "log")) == 0
