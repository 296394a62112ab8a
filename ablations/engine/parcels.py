"""A stage far from its journal: what it reads travels to it, and what it leaves comes back while it runs.

    command   packed ─▶ parcel ─▶ worker    unpacks it in a folder of its own, and runs the stage there
    command   Desk   ◀─ changes ◀─ worker   what has been written there since, or taken away, every second

The desk holds the leases of the folders that it writes to, in the worker's place, and renews them as long as it hears
from the worker: so a worker that stands still is given up like one beside its journal, and what a stage has left comes
to its folder in the order in which it was left, its result last.
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
from analysis.format.files import replace_file

SECONDS = 1.0
"""Between two looks at what a stage has left."""

File = tuple[str, str]
"""A stage's id, and the name of a file in its folder."""
Parcel = dict[File, bytes]
"""The files that a stage reads, and those left so far by it and by the stages whose folders it writes to."""
Stamp = tuple[int, int, int]
"""A mark that tells a file from a later one of its name: its inode, its bytes, and the time of its last change."""


@dataclass(frozen=True)
class Changes:
    """The files that were written since the last changes, whole, and those that were taken away; and the `status` of
    the stage, once it has ended."""

    written: Parcel = field(default_factory=dict)
    removed: tuple[File, ...] = ()
    status: str = ""


def packed(journal: Journal, stage: Stage) -> Parcel:
    """All that a stage may read of a journal."""
    parcel: Parcel = {}
    for path in _read(journal, stage):
        # It may be taken away at this moment, by another command that has just ended it.
        with suppress(FileNotFoundError):
            parcel[path.parent.name, path.name] = path.read_bytes()
    return parcel


def _read(journal: Journal, stage: Stage) -> Iterator[Path]:
    """The files that it may read: of its kin, the states that it may go on from."""
    own = (*stage.needs, *stage.holds, stage.id)
    for stage_id in dict.fromkeys((*own, *stage.reads)):
        for path in _files(journal.folder(stage_id)):
            if stage_id in own or path.name.startswith(FORK):
                yield path


def performed(stage: Stage, parcel: Parcel, device: str) -> Iterator[Changes]:
    """In a worker: run a stage on what a parcel holds; what it leaves, every second, and at last its status."""
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
    """The folders of a journal, and what of them has been told."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.told: dict[File, Stamp] = {}

    def changes(self) -> Changes:
        """The files that changed since the last call.

        A result counts where it was there before the rest was looked at: then all that it stands for is there, too.
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
    """A command's place to take what a stage leaves far away: it has the leases of the folders written to.

    Threads may take and close at once: what comes after it was closed is left.
    """

    def __init__(self, journal: Journal, stage: Stage) -> None:
        self.journal = journal
        self.stage = stage
        self.leases: dict[str, Lease] = {}
        self.lock = threading.Lock()
        self.closed = False

    def open(self) -> bool:
        """Take the leases; False where another process has one of them, or it was closed meanwhile."""
        with self.lock:
            return not self.closed and all(self._holds(stage_id) for stage_id in (self.stage.id, *self.stage.holds))

    def take(self, changes: Changes) -> None:
        """Leave in the journal what was left far away; LeaseLost where the stage is another's by now."""
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
        """Let the leases go, and take nothing more."""
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
        """True where a stage's folder is this one's to write to, from now on if nobody has it: that of a rung that was
        scored on the way may be another's."""
        if stage_id not in self.leases and (lease := take(self.journal.shelf(stage_id))) is not None:
            self.leases[stage_id] = lease
        return stage_id in self.leases


def _files(*folders: Path) -> Iterator[Path]:
    """The files in stages' folders that are worth a journey."""
    for folder in folders:
        with suppress(FileNotFoundError):
            for path in sorted(folder.iterdir()):
                if not path.name.startswith((".", NAME)) and path.name != BEFORE:
                    yield path


def _write(path: Path, content: bytes) -> None:
    replace_file(path, lambda temporary: temporary.write_bytes(content))
