"""The journal: a folder per stage, in which a stage's result appears last and whole.

    <results>/.stages/<id>/   result.json        finished or diverged; its presence is what "finished" means
                              status.json        failed or interrupted, with the reason; such a stage runs again
                              progress           the share done, for the driver's bar
                              metrics.jsonl      a line per report of the training, up to its last checkpoint
                              *.safetensors      checkpoint, weights, fit, samples, per-image terms

Everything is written beside its place and moved into it, so a kill at any moment leaves the old file or the new one.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from analysis.errors import InputError

Curves = dict[str, tuple[list[float], list[float]]]
"""Name → xs, ys."""


@dataclass(frozen=True)
class Result:
    """What a stage found: its status (finished, or diverged with a reason), metrics, curves, facts."""

    status: str
    reason: str
    metrics: dict[str, float]
    curves: Curves
    facts: dict[str, str]


def not_finite(metrics: dict[str, float]) -> dict[str, str]:
    """A note that names what is left out of the metrics because it is no number."""
    names = [name for name, value in metrics.items() if not math.isfinite(value)]
    return {"notes": f"not finite: {', '.join(names)}"} if names else {}


@dataclass(frozen=True)
class Journal:
    """The folders of all stages under `root`."""

    root: Path

    def folder(self, stage_id: str) -> Path:
        return self.root / stage_id

    def result(self, stage_id: str) -> Result | None:
        """A stage's result; None while it has none."""
        content = read_json(self.folder(stage_id) / "result.json")
        try:
            return None if content is None else Result(**content)
        except TypeError as error:
            raise InputError(
                f"{self.folder(stage_id)} holds no stage's result: delete it, and it runs again"
            ) from error

    def status(self, stage_id: str) -> tuple[str, str] | None:
        """(status, reason) of a stage that failed or was interrupted."""
        content = read_json(self.folder(stage_id) / "status.json")
        try:
            return None if content is None else (str(content["status"]), str(content["reason"]))
        except (KeyError, TypeError):
            return "failed", f"{self.folder(stage_id) / 'status.json'} is damaged"

    def progress(self, stage_id: str) -> float:
        """The share of a stage that is done."""
        try:
            return float((self.folder(stage_id) / "progress").read_text())
        except (FileNotFoundError, ValueError):
            return 0.0

    def write_status(self, stage_id: str, status: str, reason: str) -> None:
        write_json(self.folder(stage_id) / "status.json", {"status": status, "reason": reason})


def read_json(path: Path) -> Any:
    """The file's content; None where there is none; InputError where it is not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise InputError(f"{path} is not valid JSON ({error}): delete it and run the same command again") from error


def replace_file(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` make a file beside `path`, then move it there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        temporary.chmod(0o644)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """`text` as a whole file or not at all."""

    def write(temporary: Path) -> None:
        temporary.write_text(text, encoding="utf-8")

    replace_file(path, write)


def write_json(path: Path, content: Any) -> None:
    """`content` as indented JSON, as a whole file or not at all."""
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def write_tensors(path: Path, tensors: dict[str, Tensor], **facts: str) -> None:
    """Tensors and a few words about them, in a form that cannot run code."""
    flat = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    replace_file(path, lambda temporary: save_file(flat, temporary, metadata=facts))


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


def write_checkpoint(folder: Path, stage_id: str, history: list[dict[str, float]], state: dict[str, Tensor]) -> None:
    """The reports so far and the state that they end in."""
    write_history(folder, history)
    facts = {"stage": stage_id, "step": str(history[-1]["step"]), "seconds": str(history[-1]["seconds"])}
    write_tensors(folder / "checkpoint.safetensors", state, **facts)


def read_checkpoint(folder: Path, stage_id: str) -> tuple[tuple[int, dict[str, Tensor]] | None, float]:
    """(step, state) to continue from, if any, and the seconds that it took to get there."""
    path = folder / "checkpoint.safetensors"
    if not path.exists():
        return None, 0.0
    tensors, facts = read_tensors(path)
    if facts.get("stage") != stage_id:
        raise InputError(f"{path} is no checkpoint of this training: delete it, and the training starts again")
    return (int(facts["step"]), tensors), float(facts["seconds"])


def write_history(folder: Path, history: list[dict[str, float]]) -> None:
    """The reports of a training, a line each."""
    write_text(folder / "metrics.jsonl", "".join(json.dumps(line) + "\n" for line in history))


def read_history(folder: Path, step: int) -> list[dict[str, float]]:
    """The reports up to a step; InputError where they are damaged."""
    path = folder / "metrics.jsonl"
    if step == 0 or not path.exists():
        return []
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return [line for line in lines if line["step"] <= step]
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path} is damaged: delete the folder {folder}, and its training starts again") from error


@contextlib.contextmanager
def locked(path: Path, *, wait: bool) -> Iterator[None]:
    """Hold `path` as a lock, which dies with its process; InputError where another holds it and `wait` is false."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError as error:
            raise InputError(
                f"another command is writing to {path.parent}: wait for it, or take results=<another folder>"
            ) from error
        yield
