"""Trainings side by side: the gradients of several learners' losses by one pass of one network.

    ∇_θs Σ_s mean(losses_s) = ∇_θs mean(losses_s),   s = 1..S

S networks of one shape run as one network in S groups (`forms.py`). The gradient of the sum of their losses
is, for each network, that of its own loss; targets, objectives, variances, schedules and batches stay each learner's.
On one thread of a CPU, each learner gets the same bits as alone. The parameters of all lie in one matrix with a row per
learner, and each learner's optimiser and average go on using its row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

from diffusion_core.fast.forms import stackable, stacked
from diffusion_core.optimiser import AdamW, place
from diffusion_core.precision import Precision, same_kernels, tf32
from diffusion_core.randomness import Values
from diffusion_core.trainable import Learner, Question

__all__ = ["Beside", "Member", "Piece", "descend"]

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

    def autocast(self) -> torch.autocast:
        """A context of bf16 autocast if the learner is trained in bf16."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def receive(self, means: Values, *, first: bool) -> None:
        """Take the gradients of all means, added to what was received unless they are the first of their step."""
        for i, (group, mean) in enumerate(means.items()):
            self.optimiser.receive(group, mean, first=first, last=i + 1 == len(means))


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
        """The losses of this piece and its part of the means, after the optimiser has received the gradients."""
        with same_kernels(), tf32(self.member.precision == "bf16"):
            with self.member.autocast():
                losses = self.member.learner.example_losses(self.raw, self.draws)
            means = self.means(losses)
            self.member.receive(means, first=self.first)
        return detached(losses), detached(means)

    def among_others(self) -> Descent:
        """The same, with dropout as if no other learner had drawn from torch's generator."""
        torch.set_rng_state(self.member.random)
        descent = self.alone()
        self.member.random = torch.get_rng_state()
        return descent

    def means(self, losses: Values) -> Values:
        """This piece's part of the mean losses of the whole batch."""
        weighted = self.member.learner.weighted(losses, self.draws)
        means = {group: loss.mean() for group, loss in weighted.items()}
        return means if self.share == 1 else {group: mean * self.share for group, mean in means.items()}

    def question(self) -> Question | None:
        """The question to its network, if others can be asked beside it; else None."""
        with self.member.autocast():
            question = self.member.learner.question(self.raw, self.draws)
        if question is not None and self.member.make is None:
            self.member.make = make_of(question.network)
        return question if self.member.make else None


def descend(pieces: Sequence[Piece]) -> list[Descent | Exception]:
    """The losses of pieces of several learners, each of which has received its gradients; one kind takes one pass.

    If a pass fails, its error is the result of the pieces in it; for a single piece it is raised.
    """
    if len(pieces) == 1:
        return [pieces[0].among_others()]
    asked = [piece.question() for piece in pieces]
    kinds: dict[Any, list[int]] = {}
    for i, (piece, question) in enumerate(zip(pieces, asked, strict=True)):
        kinds.setdefault(i if question is None else kind_of(piece, question), []).append(i)
    descents: dict[int, Descent | Exception] = {}
    for places in kinds.values():
        try:
            made = _of_a_kind([pieces[i] for i in places], [question for i in places if (question := asked[i])])
            descents |= dict(zip(places, made, strict=True))
        except Exception as error:
            descents |= dict.fromkeys(places, error)
    return [descents[i] for i in range(len(pieces))]


def _of_a_kind(pieces: list[Piece], questions: list[Question]) -> list[Descent]:
    return [pieces[0].among_others()] if len(pieces) == 1 else _together(pieces, questions)


def kind_of(piece: Piece, question: Question) -> tuple[Any, ...]:
    """All that pieces must have in common to be computed by one pass."""
    inputs = tuple((name, value.shape, value.dtype) for name, value in question.asked.items())
    member = piece.member
    parts = tuple((name, len(own.values)) for name, own in member.optimiser.of_group(NETWORK).items())
    return member.make, parts, inputs, member.precision, member.device, piece.first


