"""Axis: the coupling, by which noise ε an x_0 of a batch is diffused in training, x_t = √ᾱ_t x_0 + √(1 − ᾱ_t) ε.

    independent   a draw from N(0, I), whatever x_0 is
    optimal       ε_{π(i)} for the i-th x_0, π the permutation of the batch that minimises Σ_i ‖x_0^i − ε_{π(i)}‖²
    immiscible    of k draws from N(0, I) the nearest to x_0

A permutation leaves the batch's noise what it was as a set: its law over batches is N(0, I). The nearest of k draws is
not distributed as N(0, I): it lies where the data are, and closer together. Under both, ε given x_0 is not N(0, I), so
that x_t is no draw from q(x_t|x_0), no loss is a term of the bound, and E[ε|x_t] gives no score. What is left is the
flow

    dx/du = (d√ᾱ/du) E[x_0|x] + (d√(1 − ᾱ)/du) E[ε|x]

along which the law of x_t goes from that of ε to that of x_0 whatever the coupling (Pooladian et al. 2023), straighter
the less its paths cross: samplers that add no noise follow it, and its likelihood (`flow.py`) is its own. The bound of
a model stays that of the chain whose noise is independent.

A network that is told labels learns a flow for each class, all of which start from N(0, I). So each class is paired by
itself: within a whole batch the law of ε given the label would be another (Cheng & Schwing 2025, arXiv:2503.10636).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from diffusion_core.randomness import send
from diffusion_core.refusing import require
from diffusion_core.terms import sum_dims

Draw = Callable[[int], Tensor]
"""The j-th draw from N(0, I) for a batch, j = 0, 1, …: of the shape and on the device of its x_0 [B, …]."""

MOST_DRAWS = 1000
"""The most draws k: each takes one more batch of noise."""


class Coupling(ABC):
    """A choice of the noise for each x_0 of a batch.

    `independent` is True if it does not depend on x_0; `permutes` is True if it is draw 0 in another order, for which a
    batch needs several examples.
    """

    independent: ClassVar[bool] = False
    permutes: ClassVar[bool] = False

    @abstractmethod
    def pair(self, x0: Tensor, draw: Draw) -> Tensor:
        """ε [B, …] for a whole batch of x_0 [B, …], or for all of one class in it, as a function of these and draws."""


@dataclass(frozen=True)
class Independent(Coupling):
    """A draw for each x_0, whatever it is (Ho et al. 2020, arXiv:2006.11239)."""

    independent = True

    def pair(self, x0: Tensor, draw: Draw) -> Tensor:
        return draw(0)


@dataclass(frozen=True)
class Optimal(Coupling):
    """The permutation of a batch's noise of the least Σ ‖x_0 − ε‖²: optimal transport between the two batches.

    (Pooladian et al. 2023, arXiv:2304.14772; Tong et al. 2024, arXiv:2302.00482.) As B grows it tends to that between
    the data and N(0, I). It is computed on the CPU, for which a GPU waits once a step: a millisecond at B = 128, fifty
    at 1024.
    """

    permutes = True

    def pair(self, x0: Tensor, draw: Draw) -> Tensor:
        eps = draw(0)
        # Of ‖x_0 − ε‖² only −2 x_0·ε depends on the pairing. In double precision all devices agree on it.
        products = x0.flatten(1).double() @ eps.flatten(1).double().T
        from scipy.optimize import linear_sum_assignment  # Slow to import, and only needed here.

        _, order = linear_sum_assignment(products.cpu().numpy(), maximize=True)
        return eps[send(torch.from_numpy(order), eps.device)]


@dataclass(frozen=True)
class Immiscible(Coupling):
    """The nearest to x_0 of `k` draws of its own (Li et al. 2025, arXiv:2505.18521).

    It takes the place of the assignment within a batch of the same authors (Li et al. 2024, arXiv:2406.12303), which is
    `optimal` but for ‖x_0 − ε‖ in place of its square.
    """

    k: int = 4

    def __post_init__(self) -> None:
        needs = f"immiscible needs k from 2 to {MOST_DRAWS} (1 is coupling=independent)"
        require(2 <= self.k <= MOST_DRAWS, f"{needs}, got {self.k}")

    def pair(self, x0: Tensor, draw: Draw) -> Tensor:
        drawn = torch.stack([draw(j) for j in range(self.k)])
        distances = torch.stack([sum_dims((x0.double() - eps.double()) ** 2) for eps in drawn])
        return drawn[distances.argmin(0), torch.arange(len(x0), device=x0.device)]
