"""One stage in a worker, from the files it needs to the files it leaves. No tracking here.

autoencoder      stored images ─▶ weights, the scale of its codes
training         stored images, or their codes ─▶ weights (learner and average), curves
rung             a training's average at a step, or all that leads to it ─▶ what it scores there
fit              weights ─▶ what a fitted variance reads of the network, per t; what a fitted spacing does
bound            weights, fit ─▶ the bound per image, its split and its terms per t; likelihoods in continuous time
samples          weights, fit ─▶ generated sets and what they score
reconstruction   autoencoder ─▶ reconstructed test images and what they score
metric           generated sets ─▶ what they score by one more metric
floor            held-out images ─▶ what real images score where generated ones are judged

What trains is in `train` and `train_autoencoder`, what evaluates a trained network in `evaluate`. A worker holds the
lease of its stage's folder meanwhile (`stages.lease`), and leaves nothing there once it has lost it. Where the journal
is on an object store, it has what the stage left so far brought here first, and delivers what it leaves.
"""

from __future__ import annotations

import platform
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial

import torch

from ablations.data.base import Data
from ablations.stages.artifacts import BEFORE, CHECKPOINT, HISTORY, SAMPLES, Damaged, average_at, forget_checkpoints
from ablations.stages.journal import DAMAGED, RESULT, Failure, Journal, Result
from ablations.stages.kinds import (
    AutoencoderStage,
    BoundStage,
    FitStage,
    FloorStage,
    MetricStage,
    ReconstructionStage,
    RungStage,
    Stage,
    TrainingStage,
)
from ablations.stages.lease import ELSEWHERE, Elsewhere, Lease, LeaseLost, leased
from ablations.stages.opening import journal_at
from ablations.stages.version import code_version
from ablations.workers import evaluate, train
from ablations.workers.progress import Progress, progress_writer
from ablations.workers.restore import load, load_encoding, load_learner
from ablations.workers.together import devices_of, perform_together, shared
from ablations.workers.train_autoencoder import run_autoencoder
from diffusion_core.ranks import ALONE, Ranks


def perform(stage: Stage, address: str, device: str) -> str:
    """Run a stage unless it has its result; "finished", "diverged" or "failed" (with its traceback in the journal),
    "damaged" where what it needs is, and now has no result any more, or "elsewhere" where another process runs it, or
    what it needs for itself. The `address` is the journal's."""
    journal = journal_at(address)
    with leased(journal.shelf(stage.id)) as lease:
        if lease is None:
            return ELSEWHERE
        try:
            return _performed(stage, journal, device, lease)
        except LeaseLost as lost:
            print(f"{stage.kind} {stage.id} was stopped here: {lost}", file=sys.stderr)
            return ELSEWHERE
        except Elsewhere:
            return ELSEWHERE


def _performed(stage: Stage, journal: Journal, device: str, lease: Lease) -> str:
    """What becomes of a stage that is ours; Elsewhere where it is not, or no longer."""
    known = journal.result(stage.id)
    if known is not None:
        return known.status
    try:
        journal.bring(stage.id)
        if shared(stage, device):
            perform_together(stage, journal, device, lease)
        else:
            perform_share(stage, journal, claim(devices_of(device)[0], stage.cell.threads), lease)
    except Elsewhere:
        raise
    except Damaged as error:
        lease.check()
        journal.forget_result(error.folder.name)
        journal.write_failure(stage.id, Failure.of(error, ""))
        return DAMAGED
    except Exception as error:
        lease.check()
        journal.write_failure(stage.id, Failure.of(error, traceback.format_exc()))
        return "failed"
    ended = journal.result(stage.id)
    if ended is None:
        # One of several processes has said why.
        return "failed"
    journal.forget_failure(stage.id)
    forget_checkpoints(journal.folder(stage.id))
    journal.discard(stage.id, CHECKPOINT)
    return ended.status


def perform_share(stage: Stage, journal: Journal, device: torch.device, lease: Lease, ranks: Ranks = ALONE) -> None:
    """Run a stage, or this rank's share of it; the first rank leaves its result, unless its worker lost the stage."""
    result = _run(stage, journal, device, lease, ranks)
    if ranks.rank == 0:
        lease.check()
        journal.leave(stage.id)
        # It may have taken a while.
        lease.check()
        name = device_name(device)
        made_by = {"device": name if ranks.world == 1 else f"{ranks.world} × {name}", "code": code_version()}
        journal.write_result(stage.id, replace(result, metadata={**made_by, **result.metadata}))


