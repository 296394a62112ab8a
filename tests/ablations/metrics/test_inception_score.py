"""The inception score counts classes."""

from __future__ import annotations

import math

import pytest
import torch

from ablations.metrics.inception_score import inception_score


@pytest.mark.parametrize("height", [50.0, 1e4])
def test_inception_score_counts_classes(height):
    assert inception_score(torch.zeros(20, 10)) == pytest.approx(1)
    assert inception_score(height * torch.eye(10).repeat(5, 1)) == pytest.approx(10)
    assert inception_score(height * torch.eye(10)[:4].repeat(5, 1)) == pytest.approx(4)


def test_inception_score_of_a_soft_pair():
    p = 0.8
    logits = torch.tensor([[p, 1 - p], [1 - p, p]], dtype=torch.float64).log()
    information = math.log(2) + p * math.log(p) + (1 - p) * math.log(1 - p)
    assert inception_score(logits) == pytest.approx(math.exp(information))
