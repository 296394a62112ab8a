"""The journal: a folder per stage, in which a stage's result appears last and whole.

    <results>/.stages/<id>/   result.json        finished or diverged; its presence is what "finished" means
                              status.json        failed or interrupted, and how; such a stage runs again
                              progress           the share done, for the driver's bar
                              lease.1, …         who runs it (`lease`)
                              …                  what the stage leaves beside (`artifacts`)

A kill at any moment leaves the old file or the new one. The folder may be another one (`journal=`), or an object store,
of which workers and drivers have copies (`mirror`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from ablations.stages.files import read_json, write_json
from ablations.stages.lease import Holder, holder
from ablations.stages.shelves import Folder, Shelf
from analysis.errors import InputError

Curves = dict[str, tuple[list[float], list[float]]]
"""Name → xs, ys."""

RESULT, STATUS, PROGRESS = "result.json", "status.json", "progress"

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


@dataclass(frozen=True)
class Failure:
    """Why a stage has no result.

        error      it raised an exception, and would again
        machine    the machine refused it something: a full disk, a file that cannot be read
        died       its worker died, twice: killed, or out of memory
        stopped    the command was stopped
        left_out   a stage that it needs did not finish

    `message` is a line to be read, `traceback` where an exception came from.
    """

    kind: Literal["error", "machine", "died", "stopped", "left_out"]
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
        return Failure("machine" if isinstance(error, OSError) else "error", " ".join(named.split()), traceback)


def not_finite(metrics: dict[str, float]) -> dict[str, str]:
    """A note that names what is left out of the metrics because it is no number."""
    names = [name for name, value in metrics.items() if not math.isfinite(value)]
    return {"notes": f"not finite: {', '.join(names)}"} if names else {}


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

    def file(self, stage_id: str, name: str) -> Path:
        """A file that a stage leaves, as it is now; it may be missing."""
        return self.folder(stage_id) / name

    def needed(self, stage_id: str, name: str) -> Path:
        """A file that a finished stage has left; InputError where that can be told to be missing before it is read."""
        return self.file(stage_id, name)

    def has(self, stage_id: str, name: str) -> bool:
        """Whether a stage has left a file."""
        return (self.folder(stage_id) / name).exists()

    def shelf(self, stage_id: str = "") -> Shelf:
        """Where the lease of a stage stands, or what is said of the whole journal."""
        return Folder(self.root / stage_id)

    def holder(self, stage_id: str) -> Holder | None:
        """Which process runs a stage; None where none does."""
        return holder(self.shelf(stage_id))

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
        """A stage's result; None while it has none."""
        content = read_json(self.folder(stage_id) / RESULT)
        try:
            return None if content is None else Result(**_in_present_words(content))
        except (TypeError, AttributeError, KeyError) as error:
            raise InputError(
                f"{self.folder(stage_id)} holds no stage's result: delete it, and it runs again"
            ) from error

    def expect(self, stage_ids: Iterable[str]) -> None:
        """The results of many stages are about to be asked for."""

    def write_result(self, stage_id: str, result: Result) -> None:
        """Say that a stage is finished, or diverged, and what came of it."""
        write_json(self.folder(stage_id) / RESULT, asdict(result))
        self.leave(stage_id, RESULT)

    def failure(self, stage_id: str) -> Failure | None:
        """How a stage failed or was interrupted; None where it did not."""
        path = self.folder(stage_id) / STATUS
        content = read_json(path)
        try:
            return None if content is None else _failure(content)
        except (KeyError, TypeError, AttributeError):
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
            return float((self.folder(stage_id) / PROGRESS).read_text())
        except (FileNotFoundError, ValueError):
            return 0.0

    def write_progress(self, stage_id: str, share: float) -> None:
        """Say how far a stage is, whose folder is there."""
        (self.folder(stage_id) / PROGRESS).write_text(f"{share:.4f}")


def _in_present_words(content: dict[str, Any]) -> dict[str, Any]:
    """A result under the names that it has today: a journal outlives words."""
    words = {"metadata" if key == "facts" else key: value for key, value in content.items()}
    return words | {"metrics": {FORMER_METRICS.get(name, name): value for name, value in words["metrics"].items()}}


def _failure(content: dict[str, Any]) -> Failure:
    """The failure of a status.json; of an older one, which held a reason of several lines, by its first."""
    if "reason" not in content:
        return Failure(content["kind"], content["message"], content["traceback"])
    first, _, rest = str(content["reason"]).partition("\n")
    return Failure("stopped" if content["status"] == "interrupted" else "error", first, rest)
