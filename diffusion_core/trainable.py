"""Learners, which `trainer.py` trains: a module that draws, and gives losses per example."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, NamedTuple, final

import torch
from torch import Tensor, nn

from diffusion_core.randomness import send
from diffusion_core.recorded import Values

__all__ = ["Learner", "Question"]


class Question(NamedTuple):
    """A question that losses put to a network, once: its inputs `x`, `time` and, where it takes labels, `label`
    [B, …], in this order, and the losses [B] per group that follow from its answer.

    Learners whose networks have one shape can have their questions answered by one pass (`population.py`).
    """

    network: nn.Module
    asked: Values
    losses: Callable[[Tensor], Values]


class Learner(nn.Module, ABC):
    """A module that can be trained: it gives losses per example, and tells which parameters each of them teaches.

        draws ─▶ paired ─▶ settled ─▶ example_losses ─▶ remember

    are of a whole batch, but for the losses, which any part of it has by itself. A draw that is called `WEIGHT`
    multiplies them; one that is called `LABEL` is no draw, but the label of each example, where it learns from labels.
    """

    WEIGHT: ClassVar[str] = "weight"
    LABEL: ClassVar[str] = "label"

    @abstractmethod
    def draws(self, shape: tuple[int, ...], seed: int, step: int) -> Values:
        """The draws of a step for a batch of stored data of this shape [B, …]: by name, each [B, …], on the CPU."""

    @property
    def classes(self) -> int:
        """K where it learns from labels of K classes: `paired` and `settled` find them among the draws; else 0."""
        return 0

    @property
    def pairs(self) -> bool:
        """True where `paired` is to be asked, with the stored data of a whole batch."""
        return False

    def paired(self, raw: Tensor, draws: Values, seed: int, step: int) -> Values:
        """The draws of a step, on a device, and what follows from them and all the stored data of the batch [B, …]."""
        return draws

    def settled(self, draws: Values) -> Values:
        """The draws of a batch, and what follows from all of them or from earlier losses, each [B, …]."""
        return draws

    @abstractmethod
    def example_losses(self, raw: Tensor, draws: Values) -> Values:
        """Losses [B] per group of parameters, of stored data [B, …] and what was settled for them."""

    def question(self, raw: Tensor, draws: Values) -> Question | None:
        """The question by whose answer `example_losses` are known; None where they are no matter of one such pass."""
        return None

    @abstractmethod
    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """The parameters of each group."""

    def matrices(self) -> list[nn.Parameter]:
        """The parameters that `optimizer=muon` turns; all others, and all of a learner without them, are AdamW's."""
        return []

    def begin(self, raw: Tensor, seed: int) -> None:
        """Take from the first batch [B, …], before the first step, what weights start from besides the seed."""
        return

    def remember(self, draws: Values, losses: Values) -> None:
        """Keep what later batches depend on of the losses [B] of a batch, before any weight."""
        return

    def decays(self, group: str) -> bool:
        """True where weight decay acts on the parameters of a group."""
        return True

    def diagnostics(self) -> dict[str, float]:
        """Numbers worth logging besides the losses while it trains, by name."""
        return {}

    @final
    def weighted(self, losses: Values, draws: Values) -> Values:
        """Losses of examples as their mean counts them."""
        if self.WEIGHT not in draws:
            return losses
        return {group: draws[self.WEIGHT].to(loss.dtype) * loss for group, loss in losses.items()}

    @final
    def drawn(self, raw: Tensor, labels: Tensor | None, seed: int, step: int) -> Values:
        """The settled draws of a whole batch of stored data [B, …] with these labels [B], on their device."""
        draws = labelled(sent(self.draws(tuple(raw.shape), seed, step), raw.device), labels)
        return self.settled(self.paired(raw, draws, seed, step))

    @final
    def batch_losses(self, raw: Tensor, seed: int, step: int, labels: Tensor | None = None) -> Values:
        """The losses [B] per group whose means a step descends, from stored data [B, …]; it remembers them."""
        if step == 0:
            self.begin(raw, seed)
        draws = self.drawn(raw, labels, seed, step)
        losses = self.example_losses(raw, draws)
        self.remember(draws, {group: loss.detach() for group, loss in losses.items()})
        return self.weighted(losses, draws)


def labelled(draws: Values, labels: Tensor | None) -> Values:
    """The draws of a batch with the labels [B] of its examples, if they have any."""
    return draws if labels is None else {**draws, Learner.LABEL: labels}


def sent(values: Values, device: torch.device) -> Values:
    """Values on a device, without waiting for their copies."""
    return {name: send(value, device) for name, value in values.items()}
