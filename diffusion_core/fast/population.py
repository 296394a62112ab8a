"""Trainings side by side: the gradients of several learners' losses by one pass of one network.

    ∇_θs Σ_r mean(losses_r) = ∇_θs mean(losses_s),   s = 1..S

S networks of one shape run as one network in S groups (`forms.py`). The gradient of the sum of their losses
is, for each network, that of its own loss; targets, objectives, variances, schedules and batches stay each learner's.
On one thread of a CPU, each learner gets the same bits as alone. The parameters of all lie in one matrix with a row per
learner, and each learner's optimiser and average go on using its row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

from diffusion_core.fast.forms import stackable, stacked
from diffusion_core.optimiser import AdamW, descend
from diffusion_core.precision import Precision, same_kernels, tf32
from diffusion_core.randomness import Values
from diffusion_core.trainable import Learner, NetworkCall

NETWORK = "network"
"""The group of parameters that are a network's."""

T = TypeVar("T")
R = TypeVar("R")

Descent = tuple[Values, Values]
"""The losses [B] of a piece of a batch, and its part of the batch's mean losses, both by group."""


class Beside(Protocol):
    """A meeting of trainings: each brings something, one of them processes it all, and each gets its own result."""

    def __call__(self, mine: T, work: Callable[[Sequence[T]], Sequence[R | Exception]]) -> R:
        """The result for `mine` when `work` processes all that was brought; if that is an error, for `mine` alone."""


class Member:
    """A learner with its optimiser, the `stack` in which it was trained last, if any, and the `make` of its network.

    `random` is this learner's state of torch's generator, which draws its dropout, and which others use too.
    """

    def __init__(self, learner: Learner, optimiser: AdamW, precision: Precision, device: torch.device) -> None:
        self.learner = learner
        self.optimiser = optimiser
        self.precision = precision
        self.device = device
        self.stack: Stack | None = None
        self.make: tuple[Any, ...] | None = None
        self.random = torch.get_rng_state()

    @contextmanager
    def kernels(self) -> Iterator[None]:
        """A context of the kernels by which it learns; its losses are computed under `autocast` besides."""
        with same_kernels(), tf32(self.precision == "bf16"):
            yield

    def autocast(self) -> torch.autocast:
        """A context of bf16 autocast if the learner is trained in bf16."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")


@dataclass(frozen=True)
class Piece:
    """A piece of a `member`'s batch, a `share` of all of it: the stored data `raw` [B, …] with their `draws`; `first`
    is True if it is the first of its step."""

    member: Member
    raw: Tensor
    draws: Values
    share: float
    first: bool

    def alone(self) -> Descent:
        """The losses of this piece and its part of the means, after their gradients were added to the others.

        Dropout is as if no other learner had drawn from torch's generator.
        """
        member = self.member
        torch.set_rng_state(member.random)
        with member.kernels():
            with member.autocast():
                losses = member.learner.example_losses(self.raw, self.draws)
            means = self.means(losses)
            if self.first:
                member.optimiser.zero_gradients()
            descend(means, member.optimiser.groups)
        member.random = torch.get_rng_state()
        return detached(losses), detached(means)

    def means(self, losses: Values) -> Values:
        """This piece's part of the mean losses of the whole batch."""
        weighted = self.member.learner.weighted(losses, self.draws)
        means = {group: loss.mean() for group, loss in weighted.items()}
        return means if self.share == 1 else {group: mean * self.share for group, mean in means.items()}

    def call(self) -> NetworkCall | None:
        """The call of its network, if others can be called beside it; else None."""
        with self.member.autocast():
            call = self.member.learner.call(self.raw, self.draws)
        if call is not None and self.member.make is None:
            self.member.make = make_of(call.network)
        return call if self.member.make else None

    def kind(self, call: NetworkCall) -> tuple[Any, ...]:
        """All that pieces must have in common to be computed by one pass."""
        member = self.member
        inputs = tuple((name, value.shape, value.dtype) for name, value in call.inputs.items())
        parts = tuple((name, len(own.values)) for name, own in member.optimiser.of_group(NETWORK).items())
        return member.make, parts, inputs, member.precision, member.device, self.first


