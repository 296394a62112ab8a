"""The journal: a folder per stage, in which a stage's result appears last and whole; and the locks by which one process
at a time runs a stage, and one command at a time writes a results folder.

    <results>/.stages/<id>/   result.json        finished or diverged: a stage is finished if this file is there,
                                                 and every file that it lists
                              status.json        failed or interrupted, and how; such a stage runs again
                              progress           the share done, for the driver's bar
                              .lock              of the process that runs it
                              …                  what the stage leaves beside (`stages.artifacts`)
    <results>/.locks/<grid>   of the command that works on <results>/<grid>/
                     .clean   of `ablations.clean`, alone, or of commands that work, which share it

A kill at any moment leaves the old file or the new one. What is damaged all the same counts as missing. A lock's file
holds the pid of its process. The kernel lets it go with the process, however that ends. Several hosts need a file
system that passes locks on, such as NFS from version 4.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import math
import os
import traceback
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from analysis.errors import InputError
from analysis.files import read_json, size_of, write_json

Curves = dict[str, tuple[list[float], list[float]]]
FOLDER = ".stages"
"""The name of the journal's folder by default, in the folder of results."""
RESULT, STATUS, PROGRESS = "result.json", "status.json", "progress"
FILES = "files"
"""The key in result.json for the artefacts beside it: name → bytes."""
STAGE_LOCK, LOCKS, CLEANING = ".lock", ".locks", ".clean"
"""The lock in the folder of a stage; the folder of the others in that of results, and the one for cleaning."""
CHECKPOINT = "checkpoint.safetensors"
"""The state from which a stopped training continues."""
STATE = "state.safetensors"
"""The state in which a segment of a training ended, until the next segment has ended."""
STAGE, DIGEST = "stage", "sha256"
"""Keys of an artefact's header, and of a result: the stage that wrote it, and the hash of its content."""


