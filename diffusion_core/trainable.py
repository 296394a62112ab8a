"""Learners, which `trainer.py` trains: modules that make draws, and give losses per example; and the clipping of these.

    g ← g · min(1, c ℓ_0/‖g‖),   ℓ_0 = E |loss| at the weights that a training starts from

for each group of parameters by its own loss: the clipping of loss/ℓ_0 at the norm c, as ‖∇ (loss/ℓ_0)‖ = ‖g‖/ℓ_0, so
that the unit of a loss does not change the length of a step. Losses of one problem differ by orders of magnitude
between objectives. One norm for all would clip one objective at every step and another never, so a comparison of
objectives would compare clipping. ℓ_0 is a mean over several draws of times and noise for the first batch, without
dropout; the loss of a density may be negative, so its size counts.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar, NamedTuple, final

import torch
from torch import Tensor, nn

from diffusion_core.optimiser import AdamW
from diffusion_core.randomness import Values, send
from diffusion_core.refusing import require


class NetworkCall(NamedTuple):
    """A call of a network: its inputs `x`, `time` and, if it takes labels, `label` [B, …], in this order, and the
    losses [B] per group as a function of its output.

    If the networks of several learners have one shape, one pass can make all of their calls (`population.py`).
    """

    network: nn.Module
    inputs: Values
    losses: Callable[[Tensor], Values]


class Learner(nn.Module, ABC):
    """A module that can be trained: it gives losses per example, and says which parameters each of them teaches.

        draws ─▶ couple_noise ─▶ sample_times ─▶ example_losses ─▶ record_losses

    These are of a whole batch, except the losses, which can be computed for any part of it. The draw named `WEIGHT`
    multiplies them. The entry named `LABEL` is no draw, but the label of each example, if the learner learns from
    labels.
    """

    WEIGHT: ClassVar[str] = "weight"
    LABEL: ClassVar[str] = "label"

    @abstractmethod
    def draws(self, shape: tuple[int, ...], seed: int, step: int) -> Values:
        """The draws of a step for a batch of stored data of this shape [B, …]: by name, each [B, …], on the CPU."""

    @property
    def classes(self) -> int:
        """K where it learns from labels of K classes, which are then among the draws; else 0."""
        return 0

    def check(self, stored: Tensor) -> None:
        """ValueError where it cannot learn from stored data [N, …]."""
        return

    def couple_noise(self, raw: Tensor, draws: Values, seed: int, step: int) -> Values:
        """The draws of a step, on a device, and what follows from them and all the stored data of the batch [B, …]."""
        return draws

    def sample_times(self, draws: Values) -> Values:
        """The draws of a batch, and what follows from all of them or from earlier losses, each [B, …]."""
        return draws

    @abstractmethod
    def example_losses(self, raw: Tensor, draws: Values) -> Values:
        """Losses [B] per group of parameters, of stored data [B, …] by their draws and times."""

    def call(self, raw: Tensor, draws: Values) -> NetworkCall | None:
        """The call of the network that gives `example_losses`; None where they do not follow from one such call."""
        return None

    @abstractmethod
    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """The parameters of each group."""

    def matrices(self) -> list[nn.Parameter]:
        """The parameters that `optimizer=muon` turns; all others, and all of a learner without them, are AdamW's."""
        return []

    def compile_networks(self) -> None:
        """Compile what is called on whole batches (`precision.py`)."""
        return

    def begin(self, raw: Tensor, seed: int) -> None:
        """Set, before the first step, all that depends on the first batch [B, …] besides the seed."""
        return

    def record_losses(self, draws: Values, losses: Values) -> None:
        """Keep what later batches need of a batch's losses [B], before any weight."""
        return

    def decays(self, group: str) -> bool:
        """True where weight decay acts on the parameters of a group."""
        return True

    def diagnostics(self) -> dict[str, float]:
        """Numbers worth logging besides the losses while it trains, by name."""
        return {}

    @final
    def weighted(self, losses: Values, draws: Values) -> Values:
        """The losses of examples, multiplied by their weights."""
        if self.WEIGHT not in draws:
            return losses
        return {group: draws[self.WEIGHT].to(loss.dtype) * loss for group, loss in losses.items()}

    @final
    def batch_draws(self, raw: Tensor, labels: Tensor | None, seed: int, step: int) -> Values:
        """The draws and times of a whole batch of stored data [B, …] with these labels [B], on their device."""
        own = self.draws(tuple(raw.shape), seed, step)
        draws = {name: send(value, raw.device) for name, value in own.items()}
        if labels is not None:
            draws[self.LABEL] = labels
        return self.sample_times(self.couple_noise(raw, draws, seed, step))

    @final
    def batch_losses(self, raw: Tensor, seed: int, step: int, labels: Tensor | None = None) -> Values:
        """The losses [B] per group whose means a step descends, from stored data [B, …]; it remembers them.

        A trainer's step takes the same in pieces, whose networks may run beside others' (`fast/population.py`).
        """
        if step == 0:
            self.begin(raw, seed)
        draws = self.batch_draws(raw, labels, seed, step)
        losses = self.example_losses(raw, draws)
        self.record_losses(draws, {group: loss.detach() for group, loss in losses.items()})
        return self.weighted(losses, draws)


