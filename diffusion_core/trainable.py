"""Learners, which `trainer.py` trains: modules that make draws, and give losses per example."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, NamedTuple, final

from torch import Tensor, nn

from diffusion_core.randomness import Values, send


class Question(NamedTuple):
    """A question to a network: its inputs `x`, `time` and, if it takes labels, `label` [B, …], in this order, and the
    losses [B] per group as a function of its output.

    If the networks of several learners have one shape, one pass can answer all of their questions (`population.py`).
    """

    network: nn.Module
    asked: Values
    losses: Callable[[Tensor], Values]


class Learner(nn.Module, ABC):
    """A module that can be trained: it gives losses per example, and says which parameters each of them teaches.

        draws ─▶ paired ─▶ settled ─▶ example_losses ─▶ remember

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
        """K where it learns from labels of K classes: `paired` and `settled` find them among the draws; else 0."""
        return 0

    def check(self, stored: Tensor) -> None:
        """ValueError where it cannot learn from stored data [N, …]."""
        return

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
        """The question whose answer gives `example_losses`; None where they do not follow from one such pass."""
        return None

    @abstractmethod
    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """The parameters of each group."""

    def matrices(self) -> list[nn.Parameter]:
        """The parameters that `optimizer=muon` turns; all others, and all of a learner without them, are AdamW's."""
        return []

    def compile_networks(self) -> None:
        """Compile what is called on whole batches (`compilation.py`)."""
        return

    def begin(self, raw: Tensor, seed: int) -> None:
        """Set, before the first step, all that depends on the first batch [B, …] besides the seed."""
        return

    def remember(self, draws: Values, losses: Values) -> None:
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
    def drawn(self, raw: Tensor, labels: Tensor | None, seed: int, step: int) -> Values:
        """The settled draws of a whole batch of stored data [B, …] with these labels [B], on their device."""
        own = self.draws(tuple(raw.shape), seed, step)
        draws = {name: send(value, raw.device) for name, value in own.items()}
        if labels is not None:
            draws[self.LABEL] = labels
        return self.settled(self.paired(raw, draws, seed, step))

    @final
    def batch_losses(self, raw: Tensor, seed: int, step: int, labels: Tensor | None = None) -> Values:
        """The losses [B] per group whose means a step descends, from stored data [B, …]; it remembers them.

        A trainer's step takes the same in pieces, whose networks may run beside others' (`fast/population.py`).
        """
        if step == 0:
            self.begin(raw, seed)
        draws = self.drawn(raw, labels, seed, step)
        losses = self.example_losses(raw, draws)
        self.remember(draws, {group: loss.detach() for group, loss in losses.items()})
        return self.weighted(losses, draws)
