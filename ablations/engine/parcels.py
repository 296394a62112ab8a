"""A stage far from its journal: its input travels to it, and its files come back while it runs.

    command   packed ─▶ parcel ─▶ worker    unpacks it in a folder of its own, and runs the stage there
    command   Desk   ◀─ changes ◀─ worker   sends every second what was written there since, or deleted

The desk holds the leases of the folders that it writes to, in place of the worker, and renews them as long as it hears
from the worker: so a worker that stands still is given up like one beside its journal. The stage's files arrive in the
order in which they were written, its result last.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from ablations.engine.files import BEFORE, FORK
from ablations.engine.journal import RESULT, Journal
from ablations.engine.lease import NAME, Lease, LeaseLost, take
from ablations.engine.perform import perform
from ablations.engine.stage import Stage
from analysis.files import replace_file

SECONDS = 1.0
"""Seconds between two looks at what a stage has written."""

File = tuple[str, str]
"""A stage's id, and the name of a file in its folder."""
Parcel = dict[File, bytes]
"""The files that a stage reads, and those that it, or a stage whose folder it writes to, has left so far."""
Stamp = tuple[int, int, int]
"""A mark that distinguishes a file from a later one of its name: its inode, its size, and the time of its last
change."""


@dataclass(frozen=True)
class Changes:
    """The files that were written since the last changes, whole, and those that were taken away; and the `status` of
    the stage, once it has ended."""

    written: Parcel = field(default_factory=dict)
    removed: tuple[File, ...] = ()
    status: str = ""


def packed(journal: Journal, stage: Stage) -> Parcel:
    """All files of a journal that a stage may read."""
    parcel: Parcel = {}
    for path in _read(journal, stage):
        # It may be taken away at this moment, by another command that has just ended it.
        with suppress(FileNotFoundError):
            parcel[path.parent.name, path.name] = path.read_bytes()
    return parcel


def _read(journal: Journal, stage: Stage) -> Iterator[Path]:
    """The files that the stage may read; of related trainings, the states that it may continue from."""
    own = (*stage.needs, *stage.holds, stage.id)
    for stage_id in dict.fromkeys((*own, *stage.reads)):
        for path in _files(journal.folder(stage_id)):
            if stage_id in own or path.name.startswith(FORK):
                yield path


def performed(stage: Stage, parcel: Parcel, device: str) -> Iterator[Changes]:
    """In a worker: run a stage on the content of a parcel; yield what it leaves, every second, and at last its
    status."""
    with TemporaryDirectory(prefix="stage-") as root:
        journal = Journal(Path(root))
        for (stage_id, name), content in parcel.items():
            path = journal.folder(stage_id) / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        watched, status = _Watched(journal.root), Future[str]()
        watched.changes()

        def run() -> None:
            try:
                status.set_result(perform(stage, journal, device))
            except BaseException as error:
                status.set_exception(error)

        # No thread of a pool: a worker that ends does not wait for its stage.
        threading.Thread(target=run, daemon=True).start()
        while not status.done():
            wait([status], SECONDS)
            yield watched.changes()
        changes = watched.changes()
        yield Changes(changes.written, changes.removed, status.result())


class _Watched:
    """The folders of a journal, and which of their files have been sent."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.told: dict[File, Stamp] = {}

    def changes(self) -> Changes:
        """The files that changed since the last call.

        A result is sent only if it was there before the other files were looked at: then all files that it lists are
        there.
        """
        complete = {path.parent.name for path in self.root.glob(f"*/{RESULT}")}
        stamps: dict[File, Stamp] = {}
        written: Parcel = {}
        for path in _files(*sorted(self.root.iterdir())):
            file = (path.parent.name, path.name)
            if path.name == RESULT and file[0] not in complete:
                continue
            with suppress(FileNotFoundError):
                stat = path.stat()
                stamps[file] = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
                if stamps[file] != self.told.get(file):
                    written[file] = path.read_bytes()
        removed = tuple(file for file in self.told if file not in stamps)
        self.told = stamps
        return Changes(written, removed)


class Desk:
    """The command's end of the connection to a far stage: it holds the leases of the folders and writes what arrives.
    Threads may take and close at once; what arrives after it was closed is left out."""

    def __init__(self, journal: Journal, stage: Stage) -> None:
        self.journal = journal
        self.stage = stage
        self.leases: dict[str, Lease] = {}
        self.lock = threading.Lock()
        self.closed = False

    def open(self) -> bool:
        """Take the leases; False where another process has one of them, or the desk was closed meanwhile."""
        with self.lock:
            return not self.closed and all(self._holds(stage_id) for stage_id in (self.stage.id, *self.stage.holds))

    def take(self, changes: Changes) -> None:
        """Write into the journal what the far stage has left; LeaseLost where the stage is another's by now."""
        with self.lock:
            if self.closed:
                return
            self._renew()
            for stage_id, name in changes.removed:
                if name == RESULT or self._holds(stage_id):
                    self.journal.discard(stage_id, name)
            # A result comes after all that it stands for.
            for stage_id, name in sorted(changes.written, key=lambda file: file[1] == RESULT):
                if self._holds(stage_id):
                    self.leases[stage_id].check()
                    _write(self.journal.folder(stage_id) / name, changes.written[stage_id, name])
            self._renew()

    def close(self) -> None:
        """Give the leases up, and take nothing more."""
        with self.lock:
            self.closed = True
            for lease in self.leases.values():
                lease.release()
            self.leases.clear()

    def _renew(self) -> None:
        for stage_id in [stage_id for stage_id, lease in self.leases.items() if not lease.renew()]:
            lease = self.leases.pop(stage_id)
            if stage_id in (self.stage.id, *self.stage.holds):
                # It says who has it now.
                lease.check()
                raise LeaseLost("its lease was taken away")

    def _holds(self, stage_id: str) -> bool:
        """True where this desk may write to a stage's folder; it takes the lease if nobody has it. That of a rung that
        was scored on the way may be another's."""
        if stage_id not in self.leases and (lease := take(self.journal.shelf(stage_id))) is not None:
            self.leases[stage_id] = lease
        return stage_id in self.leases


def _files(*folders: Path) -> Iterator[Path]:
    """The files in stages' folders that are to be sent."""
    for folder in folders:
        with suppress(FileNotFoundError):
            for path in sorted(folder.iterdir()):
                if not path.name.startswith((".", NAME)) and path.name != BEFORE:
                    yield path


def _write(path: Path, content: bytes) -> None:
    replace_file(path, lambda temporary: temporary.write_bytes(content))
