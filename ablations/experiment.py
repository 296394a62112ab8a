"""One stage in a worker, from the files it needs to the files it leaves. No tracking here.

training    stored data ─▶ weights (learner and average), curves
fit         weights ─▶ what a fitted variance reads of the network, per t
bound       weights, fit ─▶ the bound per image, its split and its terms per t; likelihoods in continuous time
samples     weights, fit ─▶ generated sets and what they score
floor       held-out images ─▶ what real images score where generated ones are judged

Training is here; what a trained network scores is in `scoring.py`.
"""

from __future__ import annotations

import math
import platform
import time
import traceback
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import Tensor

from ablations import scoring, stages
from ablations.cell import Cell
from ablations.costs import forward_flops, peak_memory, reset_peak_memory, train_flops
from ablations.data import Data
from ablations.journal import (
    Curves,
    Journal,
    Result,
    locked,
    read_checkpoint,
    read_history,
    read_tensors,
    write_checkpoint,
    write_history,
    write_json,
    write_tensors,
)
from ablations.scoring import Progress
from ablations.version import code_version
from analysis.errors import InputError
from diffusion_core.diffusion import Diffusion
from diffusion_core.precision import resolve_precision
from diffusion_core.timesteps import Importance
from diffusion_core.training import Report, part, train
from diffusion_core.variances import Fitted

CHECKPOINT_SECONDS = 20.0
PROGRESS_SECONDS = 0.3

WEIGHTS = "weights.safetensors"
"""The file that a training leaves."""


def perform(stage: stages.Stage, root: str, device: str) -> str:
    """Run a stage unless it has its result; "finished", "diverged" or "failed" (with its traceback in the journal)."""
    journal = Journal(Path(root))
    folder = journal.folder(stage.id)
    with locked(folder / "lock", wait=True):
        known = journal.result(stage.id)
        if known is not None:
            return known.status
        try:
            here = claim(device, stage.cell.threads)
            result = _run(stage, journal, here)
            known_by = {"device": device_name(here), "code": code_version()}
            result = replace(result, facts={**known_by, **result.facts})
            write_json(folder / "result.json", asdict(result))
        except Exception as error:
            trace = traceback.format_exc()
            journal.write_status(stage.id, "failed", f"{type(error).__name__}: {error}\n{trace}")
            return "failed"
        for name in ("status.json", "checkpoint.safetensors"):
            (folder / name).unlink(missing_ok=True)
        return result.status


def claim(device: str, threads: int) -> torch.device:
    """Make this process use that device and so many threads."""
    torch.set_num_threads(threads)
    if device.startswith("cuda"):
        torch.cuda.set_device(device)
        torch.backends.cudnn.deterministic = True
    return torch.device(device)


def _run(stage: stages.Stage, journal: Journal, device: torch.device) -> Result:
    cell, folder = stage.cell, journal.folder(stage.id)
    data = cell.data.load()
    progress = progress_writer(folder)
    if isinstance(stage, stages.TrainingStage):
        return run_training(cell, stage.id, data, folder, device, progress)
    if isinstance(stage, stages.FloorStage):
        return scoring.run_floor(cell, data, device)
    weights = journal.folder(stage.training) / WEIGHTS
    if isinstance(stage, stages.FitStage):
        return scoring.run_fit(cell, load_trained(cell, data, weights, device), data, folder, progress)
    fit = journal.folder(stage.fit) / scoring.FIT if stage.fit else None
    diffusion = load_trained(cell, data, weights, device, fit)
    if isinstance(stage, stages.BoundStage):
        return scoring.run_bound(cell, stage.split, diffusion, data, folder, progress)
    return scoring.run_samples(cell, stage.split, diffusion, data, folder, progress)


def progress_writer(folder: Path) -> Progress:
    """A function that leaves the share done in `folder`, a few times a second at most."""
    last = 0.0

    def write(share: float) -> None:
        nonlocal last
        if time.monotonic() - last > PROGRESS_SECONDS:
            last = time.monotonic()
            (folder / "progress").write_text(f"{share:.4f}")

    return write


def build(cell: Cell, data: Data, device: torch.device) -> Diffusion:
    """The cell's diffusion with its seed's initial weights."""
    diffusion = Diffusion(cell.choices, data.space, data.shape)
    diffusion.initialise(cell.seed)
    return diffusion.to(device)


def restore(cell: Cell, data: Data, average: dict[str, Tensor]) -> Diffusion:
    """The cell's diffusion with the averaged weights; ValueError where they are not this cell's."""
    diffusion = Diffusion(cell.choices, data.space, data.shape)
    try:
        diffusion.load_state_dict(average)
    except RuntimeError as error:
        raise ValueError(str(error).splitlines()[0]) from error
    return diffusion.eval()


