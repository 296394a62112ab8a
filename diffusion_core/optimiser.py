"""AdamW over flat vectors: the parameters of a group lie one after another, and each parameter is a view of them.

    m ← β_1 m + (1 − β_1) g,   v ← β_2 v + (1 − β_2) g²
    θ ← θ − η λ θ − η m/(1 − β_1ⁿ) / (√(v/(1 − β_2ⁿ)) + ϵ)

(Kingma & Ba 2015, arXiv:1412.6980; Loshchilov & Hutter 2019, arXiv:1711.05101). A step is one call for a whole vector:
a small network has a hundred parameters, and a call for each costs more than its arithmetic. The formula is torch's own
kernel. `torch.optim.AdamW(fused=True)` gives the same but for rounding: the kernel rounds full registers and their
remainder differently, so weights differ in their last digit after ten steps. It takes 0.4 ms for a step of 94
parameters on a CPU where this takes 0.03, and it imports torch's compiler when it is made, which costs every process
that trains a second.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
        take_over(self.state(), state, "optimiser")


def descend(means: Mapping[str, Tensor], inputs: Mapping[str, Sequence[Tensor]]) -> None:
    """Add each group's gradient of its mean loss, and of no other, to the `grad` of its `inputs`."""
    for i, (group, mean) in enumerate(means.items(), 1):
        slopes = torch.autograd.grad(mean, inputs[group], retain_graph=i < len(means), allow_unused=True)
        reached: list[tuple[Tensor, Tensor]] = []
        # What `backward` does, without its demand that a parameter's numbers lie one after another.
        for own, slope in zip(inputs[group], slopes, strict=True):
            if own.grad is not None and slope is not None:
                reached.append((own.grad, slope))
        torch._foreach_add_([grad for grad, _ in reached], [slope for _, slope in reached])


def take_over(own: Mapping[str, Tensor], saved: Mapping[str, Tensor], what: str) -> None:
    """Copy saved values of an optimiser or of averages into its `own` tensors; ValueError where the shapes differ."""
    if {name: value.shape for name, value in own.items()} != {name: value.shape for name, value in saved.items()}:
        raise ValueError(f"the checkpoint belongs to another learner: its {what} had other parameters")
    for name, value in own.items():
        value.copy_(saved[name])
