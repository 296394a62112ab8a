"""training: stored images, or their codes ─▶ weights (learner and average), curves, and the training's cost.

It reads its autoencoder and all of a cell except how it is scored. Cells that differ in σ² share it wherever training
does not read σ²; a fitted σ² is trained as β̃. Labels are read where the network is told them.

    trunk     the first (1 − c) N steps of `training.rate=wsd`, which do not depend on N (`diffusion_core/rates.py`)
    fork      the last report of a training of r steps on its trunk: up to there every longer training is the same

    ───────────┬──────────────┬─────────▶ trunk
               └▶ cooldown    └▶ cooldown of a longer training

A training leaves its whole state where its rungs fork. One of r steps continues from the furthest state on its trunk
that a related training has left, so it costs only its cooldown; bit by bit it is the same as if trained alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ablations.data.base import Data
from ablations.engine.files import CHECKPOINT, FORK, Damaged
from ablations.engine.journal import Curves, Journal, Result
from ablations.engine.perform import perform
from ablations.engine.stage import Bench
from ablations.settings.budget import forward_flops, train_flops, training_passes
from ablations.settings.cell import Cell
from ablations.settings.choices import choices_of
from ablations.settings.identity import labels_read, read_by_id
from ablations.settings.registry import describe
from ablations.stages.artifacts import (
    WEIGHTS,
    read_fork,
    read_history,
    write_artifact,
    write_checkpoint,
    write_history,
)
from ablations.stages.devices import placed
from ablations.stages.restore import build, load_encoding, restore, with_labels
from ablations.stages.several_devices import LearningStage
from ablations.stages.stage import OnTheWay, Passes
from ablations.stages.training_loop import Course, Trained, finite, learn
from diffusion_core.averages import KEPT
from diffusion_core.encodings import Encoding
from diffusion_core.learner import DiffusionLearner
from diffusion_core.precision import Precision, resolve_precision
from diffusion_core.timesteps import Importance


def furthest(journal: Journal, kin: Iterable[str], most: int) -> list[tuple[int, str]]:
    """The steps, up to a given one, at which related trainings have left their state, and the ids of these; the
    furthest first."""
    forks = [(_step_of(name), training) for training in kin for name in journal.shelf(training).names(FORK)]
    return sorted((fork for fork in forks if 0 < fork[0] <= most), reverse=True)


def go_on_from_kin(journal: Journal, stage: str, kin: Iterable[str], most: int) -> None:
    """Give a training the furthest whole state that related trainings have left, as a checkpoint, unless it is further
    itself."""
    folder = journal.folder(stage)
    # Its reports say how far it is: whoever goes on from its own state reads that itself.
    reports = read_history(folder) if (folder / CHECKPOINT).exists() else []
    for step, training in furthest(journal, kin, most):
        if reports and step <= reports[-1]["step"]:
            return
        try:
            state, history = read_fork(journal.folder(training), step)
        except Damaged:
            # The next one leads to the same end.
            continue
        write_history(folder, history)
        write_checkpoint(folder, history, state)
        return


def _step_of(name: str) -> int:
    digits = name.removeprefix(FORK).partition(".")[0]
    return int(digits) if digits.isdigit() else 0


WEIGHT_BYTES, WEIGHTS_EACH, MOMENTS_EACH = 4, 2, 2
"""Bytes of a number; numbers kept for each parameter: itself and its average, and in a whole state its two moments."""


def state_each(snapshots: int) -> int:
    """Numbers per parameter in the whole state of a training with so many snapshots of its averages."""
    return WEIGHTS_EACH + MOMENTS_EACH + (len(KEPT) if snapshots else 0)


@dataclass(frozen=True)
class TrainingStage(LearningStage):
    """The training of a network, on the codes of an autoencoder if there is one.

    At the steps of its rungs it leaves its averaged weights and has them `scored`; at the steps `kept` it only leaves
    them. Neither is part of its id. Its `kin`, by their steps, are trainings that may have left states that it
    continues from; it leaves its own at the steps `forks`.
    """

    id: str
    cell: Cell
    autoencoder: str | None = None
    needs: tuple[str, ...] = ()
    scored: tuple[OnTheWay, ...] = ()
    kin: tuple[tuple[int, str], ...] = ()
    forks: frozenset[int] = frozenset()
    kept: frozenset[int] = frozenset()
    kind = "training"

    def company(self, device: str) -> str:
        return company_of(self.cell, self.autoencoder, device)

    @property
    def passes(self) -> Passes:
        return "training"

    @property
    def validates(self) -> bool:
        return True

    @property
    def doing(self) -> str:
        return "training"

    @property
    def autoencoders(self) -> tuple[str, ...]:
        """The autoencoder that it needs before it can begin, if any."""
        return () if self.autoencoder is None else (self.autoencoder,)

    @property
    def rungs(self) -> frozenset[int]:
        """The steps at which it leaves its averaged weights."""
        return self.kept.union(rung.step for rung in self.scored)

    def work(self, data: Data) -> float:
        return self.work_until(self.cell.training.steps)

    def work_until(self, step: int) -> float:
        """Its passes up to a step."""
        return float(training_passes(self.cell) * step * self.cell.training.batch)

    def bytes_left(self, data: Data, parameters: int) -> int:
        plan = self.cell.training
        averages = len(self.rungs) + len(KEPT) * len(plan.snapshot_steps)
        return WEIGHT_BYTES * parameters * (WEIGHTS_EACH + averages + state_each(plan.snapshots) * len(self.forks))

    def begun(self, journal: Journal) -> float | None:
        """The share of its steps that it can skip, because related trainings have left a state there; None where none
        has."""
        plan = self.cell.training
        left = furthest(journal, self.reads, plan.trunk_steps) if self.reads else []
        return left[0][0] / plan.steps if left else None

    @property
    def reads(self) -> tuple[str, ...]:
        # Its kin take no snapshots, and so leave no state from which one that does could go on.
        return () if self.cell.training.snapshots else tuple(training for _, training in self.kin)

    def perform(self, bench: Bench) -> None:
        # Before several devices share it, which begin from one checkpoint.
        if self.reads and bench.world == 1:
            go_on_from_kin(bench.journal, self.id, self.reads, self.cell.training.trunk_steps)
        super().perform(bench)

    def result(self, bench: Bench, data: Data, device: torch.device) -> Result:
        cell = self.cell
        encoding = load_encoding(cell, data, bench.journal, self.autoencoder, device)

        def score(step: int) -> None:
            for rung in (rung for rung in self.scored if rung.step == step):
                perform(rung, bench.journal, str(device))

        learned = train_on(cell, encoding, data, device, bench, Course(None, self.rungs, self.forks, score))
        if bench.rank == 0:
            write_artifact(bench.folder, WEIGHTS, learned.weights, step=str(learned.last["step"]))
        return training_result(cell, restore(cell, encoding, data, learned.average).to(device), learned, device)


@dataclass(frozen=True)
class GuideStage(TrainingStage):
    """The training of a cell that guides another one."""

    kind = "guide"

    @property
    def validates(self) -> bool:
        """True where samples are judged on validation."""
        return "validation" in self.cell.evaluation.quality

    @property
    def doing(self) -> str:
        return "training its guide"


def company_of(cell: Cell, autoencoder: str | None, device: str) -> str:
    """The mark of trainings that are faster side by side: they have one shape and batches of one size; "" for
    others."""
    plan, shape = cell.training, cell.data.load().shape
    # Several threads cut the sums of a product by its size: they would round otherwise beside others.
    if device != "cpu" or cell.threads > 1 or not cell.network.gains_beside(shape, plan.micro_batch or plan.batch):
        return ""
    asked = cell.told_labels, cell.conditioning.self_conditioning
    network = cell.network, shape, autoencoder, cell.variance.learned, *asked
    return repr((*network, plan.batch, plan.micro_batch, plan.precision, plan.optimizer))


def train_on(cell: Cell, encoding: Encoding, data: Data, device: torch.device, bench: Bench, course: Course) -> Trained:
    """Train a cell's diffusion on this bench, as far as the course goes."""
    learner, stored = build(cell, encoding, data, device), stored_of(encoding, data, device)
    return learn(learner, with_labels(cell, data, stored), cell.training, cell.seed, bench, course)


