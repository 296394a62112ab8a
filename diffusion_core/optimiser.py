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
        """The parts of another vector with this layout, one for each tensor."""
        return [view[0] for view in self.rows(values[None])]

    def rows(self, values: Tensor) -> list[Tensor]:
        """The parts [S, …] of S vectors with this layout, the rows of a matrix, one for each tensor."""
        pairs = zip(self.starts, self.shapes, strict=False)
        return [values[:, start : start + shape.numel()].view(len(values), *shape) for start, shape in pairs]


class Moments(Flat):
    """A vector of parameters with its gradient g, its moments m and v, the steps n that it has taken, and its λ."""

    def __init__(self, parameters: Sequence[Tensor], decay: float) -> None:
        super().__init__(parameters)
        self.gradient, self.m, self.v = (torch.zeros_like(self.values) for _ in range(3))
        self.gradients = self.views(self.gradient)
        self.n = torch.zeros((), device=self.values.device)
        self.decay = decay

    def move(self, values: Tensor, gradient: Tensor) -> None:
        """Move the parameters, and their gradients, into other vectors with this layout."""
        self.values, self.gradient = values.copy_(self.values), gradient.copy_(self.gradient)
        self.gradients = self.views(gradient)
        for tensor, view in zip(self.tensors, self.views(values), strict=True):
            tensor.data = view


def place(places: Sequence[Tensor], gradients: Sequence[Tensor | None], *, first: bool) -> None:
    """Put gradients in their places, or add them to what is there; a loss that does not reach a parameter has none."""
    pairs = [(there, gradient) for there, gradient in zip(places, gradients, strict=True) if gradient is not None]
    take = torch._foreach_copy_ if first else torch._foreach_add_
    take([there for there, _ in pairs], [gradient for _, gradient in pairs])
    for there, gradient in zip(places, gradients, strict=True):
        if first and gradient is None:
            there.zero_()


class AdamW:
    """The optimiser of groups of parameters, which it makes views of vectors of its own."""

    def __init__(
        self, groups: Mapping[str, list[nn.Parameter]], decays: Mapping[str, float], betas: tuple[float, float]
    ) -> None:
        self.groups = groups
        self.betas = betas
        self.moments: dict[str, Moments] = {}
        for group, parameters in groups.items():
            for part in dict.fromkeys(map(self.part, parameters)):
                alike = [parameter for parameter in parameters if self.part(parameter) == part]
                self.moments[f"{group}/{part}"] = Moments(alike, decays[group])
        self.places = {group: self._places(group) for group in groups}

    def part(self, parameter: nn.Parameter) -> str:
        """The name, within its group, of the vector that a parameter shares with others: its dtype."""
        return str(parameter.dtype).removeprefix("torch.")

    def _places(self, group: str) -> list[Tensor]:
        """The places in which the gradients of a group's parameters are received."""
        pairs = [pair for own in self.of_group(group).values() for pair in zip(own.tensors, own.gradients, strict=True)]
        places = {id(parameter): place for parameter, place in pairs}
        return [places[id(parameter)] for parameter in self.groups[group]]

    def of_group(self, group: str) -> dict[str, Moments]:
        """The vectors of a group by name, one for each part of it."""
        return {name: moments for name, moments in self.moments.items() if name.partition("/")[0] == group}

    def move(self, name: str, values: Tensor, gradient: Tensor) -> None:
        """Move the parameters of a vector, and their gradients, into other vectors."""
        self.moments[name].move(values, gradient)
        group = name.partition("/")[0]
        self.places[group] = self._places(group)

    def receive(self, group: str, loss: Tensor, *, first: bool = True, last: bool = True) -> None:
        """Take the gradient of a loss in the parameters of a group: 0 where it does not reach.

        It is added to what was received unless it is the `first` of its step. Unless it is the `last` loss of its
        graph, the graph is kept.
        """
        gradients = torch.autograd.grad(loss, self.groups[group], retain_graph=not last, allow_unused=True)
        place(self.places[group], gradients, first=first)

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


def take_over(own: Mapping[str, Tensor], saved: Mapping[str, Tensor], what: str) -> None:
    """Copy saved values of an optimiser or of averages into its `own` tensors; ValueError where the shapes differ."""
    if {name: value.shape for name, value in own.items()} != {name: value.shape for name, value in saved.items()}:
        raise ValueError(f"the checkpoint belongs to another learner: its {what} had other parameters")
    for name, value in own.items():
        value.copy_(saved[name])
