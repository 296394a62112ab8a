"""A lease: a place belongs to one process while it works there, on network file systems too, which may know no locks.

    <place>/lease.1, lease.2, …   the holder; of several files the one with the highest number counts

A process takes a lease by creating the file of the next number, which only one of several can, and gives it up by
removing the file. The holder touches it every few seconds. A lease is lost once its process is gone, which the same
machine sees at once, or once it has not been touched for a minute by the clock of the file system (the clocks of hosts
may differ). A holder that was frozen, and comes back after that, finds that the place is another's, and leaves nothing
there.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from ablations.engine.shelves import Folder, Shelf

RENEWED = 5.0
"""Seconds between two touches."""
LOST = 60.0
"""Seconds without a touch after which a lease is lost: hosts may cache times for a while, and processes be busy."""
WAITED = 0.2
"""Seconds between two tries of a process that waits for a lease."""
NAME = "lease."
ELSEWHERE = "elsewhere"
"""The status of a stage that another process runs."""
ZOMBIE = "Z"
"""The state of a process that has ended, and has not been waited for."""


class Elsewhere(Exception):
    """Another process holds what is needed."""


class LeaseLost(Elsewhere):
    """This process was taken for dead, and another process has its lease."""


@dataclass(frozen=True)
class Holder:
    """A process that holds a lease, with the name of its host; its pid and its start identify it on a `machine` (pids
    are reused)."""

    host: str
    machine: str
    pid: int
    started: str
    token: str

    @staticmethod
    def here() -> Holder:
        """This process, with a token that no other lease has."""
        pid = os.getpid()
        return Holder(socket.gethostname(), _machine(), pid, _started(pid), secrets.token_hex(8))

    @property
    def is_gone(self) -> bool:
        """True where the process is known to have ended; of a process on another machine that cannot be known."""
        return self.machine == _machine() and _started(self.pid) != self.started

    def __str__(self) -> str:
        return f"{self.host} (process {self.pid})"


@dataclass(frozen=True)
class Lease:
    """A lease of this process, or of the one that started it: the place of its file, its number, and the token in
    it."""

    shelf: Shelf
    number: int
    token: str

    @property
    def name(self) -> str:
        return _name(self.number)

    def check(self) -> None:
        """LeaseLost where the lease is another's, or nobody's."""
        owner, _ = _read(self.shelf, self.number)
        # Who takes it over makes the next one first, and may be a while before it removes this one.
        if owner is None or owner.token != self.token or _numbers(self.shelf)[-1:] != [self.number]:
            now = holder(self.shelf)
            raise LeaseLost(
                f"its lease was not renewed for {LOST:.0f} seconds, since this process or its host stood still, and "
                f"{'it is run anew' if now is None else f'{now} runs it now'}"
            )

    def renew(self) -> bool:
        """Touch the lease; False where it is lost, so that its holder knows before it leaves anything."""
        return self.shelf.touch(self.name)

    def release(self) -> None:
        """Give the lease up, unless it is lost."""
        with suppress(LeaseLost):
            self.check()
            self.shelf.remove(self.name)


@contextmanager
def leased(place: Path | Shelf, *, wait: bool = False) -> Iterator[Lease | None]:
    """Hold a place, and renew its lease meanwhile; None where another holds it and we do not `wait`. Whatever
    interrupts this, the place is let go: if it went on being renewed, others would wait for ever."""
    lease, over, renewing = None, threading.Event(), None
    try:
        lease = take(place)
        while lease is None and wait:
            time.sleep(WAITED)
            lease = take(place)
        if lease is not None:
            renewing = threading.Thread(target=_renew, args=(lease, over), daemon=True)
            renewing.start()
        yield lease
    finally:
        over.set()
        if renewing is not None and renewing.is_alive():
            # A thread that was interrupted while it started never ends, so waiting for it has a limit; where it renews
            # the lease after that, it finds no file and does nothing.
            renewing.join(RENEWED)
        if lease is not None:
            lease.release()


def take(place: Path | Shelf) -> Lease | None:
    """A lease of the place, which somebody has to renew; None where another process holds it, or takes it at this
    moment."""
    shelf = Folder(place) if isinstance(place, Path) else place
    before = _numbers(shelf)
    if before and _held(shelf, before[-1]) is not None:
        return None
    number, me = (before[-1] if before else 0) + 1, Holder.here()
    lease = Lease(shelf, number, me.token)
    try:
        return lease if _made(lease, json.dumps(asdict(me)), before) else None
    except KeyboardInterrupt:
        lease.release()
        raise


def _made(lease: Lease, text: str, before: list[int]) -> bool:
    """Create the file of the lease, the next after those seen `before`; False where another process has the place."""
    if not lease.shelf.make(lease.name, text):
        return False
    if _numbers(lease.shelf) != [*before, lease.number] or any(_held(lease.shelf, lost) for lost in before):
        # Since it was looked at, another has had it, and perhaps has it still under a lower number, or one of the same.
        lease.release()
        return False
    for lost in before:
        lease.shelf.remove(_name(lost))
    return True


def holder(place: Path | Shelf) -> Holder | None:
    """The holder of a place; None where it has none."""
    shelf = Folder(place) if isinstance(place, Path) else place
    numbers = _numbers(shelf)
    return _held(shelf, numbers[-1]) if numbers else None


def has_lease(folder: Path) -> bool:
    """True where a lease lies in a folder, of a process that is there or gone."""
    return any(folder.glob(f"{NAME}*"))


def take_away(shelf: Shelf, pids: Collection[int]) -> None:
    """Take the lease of a place away from whichever of these processes of this machine holds it."""
    for number in _numbers(shelf)[-1:]:
        owner, _ = _read(shelf, number)
        if owner is not None and owner.machine == _machine() and owner.pid in pids:
            shelf.remove(_name(number))


def last_touch(shelf: Shelf) -> tuple[int, float]:
    """The number of the lease that counts in a place, and the seconds since it was touched; zeros where there is none.
    A lease that a process has just taken has a higher number than those before it."""
    numbers = _numbers(shelf)
    _, touched = _read(shelf, numbers[-1]) if numbers else (None, None)
    return (numbers[-1], shelf.now() - touched) if touched is not None else (0, 0.0)


def _held(shelf: Shelf, number: int) -> Holder | None:
    """The holder of this lease; None where it is lost, or was let go."""
    owner, touched = _read(shelf, number)
    if touched is None or (owner is not None and owner.is_gone):
        return None
    try:
        late = shelf.now() - touched
    except FileNotFoundError:
        return None
    return (owner or Holder("another process", "", 0, "", "")) if late < LOST else None


def _read(shelf: Shelf, number: int) -> tuple[Holder | None, float | None]:
    """The writer of a lease, None while it is being written, and the time of its last touch, None where there is no
    lease."""
    read = shelf.read(_name(number))
    if read is None:
        return None, None
    text, touched = read
    try:
        return Holder(**json.loads(text)), touched
    except (ValueError, TypeError):
        return None, touched


def _renew(lease: Lease, over: threading.Event) -> None:
    while not over.wait(RENEWED):
        try:
            if not lease.renew():
                return
        except OSError:
            # A network that does not answer for a while: the next touch may be in time.
            continue


def _numbers(shelf: Shelf) -> list[int]:
    names = [name.removeprefix(NAME) for name in shelf.names(NAME)]
    return sorted(int(name) for name in names if name.isdecimal())


def _name(number: int) -> str:
    return f"{NAME}{number}"


@cache
def _machine() -> str:
    """The system in which pids are unique: this boot of this kernel, and its pid namespace."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{boot} {os.readlink('/proc/self/ns/pid')}"


def _started(pid: int) -> str:
    """The time when a process of this machine started, in clock ticks; "" where it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""
    # Its name, in brackets, may hold anything: the state is next, and the start the twentieth.
    after = stat.rpartition(")")[2].split()
    return "" if after[0] == ZOMBIE else after[19]