def stored_of(encoding: Encoding, data: Data, device: torch.device) -> Tensor:
    """The training images, or their codes, on the device if it has room for them."""
    return placed(encoding.store(placed(data.images["train"], device)), device)


def training_result(cell: Cell, averaged: DiffusionLearner, learned: Trained, device: torch.device) -> Result:
    """The result of a training: its history as numbers and curves, and properties of its choices, from the averaged
    learner."""
    last = learned.last
    images, flops = last["step"] * cell.training.batch, float(forward_flops(averaged.diffusion))
    shape = averaged.curves()
    metrics = {
        **learned.finals(),
        "cost/train_seconds": last["seconds"],
        "cost/images_per_second": images / max(last["seconds"], 1e-9),
        "cost/flops_per_image": flops,
        "cost/train_flops": train_flops(cell, flops, images),
        "cost/parameters": float(sum(p.numel() for p in averaged.diffusion.network.parameters())),
        "noise/beta_max": float(shape["beta"].max()),
        **learned.memory,
    }
    t = [float(t) for t in range(1, cell.horizon + 1)]
    curves: Curves = {name: finite(t, values.tolist()) for name, values in shape.items()}
    return Result(
        status="diverged" if learned.reason else "finished",
        reason=learned.reason,
        metrics=metrics,
        curves=curves | learned.curves(),
        metadata={"precision": resolve_precision(cell.training.precision, device), **notes(cell, learned)},
    )


def notes(cell: Cell, learned: Trained) -> dict[str, str]:
    """Remarks on a training, a line each: that an importance sampler drew uniform t to the end, say."""
    lines = [*learned.remarks]
    if not cell.coupling.independent:
        lines.append(
            "sample without noise (sampler=ddim): it was trained on noise that is paired with x_0; its bound is that "
            "of independent noise, as for all"
        )
    warm = learned.last.get("timesteps/warm", 1.0)
    if warm < 1 and isinstance(cell.timesteps, Importance):
        share = f"{math.floor(100 * warm)} % of t have their {cell.timesteps.history} losses"
        lines.append(f"importance sampler still warming up: {share}")
    return {"notes": "\n".join(lines)} if lines else {}


def training_content(cell: Cell, digest: str, precision: Precision) -> dict[str, Any]:
    """Everything that a training reads, the content of its autoencoder included."""
    unread = ("sampler", "spacing", "average", "guidance", "evaluation", "variance", "budget")
    read = {axis: value for axis, value in read_by_id(cell).items() if axis not in unread}
    learns_from_bound = cell.schedule.learned and not choices_of(cell).in_continuous_time
    if cell.objective.reads_variance or cell.variance.learned or learns_from_bound:
        read["variance"] = describe(cell.variance.trained_as)
    return {
        "stage": "training",
        **read,
        **labels_read(cell),
        "digest": digest,
        "precision": precision,
        "seed": cell.seed,
    }
