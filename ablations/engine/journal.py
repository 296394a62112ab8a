"""The journal: a folder per stage, in which a stage's result appears last and whole.

    <results>/.stages/<id>/   result.json        finished or diverged: a stage is finished if this file is there,
                                                 and every file that it lists
                              status.json        failed or interrupted, and how; such a stage runs again
                              progress           the share done, for the driver's bar
                              lease.1, …         the process that runs it (`lease`)
                              …                  what the stage leaves beside (`stages.artifacts`)

A kill at any moment leaves the old file or the new one. What is damaged all the same counts as missing: its stage runs
again. The folder may be another one (`journal=`).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from ablations.engine.files import DIGEST, STAGE, Damaged, kept
from ablations.engine.lease import Holder, Lease, holder, last_touch, take_away
from ablations.engine.shelves import Folder, Shelf
from analysis.errors import InputError

Curves = dict[str, tuple[list[float], list[float]]]
"""Name → xs, ys."""

NO_MEMORY = "DefaultCPUAllocator: "
"""The beginning of torch's RuntimeError when the machine's memory is used up."""
Kind = Literal["error", "damaged", "machine", "died", "stopped", "left_out"]
"""Kinds of failures."""
DAMAGED = "damaged"
"""The status of a stage that found what it needs damaged."""
RESULT, STATUS, PROGRESS = "result.json", "status.json", "progress"
FILES = "files"
"""The key in result.json under which the artefacts beside it are listed: their names and sizes."""

FOLDER = ".stages"
"""The name of the journal's folder by default, in the folder of results."""


@dataclass(frozen=True)
class Result:
    """The result of a stage: its status (finished, or diverged with a reason), metrics, curves, and metadata as
    text."""

    status: str
    reason: str
    metrics: dict[str, float]
    curves: Curves
    metadata: dict[str, str]

    @staticmethod
    def of(content: dict[str, Any]) -> Result:
        """The result that a file describes; TypeError, KeyError or AttributeError where it describes none."""
        result = Result(**content)
        if not (isinstance(result.status, str) and isinstance(result.reason, str)):
            raise TypeError("status and reason are words")
        if not all(isinstance(value, (int, float)) for value in result.metrics.values()):
            raise TypeError("metrics are numbers")
        if not all(isinstance(value, str) for value in result.metadata.values()):
            raise TypeError("metadata are words")
        if not all(len(xs) == len(ys) for xs, ys in result.curves.values()):
            raise TypeError("a curve has an x for each y")
        return result


@dataclass(frozen=True)
class Failure:
    """The reason why a stage has no result.

        error      it raised an exception, and would again
        damaged    what it needs was damaged, and is forgotten now
        machine    the machine refused it something: a full disk, a file that cannot be read, a processor's memory
        died       its worker died, twice: killed, or out of memory
        stopped    the command was stopped
        left_out   a stage that it needs did not finish

    `message` is a line to be read, `traceback` where an exception came from.
    """

    kind: Kind
    message: str
    traceback: str = ""

    @property
    def status(self) -> str:
        """The status that this failure gives a cell."""
        return "interrupted" if self.kind == "stopped" else "failed"

    @property
    def accidental(self) -> bool:
        """True where the failure says nothing about the cell: the same stage may well finish another time."""
        return self.kind != "error"

    @staticmethod
    def read(content: dict[str, Any]) -> Failure:
        """The failure that a status.json describes; TypeError or KeyError where it describes none."""
        failure = Failure(content["kind"], content["message"], content["traceback"])
        if failure.kind not in get_args(Kind) or not isinstance(failure.message + failure.traceback, str):
            raise TypeError("a failure is of a kind, and says why in words")
        return failure

    @staticmethod
    def of(error: Exception, traceback: str) -> Failure:
        """The failure that an exception amounts to; an error that speaks to the user needs no traceback."""
        named = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
        message = "; ".join(" ".join(part.split()) for part in (named, *getattr(error, "__notes__", ())) if part)
        if isinstance(error, Damaged):
            return Failure("damaged", f"{error.folder.name}: {error.what}")
        refused = isinstance(error, (OSError, MemoryError)) or NO_MEMORY in message
        return Failure("machine" if refused else "error", message, traceback)


STOPPED = Failure("stopped", "the command was stopped")


def noted(metrics: dict[str, float], remark: str = "") -> dict[str, str]:
    """The notes of a result: a remark, and the metrics that are left out because they are no numbers."""
    names = [name for name, value in metrics.items() if not math.isfinite(value)]
    verb = "is" if len(names) == 1 else "are"
    lines = [remark, f"without {', '.join(names)}, which {verb} not finite" if names else ""]
    return {"notes": "\n".join(filter(None, lines))} if any(lines) else {}


