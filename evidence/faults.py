"""Faults done to a command, for `evidence.reliability`: kills, stops, too little memory or disk, torn files.

start ──▶ Child (a fork, which runs the command) ──▶ Fault.strike after a while ──▶ how the child ended
"""

from __future__ import annotations

import contextlib
import os
import random
import resource
import signal
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from evidence.child import Child

MEGABYTE = 1 << 20
GROUPS = (
    ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
    ("/sys/fs/cgroup", "memory.max"),
)
"""Folders of Linux's groups of processes that share a limit of memory, with the limit's file: cgroup 1, and 2."""
PATIENCE = 30.0
"""Seconds before a process that is out of memory is killed."""
ACCIDENTAL = ("search",)
"""The commands that are spared what a stage fails by: a trial that failed so is tried again under another number, by
which all later trials are drawn."""


class Fault(ABC):
    """Something that happens to a command."""

    name: ClassVar[str]
    spares: ClassVar[tuple[str, ...]] = ()
    """The commands that it does not happen to."""

    @classmethod
    def is_possible(cls) -> bool:
        """True where it can be done on this machine."""
        return True

    @abstractmethod
    def strike(self, child: Child, results: Path, chance: random.Random) -> str:
        """Do it to a child that runs, and see that it has ended; the stage whose files it damaged, "" where none."""


class Kill(Fault):
    """SIGKILL of a command: it is gone between two instructions, and its workers are to end by themselves."""

    name = "SIGKILL"

    def strike(self, child: Child, results: Path, chance: random.Random) -> str:
        child.signal(signal.SIGKILL)
        return ""


class KillTree(Fault):
    """SIGKILL of a command and its workers, as when a container or a node goes."""

    name = "tree killed"

    def strike(self, child: Child, results: Path, chance: random.Random) -> str:
        child.signal(signal.SIGKILL, group=True)
        return ""


class KillWorkers(Fault):
    """SIGKILL of some of a command's workers, with all that train there side by side: it goes on, with others."""

    name = "workers killed"
    spares = ("grid",)

    def strike(self, child: Child, results: Path, chance: random.Random) -> str:
        workers = child.processes[1:]
        _signal(chance.sample(workers, chance.randint(1, len(workers))) if workers else [], signal.SIGKILL)
        child.finish()
        return ""


class Terminate(Fault):
    """SIGTERM, as a cluster sends it before it takes a node."""

    name = "SIGTERM"

    def strike(self, child: Child, results: Path, chance: random.Random) -> str:
        child.signal(signal.SIGTERM)
        return ""


class Interrupt(Fault):
    """SIGINT to a command and its workers, as a terminal sends it at Ctrl-C."""

    name = "Ctrl-C"

    def strike(self, child: Child, results: Path, chance: random.Random) -> str:
        child.signal(signal.SIGINT, group=True)
        return ""


class OutOfMemory(Fault):
    """The process may map no more than a little beyond what it has, and is killed if it does not end by that.

    CPython waits for ever for a thread that had no memory to begin with.
    """

    name = "out of memory"
    spares = ACCIDENTAL

    def strike(self, child: Child, results: Path, chance: random.Random) -> str:
        more = chance.randrange(8) * MEGABYTE
        for pid in child.processes:
            _limit(pid, resource.RLIMIT_AS, _mapped(pid) + more)
        if not child.wait(PATIENCE):
            child.signal(signal.SIGKILL, group=True)
        return ""


class OutOfMemoryKiller(Fault):
    """The process may use no more than a little memory beyond what it has, and the kernel kills it when it does.

    That is a SIGKILL at a moment at which it asked for memory: what a container or a node that is full does. It takes
    a control group of its own, which not everyone may make.
    """

    name = "OOM killer"

    @classmethod
    def is_possible(cls) -> bool:
        group = _memory_group(MEGABYTE)
        if group is not None:
            group.rmdir()
        return group is not None

    def strike(self, child: Child, results: Path, chance: random.Random) -> str:
        group = _memory_group(chance.randrange(1, 8) * MEGABYTE)
        assert group is not None, "it is possible"
        try:
            for pid in child.processes:
                with contextlib.suppress(ProcessLookupError):
                    (group / "cgroup.procs").write_text(str(pid), encoding="ascii")
            if not child.wait(PATIENCE):
                child.signal(signal.SIGKILL, group=True)
        finally:
            _dissolve(group)
        return ""


class FullDisk(Fault):
    """No file may grow beyond a few kilobytes: writes are refused as on a full disk, by EFBIG."""

    name = "full disk"
    spares = ACCIDENTAL

    def strike(self, child: Child, results: Path, chance: random.Random) -> str:
        most = chance.choice([0, 100, 4096, 20_000])
        for pid in child.processes:
            _limit(pid, resource.RLIMIT_FSIZE, most)
        child.finish()
        return ""


class TornWrite(Fault):
    """SIGKILL, and a file of the journal is cut or altered, as after a loss of power on a disk that lied."""

    name = "torn write"
    spares = ACCIDENTAL

    def strike(self, child: Child, results: Path, chance: random.Random) -> str:
        child.signal(signal.SIGKILL)
        files = sorted(path for path in (results / ".stages").rglob("*") if path.is_file() and path.stat().st_size)
        if not files:
            return ""
        path = chance.choice(files)
        content = bytearray(path.read_bytes())
        if chance.random() < 0.5:
            content = content[: chance.randrange(len(content))]
        else:
            content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        path.write_bytes(content)
        return path.parent.name


FAULTS: dict[type[Fault], int] = {
    Kill: 30,
    KillTree: 24,
    KillWorkers: 54,
    Terminate: 10,
    Interrupt: 10,
    OutOfMemory: 8,
    OutOfMemoryKiller: 6,
    FullDisk: 8,
    TornWrite: 9,
}
"""How often each happens, beside the others."""


def _memory_group(most: int) -> Path | None:
    """A new group of processes that may use so many bytes together; None where none can be made."""
    for root, limit in GROUPS:
        group = Path(root) / f"ablations-{os.getpid()}"
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            # The file is there where the group's controller is on, and no other can be made.
            (group / limit).write_text(str(most), encoding="ascii")
        except OSError:
            group.rmdir()
            continue
        return group
    return None


def _dissolve(group: Path) -> None:
    """Remove a group once its last process is gone: workers end a moment after their command."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            group.rmdir()
            return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.01)


def _signal(pids: list[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _limit(pid: int, what: int, most: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        resource.prlimit(pid, what, (most, most))


def _mapped(pid: int) -> int:
    """Bytes that a process has mapped."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[0])
    except (FileNotFoundError, IndexError):
        return 0
    return pages * resource.getpagesize()
