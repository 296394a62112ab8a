"""The loop that every training goes through, and the stages that train a diffusion, on images or on their codes.

It continues from the last checkpoint and leaves weights (learner and average), curves, and what the training cost.
"""

from __future__ import annotations

import copy
import math
import sys
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from ablations.data.base import Data
from ablations.settings.budget import forward_flops, train_flops
from ablations.settings.cell import Cell
from ablations.stages.artifacts import (
    WEIGHTS,
    average_at,
    forget_damaged,
    read_artifact,
    read_checkpoint,
    write_artifact,
    write_history,
)
from ablations.stages.journal import Curves, Result
from ablations.stages.kinds import RungStage, TrainingStage
from ablations.workers import evaluate
from ablations.workers.checkpoints import Checkpoints, Send
from ablations.workers.memory import peak_memory, placed, reset_peak_memory
from ablations.workers.progress import Progress
from ablations.workers.restore import build, restore
from analysis.read.names import RUNG_SECONDS
from diffusion_core.encodings import Encoding
from diffusion_core.learner import DiffusionLearner
from diffusion_core.precision import resolve_precision
from diffusion_core.ranks import ALONE, Ranks
from diffusion_core.timesteps import Importance
from diffusion_core.trainable import Learner
from diffusion_core.trainer import Report, Trainer, fetched, part, train
from diffusion_core.training import Training

CHECKPOINT_SECONDS = 20.0
HISTORY_SECONDS = 2.0
"""Whoever watches a training reads its reports after so many seconds."""

History = list[dict[str, float]]

WARM: set[torch.device] = set()
"""The GPUs that this process has trained on."""


@dataclass(frozen=True)
class Trained:
    """How a training ended: its last state's weights, the reports of all its steps, its memory, and what to remark."""

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
        return [name for name in self.last if name not in ("step", "seconds")]

    @property
    def reason(self) -> str:
        """Why it counts as diverged; "" if it does not."""
        losses = [name for name in self.logged if name.startswith("train/") and not name.endswith(("_sd", "_sigma"))]
        bad = [name.removeprefix("train/") for name in losses if not math.isfinite(self.last[name])]
        return f"the {bad[0]} loss was not finite by step {self.last['step']:.0f}" if bad else ""

    def finals(self) -> dict[str, float]:
        """The last value of all that is logged."""
        return {name: self.last[name] for name in self.logged if math.isfinite(self.last[name])}

    def curves(self) -> Curves:
        """All that is logged over steps."""
        steps = [line["step"] for line in self.history]
        return {name: finite(steps, [line[name] for line in self.history]) for name in self.logged}


def warm_up(learner: Learner, images: Tensor, plan: Training, device: torch.device) -> None:
    """Take a step on a copy, in which a process loads its kernels: no part of what its first training costs."""
    batch = fetched(images, torch.arange(plan.batch) % len(images), device)
    Trainer(copy.deepcopy(learner), replace(plan, captured=False), device).step(batch, 0, 0)
    torch.cuda.synchronize(device)


def learn(
    learner: Learner,
    images: Tensor,
    plan: Training,
    seed: int,
    folder: Path,
    send: Send,
    progress: Progress,
    until: int | None = None,
    rungs: Collection[int] = (),
    score: Callable[[int], None] = lambda step: None,
    ranks: Ranks = ALONE,
) -> Trained:
    """Train from the last checkpoint, or from the start; to the end, or `until` a step, where a checkpoint is left.

    What is left in the `folder` on the way is sent to where the journal is. The averages at the steps `rungs` are left
    too, and `score` is called there, whose time is not the training's. All of these are steps of a report, beyond the
    last checkpoint. Of several `ranks` the first alone leaves anything.
    """
    checkpoint = read_checkpoint(folder)
    if checkpoint.passed_over and ranks.rank == 0:
        line = f"training {folder.name} goes on from step {checkpoint.step}, since {checkpoint.passed_over}"
        print(line, file=sys.stderr)
        forget_damaged(folder)
    last = until or plan.steps
    history = list(checkpoint.history)
    device = next(learner.parameters()).device
    if device.type == "cuda" and device not in WARM:
        WARM.add(device)
        warm_up(learner, images, plan, device)
    measured = reset_peak_memory(device)
    began = saved = told = time.monotonic()
    report: Report | None = None
    with Checkpoints(folder, send) as checkpoints:
        for report in train(learner, images, plan, seed, checkpoint.start, ranks):
            history.append(line_of(report, checkpoint.seconds + time.monotonic() - began))
            if ranks.rank == 0:
                progress(report.step / last)
                if report.finite and report.step in rungs:
                    paused = time.monotonic()
                    # Whoever scores it reads how long it took to get there.
                    took = str(history[-1]["seconds"])
                    write_artifact(folder, average_at(report.step), part(report.state(), "average"), seconds=took)
                    send(average_at(report.step))
                    score(report.step)
                    began += time.monotonic() - paused
                if time.monotonic() - told > HISTORY_SECONDS:
                    checkpoints.tell(history)
                    told = time.monotonic()
                due = report.step == until or time.monotonic() - saved > CHECKPOINT_SECONDS
                if due and report.finite and report.step < plan.steps:
                    checkpoints.save(history, report.state())
                    saved = time.monotonic()
            if report.step == until:
                break
    assert report is not None, "a checkpoint is never of the last step"
    if ranks.rank == 0:
        write_history(folder, history)
    weights = {name: value for name, value in report.state().items() if not name.startswith("optimiser/")}
    return Trained(weights, history, peak_memory(device) if measured else {}, report.remarks)


