"""Files that a stage leaves beside its result, and functions that read them: tensors in a form that cannot run code.

Each names its stage and bears a digest of its tensors: what is read is what that stage wrote, or refused as damaged.

autoencoder      weights.safetensors (the learner's, and their average), metrics.jsonl (a line per report)
training, guide  the same; where it is to keep them, snapshot-<step>.safetensors; if it is continued, state.safetensors
                 until then; while it runs, checkpoint.safetensors
fit              fit.safetensors
bound            bound.safetensors, and a file of each further likelihood (`PER_IMAGE`)
samples          samples.safetensors: all sets, one after the other; at a rung, the first of them
bound, samples   while they run, checkpoint.safetensors: the pieces that are done
share            pieces.safetensors: some of the pieces of a bound or of samples
reconstruction   reconstructions.safetensors
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from torch import Tensor

from ablations.data.tensors import read_tensors, write_tensors
from ablations.engine.journal import CHECKPOINT, STAGE, Damaged
from analysis.files import write_text

WEIGHTS, HISTORY, FIT = "weights.safetensors", "metrics.jsonl", "fit.safetensors"
SAMPLES, PIECES, RECONSTRUCTIONS = "samples.safetensors", "pieces.safetensors", "reconstructions.safetensors"
MOMENTS, TERMS = ("noise", "noise_se", "error", "alpha_bar", "data"), "terms"
"""The moments of the network, per t, that a fitted variance reads, and the terms of all steps for a fitted spacing."""
SHOWN = 12
"""The number of test images whose reconstructions are kept, and of samples kept at a rung."""
PER_IMAGE = {
    "nll/test": "bound.safetensors",
    "nll_continuous/test": "continuous.safetensors",
    "nll_ode/test": "ode.safetensors",
    "nll_iwae/test": "iwae.safetensors",
    "looseness/test": "looseness.safetensors",
    "nll_unlabelled/test": "unlabelled.safetensors",
}
"""Metric → the file with its values per image, whose mean it is."""

CHECKPOINT_SECONDS = 20.0
"""Seconds between two checkpoints, at least."""

History = list[dict[str, float]]
"""The reports of a training, from its first step on."""


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


def write_history(folder: Path, history: Sequence[dict[str, float]]) -> None:
    """The reports of a training, a line each."""
    write_text(folder / HISTORY, "".join(json.dumps(line) + "\n" for line in history))


def read_history(folder: Path) -> History:
    """The reports so far, for whoever watches."""
    path = folder / HISTORY
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


class Pieces:
    """The pieces of a stage's work by their numbers: those in its checkpoint, where it was stopped, are kept. Others
    than every `count`-th from `place` on are None."""

    def __init__(self, folder: Path, place: int = 0, count: int = 1) -> None:
        self.folder, self.place, self.count, self.saved = folder, place, count, time.monotonic()
        self.done: dict[str, Tensor] = {}
        try:
            self.done |= read_artifact(folder, CHECKPOINT)[0] if (folder / CHECKPOINT).exists() else {}
        except Damaged as damaged:
            print(f"{folder.name} begins anew, since {damaged.what}", file=sys.stderr)

    def __call__(self, number: int, make: Callable[[], Tensor | None]) -> Tensor | None:
        if (name := str(number)) in self.done or number % self.count != self.place:
            return self.done.get(name)
        if (made := make()) is not None:
            self.done[name] = made.cpu()
            if time.monotonic() - self.saved > CHECKPOINT_SECONDS:
                write_artifact(self.folder, CHECKPOINT, self.done)
                self.saved = time.monotonic()
        return made
