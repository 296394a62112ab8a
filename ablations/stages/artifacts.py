"""Files that a stage leaves beside its result, and functions that read them: tensors in a form that cannot run code.

Each names its stage and bears a digest of its tensors: what is read is what that stage wrote, or refused as damaged.

autoencoder      weights.safetensors, metrics.jsonl
training, guide  weights.safetensors, metrics.jsonl; at its rungs average-<step>.safetensors, or where
                 these leave its trunk fork-<step>.safetensors; where it is to keep them,
                 snapshot-<step>.safetensors; while it runs, checkpoint.safetensors, and the one before it
fit              fit.safetensors
guidance         candidates.safetensors
bound            bound.safetensors and, where asked for, continuous.safetensors, ode.safetensors, iwae.safetensors,
                 looseness.safetensors; of a network that is told labels unlabelled.safetensors
samples          samples.safetensors; of a training on its way, the first of them
reconstruction   reconstructions.safetensors
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from ablations.data.tensors import read_tensors, write_tensors
from ablations.engine.files import AVERAGE, BEFORE, CHECKPOINT, DIGEST, FORK, STAGE, Damaged
from ablations.engine.journal import Curves
from analysis.files import write_text

WEIGHTS = "weights.safetensors"
"""Weights of a diffusion or of an autoencoder: the learner's, and their average."""
HISTORY = "metrics.jsonl"
"""One line per report of a training, for whoever watches it."""
CLOCK = "cost/clock"
"""The curve of the times, in seconds since 1970, at which a training reached its steps; it began at step 0."""
FIT = "fit.safetensors"
"""The moments of the network, per t, that a fitted variance reads, and the terms of all steps that a fitted spacing
reads."""
MOMENTS = ("noise", "noise_se", "error", "alpha_bar", "data")
TERMS = "terms"
SAMPLES = "samples.safetensors"
"""All generated sets, one after the other."""
SHOWN = 12
"""The number of test images whose reconstructions are kept, and of samples kept of a training on its way."""
GUIDE = "guide.safetensors"
"""In a model of a cell, the weights of the network that guides it."""
CANDIDATES = "candidates.safetensors"
"""The scores of the scales of guidance that were tried so far, in order."""
RECONSTRUCTIONS = "reconstructions.safetensors"
"""The first test images, and their reconstructions by an autoencoder."""

PER_IMAGE = {
    "nll/test": "bound.safetensors",
    "nll_continuous/test": "continuous.safetensors",
    "nll_ode/test": "ode.safetensors",
    "nll_iwae/test": "iwae.safetensors",
    "looseness/test": "looseness.safetensors",
    "nll_unlabelled/test": "unlabelled.safetensors",
}
"""Metric → the file with its values per image, whose mean it is."""


def average_at(step: int) -> str:
    """The file of a training's averaged weights at a step."""
    return f"{AVERAGE}{step}.safetensors"


def snapshot_at(step: int) -> str:
    """The file with a training's averages at a step, from which averages of other widths are reconstructed."""
    return f"snapshot-{step}.safetensors"


def write_artifact(folder: Path, name: str, tensors: dict[str, Tensor], **words: str) -> None:
    """Write tensors into a stage's folder, which bears its id, with a few words about them."""
    write_tensors(folder / name, tensors, **{STAGE: folder.name}, **words)