def load_trained(cell: Cell, data: Data, weights: Path, device: torch.device, fit: Path | None = None) -> Diffusion:
    """The cell's diffusion as a finished training left it, and a fit if given; InputError for a foreign file."""
    tensors, _ = read_tensors(weights)
    try:
        diffusion = restore(cell, data, part(tensors, "average"))
    except ValueError as error:
        raise InputError(f"{weights} does not hold the weights of this cell: {error}") from error
    if fit is not None:
        assert isinstance(cell.variance, Fitted), "a fit is of a fitted variance"
        moments, _ = read_tensors(fit)
        diffusion.fit(cell.variance.m(moments["norm"], moments["error"]))
    return diffusion.to(device)


def run_training(
    cell: Cell, stage_id: str, data: Data, folder: Path, device: torch.device, progress: Progress
) -> Result:
    """Train from the last checkpoint, or from the start; weights are left in weights.safetensors."""
    diffusion = build(cell, data, device)
    start, before = read_checkpoint(folder, stage_id)
    history = read_history(folder, start[0] if start else 0)
    measured = reset_peak_memory(device)
    began = saved = time.monotonic()
    report: Report | None = None
    for report in train(diffusion, data.images["train"].to(device), cell.training, cell.seed, start):
        history.append(line_of(report, before + time.monotonic() - began))
        progress(report.step / cell.training.steps)
        if not report.finite:
            break
        if time.monotonic() - saved > CHECKPOINT_SECONDS and report.step < cell.training.steps:
            write_checkpoint(folder, stage_id, history, report.state())
            saved = time.monotonic()
    assert report is not None, "a checkpoint is never of the last step"
    write_history(folder, history)
    weights = {name: value for name, value in report.state().items() if not name.startswith("optimiser/")}
    write_tensors(folder / WEIGHTS, weights, stage=stage_id, step=str(report.step))
    memory = peak_memory(device) if measured else {}
    return training_result(cell, restore(cell, data, part(weights, "average")), history, memory, device)


def line_of(report: Report, seconds: float) -> dict[str, float]:
    """A report as a line of the history: the losses, their spread between steps, and what the learner is watched by."""
    return {
        "step": report.step,
        "seconds": round(seconds, 3),
        **{f"train/{group}": loss for group, loss in report.losses.items()},
        **{f"train/{group}_sd": spread for group, spread in report.spreads.items()},
        **report.watched,
    }


def training_result(
    cell: Cell, averaged: Diffusion, history: list[dict[str, float]], memory: dict[str, float], device: torch.device
) -> Result:
    """What a training's history amounts to, and what the choices do, by the averaged learner that is evaluated."""
    last = history[-1]
    logged = [name for name in last if name not in ("step", "seconds")]
    losses = [name for name in logged if name.startswith("train/") and not name.endswith("_sd")]
    bad = [name.removeprefix("train/") for name in losses if not math.isfinite(last[name])]
    images, flops = last["step"] * cell.training.batch, float(forward_flops(averaged))
    shape = averaged.curves()
    metrics = {
        **{name: last[name] for name in logged if math.isfinite(last[name])},
        "cost/train_seconds": last["seconds"],
        "cost/images_per_second": images / max(last["seconds"], 1e-9),
        "cost/flops_per_image": flops,
        "cost/train_flops": train_flops(cell, flops, images),
        "cost/parameters": float(sum(p.numel() for p in averaged.network.parameters())),
        "noise/beta_max": float(shape["beta"].max()),
        **memory,
    }
    t = [float(t) for t in range(1, cell.horizon + 1)]
    curves: Curves = {name: finite(t, values.tolist()) for name, values in shape.items()}
    curves |= {name: finite([line["step"] for line in history], [line[name] for line in history]) for name in logged}
    return Result(
        status="diverged" if bad else "finished",
        reason=f"the {bad[0]} loss was not finite by step {last['step']:.0f}" if bad else "",
        metrics=metrics,
        curves=curves,
        facts={"precision": resolve_precision(cell.training.precision, device), **still_cold(cell, last)},
    )


def finite(xs: list[float], ys: list[float]) -> tuple[list[float], list[float]]:
    """The points of a curve that a figure can show."""
    points = [(x, y) for x, y in zip(xs, ys, strict=True) if math.isfinite(y)]
    return [x for x, _ in points], [y for _, y in points]


def still_cold(cell: Cell, last: dict[str, float]) -> dict[str, str]:
    """A note where an importance sampler drew uniform t to the end."""
    warm = last.get("timesteps/warm", 1.0)
    if warm >= 1 or not isinstance(cell.timesteps, Importance):
        return {}
    share = f"{math.floor(100 * warm)} % of t have their {cell.timesteps.history} losses"
    return {"notes": f"importance sampler still warming up: {share}"}


def device_name(device: torch.device) -> str:
    """The card's name, or the processor's."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu ({platform.machine()})"