class Damaged(InputError):
    """An artefact is missing, cut, altered or another stage's; `folder` is that of the stage that should make it."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path} {why}: the command of its grid makes it anew")
        self.folder = path.parent
        self.what = f"{path.name} {why}"


def artefacts_of(folder: Path) -> list[Path]:
    """The artefacts that a stage leaves for good."""
    return [path for path in sorted(folder.glob("[!.]*.safetensors")) if path.name not in (CHECKPOINT, STATE)]


def bytes_of(folder: Path) -> int:
    """The bytes of all files below a folder; one that vanishes meanwhile counts as nothing."""
    return sum(size_of(path) or 0 for path in folder.rglob("*") if path.is_file())


@dataclass(frozen=True)
class Result:
    """The result of a stage; its status is finished, or diverged with a reason."""

    status: str
    reason: str
    metrics: dict[str, float]
    curves: Curves
    metadata: dict[str, str]


@dataclass(frozen=True)
class Failure:
    """The reason why a stage has no result, with a `message` of one line.

    error      it raised an exception, and would again
    damaged    what it needs was damaged, and is forgotten now
    machine    a full disk, a file that cannot be read, no memory
    died       its worker died, twice: killed, or out of memory
    stopped    the command was stopped
    """

    kind: Literal["error", "damaged", "machine", "died", "stopped"]
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
    def of(error: Exception) -> Failure:
        """The failure that an exception amounts to."""
        if isinstance(error, Damaged):
            return Failure("damaged", f"{error.folder.name}: {error.what}")
        named = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
        message = "; ".join(" ".join(line.split()) for line in (named, *getattr(error, "__notes__", ())))
        # Torch has a RuntimeError for memory that is used up.
        refused = isinstance(error, (OSError, MemoryError)) or "DefaultCPUAllocator: " in message
        return Failure("machine" if refused else "error", message, "".join(traceback.format_exception(error)))


def with_notes(metrics: dict[str, float], remark: str = "") -> dict[str, str]:
    """The notes of a result: a remark, and the metrics that are left out because they are no numbers."""
    names = [name for name, value in metrics.items() if not math.isfinite(value)]
    without = f"without {', '.join(names)}, which {'is' if len(names) == 1 else 'are'} not finite" if names else ""
    notes = "\n".join(filter(None, (remark, without)))
    return {"notes": notes} if notes else {}


@dataclass(frozen=True)
class Journal:
    """The folders of all stages under `root`."""

    root: Path

    def folder(self, stage_id: str) -> Path:
        """The folder in which a stage leaves what it makes."""
        return self.root / stage_id

    def has(self, stage_id: str, name: str) -> bool:
        """True where a stage has left a file of this name."""
        return (self.folder(stage_id) / name).is_file()

    def discard(self, stage_id: str, *names: str) -> None:
        for name in names:
            (self.folder(stage_id) / name).unlink(missing_ok=True)

    def result(self, stage_id: str) -> Result | None:
        """A stage's result; None while it has none, or where that is damaged, or one of its files missing or cut."""
        content = self._read(stage_id, RESULT)
        if content.pop(DIGEST, "") != _digest(content) or content.pop(STAGE) != stage_id:
            return None
        files = content.pop(FILES).items()
        whole = all(size_of(self.folder(stage_id) / name) == size for name, size in files)
        return Result(**content) if whole else None

    def write_result(self, stage_id: str, result: Result) -> None:
        """Write that a stage is finished, or diverged, with its result, once its other files are there."""
        files = {path.name: size_of(path) for path in artefacts_of(self.folder(stage_id))}
        content = asdict(result) | {STAGE: stage_id, FILES: files}
        write_json(self.folder(stage_id) / RESULT, content | {DIGEST: _digest(content)})

    def forget_result(self, stage_id: str) -> None:
        """Take a stage's result away, because it is to run again."""
        self.discard(stage_id, RESULT)

    def failure(self, stage_id: str) -> Failure | None:
        """The failure or interruption of a stage; None where there was none."""
        content = self._read(stage_id, STATUS)
        return Failure(*(content.get(name, "") for name in ("kind", "message", "traceback"))) if content else None

    def write_failure(self, stage_id: str, failure: Failure) -> None:
        write_json(self.folder(stage_id) / STATUS, {"status": failure.status, **asdict(failure)})

    def progress(self, stage_id: str) -> float:
        """The share of a stage that is done; 0 where it is not known."""
        try:
            return float((self.folder(stage_id) / PROGRESS).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return 0.0

    def write_progress(self, stage_id: str, share: float) -> None:
        """Write down how far a stage is; its folder must be there."""
        (self.folder(stage_id) / PROGRESS).write_text(f"{share:.4f}", encoding="utf-8")

    def _read(self, stage_id: str, name: str) -> dict[str, Any]:
        """The content of a stage's JSON file; nothing where there is none, or it is torn."""
        try:
            content = read_json(self.folder(stage_id) / name)
        except InputError:
            return {}
        return content if isinstance(content, dict) else {}


def journal_of(results: Path, folder: str | None) -> Journal:
    """The journal of a command that keeps its results here and was given `journal=`; InputError for an address."""
    if folder and "://" in folder:
        raise InputError(f"journal must be a folder, got {folder}: mount one that all machines see")
    return Journal(Path(folder) if folder else results / FOLDER)


def _digest(content: dict[str, Any]) -> str:
    """SHA-256 of a content; the order of its keys and the spaces in its file do not matter."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


@contextmanager
def try_lock(path: Path, kind: int = fcntl.LOCK_EX) -> Iterator[str]:
    """Hold a lock, and yield ""; where another process holds it, yield the pid of that."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            yield file.read() or "unknown"
            return
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield ""


@contextmanager
def results_lock(folder: Path) -> Iterator[None]:
    """Hold a results folder for a whole command; InputError while another command works on it, or cleans."""
    results = folder.parent
    with (
        _lock_or_refuse(results, CLEANING, f"cleans {results}", fcntl.LOCK_SH),
        _lock_or_refuse(results, folder.name, f"works on {folder}"),
    ):
        yield


def cleaning_lock(results: Path) -> AbstractContextManager[None]:
    """Hold all results folders; InputError while a command works on one of them."""
    return _lock_or_refuse(results, CLEANING, f"works on a folder of {results}")


@contextmanager
def _lock_or_refuse(results: Path, name: str, works: str, kind: int = fcntl.LOCK_EX) -> Iterator[None]:
    """Hold a lock; InputError, which says that another command `works`, where it cannot be had."""
    with try_lock(results / LOCKS / name, kind) as pid:
        if pid:
            raise InputError(f"another command {works} (process {pid}): wait until it has ended, or stop it")
        yield
