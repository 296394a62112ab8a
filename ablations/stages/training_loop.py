"""The loop of every training, also of an autoencoder's: from its last checkpoint, or where the last segment ended."""

from __future__ import annotations

import json
import math
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from ablations.engine.journal import CHECKPOINT, STATE, Curves, Damaged
from ablations.engine.stage import Bench
from ablations.stages.artifacts import (
    CHECKPOINT_SECONDS,
    History,
    read_artifact,
    snapshot_at,
    write_artifact,
    write_history,
)
from diffusion_core.conditioning import Labelled
from diffusion_core.trainable import Learner
from diffusion_core.trainer import Report, Trainer, part
from diffusion_core.training import Training

HISTORY_SECONDS = 2.0
"""Seconds between two writings of the reports for whoever watches a training."""


@dataclass(frozen=True)
class Trained:
    """A training as far as it has come: its state, and the reports of all its steps; nothing at first."""

    state: dict[str, Tensor]
    history: History

    @property
    def weights(self) -> dict[str, Tensor]:
        """The learner's weights, and their average."""
        return {name: value for name, value in self.state.items() if name.startswith(("learner/", "average/"))}

    @property
    def average(self) -> dict[str, Tensor]:
        return part(self.state, "average")

    @property
    def last(self) -> dict[str, float]:
        return self.history[-1]

    @property
    def step(self) -> int:
        return int(self.last["step"]) if self.history else 0

    @property
    def logged(self) -> list[str]:
        return [name for name in self.last if name not in ("step", "seconds", "time")]

    @property
    def reason(self) -> str:
        """The reason why it counts as diverged; "" if it does not."""
        losses = [name for name in self.logged if name.startswith("train/") and not name.endswith(("_sd", "_sigma"))]
        bad = [name.removeprefix("train/") for name in losses if not math.isfinite(self.last[name])]
        return f"the {bad[0]} loss was not finite by step {self.step}" if bad else ""

    def finals(self) -> dict[str, float]:
        """The last value of everything that is logged."""
        return {name: self.last[name] for name in self.logged if math.isfinite(self.last[name])}

    def curves(self) -> Curves:
        """Everything that is logged, over steps."""
        steps = [line["step"] for line in self.history]
        return {name: finite(steps, [line[name] for line in self.history]) for name in self.logged}


@dataclass(frozen=True)
class Segment:
    """The part of a training `until` a step, after the steps `begins` of the segment whose folder is `before`."""

    until: int
    begins: int = 0
    before: Path | None = None


def learn(
    learner: Learner, data: Tensor | Labelled, plan: Training, seed: int, bench: Bench, segment: Segment | None = None
) -> Trained:
    """Train a segment, or the whole, from its last checkpoint on. After a segment that diverged it ends as that one. It
    leaves snapshots, its history and checkpoints; writing the last does not count as its time."""
    segment, folder = segment or Segment(plan.steps), bench.folder
    begun = begin_at(folder, plan, segment)
    if begun.history and begun.reason:
        return begun
    trainer = Trainer(
        learner, plan, next(learner.parameters()).device, None if bench.member is None else bench.member.exchange
    )
    history, spent = begun.history, begun.last["seconds"] if begun.history else 0.0
    began, took, reported, saved = bench.clock() - spent, 0.0, time.monotonic(), time.monotonic()
    report: Report | None = None
    for report in trainer.run(data, seed, (begun.step, begun.state) if history else None):
        history.append(line_of(report, bench.clock() - began))
        bench.progress(max(0.0, (report.step - segment.begins) / (segment.until - segment.begins)))
        for step, averages in report.snapshots.items():
            write_artifact(folder, snapshot_at(step), averages)
        if report.step == segment.until or not report.finite:
            break
        now = time.monotonic()
        if now - reported > HISTORY_SECONDS:
            write_history(folder, history)
            reported = now
        if now - saved > CHECKPOINT_SECONDS * max(1.0, took):
            write_checkpoint(folder, history, report.state())
            saved = time.monotonic()
            took = saved - now
            began += took
    assert report is not None, "a checkpoint is never of the last step"
    write_history(folder, history)
    return Trained(report.state(), history)


def begin_at(folder: Path, plan: Training, segment: Segment) -> Trained:
    """The point to continue from: its own checkpoint, or the end of the segment before it, whose snapshots it takes
    over. A checkpoint that is damaged is passed over, with a line that says so."""
    try:
        own = read_checkpoint(folder)
        for step in (step for step in plan.snapshot_steps if step <= own.step):
            read_artifact(folder, snapshot_at(step))
    except Damaged as damaged:
        print(f"training {folder.name} goes on without its checkpoint, since {damaged.what}", file=sys.stderr)
        own = Trained({}, [])
    before = segment.before or folder
    earlier = read_checkpoint(before, STATE) if own.step < segment.begins else own
    for step in (step for step in plan.snapshot_steps if own.step < step <= earlier.step):
        write_artifact(folder, snapshot_at(step), read_artifact(before, snapshot_at(step))[0])
    return max(own, earlier, key=lambda begun: begun.step)


def write_checkpoint(folder: Path, history: History, state: dict[str, Tensor], name: str = CHECKPOINT) -> None:
    """Write the state at the last report, with all reports."""
    write_artifact(folder, name, state, history=json.dumps(history))


def read_checkpoint(folder: Path, name: str = CHECKPOINT) -> Trained:
    """The training that `write_checkpoint` wrote; its beginning where nothing is there. Damaged where the file is not
    that."""
    if not (folder / name).exists():
        return Trained({}, [])
    state, words = read_artifact(folder, name)
    # One of an earlier version has no reports.
    return Trained(state, json.loads(words.get("history", "[]")))


def line_of(report: Report, seconds: float) -> dict[str, float]:
    """A report as a line of the history: losses, their standard deviations between steps, the learner's diagnostics."""
    return {
        "step": report.step,
        "seconds": round(seconds, 3),
        "time": round(time.time(), 3),
        **{f"train/{group}": loss for group, loss in report.losses.items()},
        **{f"train/{group}_sd": deviation for group, deviation in report.standard_deviations.items()},
        **report.diagnostics,
    }


def finite(xs: list[float], ys: list[float]) -> tuple[list[float], list[float]]:
    """The points of a curve that a figure can show."""
    points = [(x, y) for x, y in zip(xs, ys, strict=True) if math.isfinite(y)]
    return [x for x, _ in points], [y for _, y in points]
