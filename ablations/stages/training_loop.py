"""The loop of every training, also of an autoencoder's: from its last checkpoint, over its rungs, to its end.

It leaves checkpoints, the history of its reports, averages at rungs, and snapshots.
"""

from __future__ import annotations

import copy
import math
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType

import torch
from torch import Tensor

from ablations.engine.journal import Curves
from ablations.engine.stage import Bench
from ablations.stages.artifacts import (
    Checkpoint,
    average_at,
    clock_of,
    forget_damaged,
    read_checkpoint,
    snapshot_at,
    write_artifact,
    write_checkpoint,
    write_fork,
    write_history,
)
from ablations.stages.devices import peak_memory, reset_peak_memory
from diffusion_core.batches import Labelled, fetched, parts
from diffusion_core.ranks import ALONE, Ranks
from diffusion_core.trainable import Learner
from diffusion_core.trainer import Report, Trainer, part
from diffusion_core.training import Training


class Checkpoints:
    """A context that writes a training's checkpoints into its folder; when it is left, the last one is there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.writer = ThreadPoolExecutor(1)
        self.last: Future[None] | None = None

    def save(self, history: list[dict[str, float]], state: dict[str, Tensor]) -> None:
        """Write the reports so far and the state that they end in; OSError where the checkpoint before could not be
        written."""
        self.wait()
        write_history(self.folder, history)
        # A GPU copies it before it goes on with its next step; the host waits for nothing.
        copy = {name: value.detach().clone() for name, value in state.items()}
        self.last = self.writer.submit(write_checkpoint, self.folder, list(history), copy)

    def wait(self) -> None:
        """Wait until the last checkpoint is there; OSError where it could not be written."""
        if self.last is not None:
            last, self.last = self.last, None
            last.result()

    def __enter__(self) -> Checkpoints:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.writer.shutdown(wait=True)
        if kind is None:
            self.wait()


CHECKPOINT_SECONDS = 20.0
HISTORY_SECONDS = 2.0
"""Seconds between two writings of the reports for whoever watches a training."""

History = list[dict[str, float]]

WARM: set[torch.device] = set()
"""The GPUs that this process has trained on."""


@dataclass(frozen=True)
class Trained:
    """The outcome of a training: its last weights, the reports of all its steps, its memory, and remarks."""

    weights: dict[str, Tensor]
    history: History
    memory: dict[str, float]
    remarks: tuple[str, ...] = ()

    @property
    def last(self) -> dict[str, float]:
        return self.history[-1]

    @property
    def average(self) -> dict[str, Tensor]:
        return part(self.weights, "average")

    @property
    def logged(self) -> list[str]:
        return [name for name in self.last if name not in ("step", "seconds", "time")]

    @property
    def reason(self) -> str:
        """The reason why it counts as diverged; "" if it does not."""
        losses = [name for name in self.logged if name.startswith("train/") and not name.endswith(("_sd", "_sigma"))]
        bad = [name.removeprefix("train/") for name in losses if not math.isfinite(self.last[name])]
        return f"the {bad[0]} loss was not finite by step {self.last['step']:.0f}" if bad else ""

    def finals(self) -> dict[str, float]:
        """The last value of everything that is logged."""
        return {name: self.last[name] for name in self.logged if math.isfinite(self.last[name])}

    def curves(self) -> Curves:
        """Everything that is logged over steps, and the training's clock."""
        steps = [line["step"] for line in self.history]
        logged = {name: finite(steps, [line[name] for line in self.history]) for name in self.logged}
        return logged | clock_of(self.history)


@dataclass(frozen=True)
class Course:
    """The way that a training goes: to the end, or `until` a step, where it leaves a checkpoint.

    At the steps `rungs` it leaves averages and calls `score`, and at the steps `forks` whole states; that time does not
    count as the training's. All these steps are steps of a report, beyond the last checkpoint.
    """

    until: int | None = None
    rungs: frozenset[int] = frozenset()
    forks: frozenset[int] = frozenset()
    score: Callable[[int], None] = lambda step: None


WHOLE = Course()