def make_of(network: nn.Module) -> tuple[Any, ...]:
    """All that networks must have in common to run side by side; empty where this one cannot."""
    if not stackable(network) or next(network.parameters()).device.type != "cpu":
        return ()
    shapes = tuple((name, p.shape, p.dtype, p.requires_grad) for name, p in network.named_parameters())
    return shapes, tuple((type(layer), plain(layer)) for layer in network.modules())


def plain(layer: nn.Module) -> tuple[Any, ...]:
    """The settings of a layer besides its parameters, such as an attention's number of heads."""
    return tuple(item for item in vars(layer).items() if isinstance(item[1], (int, float, str, tuple)))


def _together(pieces: list[Piece], questions: list[Question]) -> list[Descent]:
    members = [piece.member for piece in pieces]
    stack = stack_of(members, [question.network for question in questions])
    # Each member has a row of its own, in whatever order they come.
    order = [members.index(member) for member in stack.members]
    pieces, questions = [pieces[i] for i in order], [questions[i] for i in order]
    with same_kernels(), tf32(members[0].precision == "bf16"):
        with members[0].autocast():
            asked = [torch.stack([question.asked[name] for question in questions]) for name in questions[0].asked]
            outs = stack.network(*asked).unbind()
            losses = [question.losses(out) for question, out in zip(questions, outs, strict=True)]
        means = [piece.means(loss) for piece, loss in zip(pieces, losses, strict=True)]
        stack.receive(means, first=pieces[0].first)
    descents = [(detached(loss), detached(mean)) for loss, mean in zip(losses, means, strict=True)]
    return [descents[stack.members.index(member)] for member in members]


def stack_of(members: list[Member], networks: list[nn.Module]) -> Stack:
    """The stack in which exactly these members were trained last, or a new one."""
    stack = members[0].stack
    if stack is None or len(stack.members) != len(members) or any(member.stack is not stack for member in members):
        stack = Stack(members, networks)
        for member in members:
            member.stack = stack
    return stack


class Stack:
    """The networks of several members as one, on whose rows their optimisers work."""

    def __init__(self, members: list[Member], networks: list[nn.Module]) -> None:
        self.members = members
        self.network = stacked(networks[0], len(members))
        self.parameters: list[nn.Parameter] = []
        self.gradients: list[Tensor] = []
        own = {id(p): name for name, p in networks[0].named_parameters()}
        stacked_own = dict(self.network.named_parameters())
        for name in members[0].optimiser.of_group(NETWORK):
            several = [member.optimiser.moments[name] for member in members]
            flat = several[0]
            values, gradient = (flat.values.new_zeros(len(members), len(flat.values)) for _ in range(2))
            for i, member in enumerate(members):
                member.optimiser.move(name, values[i], gradient[i])
            for tensor, *views in zip(flat.tensors, flat.rows(values), flat.rows(gradient), strict=True):
                parameter = stacked_own[own[id(tensor)]]
                parameter.data = views[0]
                self.parameters.append(parameter)
                self.gradients.append(views[1])

    def receive(self, means: list[Values], *, first: bool) -> None:
        """Take the gradients of all members' means, one group after the other."""
        groups = list(dict.fromkeys(group for mean in means for group in mean))
        for i, group in enumerate(groups):
            total = torch.stack([mean[group] for mean in means if group in mean]).sum()
            last = i + 1 == len(groups)
            if group == NETWORK:
                gradients = torch.autograd.grad(total, self.parameters, retain_graph=not last, allow_unused=True)
                place(self.gradients, gradients, first=first)
                continue
            theirs = [member for member, mean in zip(self.members, means, strict=True) if group in mean]
            parameters = [parameter for member in theirs for parameter in member.optimiser.groups[group]]
            places = [gradient for member in theirs for gradient in member.optimiser.places[group]]
            gradients = torch.autograd.grad(total, parameters, retain_graph=not last, allow_unused=True)
            place(places, gradients, first=first)


def detached(values: Values) -> Values:
    """Values without their graph."""
    return {name: value.detach() for name, value in values.items()}
