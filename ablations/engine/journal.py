"""The journal: a folder per stage, in which a stage's result appears last and whole.

    <results>/.stages/<id>/   result.json        finished or diverged; its presence, and that of the files which it
                                                 lists, is what "finished" means
                              status.json        failed or interrupted, and how; such a stage runs again
                              progress           the share done, for the driver's bar
                              lease.1, …         who runs it (`lease`)
                              …                  what the stage leaves beside (`stages.artifacts`)

A kill at any moment leaves the old file or the new one. What is damaged all the same is as good as not there: its stage
runs again. The folder may be another one (`journal=`), or an object store, of which workers and drivers have copies
(`stages.mirror`).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from ablations.engine.files import DIGEST, STAGE, Damaged, left_in
from ablations.engine.lease import Holder, holder, last_touch
from ablations.engine.shelves import Folder, Shelf
from analysis.format.errors import InputError
from analysis.format.files import read_json, size_of, write_json

Curves = dict[str, tuple[list[float], list[float]]]
"""Name → xs, ys."""

NO_MEMORY = "DefaultCPUAllocator: "
"""What torch says of a processor's memory that is used up, in a RuntimeError."""
Kind = Literal["error", "damaged", "machine", "died", "stopped", "left_out"]
"""Of what kind a failure is."""
DAMAGED = "damaged"
"""The status of a stage that found what it needs damaged."""
RESULT, STATUS, PROGRESS = "result.json", "status.json", "progress"
FILES = "files"
"""What result.json says of the artefacts beside it: their names and sizes. An older one says nothing."""

LARGE_BOUND = "is above twice the uniform code's"
"""What is remarked of a bound that is worse than the code of somebody who knows nothing, by that much."""

FORMER_METRICS = {"copies/train": "memorisation/train"}
"""Metrics that older journals hold under another name."""