def warm_up(learner: Learner, data: Tensor | Labelled, plan: Training, device: torch.device) -> None:
    """Take a step on a copy, in which the process loads its kernels, so that the first training's cost does not include
    that."""
    values, labels = parts(data, learner.classes)
    rows = torch.arange(plan.batch) % len(values)
    batch, classes = fetched(values, rows, device), None if labels is None else fetched(labels, rows, device)
    Trainer(copy.deepcopy(learner), replace(plan, captured=False), device).step(batch, 0, 0, classes)
    torch.cuda.synchronize(device)


@dataclass
class OnTheBench:
    """The files that a training leaves at its reports: snapshots, what its course asks for, its history, checkpoints.

    The training's own seconds are those since `began`, by the clock of the bench.
    """

    bench: Bench
    plan: Training
    course: Course
    checkpoints: Checkpoints
    history: History
    began: float
    reported: float = field(default_factory=time.monotonic)
    saved: float = field(default_factory=time.monotonic)

    def note(self, report: Report) -> None:
        """Add a report to the history."""
        self.history.append(line_of(report, self.bench.clock() - self.began))

    def leave(self, report: Report) -> None:
        """Write what is due at a report that was just noted."""
        folder = self.bench.folder
        self.bench.progress(report.step / (self.course.until or self.plan.steps))
        for step, averages in report.snapshots.items():
            write_artifact(folder, snapshot_at(step), averages)
        if report.finite and report.step in self.course.rungs | self.course.forks:
            paused = self.bench.clock()
            leave_on_the_way(folder, report, self.history, self.course)
            self.began += self.bench.clock() - paused
        if time.monotonic() - self.reported > HISTORY_SECONDS:
            write_history(folder, self.history)
            self.reported = time.monotonic()
        due = report.step == self.course.until or time.monotonic() - self.saved > CHECKPOINT_SECONDS
        if due and report.finite and report.step < self.plan.steps:
            self.checkpoints.save(self.history, report.state())
            self.saved = time.monotonic()


def learn(
    learner: Learner, data: Tensor | Labelled, plan: Training, seed: int, bench: Bench, course: Course = WHOLE
) -> Trained:
    """Train from the last checkpoint, or from the start, as far as the course goes. Of several ranks only the first
    writes files."""
    ranks = ALONE if bench.world == 1 else Ranks.here()
    checkpoint = begin_at(bench.folder, plan, ranks)
    device = next(learner.parameters()).device
    if device.type == "cuda" and device not in WARM:
        WARM.add(device)
        warm_up(learner, data, plan, device)
    measured = reset_peak_memory(device)
    beside = None if bench.seat is None else bench.seat.meet
    report: Report | None = None
    with Checkpoints(bench.folder) as checkpoints:
        began = bench.clock() - checkpoint.seconds
        files = OnTheBench(bench, plan, course, checkpoints, list(checkpoint.history), began)
        for report in Trainer(learner, plan, device, ranks, beside).run(data, seed, checkpoint.start):
            files.note(report)
            if ranks.rank == 0:
                files.leave(report)
            if report.step == course.until:
                break
    assert report is not None, "a checkpoint is never of the last step"
    if ranks.rank == 0:
        write_history(bench.folder, files.history)
    weights = {name: value for name, value in report.state().items() if name.startswith(("learner/", "average/"))}
    return Trained(weights, files.history, peak_memory(device) if measured else {}, report.remarks)


def begin_at(folder: Path, plan: Training, ranks: Ranks) -> Checkpoint:
    """The checkpoint to continue from; the first rank says which damaged ones it passed over, and forgets them."""
    checkpoint = read_checkpoint(folder, plan.snapshot_steps)
    if checkpoint.passed_over and ranks.rank == 0:
        line = f"training {folder.name} goes on from step {checkpoint.step}, since {checkpoint.passed_over}"
        print(line, file=sys.stderr)
        forget_damaged(folder)
    return checkpoint


def leave_on_the_way(folder: Path, report: Report, history: History, course: Course) -> None:
    """Leave what a course asks for at a report: the whole state, and an average, which is scored."""
    if report.step in course.forks:
        write_fork(folder, history, report.state())
    if report.step in course.rungs:
        # Whoever scores it reads how long it took to get there.
        took = str(history[-1]["seconds"])
        write_artifact(folder, average_at(report.step), part(report.state(), "average"), seconds=took)
        course.score(report.step)


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