def learn(pieces: Sequence[Piece]) -> list[Descent | Exception]:
    """The losses of pieces of several learners, whose gradients were received; one kind takes one pass.

    If a pass fails, its error is the result of the pieces in it; for a single piece it is raised.
    """
    if len(pieces) == 1:
        return [pieces[0].alone()]
    calls = [piece.call() for piece in pieces]
    kinds: dict[Any, list[int]] = {}
    for i, (piece, call) in enumerate(zip(pieces, calls, strict=True)):
        kinds.setdefault(i if call is None else piece.kind(call), []).append(i)
    descents: dict[int, Descent | Exception] = {}
    for places in kinds.values():
        own = [pieces[i] for i in places]
        try:
            theirs = [call for i in places if (call := calls[i])]
            descents |= zip(places, _together(own, theirs) if len(own) > 1 else [own[0].alone()], strict=True)
        except Exception as error:
            descents |= dict.fromkeys(places, error)
    return [descents[i] for i in range(len(pieces))]


def make_of(network: nn.Module) -> tuple[Any, ...]:
    """All that networks must have in common to run side by side; empty where this one cannot."""
    if not stackable(network) or next(network.parameters()).device.type != "cpu":
        return ()
    shapes = tuple((name, p.shape, p.dtype, p.requires_grad) for name, p in network.named_parameters())
    return shapes, tuple((type(layer), plain(layer)) for layer in network.modules())


def plain(layer: nn.Module) -> tuple[Any, ...]:
    """The settings of a layer besides its parameters, such as an attention's number of heads."""
    return tuple(item for item in vars(layer).items() if isinstance(item[1], (int, float, str, tuple)))


def _together(pieces: list[Piece], calls: list[NetworkCall]) -> list[Descent]:
    members = [piece.member for piece in pieces]
    stack = stack_of(members, calls[0].network)
    # Each member has a row of its own, in whatever order they come.
    order = [members.index(member) for member in stack.members]
    pieces, calls = [pieces[i] for i in order], [calls[i] for i in order]
    with members[0].kernels():
        with members[0].autocast():
            inputs = [torch.stack([call.inputs[name] for call in calls]) for name in calls[0].inputs]
            outs = stack.network(*inputs).unbind()
            losses = [call.losses(out) for call, out in zip(calls, outs, strict=True)]
        means = [piece.means(loss) for piece, loss in zip(pieces, losses, strict=True)]
        stack.receive(means, first=pieces[0].first)
    descents = [(detached(loss), detached(mean)) for loss, mean in zip(losses, means, strict=True)]
    return [descents[stack.members.index(member)] for member in members]


def stack_of(members: list[Member], network: nn.Module) -> Stack:
    """The stack in which exactly these members were trained last, or a new one of such networks."""
    stack = members[0].stack
    if stack is None or len(stack.members) != len(members) or any(member.stack is not stack for member in members):
        stack = Stack(members, network)
        for member in members:
            member.stack = stack
    return stack


class Stack:
    """The networks of several members as one, on whose rows their optimisers work, made of one `network`."""

    def __init__(self, members: list[Member], network: nn.Module) -> None:
        self.members = members
        self.network = stacked(network, len(members))
        self.parameters: list[nn.Parameter] = []
        names = {id(p): name for name, p in network.named_parameters()}
        for part in members[0].optimiser.of_group(NETWORK):
            flats = [member.optimiser.moments[part] for member in members]
            values, gradient = flats[0].values.new_zeros(2, len(members), len(flats[0].values))
            for i, flat in enumerate(flats):
                flat.move(values[i], gradient[i])
            for tensor, own, slope in zip(flats[0].tensors, *map(flats[0].views, (values, gradient)), strict=True):
                parameter = self.network.get_parameter(names[id(tensor)])
                parameter.data, parameter.grad = own, slope
                self.parameters.append(parameter)

    def receive(self, means: list[Values], *, first: bool) -> None:
        """Take the gradients of all members' means, one group after the other."""
        totals: Values = {}
        inputs: dict[str, list[nn.Parameter]] = {NETWORK: self.parameters}
        for member, mean in zip(self.members, means, strict=True):
            if first:
                member.optimiser.zero_gradients()
            for group, own in mean.items():
                totals[group] = totals[group] + own if group in totals else own
                if group != NETWORK:
                    inputs.setdefault(group, []).extend(member.optimiser.groups[group])
        descend(totals, inputs)


def detached(values: Values) -> Values:
    """Values without their graph."""
    return {name: value.detach() for name, value in values.items()}