@dataclass(frozen=True)
class Result:
    """What a stage came to: its status (finished, or diverged with a reason), metrics, curves, metadata in words."""

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
    """Why a stage has no result.

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
        """The status of a cell that it ends."""
        return "interrupted" if self.kind == "stopped" else "failed"

    @property
    def accidental(self) -> bool:
        """Whether it is no finding about the cell: the same stage may well finish another time."""
        return self.kind != "error"

    @staticmethod
    def of(error: Exception, traceback: str) -> Failure:
        """The failure that an exception is; what speaks to the user says all in its message."""
        named = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
        message = " ".join(named.split())
        if isinstance(error, Damaged):
            return Failure("damaged", f"{error.folder.name}: {error.what}")
        refused = isinstance(error, (OSError, MemoryError)) or NO_MEMORY in message
        return Failure("machine" if refused else "error", message, traceback)


def noted(metrics: dict[str, float], remark: str = "") -> dict[str, str]:
    """The notes of a result: a remark, and what is left out of its metrics because it is no number."""
    names = [name for name, value in metrics.items() if not math.isfinite(value)]
    lines = [remark, f"not finite: {', '.join(names)}" if names else ""]
    return {"notes": "\n".join(filter(None, lines))} if any(lines) else {}


@dataclass(frozen=True)
class Journal:
    """The folders of all stages under `root`."""

    root: Path

    @property
    def address(self) -> str:
        """Where it is, for other processes: a folder, or s3://BUCKET/PREFIX."""
        return str(self.root.resolve())

    @property
    def told_every(self) -> float:
        """Seconds between two writings of how far a stage is."""
        return 0.3

    def folder(self, stage_id: str) -> Path:
        """Where a stage leaves what it makes."""
        return self.root / stage_id

    def holding(self, stage_id: str, *names: str) -> Path:
        """A stage's folder with these files as they are now, each of which may be missing."""
        return self.folder(stage_id)

    def sizes(self, stage_id: str, names: Iterable[str]) -> dict[str, int | None]:
        """The bytes of files that a stage has left; None of one that is missing."""
        return {name: size_of(self.folder(stage_id) / name) for name in names}

    def has(self, stage_id: str, name: str) -> bool:
        """Whether a stage has left a file."""
        return (self.folder(stage_id) / name).exists()

    def shelf(self, stage_id: str = "") -> Shelf:
        """Where the lease of a stage stands, or what is said of the whole journal."""
        return Folder(self.root / stage_id)

    def holder(self, stage_id: str) -> Holder | None:
        """Which process runs a stage; None where none does."""
        return holder(self.shelf(stage_id))

    def last_touch(self, stage_id: str) -> tuple[int, float]:
        """The number of a stage's lease and the seconds since it was touched; zeros where there is none."""
        return last_touch(self.shelf(stage_id))

    def bring(self, stage_id: str, *names: str) -> None:
        """Make a stage's folder hold what it has left so far, or these files of it: for who holds it, and goes on."""

    def leave(self, stage_id: str, *names: str) -> None:
        """Deliver files of a stage's folder, or all that it is to keep: they are written there already."""

    def discard(self, stage_id: str, name: str) -> None:
        """Take a file of a stage away, if it is there."""
        (self.folder(stage_id) / name).unlink(missing_ok=True)

    def look(self, stage_id: str) -> None:
        """A stage has changed: what was known of it is asked anew."""

    def result(self, stage_id: str) -> Result | None:
        """A stage's result; None while it has none, or where that or a file of it is damaged."""
        try:
            return self._sound(stage_id)
        except Damaged:
            return None

    def damage(self, stage_id: str) -> str:
        """What is wrong with a stage's result or its files, in words; "" where nothing is, or where it has none."""
        try:
            self._sound(stage_id)
        except Damaged as error:
            return error.what
        return ""

    def _sound(self, stage_id: str) -> Result | None:
        """A stage's result, None while it has none; Damaged where it is no result of this stage, or lacks a file."""
        folder = self.folder(stage_id)
        path = folder / RESULT
        try:
            content = read_json(path)
            if content is None:
                return None
            if content.pop(DIGEST, None) not in (None, _digest(content)):
                raise Damaged(path, "has been altered since it was written (its digest is another)")
            files = dict(content.pop(FILES, {}))
            if content.pop(STAGE, stage_id) != stage_id:
                raise Damaged(path, "is another stage's")
            result = Result.of(_in_present_words(content))
        except Damaged:
            raise
        except (InputError, TypeError, AttributeError, KeyError, ValueError) as error:
            raise Damaged(path, "is no stage's result") from error
        there = self.sizes(stage_id, files)
        for name, size in files.items():
            found = there[name]
            if found != size:
                raise Damaged(folder / name, "is missing" if found is None else f"has {found} bytes of {size}")
        return result

    def expect(self, stage_ids: Iterable[str]) -> None:
        """The results of many stages are about to be asked for."""

    def write_result(self, stage_id: str, result: Result) -> None:
        """Say that a stage is finished, or diverged, and what came of it, after all that it leaves beside."""
        folder = self.folder(stage_id)
        about = {STAGE: stage_id, FILES: {name: size_of(folder / name) for name in left_in(folder)}}
        content = asdict(result) | about
        write_json(folder / RESULT, content | {DIGEST: _digest(content)})
        self.leave(stage_id, RESULT)

    def forget_result(self, stage_id: str) -> None:
        """Take a stage's result away, since it is to run again."""
        self.discard(stage_id, RESULT)

    def failure(self, stage_id: str) -> Failure | None:
        """How a stage failed or was interrupted; None where it did not."""
        path = self.folder(stage_id) / STATUS
        try:
            content = read_json(path)
            return None if content is None else _failure(content)
        except (InputError, KeyError, TypeError, AttributeError):
            return Failure("error", f"{path} is damaged")

    def write_failure(self, stage_id: str, failure: Failure) -> None:
        """Say how a stage failed, or that it was interrupted."""
        write_json(self.folder(stage_id) / STATUS, {"status": failure.status, **asdict(failure)})
        self.leave(stage_id, STATUS)

    def forget_failure(self, stage_id: str) -> None:
        """Take away how a stage failed, since it is to run again."""
        self.discard(stage_id, STATUS)

    def progress(self, stage_id: str) -> float:
        """The share of a stage that is done."""
        try:
            share = float((self.folder(stage_id) / PROGRESS).read_text())
        except (FileNotFoundError, ValueError):
            return 0.0
        return within(share)

    def write_progress(self, stage_id: str, share: float) -> None:
        """Say how far a stage is, whose folder is there."""
        (self.folder(stage_id) / PROGRESS).write_text(f"{share:.4f}")


def within(share: float) -> float:
    """A share of a stage, as far as it is one."""
    return share if 0 <= share <= 1 else 0.0


def _digest(content: dict[str, Any]) -> str:
    """SHA-256 of a content, whatever the order of its keys and the spaces in its file."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _in_present_words(content: dict[str, Any]) -> dict[str, Any]:
    """A result under the names and by the rules of today: a journal outlives words."""
    words = {"metadata" if key == "facts" else key: value for key, value in content.items()}
    if words["status"] == "diverged" and LARGE_BOUND in words["reason"]:
        # Which was a divergence once, and is a value to be shown.
        words |= {"status": "finished", "reason": "", "metadata": words["metadata"] | {"notes": words["reason"]}}
    return words | {"metrics": {FORMER_METRICS.get(name, name): value for name, value in words["metrics"].items()}}


def _failure(content: dict[str, Any]) -> Failure:
    """The failure of a status.json; of an older one, which held a reason of several lines, by its first."""
    if "reason" not in content:
        failure = Failure(content["kind"], content["message"], content["traceback"])
        if failure.kind not in get_args(Kind) or not all(
            isinstance(t, str) for t in (failure.message, failure.traceback)
        ):
            raise TypeError("a failure is of a kind, and says why in words")
        return failure
    first, _, rest = str(content["reason"]).partition("\n")
    return Failure("stopped" if content["status"] == "interrupted" else "error", first, rest)
