"""What a training is made of: its plan, and what can be trained by it (`trainer.py` does it)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal, final

import torch
from torch import Tensor, nn

from diffusion_core.randomness import send
from diffusion_core.recorded import Values

MOST_STEPS = 1_000_000_000
"""At a millisecond a step they take twelve days."""
MOST_BATCH = 65_536
"""Beyond any published recipe: more examples a step are more steps."""


@dataclass(frozen=True)
class Training:
    """The budget and the optimiser. `precision=auto` is bf16 autocast where the hardware has it, else float32.

    A batch is taken `micro_batch` examples at a time where that is given, so that it need not fit the memory at once.
    On a GPU a step is recorded and replayed if it is to be `captured` (`recorded.py`).
    """

    steps: int = 1000
    batch: int = 128
    learning_rate: float = 2e-3
    warmup: int = 100
    weight_decay: float = 0.0
    beta_1: float = 0.9
    beta_2: float = 0.999
    ema: float = 0.995
    precision: Literal["auto", "float32", "bf16"] = "auto"
    report_every: int = 50
    micro_batch: int | None = None
    captured: bool = True

    @property
    def unread(self) -> tuple[str, ...]:
        """Fields that change no number: a batch that is not divided is what it was before it could be."""
        return ("captured",) if self.micro_batch else ("captured", "micro_batch")

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "report_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"training.{name} must be at least 1, got {getattr(self, name)}")
        for name, most in (("steps", MOST_STEPS), ("batch", MOST_BATCH)):
            if getattr(self, name) > most:
                raise ValueError(f"training.{name} must be at most {most}, got {getattr(self, name)}")
        if self.micro_batch is not None and self.micro_batch < 1:
            raise ValueError(f"training.micro_batch must be at least 1, or null for all, got {self.micro_batch}")
        if self.warmup < 0 or not self.learning_rate > 0 or not self.weight_decay >= 0:
            raise ValueError(
                "training needs learning_rate > 0, warmup >= 0 and weight_decay >= 0, got "
                f"{self.learning_rate}, {self.warmup} and {self.weight_decay}"
            )
        if not all(0 <= decay < 1 for decay in (self.ema, self.beta_1, self.beta_2)):
            raise ValueError(
                f"training needs ema, beta_1 and beta_2 in [0, 1), got {self.ema}, {self.beta_1} and {self.beta_2}"
            )


class Learner(nn.Module, ABC):
    """A module that can be trained: it gives losses per example, and tells which parameters each of them teaches.

        draws ─▶ settled ─▶ example_losses ─▶ remember

    are of a whole batch, but for the losses, which any part of it has by itself. A draw that is called `WEIGHT`
    multiplies them.
    """

    WEIGHT: ClassVar[str] = "weight"

    @abstractmethod
    def draws(self, shape: tuple[int, ...], seed: int, step: int) -> Values:
        """What a step draws for a batch of stored data of this shape [B, …]: by name, each [B, …], on the CPU."""

    def settled(self, draws: Values) -> Values:
        """The draws of a batch, and what follows from all of them or from earlier losses, each [B, …]."""
        return draws

    @abstractmethod
    def example_losses(self, raw: Tensor, draws: Values) -> Values:
        """Losses [B] per group of parameters, of stored data [B, …] and what was settled for them."""

    @abstractmethod
    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """The parameters of each group."""

    def begin(self, raw: Tensor, seed: int) -> None:
        """Take from the first batch [B, …], before the first step, what weights start from besides the seed."""
        return

    def remember(self, draws: Values, losses: Values) -> None:
        """Keep what later batches depend on of the losses [B] of a batch, before any weight."""
        return

    def decays(self, group: str) -> bool:
        """Whether weight decay acts on the parameters of a group."""
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
    def batch_losses(self, raw: Tensor, seed: int, step: int) -> Values:
        """The losses [B] per group whose means a step descends, from stored data [B, …]; it remembers them."""
        if step == 0:
            self.begin(raw, seed)
        draws = self.settled(sent(self.draws(tuple(raw.shape), seed, step), raw.device))
        losses = self.example_losses(raw, draws)
        self.remember(draws, {group: loss.detach() for group, loss in losses.items()})
        return self.weighted(losses, draws)


def sent(values: Values, device: torch.device) -> Values:
    """Values on a device, without waiting for their copies."""
    return {name: send(value, device) for name, value in values.items()}
