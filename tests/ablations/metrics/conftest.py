"""Digits, what examines them, and what they are held against; features and points that metrics are tried on."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ablations.data.shipped import Digits
from ablations.metrics import extractors
from ablations.metrics.extractors.architectures import Extractor
from ablations.metrics.metric import FeatureSet
from ablations.metrics.scoring import Reference


@pytest.fixture(scope="session")
def images() -> dict[str, Tensor]:
    return Digits().load().images


@pytest.fixture(scope="session")
def extractor() -> Extractor:
    return extractors.load("digits-cnn")


@pytest.fixture(scope="session")
def reference(images, extractor) -> Reference:
    """What is judged on the test split."""
    return Reference("train", FeatureSet(images["train"], extractor), FeatureSet(images["test"], extractor), 17)


def normal(n: int, d: int, seed: int = 0) -> Tensor:
    return torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def with_moments(mean: Tensor, covariance: Tensor, n: int = 500, seed: int = 0) -> Tensor:
    """Points whose sample mean and covariance are exactly these: whitened, then coloured."""
    x = normal(n, len(mean), seed)
    x = x - x.mean(0)
    white = torch.linalg.solve_triangular(torch.linalg.cholesky(x.T.cov()), x.T, upper=False)
    return (torch.linalg.cholesky(covariance) @ white).T + mean
