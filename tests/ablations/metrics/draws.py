"""Features and points that metrics are tried on."""

from __future__ import annotations

import torch
from torch import Tensor


def normal(n: int, d: int, seed: int = 0) -> Tensor:
    return torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def with_moments(mean: Tensor, covariance: Tensor, n: int = 500, seed: int = 0) -> Tensor:
    """Points whose sample mean and covariance are exactly these: whitened, then coloured."""
    x = normal(n, len(mean), seed)
    x = x - x.mean(0)
    white = torch.linalg.solve_triangular(torch.linalg.cholesky(x.T.cov()), x.T, upper=False)
    return (torch.linalg.cholesky(covariance) @ white).T + mean
