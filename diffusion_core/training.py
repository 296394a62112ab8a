"""Training: AdamW with warm-up, an exponential moving average of the weights, bf16 autocast.

    θ_{n+1} = AdamW(θ_n, ∇ mean of the losses),   θ̄_{n+1} = d θ̄_n + (1 − d) θ_{n+1},  d = min(ema, (1 + n)/(10 + n))

Everything that a step draws is a function of (seed, step), so a run that is cut and continued from a report's state
equals an unbroken one bit by bit (on one kind of CPU and thread count; a GPU's kernels may differ in the last digits).
The loop knows no path and no tracker: it yields reports.
"""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn

from diffusion_core.optimiser import AdamW, Flat
from diffusion_core.precision import resolve_precision, tf32
from diffusion_core.randomness import draw, key, send


@dataclass(frozen=True)
class Training:
    """The budget and the optimiser. `precision=auto` is bf16 autocast where the hardware has it, else float32."""

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

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "report_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"training.{name} must be at least 1, got {getattr(self, name)}")
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
    """A module that can be trained: it gives losses per example, and tells which parameters each of them teaches."""

    @abstractmethod
    def batch_losses(self, raw: Tensor, seed: int, step: int) -> dict[str, Tensor]:
        """Losses [B] per group of parameters, from stored data [B, …]."""

    @abstractmethod
    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """The parameters of each group."""

    def decays(self, group: str) -> bool:
        """Whether weight decay acts on the parameters of a group."""
        return True

    def diagnostics(self) -> dict[str, float]:
        """Numbers worth logging besides the losses while it trains, by name."""
        return {}


Learned = TypeVar("Learned", bound=Learner)


@dataclass(frozen=True)
class Report:
    """A training after `step` steps: mean losses since the last report, and a function that gives the state to save.

    `standard_deviations` are those of the same losses between those steps, `diagnostics` the learner's.
    """

    step: int
    losses: dict[str, float]
    standard_deviations: dict[str, float]
    diagnostics: dict[str, float]
    state: Callable[[], dict[str, Tensor]]

    @property
    def finite(self) -> bool:
        return all(math.isfinite(loss) for loss in self.losses.values())


def warm_up(step: int, plan: Training) -> float:
    """The learning rate of a step, rising linearly over `warmup` steps."""
    return plan.learning_rate * min(1.0, (step + 1) / max(1, plan.warmup))


@lru_cache(maxsize=4)
def permutation(seed: int, epoch: int, count: int) -> Tensor:
    """The order in which an epoch visits the data, int64 [count]."""
    return torch.randperm(count, generator=draw(seed, epoch, "batch"))


