"""Muon: hidden matrices turn by an orthogonal matrix near their momentum; all other parameters are AdamW's.

    m ← μ m + (1 − μ) g,   u = (1 − μ) g + μ m,   W ← (1 − η λ) W − η s O(u)

(Jordan et al. 2024, github.com/KellerJordan/Muon). O(u) = U V^⊤ for u = U Σ V^⊤, nearly: five Newton–Schulz steps
X ← a X + (b A + c A²) X, A = X X^⊤, from u/‖u‖ bring singular values above ‖u‖/500 to between 0.68 and 1.21, and let
smaller ones grow. A kernel [C', C, k, k] is the matrix [C', C k²]. With s = 0.2 √max(rows, columns) a turn is about as
long as a step of AdamW, so that both take one learning rate (Liu et al. 2025, arXiv:2502.16982).

The steps are taken on A, which is small where X is wide: A ← P A P with P = a + b A + c A², and O = P₅ ⋯ P₁ X.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor, nn

from diffusion_core.optimiser import AdamW, Moments

MOMENTUM = 0.95
"""The decay μ of the momentum."""
STEPS = 5
A, B, C = 3.4445, -4.7750, 2.0315
"""The coefficients a, b and c of a Newton–Schulz step."""
TINY = 1e-7
"""The number that is added to ‖u‖, which may be 0."""
MATCHED = 0.2
"""The root mean square of a step of AdamW."""
MATRICES = "matrices"


class Muon(AdamW):
    """The optimiser of groups of parameters, which turns those that are `matrices`."""

    def __init__(
        self,
        groups: Mapping[str, list[nn.Parameter]],
        decays: Mapping[str, float],
        betas: tuple[float, float],
        matrices: Collection[nn.Parameter],
    ) -> None:
        self.matrices = {id(matrix) for matrix in matrices}
        super().__init__(groups, decays, betas)
        for name, moments in self.moments.items():
            if turns(name):
                # Matrices that are turned need no v, so none is kept.
                moments.v = moments.v.new_empty(0)

    def part(self, parameter: nn.Parameter) -> str:
        kind = super().part(parameter)
        return f"{MATRICES}/{kind}" if id(parameter) in self.matrices else kind

    def update(self, name: str, moments: Moments, learning_rate: float) -> None:
        if not turns(name):
            super().update(name, moments, learning_rate)
            return
        moments.m.lerp_(moments.gradient, 1 - MOMENTUM)
        turn = turned(moments)
        moments.values.mul_(1 - learning_rate * moments.decay).sub_(turn * learning_rate)


def turns(name: str) -> bool:
    """True of the vectors that hold matrices to be turned."""
    return name.split("/")[1] == MATRICES


def turned(moments: Moments) -> Tensor:
    """s O(u) of each matrix, as a vector like that of the matrices."""
    ahead = moments.gradient.lerp(moments.m, MOMENTUM)
    turn = torch.zeros_like(ahead)
    alike: dict[torch.Size, list[tuple[Tensor, Tensor]]] = {}
    for u, place in zip(moments.views(ahead), moments.views(turn), strict=True):
        u, place = u.flatten(1), place.flatten(1)
        alike.setdefault(u.shape, []).append((u, place))
    turns = orthogonal([torch.stack([u for u, _ in pairs]) for pairs in alike.values()])
    for shape, pairs, turns_of in zip(alike, alike.values(), turns, strict=True):
        torch._foreach_copy_([place for _, place in pairs], list(turns_of * scale_of(*shape)))
    return turn


def scale_of(rows: int, columns: int) -> float:
    """The scale s of a turned matrix."""
    return MATCHED * math.sqrt(max(rows, columns))


def orthogonal(matrices: Sequence[Tensor]) -> list[Tensor]:
    """O(u), nearly, of stacks of matrices [n, rows, columns]; those with equal smaller sides are processed together."""
    wide = [u.mT if u.shape[1] > u.shape[2] else u for u in matrices]
    grams = [torch.bmm(u, u.mT) for u in wide]
    made = list(matrices)
    for side in dict.fromkeys(gram.shape[1] for gram in grams):
        places = [i for i, gram in enumerate(grams) if gram.shape[1] == side]
        factors = whitening(torch.cat([grams[i] for i in places]))
        for i, factor in zip(places, torch.split(factors, [len(grams[i]) for i in places]), strict=True):
            x = torch.bmm(factor, wide[i])
            made[i] = x if x.shape == made[i].shape else x.mT
    return made


def whitening(gram: Tensor) -> Tensor:
    """P₅ ⋯ P₁ [n, side, side], scaled for X itself, from X X^⊤."""
    scale = 1 / (gram.diagonal(dim1=1, dim2=2).sum(1).sqrt() + TINY)[:, None, None]
    gram = gram * scale**2
    identity = A * torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    product = torch.baddbmm(gram, gram, gram, beta=B, alpha=C) + identity
    factor = product
    for _ in range(STEPS - 1):
        gram = times(times(factor, gram), factor)
        factor = torch.baddbmm(gram, gram, gram, beta=B, alpha=C) + identity
        product = times(factor, product)
    return product * scale


def times(a: Tensor, b: Tensor) -> Tensor:
    """The products of small square matrices: on a CPU in a third of the time that `bmm` takes."""
    return torch.baddbmm(a, a, b, beta=0)