@dataclass(frozen=True)
class Journal:
    """The folders of all stages under `root`."""

    root: Path

    @property
    def address(self) -> str:
        """Its address, for other processes."""
        return str(self.root.resolve())

    def folder(self, stage_id: str) -> Path:
        """The folder in which a stage leaves what it makes."""
        return self.root / stage_id

    def shelf(self, stage_id: str = "") -> Shelf:
        """The small files of a stage, with its lease; without an id, those of the whole journal."""
        return Folder(self.root / stage_id)

    def has(self, stage_id: str, name: str) -> bool:
        """True where a stage has left a file of this name."""
        return self.shelf(stage_id).size(name) is not None

    def discard(self, stage_id: str, *names: str) -> None:
        """Delete these files of a stage, where they are there."""
        for name in names:
            self.shelf(stage_id).remove(name)

    def holder(self, stage_id: str) -> Holder | None:
        """The process that runs a stage; None where none does."""
        return holder(self.shelf(stage_id))

    def last_touch(self, stage_id: str) -> tuple[int, float]:
        """The number of a stage's lease and the seconds since it was touched; zeros where there is none."""
        return last_touch(self.shelf(stage_id))

    def take_away(self, stage_id: str, pids: Collection[int]) -> None:
        """Take a stage's lease away from whichever of these processes holds it: that process notices at its next
        report, and stops."""
        take_away(self.shelf(stage_id), pids)

    def result(self, stage_id: str) -> Result | None:
        """A stage's result; None while it has none, or where the result or one of its files is damaged."""
        try:
            return self._sound(stage_id)
        except Damaged:
            return None

    def damage(self, stage_id: str) -> str:
        """The damage to a stage's result or its files, in words; "" where there is no damage, or no result."""
        try:
            self._sound(stage_id)
        except Damaged as error:
            return error.what
        return ""

    def _sound(self, stage_id: str) -> Result | None:
        """A stage's result, None while it has none; Damaged where the file is no result of this stage, or lists a file
        that is missing."""
        folder, shelf = self.folder(stage_id), self.shelf(stage_id)
        path, left = folder / RESULT, shelf.read(RESULT)
        if left is None:
            return None
        try:
            content = json.loads(left[0])
            if content.pop(DIGEST) != _digest(content):
                raise Damaged(path, "has been altered since it was written (its digest is another)")
            files = dict(content.pop(FILES))
            if content.pop(STAGE) != stage_id:
                raise Damaged(path, "is another stage's")
            result = Result.of(content)
        except Damaged:
            raise
        except (TypeError, AttributeError, KeyError, ValueError, RecursionError) as error:
            raise Damaged(path, "is no stage's result") from error
        for name, size in files.items():
            present = shelf.size(name)
            if present != size:
                raise Damaged(folder / name, "is missing" if present is None else f"has {present} bytes of {size}")
        return result

    def write_result(self, stage_id: str, result: Result, lease: Lease | None = None) -> None:
        """Write that a stage is finished, or diverged, with its result, once its other files are there; LeaseLost where
        its worker has lost its lease."""
        shelf = self.shelf(stage_id)
        about = {STAGE: stage_id, FILES: {name: shelf.size(name) for name in kept(shelf.names())}}
        content = asdict(result) | about
        text = _as_json(content | {DIGEST: _digest(content)})
        if lease is not None:
            lease.check()
        shelf.write(RESULT, text)

    def forget_result(self, stage_id: str) -> None:
        """Take a stage's result away, because it is to run again."""
        self.discard(stage_id, RESULT)

    def failure(self, stage_id: str) -> Failure | None:
        """The failure or interruption of a stage; None where there was none."""
        left = self.shelf(stage_id).read(STATUS)
        try:
            return None if left is None else Failure.read(json.loads(left[0]))
        except (KeyError, TypeError, AttributeError, ValueError, RecursionError):
            return Failure("error", f"{self.folder(stage_id) / STATUS} is damaged")

    def write_failure(self, stage_id: str, failure: Failure) -> None:
        """Write down how a stage failed, or that it was interrupted."""
        self.shelf(stage_id).write(STATUS, _as_json({"status": failure.status, **asdict(failure)}))

    def forget_failure(self, stage_id: str) -> None:
        """Forget how a stage failed, because it is to run again."""
        self.discard(stage_id, STATUS)

    def progress(self, stage_id: str) -> float:
        """The share of a stage that is done; 0 where the file is torn."""
        try:
            share = float((self.shelf(stage_id).read(PROGRESS) or ("0", 0.0))[0])
        except ValueError:
            return 0.0
        return share if 0 <= share <= 1 else 0.0

    def write_progress(self, stage_id: str, share: float) -> None:
        """Write down how far a stage is; its folder must be there."""
        self.shelf(stage_id).note(PROGRESS, f"{share:.4f}")


def journal_of(results: Path, folder: str | None) -> Journal:
    """The journal of a command that keeps its results here and was given `journal=`; InputError where that cannot be
    one."""
    if folder and "://" in folder:
        raise InputError(
            f"journal must be a folder, got {folder}: machines that share none run stages by launcher=ray, which "
            "brings what they leave to the command's own"
        )
    return Journal(Path(folder) if folder else results / FOLDER)


def _digest(content: dict[str, Any]) -> str:
    """SHA-256 of a content; the order of its keys and the spaces in its file do not matter."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _as_json(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"
