"""AdamW over flat vectors: the parameters of a group lie one after another, and each parameter is a view of them.

    m ← β_1 m + (1 − β_1) g,   v ← β_2 v + (1 − β_2) g²
    θ ← θ − η λ θ − η m/(1 − β_1ⁿ) / (√(v/(1 − β_2ⁿ)) + ϵ)

(Kingma & Ba 2015, arXiv:1412.6980; Loshchilov & Hutter 2019, arXiv:1711.05101). A step is one call for a whole vector:
a small network has a hundred parameters, each of which costs more to call for than to work out. The formula is torch's
own kernel. Its `torch.optim.AdamW(fused=True)` is this one but for rounding (the kernel rounds what fills a register
otherwise than a remainder, so that weights differ in their last digit after ten steps), takes 0.4 ms for a step of 94
parameters on a CPU where this takes 0.03, and imports torch's compiler as it is made, a second of every process that
trains.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import torch
from torch import Tensor, nn

ALIGNMENT = 16
"""Numbers between which parameters begin: 64 bytes of float32, a vector register's load."""
EPSILON = 1e-8
"""ϵ."""


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
        """The parts of another such vector that lie in the places of the tensors."""
        return [view[0] for view in self.rows(values[None])]

    def rows(self, values: Tensor) -> list[Tensor]:
        """The parts [S, …] of S such vectors, the rows of a matrix, that lie in the places of the tensors."""
        pairs = zip(self.starts, self.shapes, strict=False)
        return [values[:, start : start + shape.numel()].view(len(values), *shape) for start, shape in pairs]

    def move(self, place: Tensor) -> None:
        """Lie in another such vector."""
        self.values = place.copy_(self.values)
        for tensor, view in zip(self.tensors, self.views(place), strict=True):
            tensor.data = view


@dataclass(frozen=True)
class Moments:
    """A vector of parameters with its gradient g, its moments m and v, the steps n that it has taken, and its λ."""

    flat: Flat
    gradient: Tensor
    gradients: list[Tensor]
    m: Tensor
    v: Tensor
    n: Tensor
    decay: float

    @classmethod
    def of(cls, parameters: Sequence[Tensor], decay: float) -> Moments:
        """The moments of parameters, which become views, before the first step."""
        flat = Flat(parameters)
        gradient, m, v = (torch.zeros_like(flat.values) for _ in range(3))
        n = torch.zeros((), device=flat.values.device)
        return cls(flat, gradient, flat.views(gradient), m, v, n, decay)


def place(places: Sequence[Tensor], gradients: Sequence[Tensor | None], *, first: bool) -> None:
    """Put gradients in their places, or add them to what is there; a loss that does not reach a parameter has none."""
    pairs = list(zip(places, gradients, strict=True))
    take = torch._foreach_copy_ if first else torch._foreach_add_
    take(
        [there for there, gradient in pairs if gradient is not None],
        [gradient for _, gradient in pairs if gradient is not None],
    )
    for there in (there for there, gradient in pairs if gradient is None and first):
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
                self.moments[f"{group}/{part}"] = Moments.of(alike, decays[group])
        self.places = {group: self._places(group) for group in groups}

    def part(self, parameter: nn.Parameter) -> str:
        """The name, within its group, of those with whom a parameter shares a vector: of its kind of numbers."""
        return str(parameter.dtype).removeprefix("torch.")

    def _places(self, group: str) -> list[Tensor]:
        """The places in which the gradients of a group's parameters are received."""
        moments = [self.moments[name] for name in self.of_group(group)]
        pairs = [pair for own in moments for pair in zip(own.flat.tensors, own.gradients, strict=True)]
        places = {id(parameter): place for parameter, place in pairs}
        return [places[id(parameter)] for parameter in self.groups[group]]

    def of_group(self, group: str) -> list[str]:
        """The names of a group's moments, one for each part of it."""
        return [name for name in self.moments if name.partition("/")[0] == group]

    def parts(self, group: str) -> tuple[tuple[str, int], ...]:
        """The parts of a group, each with the length of its vector."""
        return tuple((name, len(self.moments[name].flat.values)) for name in self.of_group(group))

    def move(self, name: str, values: Tensor, gradient: Tensor) -> None:
        """Have parameters and what is received for them lie in other vectors."""
        moments = self.moments[name]
        moments.flat.move(values)
        gradient.copy_(moments.gradient)
        self.moments[name] = replace(moments, gradient=gradient, gradients=moments.flat.views(gradient))
        group = name.partition("/")[0]
        self.places[group] = self._places(group)

    @property
    def gradients(self) -> list[Tensor]:
        """The gradients that were received, as the vectors that they lie in."""
        return [moments.gradient for moments in self.moments.values()]

    def receive(self, group: str, loss: Tensor, *, first: bool = True, last: bool = True) -> None:
        """Take the gradient of a loss in the parameters of a group: 0 where it does not reach.

        It is added to what was received unless it is the `first` of its step. Unless it is the `last` loss of its
        graph, the graph is kept.
        """
        gradients = torch.autograd.grad(loss, self.groups[group], retain_graph=not last, allow_unused=True)
        place(self.places[group], gradients, first=first)

    @torch.no_grad()
    def step(self, learning_rate: float | Tensor) -> None:
        """A step with the gradients that were received; on a GPU the rate may be a float32 there."""
        for name, moments in self.moments.items():
            self.move_on(name, moments, learning_rate)

    def move_on(self, name: str, moments: Moments, learning_rate: float | Tensor) -> None:
        """A step of the parameters that share a vector."""
        moments.n.add_(1)
        torch._fused_adamw_(
            [moments.flat.values],
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
        """All that it remembers."""
        return {
            f"{name}/{key}": value
            for name, moments in self.moments.items()
            for key, value in (("m", moments.m), ("v", moments.v), ("n", moments.n))
        }

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Remember what another did; ValueError where it had other parameters."""
        take_over(self.state(), state, "optimiser")


def take_over(own: Mapping[str, Tensor], saved: Mapping[str, Tensor], what: str) -> None:
    """Give tensors the values that were saved of a learner's optimiser or averages; ValueError where it had others."""
    if {name: value.shape for name, value in own.items()} != {name: value.shape for name, value in saved.items()}:
        raise ValueError(f"the checkpoint belongs to another learner: its {what} had other parameters")
    for name, value in own.items():
        value.copy_(saved[name])