def read_artifact(folder: Path, name: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and words that a stage wrote by `write_artifact`; Damaged where the file is not that."""
    tensors, words = read_tensors(folder / name)
    if words.get(STAGE, folder.name) != folder.name:
        raise Damaged(folder / name, f"was left by another stage, {words[STAGE]}")
    return tensors, words


@dataclass(frozen=True)
class Checkpoint:
    """A training on its way: its step, its state, its reports up to there, and the damaged checkpoints that were
    `passed_over`."""

    step: int = 0
    state: dict[str, Tensor] | None = None
    history: tuple[dict[str, float], ...] = ()
    passed_over: str = ""

    @property
    def start(self) -> tuple[int, dict[str, Tensor]] | None:
        """The step and the state to continue from; None for the beginning."""
        return None if self.state is None else (self.step, self.state)

    @property
    def seconds(self) -> float:
        """The seconds of training up to there."""
        return self.history[-1]["seconds"] if self.history else 0.0


def fork_at(step: int) -> str:
    """The file of a training's whole state at a step, from which shorter trainings continue."""
    return f"{FORK}{step}.safetensors"


def write_fork(folder: Path, history: list[dict[str, float]], state: dict[str, Tensor]) -> None:
    """Write the state at the last report, with all reports, for shorter trainings that continue from it."""
    write_artifact(folder, fork_at(int(history[-1]["step"])), state, history=json.dumps(history))


def read_fork(folder: Path, step: int) -> tuple[dict[str, Tensor], list[dict[str, float]]]:
    """The state at a fork, and the reports up to it; Damaged where the file is not whole."""
    state, words = read_artifact(folder, fork_at(step))
    return state, json.loads(words["history"])


def write_checkpoint(folder: Path, history: list[dict[str, float]], state: dict[str, Tensor]) -> None:
    """Write the state at the last report, with all reports; the checkpoint before it is kept."""
    path = folder / CHECKPOINT
    if path.exists():
        path.replace(folder / BEFORE)
    write_artifact(folder, CHECKPOINT, state, history=json.dumps(history))


def read_checkpoint(folder: Path, snapshots: Sequence[int] = ()) -> Checkpoint:
    """The last checkpoint that is whole, and whose earlier `snapshots` are whole too; else the beginning."""
    damaged: list[str] = []
    for name in (CHECKPOINT, BEFORE):
        if not (folder / name).exists():
            continue
        try:
            tensors, words = read_artifact(folder, name)
            history = tuple(json.loads(words["history"]))
            step = int(history[-1]["step"])
            for mark in (mark for mark in snapshots if mark <= step):
                read_artifact(folder, snapshot_at(mark))
            return Checkpoint(step, tensors, history, "; ".join(damaged))
        except Damaged as error:
            damaged.append(error.what)
        except (KeyError, ValueError):
            damaged.append(f"{name} is of an earlier version")
    return Checkpoint(passed_over="; ".join(damaged))


def forget_damaged(folder: Path) -> None:
    """Delete the last checkpoint, which was passed over as damaged: else it would replace the whole one before it."""
    (folder / CHECKPOINT).unlink(missing_ok=True)


def write_history(folder: Path, history: list[dict[str, float]]) -> None:
    """The reports of a training, a line each, and a digest of them."""
    lines = "".join(json.dumps(line) + "\n" for line in history)
    write_text(folder / HISTORY, f"{lines}{json.dumps({DIGEST: _digest_of(lines)})}\n")


def read_history(folder: Path) -> list[dict[str, float]]:
    """The reports so far, for whoever watches; where they are damaged, those of the last checkpoint."""
    try:
        return _reports((folder / HISTORY).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except ValueError:
        return list(read_checkpoint(folder).history)


def clock_of(history: Sequence[dict[str, float]]) -> Curves:
    """The clock of a training from its reports; none where an earlier version wrote them without times. It stands still
    while the training is stopped, and while it is scored on its way."""
    if not history or "time" not in history[0]:
        return {}
    began = history[0]["time"] - history[0]["seconds"]
    steps, seconds = ([line[name] for line in history] for name in ("step", "seconds"))
    return {CLOCK: ([0.0, *steps], [round(began + took, 3) for took in (0.0, *seconds)])}


def _reports(text: str) -> list[dict[str, float]]:
    """The reports that a text holds, a line each; ValueError where it is damaged."""
    lines = text.splitlines(keepends=True)
    reports = [json.loads(line) for line in lines]
    if not all(isinstance(report, dict) for report in reports):
        raise ValueError("a line is no report")
    # Earlier versions left no digest.
    if reports and DIGEST in reports[-1] and reports.pop()[DIGEST] != _digest_of("".join(lines[:-1])):
        raise ValueError("altered since it was written")
    if not all("step" in report and all(isinstance(v, (int, float)) for v in report.values()) for report in reports):
        raise ValueError("a report is not one of numbers")
    return reports


def _digest_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