DRAWS = 16
"""The draws of times and noise per example of the first batch, over which ℓ_0 is a mean."""


class Clipping:
    """The clipping of an optimiser's gradients at the `norm` c; None means none. `report` says what it did."""

    def __init__(self, norm: float | None, optimiser: AdamW, device: torch.device) -> None:
        self.norm = math.inf if norm is None else norm
        self.optimiser = optimiser
        clipped = optimiser.groups if norm is not None else ()
        self.loss_0 = {group: torch.ones((), device=device) for group in clipped}
        """ℓ_0 by group. A continued training needs nothing else: at a report the counts below are 0."""
        self.clipped = {group: torch.zeros((), device=device) for group in clipped}
        """The number of steps since the last report at which g was clipped, by group."""

    @torch.no_grad()
    def begin(self, learner: Learner, raw: Tensor, labels: Tensor | None, seed: int, size: int) -> None:
        """Compute ℓ_0 for the first batch [B, …] with its labels [B], `size` examples at a time."""
        if not self.loss_0:
            return
        sums = {group: torch.zeros_like(loss) for group, loss in self.loss_0.items()}
        training = learner.training
        learner.eval()
        for draw in range(1, DRAWS + 1):
            # Steps below 0, so that no training step has the same draws.
            draws = learner.batch_draws(raw, labels, seed, -draw)
            for start in range(0, len(raw), size):
                piece = slice(start, start + size)
                of_piece = {name: value[piece] for name, value in draws.items()}
                losses = learner.weighted(learner.example_losses(raw[piece], of_piece), of_piece)
                for group, loss in losses.items():
                    sums[group] += loss.abs().sum()
        learner.train(training)
        for group, total in sums.items():
            self.loss_0[group].copy_(total / (DRAWS * len(raw)))

    @torch.no_grad()
    def __call__(self) -> None:
        """Shorten each group's gradient where it is too long; the host waits for nothing."""
        for group, loss_0 in self.loss_0.items():
            gradients = [moments.gradient for moments in self.optimiser.of_group(group).values()]
            norms = [torch.linalg.vector_norm(gradient).double() for gradient in gradients]
            length = torch.linalg.vector_norm(torch.stack(norms))
            share = (self.norm * loss_0 / length).clamp(max=1)
            for gradient in gradients:
                gradient.mul_(share)
            self.clipped[group].add_(share < 1)

    def report(self, steps: int) -> dict[str, float]:
        """ℓ_0 of each group, and the share of the last `steps` steps that were clipped; the count starts anew."""
        logged: dict[str, float] = {}
        for group, loss_0 in self.loss_0.items():
            share = float(self.clipped[group]) / steps
            logged |= {f"clip/{group}_loss_0": float(loss_0), f"clip/{group}_share": share}
            self.clipped[group].zero_()
        return logged

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Take ℓ_0 by group from a training that this one continues; ValueError where it clipped other groups."""
        says = "the checkpoint belongs to another training: what it clipped were other gradients"
        require(state.keys() == self.loss_0.keys(), says)
        for group, loss_0 in self.loss_0.items():
            loss_0.copy_(state[group])
