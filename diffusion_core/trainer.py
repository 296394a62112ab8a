"""Training: AdamW or Muon, a rate that rises and may fall, an exponential moving average of the weights, bf16 autocast.

    θ_{n+1} = optimizer(θ_n, ∇ mean of the losses),   θ̄_{n+1} = d θ̄_n + (1 − d) θ_{n+1},  d = min(ema, (1 + n)/(10 + n))

Everything that a step draws is a function of (seed, step), so a run that is cut and continued from a report's state
equals an unbroken one bit by bit (on one kind of CPU and thread count; a GPU's kernels may differ in the last digits).
A batch may be taken in pieces: its examples, times and noise are the same, sums are rounded otherwise, and dropout is
drawn anew. The loop knows no path and no tracker: it yields reports.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeVar

import torch
from torch import Tensor

from diffusion_core.averages import Averages, under
from diffusion_core.conditioning import Data, parts
from diffusion_core.fast.population import Beside, Descent, Member, Piece, learn
from diffusion_core.optimiser import AdamW, Muon
from diffusion_core.precision import resolve_compile, resolve_precision
from diffusion_core.randomness import Values, draw, key, reseed, send
from diffusion_core.refusing import require
from diffusion_core.trainable import Clipping, Learner
from diffusion_core.training import Training

Learned = TypeVar("Learned", bound=Learner)


@dataclass(frozen=True)
class Report:
    """A training after `step` steps: mean `losses` since the last report, and `state`(), which is to be saved.

    `standard_deviations` are those of the same losses between those steps, `diagnostics` the learner's, `snapshots`
    those of its averages that were taken at steps between.
    """

    step: int
    losses: dict[str, float]
    standard_deviations: dict[str, float]
    diagnostics: dict[str, float]
    state: Callable[[], dict[str, Tensor]]
    snapshots: Mapping[int, dict[str, Tensor]] = field(default_factory=dict)

    @property
    def finite(self) -> bool:
        return all(math.isfinite(loss) for loss in self.losses.values())


class Trainer:
    """A learner with its optimiser and average; `state` and `load` carry all that a run is made of.

    With `beside`, its gradients are computed together with those of other trainings (`population.py`).
    """

    def __init__(self, learner: Learner, plan: Training, device: torch.device, beside: Beside | None = None) -> None:
        self.learner = learner
        self.plan = plan
        self.device = device
        self.optimiser = optimiser_of(plan, learner)
        self.member = Member(learner, self.optimiser, resolve_precision(plan.precision, device), device)
        self.beside = beside
        self.averages = Averages(learner, list(self.optimiser.moments.values()), plan)
        self.clipping = Clipping(plan.clip, self.optimiser, device)
        self.compiles = resolve_compile(plan.compile, device) != "none"
        if self.compiles:
            learner.compile_networks()

    def run(self, data: Data, seed: int, start: tuple[int, dict[str, Tensor]] | None = None) -> Iterator[Report]:
        """Train on stored data [N, …], with labels where the learner takes them; report as the plan says and at the
        end.

        The data lie on the trainer's device, or on the CPU: then each batch is sent. `start` is (step, state) of an
        earlier report. A loss that is not finite ends the run with a last report that says so.
        """
        plan, (values, classes) = self.plan, parts(data, self.learner.classes)
        self.learner.check(values)
        require(
            values.dim() == 4 or not plan.flips,
            f"training.flips=true mirrors images [N, C, H, W], got data {list(values.shape)}: leave it out",
        )
        first, state = start or (0, None)
        if state is not None:
            self.load(state)
        self.learner.train()
        means: list[Values] = []
        snapshots: dict[int, Values] = {}
        for step in range(first, plan.steps):
            indices = batch_indices(seed, step, len(values), plan.batch)
            raw = fetched(values, indices, self.device)
            labels = None if classes is None else fetched(classes, indices, self.device)
            if plan.flips:
                raw = flipped(raw, send(flips(seed, step, plan.batch), self.device))
            if step == 0:
                self.begin(raw, seed, labels)
            means.append(self.step(raw, seed, step, labels))
            done = step + 1
            if done in plan.snapshot_steps:
                snapshots[done] = {name: value.to("cpu", copy=True) for name, value in self.averages.state().items()}
            if done % plan.report_every == 0 or done == plan.steps:
                report = self.report(done, means, snapshots)
                means, snapshots = [], {}
                yield report
                if not report.finite:
                    return

    def begin(self, raw: Tensor, seed: int, labels: Tensor | None = None) -> None:
        """Prepare the first step, from its whole batch [B, …] and its labels [B], if it has any."""
        with self.member.kernels(), self.member.autocast():
            self.learner.begin(raw, seed)
            self.clipping.begin(self.learner, raw, labels, seed, self.plan.micro_batch or len(raw))

    def step(self, raw: Tensor, seed: int, step: int, labels: Tensor | None = None) -> Values:
        """One step on a batch [B, …] with its labels [B], if it has any; the mean losses stay on the device."""
        plan, size = self.plan, self.plan.micro_batch or len(raw)
        draws = self.learner.batch_draws(raw, labels, seed, step)
        reseed(key(seed, step, "dropout"), self.device)
        self.member.random = torch.get_rng_state()
        if self.compiles:
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        descents: list[Descent] = []
        for start in range(0, len(raw), size):
            rows = slice(start, start + size)
            of_rows = {name: value[rows] for name, value in draws.items()}
            piece = Piece(self.member, raw[rows], of_rows, len(raw[rows]) / len(raw), start == 0)
            descents.append(piece.alone() if self.beside is None else self.beside(piece, learn))
        losses, means = (_joined(values) for values in zip(*descents, strict=True))
        self.learner.record_losses(draws, losses)
        self.clipping()
        self.optimiser.step(plan.learning_rate * plan.share_of_peak(step))
        self.averages.follow(step)
        return {group: mean.sum() for group, mean in means.items()}

    def report(self, done: int, means: list[Values], snapshots: Mapping[int, Values]) -> Report:
        """The training after `done` steps, from the mean losses of each step since the last report."""
        losses = {group: torch.stack([mean[group] for mean in means]) for group in means[0]}
        diagnostics = {**self.learner.diagnostics(), **self.clipping.report(len(means))}
        average = {group: float(sum(loss)) / len(loss) for group, loss in losses.items()}
        deviation = {group: float(loss.std(correction=0)) for group, loss in losses.items()}
        return Report(done, average, deviation, diagnostics, self.state, snapshots)

    def state(self) -> dict[str, Tensor]:
        """Weights, averages and optimiser as one flat dictionary of tensors."""
        parts: dict[str, Mapping[str, Tensor]] = {
            "learner": self.learner.state_dict(),
            "average": self.averages.tracked.state_dict(),
            "optimiser": self.optimiser.state(),
            "power": self.averages.state(),
            "clip": self.clipping.loss_0,
        }
        return {f"{part}/{name}": value for part, values in parts.items() for name, value in values.items()}

    def load(self, state: dict[str, Tensor]) -> None:
        """Continue from a `state`; ValueError where it belongs to another learner."""
        try:
            self.learner.load_state_dict(part(state, "learner"))
            self.averages.tracked.load_state_dict(part(state, "average"))
        except RuntimeError as error:
            raise ValueError(f"the checkpoint belongs to another learner: {error}") from error
        self.optimiser.load(part(state, "optimiser"))
        if self.plan.snapshots:
            self.averages.load(part(state, "power"))
        self.clipping.load(under(state, "clip"))


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


def fetched(data: Tensor, indices: Tensor, device: torch.device) -> Tensor:
    """Rows of stored data [N, …] on a device, by their indices on the CPU."""
    return data[send(indices, device)] if data.device.type == device.type else send(data[indices], device)


def flips(seed: int, step: int, batch: int) -> Tensor:
    """The examples of a step's batch that are mirrored, bool [batch]."""
    return torch.rand(batch, generator=draw(seed, step, "flip")) < 0.5


