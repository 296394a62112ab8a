"""Which files a stage leaves beside its result, and how they are read: tensors in a form that cannot run code.

autoencoder      weights.safetensors, metrics.jsonl
training         weights.safetensors, metrics.jsonl; at its rungs average-<step>.safetensors; while it runs,
                 checkpoint.safetensors
fit              fit.safetensors
bound            bound.safetensors and, where asked for, continuous.safetensors, ode.safetensors
samples          samples.safetensors; of a training on its way, the first of them
reconstruction   reconstructions.safetensors
"""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ablations.stages.files import replace_file, write_text
from analysis.errors import InputError

WEIGHTS = "weights.safetensors"
"""Weights of a diffusion or of an autoencoder: the learner's, and their average."""
CHECKPOINT = "checkpoint.safetensors"
"""The state from which a training that was stopped goes on."""
HISTORY = "metrics.jsonl"
"""A line per report of a training, up to its last checkpoint."""
FIT = "fit.safetensors"
"""What a fitted variance reads of the network, per t, and the terms of all steps that a fitted spacing reads."""
MOMENTS = ("noise", "error", "alpha_bar", "data")
TERMS = "terms"
SAMPLES = "samples.safetensors"
"""All generated sets, one after the other."""
RECONSTRUCTIONS = "reconstructions.safetensors"
"""The first test images, and what an autoencoder makes of them."""

PER_IMAGE = {
    "nll/test": "bound.safetensors",
    "nll_continuous/test": "continuous.safetensors",
    "nll_ode/test": "ode.safetensors",
}
"""Metric → the file of the values per image whose mean it is."""


def average_at(step: int) -> str:
    """The file of a training's averaged weights at a step."""
    return f"average-{step}.safetensors"


def write_tensors(path: Path, tensors: dict[str, Tensor], **words: str) -> None:
    """Tensors and a few words about them, in a form that cannot run code."""
    flat: dict[str, Tensor] = {}
    held: set[int] = set()
    for name, value in tensors.items():
        plain = value.detach().cpu().contiguous()
        # Layers may share a parameter, which the format does not know: it is written under each of its names.
        flat[name] = plain.clone() if plain.untyped_storage().data_ptr() in held else plain
        held.add(flat[name].untyped_storage().data_ptr())
    replace_file(path, lambda temporary: save_file(flat, temporary, metadata=words))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """What `write_tensors` wrote; InputError where the file is missing, cut or foreign."""
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except FileNotFoundError as error:
        raise InputError(f"{path} is missing: delete the folder {path.parent}, and its stage runs again") from error
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"{path} is not a readable safetensors file ({error}): delete its folder and run again"
        ) from error


def write_checkpoint(folder: Path, stage_id: str, report: dict[str, float], state: dict[str, Tensor]) -> None:
    """The state at a report, whose history has been written."""
    words = {"stage": stage_id, "step": str(report["step"]), "seconds": str(report["seconds"])}
    write_tensors(folder / CHECKPOINT, state, **words)


def read_checkpoint(folder: Path, stage_id: str) -> tuple[tuple[int, dict[str, Tensor]] | None, float]:
    """(step, state) to continue from, if any, and the seconds that it took to get there."""
    path = folder / CHECKPOINT
    if not path.exists():
        return None, 0.0
    tensors, words = read_tensors(path)
    if words.get("stage") != stage_id:
        raise InputError(f"{path} is no checkpoint of this training: delete it, and the training starts again")
    return (int(words["step"]), tensors), float(words["seconds"])


def write_history(folder: Path, history: list[dict[str, float]]) -> None:
    """The reports of a training, a line each."""
    write_text(folder / HISTORY, "".join(json.dumps(line) + "\n" for line in history))


def read_history(folder: Path, step: int) -> list[dict[str, float]]:
    """The reports up to a step; InputError where they are damaged."""
    path = folder / HISTORY
    if step == 0 or not path.exists():
        return []
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return [line for line in lines if line["step"] <= step]
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path} is damaged: delete the folder {folder}, and its training starts again") from error
