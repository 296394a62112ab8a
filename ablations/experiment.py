"""One stage in a worker, from the files it needs to the files it leaves. No tracking here.

training    stored data ─▶ weights (learner and average), curves
evaluation  weights ─▶ bound per image, its split and its terms per t; generated sets and what they score
floor       held-out images ─▶ what real images score where generated ones are judged
"""

from __future__ import annotations

import math
import platform
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from ablations import extractors, quality, stages
from ablations.cell import Cell
from ablations.data import Data
from ablations.journal import (
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
from analysis.errors import InputError
from diffusion_core.diffusion import Diffusion
from diffusion_core.likelihood import bound
from diffusion_core.precision import resolve_precision
from diffusion_core.training import Report, part, train

CHECKPOINT_SECONDS = 20.0
PROGRESS_SECONDS = 0.3

SHORT = {"validation": "val", "test": "test"}
"""Splits as metric names spell them."""

Progress = Callable[[float], None]
Curves = dict[str, tuple[list[float], list[float]]]


def perform(stage: stages.Stage, root: str, device: str) -> str:
    """Run a stage unless it has its result; "finished", "diverged" or "failed" (with its traceback in the journal)."""
    journal = Journal(Path(root))
    folder = journal.folder(stage.id)
    with locked(folder / "lock", wait=True):
        known = journal.result(stage.id)
        if known is not None:
            return known.status
        try:
            result = _run(stage, journal, claim(device, stage.cell.threads))
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
        torch.cuda.reset_peak_memory_stats(device)
        torch.backends.cudnn.deterministic = True
    return torch.device(device)


def _run(stage: stages.Stage, journal: Journal, device: torch.device) -> Result:
    data = stage.cell.data.load()
    progress = progress_writer(journal.folder(stage.id))
    if isinstance(stage, stages.TrainingStage):
        return run_training(stage.cell, stage.id, data, journal.folder(stage.id), device, progress)
    if isinstance(stage, stages.EvaluationStage):
        return run_evaluation(stage, data, journal, device, progress)
    return run_floor(stage.cell, data, device)


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


def load_trained(cell: Cell, data: Data, path: Path, device: torch.device) -> Diffusion:
    """The cell's diffusion with the averaged weights of a finished training; InputError for a foreign file."""
    tensors, _ = read_tensors(path)
    diffusion = Diffusion(cell.choices, data.space, data.shape)
    try:
        diffusion.load_state_dict(part(tensors, "average"))
    except (ValueError, RuntimeError) as error:
        raise InputError(f"{path} does not hold the weights of this cell: {str(error).splitlines()[0]}") from error
    return diffusion.to(device).eval()


def run_training(
    cell: Cell, stage_id: str, data: Data, folder: Path, device: torch.device, progress: Progress
) -> Result:
    """Train from the last checkpoint, or from the start; weights are left in weights.safetensors."""
    diffusion = build(cell, data, device)
    start, before = read_checkpoint(folder, stage_id)
    history = read_history(folder, start[0] if start else 0)
    began = saved = time.monotonic()
    report: Report | None = None
    for report in train(diffusion, data.images["train"].to(device), cell.training, cell.seed, start):
        seconds = before + time.monotonic() - began
        history.append({"step": report.step, "seconds": round(seconds, 3), **report.losses})
        progress(report.step / cell.training.steps)
        if not report.finite:
            break
        if time.monotonic() - saved > CHECKPOINT_SECONDS and report.step < cell.training.steps:
            write_checkpoint(folder, stage_id, history, report.state())
            saved = time.monotonic()
    write_history(folder, history)
    if report is not None:
        weights = {name: value for name, value in report.state().items() if not name.startswith("optimiser/")}
        write_tensors(folder / "weights.safetensors", weights, stage=stage_id, step=str(report.step))
    return training_result(cell, diffusion, history, device)


def training_result(cell: Cell, diffusion: Diffusion, history: list[dict[str, float]], device: torch.device) -> Result:
    """What a training's history amounts to."""
    last = history[-1]
    losses = [group for group in last if group not in ("step", "seconds")]
    bad = [group for group in losses if not math.isfinite(last[group])]
    seconds = last["seconds"]
    metrics = {
        **{f"train/{group}": last[group] for group in losses if group not in bad},
        "cost/train_seconds": seconds,
        "cost/images_per_second": last["step"] * cell.training.batch / max(seconds, 1e-9),
        "cost/flops_per_image": float(forward_flops(diffusion)),
        "cost/parameters": float(sum(p.numel() for p in diffusion.network.parameters())),
    }
    if device.type == "cuda":
        metrics["cost/peak_memory_bytes"] = float(torch.cuda.max_memory_allocated(device))
    t = [float(t) for t in range(1, cell.horizon + 1)]
    curves: Curves = {name: (t, values.tolist()) for name, values in diffusion.curves().items()}
    for group in losses:
        points = [(line["step"], line[group]) for line in history if math.isfinite(line[group])]
        curves[f"train/{group}"] = ([x for x, _ in points], [y for _, y in points])
    return Result(
        status="diverged" if bad else "finished",
        reason=f"the {bad[0]} loss was not finite by step {last['step']:.0f}" if bad else "",
        metrics=metrics,
        curves=curves,
        facts={"device": device_name(device), "precision": resolve_precision(cell.training.precision, device)},
    )


def run_evaluation(
    stage: stages.EvaluationStage, data: Data, journal: Journal, device: torch.device, progress: Progress
) -> Result:
    """The bound on the split's data, and what generated sets score where the cell asks for it."""
    cell, folder = stage.cell, journal.folder(stage.id)
    diffusion = load_trained(cell, data, journal.folder(stage.training) / "weights.safetensors", device)
    plan = cell.evaluation
    began = time.monotonic()
    scored = bound(
        diffusion,
        data.images[stage.split].to(device),
        exact=plan.exact,
        strata=plan.strata,
        seed=plan.seed,
        clip=plan.clip,
        steps=plan.horizon,
    )
    write_tensors(folder / "bound.safetensors", {"L0": scored.L0, "Lt": scored.Lt, "LT": scored.LT})
    name = SHORT[stage.split]
    means = {"": scored.total, "_L0": scored.L0, "_Lt": scored.Lt, "_LT": scored.LT}
    metrics = {f"nll/{name}{suffix}": float(value.mean()) for suffix, value in means.items()}
    metrics |= {f"nll/{name}_se": scored.standard_error, "cost/bound_seconds": time.monotonic() - began}
    reason = divergence(metrics[f"nll/{name}"], data.space.uniform_bits)
    if not reason and stage.split in plan.quality:
        judged, reason = judge_samples(cell, stage, data, diffusion, folder, progress)
        metrics |= judged
    k = [float(k) for k in range(1, len(scored.per_step) + 1)]
    return Result(
        status="diverged" if reason else "finished",
        reason=reason,
        metrics={key: value for key, value in metrics.items() if math.isfinite(value)},
        curves={f"bound_per_t/{name}": (k, scored.per_step.tolist())},
        facts={"device": device_name(device)},
    )


def divergence(nll: float, uniform_bits: float | None) -> str:
    """Why a bound counts as diverged, by the rule declared beforehand; empty if it does not."""
    if not math.isfinite(nll):
        return "the bound is not finite"
    if uniform_bits is not None and nll > 2 * uniform_bits:
        return f"the bound, {nll:.2f} bits/dim, is above twice the uniform code's {uniform_bits:.2f}"
    return ""


def judge_samples(
    cell: Cell, stage: stages.EvaluationStage, data: Data, diffusion: Diffusion, folder: Path, progress: Progress
) -> tuple[dict[str, float], str]:
    """Draw the generated sets, keep them, and score them against training images (test) or validation images.

    The second value says why the cell diverged, if it did.
    """
    began = time.monotonic()
    n = len(data.images[stage.split])
    samples = draw_samples(cell, diffusion, data, n * cell.evaluation.sets, progress)
    if samples is None:
        return {}, "the samples are not finite"
    seconds = time.monotonic() - began
    write_tensors(folder / "samples.safetensors", {"samples": samples})
    metrics = {"cost/sample_seconds": seconds}
    sets = list(torch.split(samples, n))
    if cell.data.extractor is None:
        return metrics | quality.points_quality(sets, data.images[stage.split], SHORT[stage.split]), ""
    extractor = extractors.load(cell.data.extractor)
    if stage.split == "test":
        reference = quality.Reference.of(data.images["train"].to(diffusion.device), extractor)
        held_out = data.images["test"].to(diffusion.device)
        return metrics | quality.quality(sets, reference, extractor, "train", held_out), ""
    reference = quality.Reference.of(data.images["validation"].to(diffusion.device), extractor)
    return metrics | quality.quality(sets, reference, extractor, SHORT[stage.split], None), ""


def draw_samples(cell: Cell, diffusion: Diffusion, data: Data, n: int, progress: Progress) -> Tensor | None:
    """n samples as stored values, by the cell's sampler and seed; None where they are not finite."""
    x = cell.sampler.sample(diffusion, n, seed=cell.seed, clip=cell.evaluation.clip, progress=progress)
    return data.space.decode(x) if bool(x.isfinite().all()) else None


def run_floor(cell: Cell, data: Data, device: torch.device) -> Result:
    """What held-out data score against the training set."""
    held_out = [data.images["validation"], data.images["test"]]
    if cell.data.extractor is None:
        metrics = quality.points_quality([data.images["validation"]], data.images["test"], "test")
        return Result("finished", "", metrics, {}, {})
    extractor = extractors.load(cell.data.extractor)
    reference = quality.Reference.of(data.images["train"].to(device), extractor)
    metrics = quality.floors([images.to(device) for images in held_out], reference, extractor)
    facts = {"extractor": extractor.name, "digest": extractor.digest}
    if extractor.accuracy is not None:
        facts["accuracy"] = str(extractor.accuracy)
    return Result("finished", "", metrics, {}, facts)


def forward_flops(diffusion: Diffusion) -> int:
    """Floating-point operations of one forward pass of one example."""
    from torch.utils.flop_counter import FlopCounterMode

    x = torch.zeros(1, *diffusion.shape, device=diffusion.device)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        diffusion.output(x, torch.ones(1, dtype=torch.int64, device=diffusion.device))
    return int(counter.get_total_flops())


def device_name(device: torch.device) -> str:
    """The card's name, or the processor's."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu ({platform.machine()})"