def batch_indices(seed: int, step: int, count: int, batch: int) -> Tensor:
    """Indices int64 [batch] of a step: epochs one after the other, each a permutation of its own."""
    start = step * batch
    epochs = range(start // count, (start + batch - 1) // count + 1)
    offset = start - epochs[0] * count
    # Most batches lie within one epoch, whose order may be long: it is not copied.
    orders = [permutation(seed, epoch, count) for epoch in epochs]
    return (torch.cat(orders) if len(orders) > 1 else orders[0])[offset : offset + batch]


class Trainer:
    """A learner with its optimiser and average; `state` and `load` carry all that a run is made of."""

    def __init__(self, learner: Learner, plan: Training, device: torch.device) -> None:
        self.learner = learner
        self.average = copy.deepcopy(learner).requires_grad_(False)
        self.plan = plan
        self.device = device
        self.precision = resolve_precision(plan.precision, device)
        groups = learner.parameter_groups()
        decays = {group: plan.weight_decay if learner.decays(group) else 0.0 for group in groups}
        self.optimiser = AdamW(groups, decays, (plan.beta_1, plan.beta_2))
        names, mine = {id(p): name for name, p in learner.named_parameters()}, dict(self.average.named_parameters())
        flats = [moments.flat for moments in self.optimiser.moments.values()]
        self.averages = [(Flat([mine[names[id(p)]] for p in flat.tensors]), flat) for flat in flats]

    def step(self, raw: Tensor, seed: int, step: int) -> dict[str, Tensor]:
        """One step; the mean losses stay on the device."""
        torch.manual_seed(key(seed, step, "dropout"))
        with tf32(self.precision == "bf16"):
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
                losses = self.learner.batch_losses(raw, seed, step)
            means = {group: loss.mean() for group, loss in losses.items()}
            for i, (group, mean) in enumerate(means.items()):
                self.optimiser.receive(group, mean, last=i + 1 == len(means))
        self.optimiser.step(warm_up(step, self.plan))
        self._average(step)
        return {group: mean.detach() for group, mean in means.items()}

    @torch.no_grad()
    def _average(self, step: int) -> None:
        decay = min(self.plan.ema, (1 + step) / (10 + step))
        for average, flat in self.averages:
            average.values.lerp_(flat.values, 1 - decay)
        for mine, theirs in zip(self.average.buffers(), self.learner.buffers(), strict=True):
            mine.copy_(theirs)

    def state(self) -> dict[str, Tensor]:
        """Weights, average and optimiser as one flat dictionary of tensors."""
        return {
            **{f"learner/{name}": value for name, value in self.learner.state_dict().items()},
            **{f"average/{name}": value for name, value in self.average.state_dict().items()},
            **{f"optimiser/{name}": value for name, value in self.optimiser.state().items()},
        }

    def load(self, state: dict[str, Tensor]) -> None:
        """Continue from a `state`; ValueError where it belongs to another learner."""
        try:
            self.learner.load_state_dict(part(state, "learner"))
            self.average.load_state_dict(part(state, "average"))
        except RuntimeError as error:
            raise ValueError(f"the checkpoint belongs to another learner: {error}") from error
        self.optimiser.load(part(state, "optimiser"))


def part(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The entries under `prefix/`, without it; ValueError where there are none."""
    found = {name.removeprefix(f"{prefix}/"): value for name, value in state.items() if name.startswith(f"{prefix}/")}
    if not found:
        raise ValueError(f"the checkpoint holds no {prefix!r}: it is not a training checkpoint of this suite")
    return found


def trained(learner: Learned, data: Tensor, plan: Training, seed: int) -> Learned:
    """The learner after a whole training on stored data [N, …], with its averaged weights and for evaluation.

    It is the one that was given, changed in place; ValueError where a loss was not finite.
    """
    *_, last = train(learner, data, plan, seed)
    if not last.finite:
        raise ValueError(f"the training's loss was not finite by step {last.step}: {last.losses}")
    learner.load_state_dict(part(last.state(), "average"))
    return learner.eval()


def train(
    learner: Learner, data: Tensor, plan: Training, seed: int, start: tuple[int, dict[str, Tensor]] | None = None
) -> Iterator[Report]:
    """Train on stored data [N, …], which lies on the learner's device, and report as `plan` says and at the end.

    `start` is (step, state) of an earlier report. The learner is changed in place; a loss that is not finite ends the
    run with a last report that says so.
    """
    trainer = Trainer(learner, plan, data.device)
    first = 0
    if start is not None:
        first, state = start
        trainer.load(state)
    learner.train()
    means: list[dict[str, Tensor]] = []
    for step in range(first, plan.steps):
        indices = send(batch_indices(seed, step, len(data), plan.batch), data.device)
        means.append(trainer.step(data[indices], seed, step))
        done = step + 1
        if done % plan.report_every and done != plan.steps:
            continue
        losses = {group: torch.stack([mean[group] for mean in means]) for group in means[0]}
        report = Report(
            done,
            {group: float(sum(values)) / len(values) for group, values in losses.items()},
            {group: float(values.std(correction=0)) for group, values in losses.items()},
            learner.diagnostics(),
            trainer.state,
        )
        means = []
        yield report
        if not report.finite:
            return