def flipped(images: Tensor, mirrored: Tensor) -> Tensor:
    """Images [B, C, H, W], those that are `mirrored` [B] from left to right."""
    return torch.where(mirrored[:, None, None, None], images.flip(-1), images)


def optimiser_of(plan: Training, learner: Learner) -> AdamW:
    """The optimiser that a plan asks for; ValueError where Muon has no matrix to turn."""
    groups, betas = learner.parameter_groups(), (plan.beta_1, plan.beta_2)
    decays = {group: plan.weight_decay if learner.decays(group) else 0.0 for group in groups}
    if plan.optimizer == "adamw":
        return AdamW(groups, decays, betas)
    turned = learner.matrices()
    says = "training.optimizer=muon turns matrices between features, and this has none: take adamw"
    require(len(turned) > 0, says)
    return Muon(groups, decays, betas, turned)


def part(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The entries under `prefix/`, without it; ValueError where there are none."""
    entries = under(state, prefix)
    says = f"the checkpoint holds no {prefix!r}: it is not a training checkpoint of this suite"
    require(len(entries) > 0, says)
    return entries


def _joined(pieces: Sequence[Values]) -> Values:
    """The values of all pieces of a batch."""
    return {name: torch.cat([piece[name].reshape(-1) for piece in pieces]) for name in pieces[0]}


def train(learner: Learned, data: Data, plan: Training, seed: int) -> Learned:
    """The learner after a whole training on stored data [N, …], with its averaged weights, in evaluation mode.

    It is the one that was given, changed in place; ValueError where a loss was not finite.
    """
    *_, last = training_reports(learner, data, plan, seed)
    require(last.finite, f"the training's loss was not finite by step {last.step}: {last.losses}")
    learner.load_state_dict(part(last.state(), "average"))
    return learner.eval()


def training_reports(
    learner: Learner,
    data: Data,
    plan: Training,
    seed: int,
    start: tuple[int, dict[str, Tensor]] | None = None,
) -> Iterator[Report]:
    """Train on the learner's device, in this process by itself, from `start` on if it is given (`Trainer.run`). The
    learner is changed in place."""
    return Trainer(learner, plan, next(learner.parameters()).device).run(data, seed, start)
