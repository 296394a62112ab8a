"""The optimisers, AdamW and Muon, over flat vectors: parameters lie one after another, each a view of its vector.

    AdamW    m ← β_1 m + (1 − β_1) g,   v ← β_2 v + (1 − β_2) g²
             θ ← θ − η λ θ − η m/(1 − β_1ⁿ) / (√(v/(1 − β_2ⁿ)) + ϵ)
    Muon     m ← μ m + (1 − μ) g,   u = (1 − μ) g + μ m,   W ← (1 − η λ) W − η s O(u)

AdamW (Kingma & Ba 2015, arXiv:1412.6980; Loshchilov & Hutter 2019, arXiv:1711.05101): a step is one call for a whole
vector, since a small network has a hundred parameters, and a call for each costs more than its arithmetic. The formula
is torch's own kernel. `torch.optim.AdamW(fused=True)` gives the same but for rounding: the kernel rounds full registers
and their remainder differently, so weights differ in their last digit after ten steps. It takes 0.4 ms for a step of 94
parameters on a CPU where this takes 0.03, and it imports torch's compiler when it is made, which costs every process
that trains a second.

Muon (Jordan et al. 2024, github.com/KellerJordan/Muon) turns hidden matrices by an orthogonal matrix near their
momentum; all other parameters are AdamW's. O(u) = U V^⊤ for u = U Σ V^⊤, nearly: five Newton–Schulz steps
X ← a X + (b A + c A²) X, A = X X^⊤, from u/‖u‖ bring singular values above ‖u‖/500 to between 0.68 and 1.21, and let
smaller ones grow. They are taken on A, which is small where X is wide: A ← P A P with P = a + b A + c A², and
O = P₅ ⋯ P₁ X. A kernel [C', C, k, k] is the matrix [C', C k²]. With s = 0.2 √max(rows, columns) a turn is about as long
as a step of AdamW, so that both take one learning rate (Liu et al. 2025, arXiv:2502.16982).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from itertools import accumulate

import torch
from torch import Tensor, nn

ALIGNMENT = 16
"""The multiple of numbers at which parameters begin: 64 bytes of float32, the load of a vector register."""
EPSILON = 1e-8
"""The number ϵ that is added to the denominator."""


class Flat:
    """Tensors of one dtype and device, which become views of one vector; between them it is padded with zeros."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self.tensors = list(tensors)
        self.shapes = [tensor.shape for tensor in tensors]
        lengths = [-(-shape.numel() // ALIGNMENT) * ALIGNMENT for shape in self.shapes]
        self.starts = [0, *accumulate(lengths)]
        self.values = torch.zeros(self.starts[-1], dtype=tensors[0].dtype, device=tensors[0].device)
        for tensor, view in zip(tensors, self.views(self.values), strict=True):
            view.copy_(tensor.detach())
            tensor.data = view

    def views(self, values: Tensor) -> list[Tensor]:
        """The parts [shape] of another vector with this layout, or [S, shape] of the rows of a matrix."""
        return [
            values[..., start : start + shape.numel()].view(values.shape[:-1] + shape)
            for start, shape in zip(self.starts, self.shapes, strict=False)
        ]


class Moments(Flat):
    """A vector of parameters with its gradient g, its moments m and v, the steps n that it has taken, and its λ.

    Each parameter's `grad` is its part of g.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], decay: float) -> None:
        super().__init__(parameters)
        self.gradient, self.m, self.v = (torch.zeros_like(self.values) for _ in range(3))
        self.n = torch.zeros((), device=self.values.device)
        self.decay = decay
        self.move(self.values, self.gradient)

    def move(self, values: Tensor, gradient: Tensor) -> None:
        """Move the parameters, and their gradients, into other vectors with this layout."""
        self.values, self.gradient = values.copy_(self.values), gradient.copy_(self.gradient)
        for tensor, own, slope in zip(self.tensors, self.views(values), self.views(gradient), strict=True):
            tensor.data, tensor.grad = own, slope


class AdamW:
    """The optimiser of groups of parameters, which it makes views of vectors of its own."""

    def __init__(
        self, groups: Mapping[str, list[nn.Parameter]], decays: Mapping[str, float], betas: tuple[float, float]
    ) -> None:
        self.groups = groups
        self.betas = betas
        self.moments: dict[str, Moments] = {}
        for group, parameters in groups.items():
            parts: dict[str, list[nn.Parameter]] = {}
            for parameter in parameters:
                parts.setdefault(self.part(parameter), []).append(parameter)
            self.moments |= {f"{group}/{part}": Moments(own, decays[group]) for part, own in parts.items()}

    def part(self, parameter: nn.Parameter) -> str:
        """The name, within its group, of the vector that a parameter shares with others: its dtype."""
        return str(parameter.dtype).removeprefix("torch.")

    def of_group(self, group: str) -> dict[str, Moments]:
        """The vectors of a group by name, one for each part of it."""
        return {name: moments for name, moments in self.moments.items() if name.partition("/")[0] == group}

    def zero_gradients(self) -> None:
        """Begin a step: what no loss reaches has the gradient 0."""
        for moments in self.moments.values():
            moments.gradient.zero_()

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """A step with the gradients that were received."""
        for name, moments in self.moments.items():
            self.update(name, moments, learning_rate)

    def update(self, name: str, moments: Moments, learning_rate: float) -> None:
        """A step of the parameters that share a vector."""
        moments.n.add_(1)
        torch._fused_adamw_(
            [moments.values],
            [moments.gradient],
            [moments.m],
            [moments.v],
            [],
            [moments.n],
            lr=learning_rate,
            beta1=self.betas[0],
            beta2=self.betas[1],
            weight_decay=moments.decay,
            eps=EPSILON,
            amsgrad=False,
            maximize=False,
        )

    def state(self) -> dict[str, Tensor]:
        """All that a later step depends on: the moments and the number of steps."""
        return {f"{name}/{key}": getattr(own, key) for name, own in self.moments.items() for key in ("m", "v", "n")}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Continue from the state of another optimiser; ValueError where it had other parameters."""
        load_tensors(self.state(), state, "optimiser")


def descend(means: Mapping[str, Tensor], inputs: Mapping[str, Sequence[Tensor]]) -> None:
    """Add each group's gradient of its mean loss, and of no other, to the `grad` of its `inputs`."""
    for i, (group, mean) in enumerate(means.items(), 1):
        slopes = torch.autograd.grad(mean, inputs[group], retain_graph=i < len(means), allow_unused=True)
        reached = [(own.grad, slope) for own, slope in zip(inputs[group], slopes, strict=True) if slope is not None]
        # What `backward` does, without its demand that a parameter's numbers lie one after another.
        torch._foreach_add_(*zip(*reached, strict=True))


def load_tensors(own: Mapping[str, Tensor], saved: Mapping[str, Tensor], what: str) -> None:
    """Copy saved values of an optimiser or of averages into its `own` tensors; ValueError where the shapes differ."""
    if {name: value.shape for name, value in own.items()} != {name: value.shape for name, value in saved.items()}:
        raise ValueError(f"the checkpoint belongs to another learner: its {what} had other parameters")
    for name, value in own.items():
        value.copy_(saved[name])


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