def run_training(
    cell: Cell,
    stage: TrainingStage,
    encoding: Encoding,
    data: Data,
    folder: Path,
    send: Send,
    device: torch.device,
    progress: Progress,
    score: Callable[[int], None],
    ranks: Ranks = ALONE,
) -> Result:
    """Train the diffusion, which is scored at its rungs; weights are left in weights.safetensors."""
    learner, stored = build(cell, encoding, data, device), stored_of(encoding, data, device)
    learned = learn(
        learner,
        stored,
        cell.training,
        cell.seed,
        folder,
        send,
        progress,
        rungs={rung.step for rung in stage.scored},
        score=score,
        ranks=ranks,
    )
    if ranks.rank == 0:
        write_artifact(folder, WEIGHTS, learned.weights, step=str(learned.last["step"]))
    return training_result(cell, restore(cell, encoding, data, learned.average).to(device), learned, device)


def stored_of(encoding: Encoding, data: Data, device: torch.device) -> Tensor:
    """The training images, or their codes, as they are trained on: on the device if it has room for them."""
    return placed(encoding.store(placed(data.images["train"], device)), device)


def run_rung(
    cell: Cell,
    stage: RungStage,
    encoding: Encoding,
    data: Data,
    folder: Path,
    send: Send,
    own: Path,
    device: torch.device,
    progress: Progress,
) -> Result:
    """Score the averaged network at the rung's step, to which it is trained in the training's `folder` if need be, from
    where its files are sent.

    The first samples that are judged are left in its `own`. A training that is beyond that step already, and whose
    average there was never left, says nothing of it: no metrics. What it cost is the seconds of the training up to
    there, and those of scoring it.
    """
    checkpoint = read_checkpoint(folder)
    kept, seconds = average_at(stage.step), checkpoint.seconds
    if (folder / kept).exists():
        average, words = read_artifact(folder, kept)
        # One of an earlier version does not say what it took.
        seconds = float(words.get("seconds", "nan"))
    elif (folder / "result.json").exists() or checkpoint.step > stage.step:
        return Result("finished", "", {}, {}, {"notes": f"trained beyond step {stage.step} before it was judged there"})
    elif checkpoint.state is not None and checkpoint.step == stage.step:
        average = part(checkpoint.state, "average")
    else:
        learner, stored = build(cell, encoding, data, device), stored_of(encoding, data, device)
        # Left for whoever has to score it again, when the training is beyond it.
        learned = learn(
            learner, stored, cell.training, cell.seed, folder, send, progress, until=stage.step, rungs={stage.step}
        )
        if learned.reason:
            return Result("diverged", learned.reason, {}, {}, {})
        average, seconds = learned.average, learned.last["seconds"]
    averaged = restore(cell, encoding, data, average).to(device).diffusion
    began = time.monotonic()
    if stage.scores == "samples":
        scores = evaluate.deciding_scores(cell, averaged, data, own, progress)
    else:
        scored = replace(cell, evaluation=cell.evaluation.at_rung)
        nll = evaluate.bound_of(scored, averaged, data.images["validation"].to(device)).total.mean()
        scores = {"nll/val": float(nll)}
    bad = [name for name, value in scores.items() if not math.isfinite(value)]
    if bad or not scores:
        return Result("diverged", f"{bad[0] if bad else 'samples'} at step {stage.step}: not finite", {}, {}, {})
    costs = {"cost/train_seconds": seconds, RUNG_SECONDS: time.monotonic() - began}
    return evaluate.finished_with(costs | scores)


def line_of(report: Report, seconds: float) -> dict[str, float]:
    """A report as a line of the history: losses, their standard deviations between steps, the learner's diagnostics."""
    return {
        "step": report.step,
        "seconds": round(seconds, 3),
        **{f"train/{group}": loss for group, loss in report.losses.items()},
        **{f"train/{group}_sd": deviation for group, deviation in report.standard_deviations.items()},
        **report.diagnostics,
    }


def training_result(cell: Cell, averaged: DiffusionLearner, learned: Trained, device: torch.device) -> Result:
    """What a training's history amounts to, and what the choices do, by the averaged learner that is evaluated."""
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


def finite(xs: list[float], ys: list[float]) -> tuple[list[float], list[float]]:
    """The points of a curve that a figure can show."""
    points = [(x, y) for x, y in zip(xs, ys, strict=True) if math.isfinite(y)]
    return [x for x, _ in points], [y for _, y in points]


def notes(cell: Cell, learned: Trained) -> dict[str, str]:
    """What is to be remarked of a training, a line each: that an importance sampler drew uniform t to the end, say."""
    lines = [*learned.remarks]
    warm = learned.last.get("timesteps/warm", 1.0)
    if warm < 1 and isinstance(cell.timesteps, Importance):
        share = f"{math.floor(100 * warm)} % of t have their {cell.timesteps.history} losses"
        lines.append(f"importance sampler still warming up: {share}")
    return {"notes": "\n".join(lines)} if lines else {}