def answers(device: str) -> bool:
    """Whether devices still do what they are told, which a GPU does not after an error of its own."""
    try:
        for one in devices_of(device):
            if one.startswith("cuda"):
                torch.cuda.synchronize(one)
    except RuntimeError:
        return False
    return True


def claim(device: str, threads: int) -> torch.device:
    """Make this process use that device and so many threads."""
    torch.set_num_threads(threads)
    return pinned(device)


def pinned(device: str) -> torch.device:
    """The device, which is this process's own if it is a GPU: no other is opened, and kernels repeat their numbers."""
    if device.startswith("cuda"):
        torch.cuda.set_device(device)
        torch.backends.cudnn.deterministic = True
    return torch.device(device)


def _run(stage: Stage, journal: Journal, device: torch.device, lease: Lease, ranks: Ranks) -> Result:
    cell, folder = stage.cell, journal.folder(stage.id)
    data = cell.data.load()
    progress, send = progress_writer(journal, stage.id, lease), partial(journal.leave, stage.id)
    if isinstance(stage, FloorStage):
        return evaluate.run_floor(cell, stage.metric, data, device)
    if isinstance(stage, MetricStage):
        return evaluate.run_metric(
            cell, stage.split, stage.metric, data, journal.holding(stage.samples, SAMPLES), device
        )
    if isinstance(stage, AutoencoderStage):
        return run_autoencoder(cell, data, folder, send, device, progress, ranks)
    if isinstance(stage, (TrainingStage, ReconstructionStage)):
        encoding = load_encoding(cell, data, journal, stage.autoencoder, device)
        if isinstance(stage, TrainingStage):

            def score(step: int) -> None:
                for rung in stage.scored:
                    if rung.step == step:
                        perform(rung, journal.address, str(device))

            return train.run_training(cell, stage, encoding, data, folder, send, device, progress, score, ranks)
        return evaluate.run_reconstruction(cell, encoding, data, folder, device)
    if isinstance(stage, RungStage):
        return _run_rung(stage, journal, data, device, lease, progress)
    if isinstance(stage, FitStage):
        return evaluate.run_fit(
            cell, load_learner(cell, data, journal, stage.parts, device).diffusion, data, folder, progress
        )
    if isinstance(stage, BoundStage):
        learner = load_learner(cell, data, journal, stage.parts, device) if cell.horizon else None
        model = learner.diffusion if learner else load(cell, data, journal, stage.parts, device)
        timesteps = learner.timesteps if learner else None
        return evaluate.run_bound(cell, stage.split, model, timesteps, data, folder, progress)
    return evaluate.run_samples(stage, load(cell, data, journal, stage.parts, device), data, folder, progress)


def _run_rung(
    stage: RungStage, journal: Journal, data: Data, device: torch.device, lease: Lease, progress: Progress
) -> Result:
    """Score a training at a step, by the average that it has left there; where there is none, by training it so far,
    for which its folder is held."""
    training, kept = stage.training.id, average_at(stage.step)
    encoding = load_encoding(stage.cell, data, journal, stage.training.autoencoder, device)
    left = training in stage.needs or journal.has(training, kept)
    with nullcontext(lease) if left else _held(journal, training):
        journal.bring(training, *([kept, HISTORY, RESULT] if left else []))
        place, leave, own = journal.folder(training), partial(journal.leave, training), journal.folder(stage.id)
        try:
            return train.run_rung(stage.cell, stage, encoding, data, place, leave, own, device, progress)
        except Damaged:
            if training not in stage.needs:
                # An average is made anew by a training that passes its step again: from before it, for which nothing
                # of what lies beyond may be left.
                with _held(journal, training) if left else nullcontext():
                    for name in (kept, CHECKPOINT, BEFORE):
                        journal.discard(training, name)
            raise


@contextmanager
def _held(journal: Journal, training: str) -> Iterator[None]:
    """Hold a training's folder; Elsewhere where another process does."""
    with leased(journal.shelf(training)) as held:
        if held is None:
            raise Elsewhere(f"training {training} is run by another process")
        yield


def device_name(device: torch.device) -> str:
    """The card's name, or the processor's."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu ({platform.machine()})"
