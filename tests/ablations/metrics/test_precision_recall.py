"""Precision and recall against their definition."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ablations.metrics.precision_recall import NEIGHBOURS, precision_recall
from tests.ablations.metrics.draws import normal


def test_precision_and_recall_are_the_right_way_round():
    modes = torch.cat([normal(100, 4, i) + 20 * i for i in range(4)])
    collapsed = normal(400, 4, 9)
    precision, recall = precision_recall(collapsed, modes)
    assert precision > 0.7
    assert recall <= 0.25
    assert precision_recall(modes, collapsed) == pytest.approx((recall, precision))
    assert precision_recall(modes, modes) == (1, 1)


def test_precision_and_recall_equal_their_definition():
    x, y = normal(40, 3, 1), 1.5 * normal(60, 3, 2)

    def covered(points: Tensor, others: Tensor) -> float:
        within = [
            any((p - o).norm() <= sorted((others - o).norm(dim=1).tolist())[NEIGHBOURS] for o in others) for p in points
        ]
        return sum(within) / len(within)

    assert precision_recall(x, y) == pytest.approx((covered(x, y), covered(y, x)))
