"""A lease: a place is one process's while it works there, on network file systems and object stores too, which may know
no locks.

    <place>/lease.1, lease.2, …   who holds it; of several the one with the highest number counts

It is had by making the file of the next number, which one of several processes can, and let go by removing it. Its
holder touches it every few seconds. It is lost once its process is gone, which is seen at once on the same machine, or
once it has not been touched for a minute by the clock of the file system, or of the store: those of hosts may differ. A
holder that comes back after that, since it was frozen, finds that it is another's, and leaves nothing there.

A place is a folder, or where else such files stand (`shelves`).
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

from ablations.engine.shelves import Folder, Readable, Shelf

RENEWED = 5.0
"""Seconds between two touches."""
LOST = 60.0
"""Seconds without a touch after which a lease is lost: hosts may cache times for a while, and processes be busy."""
WAITED = 0.2
"""Seconds between two tries of who waits for one."""
NAME = "lease."
ELSEWHERE = "elsewhere"
"""The status of a stage that another process runs."""
ZOMBIE = "Z"
"""The state of a process that has ended, and has not been waited for."""


class Elsewhere(Exception):
    """Another process holds what is needed."""


class LeaseLost(Elsewhere):
    """This process was taken for dead, and another has its lease."""


@dataclass(frozen=True)
class Holder:
    """A process that holds a lease, by its host's name; its pid and its start tell it among those of a `machine`."""

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
        """Whether the process is known to have ended; of another machine's that is not known."""
        return self.machine == _machine() and _started(self.pid) != self.started

    def __str__(self) -> str:
        return f"{self.host} (process {self.pid})"


@dataclass(frozen=True)
class Lease:
    """A lease that this process has, or the one that started it: where its file is, of which number, and the token in
    it; what was written there, and the tag that it then had, for who touches it."""

    shelf: Shelf
    number: int
    token: str
    text: str
    tag: str

    @property
    def name(self) -> str:
        return _name(self.number)

    def check(self) -> None:
        """LeaseLost where it is another's, or nobody's."""
        found, _ = _read(self.shelf, self.number)
        if found is None or found.token != self.token:
            now = holder(self.shelf)
            raise LeaseLost(
                f"its lease was not renewed for {LOST:.0f} seconds, since this process or its host stood still, and "
                f"{'it is run anew' if now is None else f'{now} runs it now'}"
            )

    def release(self) -> None:
        """Let it go, where it is not lost."""
        with suppress(LeaseLost):
            self.check()
            self.shelf.remove(self.name)


@contextmanager
def leased(place: Path | Shelf, *, wait: bool = False) -> Iterator[Lease | None]:
    """Hold a place, and renew that meanwhile; None where another holds it and one does not `wait`.

    Whenever this is interrupted, the place is let go: one that went on being renewed would be waited for for ever.
    """
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
            # One that was interrupted as it started never ends; and a touch that comes late finds no file.
            renewing.join(RENEWED)
        if lease is not None:
            lease.release()


def take(place: Path | Shelf) -> Lease | None:
    """A lease of the place, which somebody has to renew; None where another holds it, or takes it at this moment."""
    shelf = Folder(place) if isinstance(place, Path) else place
    found = _numbers(shelf)
    if found and _held(shelf, found[-1]) is not None:
        return None
    number, me = (found[-1] if found else 0) + 1, Holder.here()
    lease = Lease(shelf, number, me.token, json.dumps(asdict(me)), "")
    try:
        return _made(lease, found)
    except KeyboardInterrupt:
        lease.release()
        raise


def _made(lease: Lease, found: list[int]) -> Lease | None:
    """The same once its file is made, after those that were `found`; None where another has the place."""
    tag = lease.shelf.make(lease.name, lease.text)
    if tag is None:
        return None
    if _numbers(lease.shelf) != [*found, lease.number]:
        # Since it was looked at, another has had it, and perhaps has it still under a lower number.
        lease.release()
        return None
    for lost in found:
        lease.shelf.remove(_name(lost))
    return replace(lease, tag=tag)


def holder(place: Path | Readable) -> Holder | None:
    """Who holds a place; None where nobody does."""
    shelf = Folder(place) if isinstance(place, Path) else place
    found = _numbers(shelf)
    return _held(shelf, found[-1]) if found else None


def last_touch(shelf: Readable) -> tuple[int, float]:
    """The number of the lease that counts in a place, and the seconds since it was touched; zeros where there is none.

    One that a process has just made has a higher number than those before it.
    """
    found = _numbers(shelf)
    _, touched = _read(shelf, found[-1]) if found else (None, None)
    return (found[-1], shelf.now() - touched) if touched is not None else (0, 0.0)


def _held(shelf: Readable, number: int) -> Holder | None:
    """Who holds this lease; None where it is lost, or was let go."""
    found, touched = _read(shelf, number)
    if touched is None or (found is not None and found.is_gone):
        return None
    try:
        late = shelf.now() - touched
    except FileNotFoundError:
        return None
    return (found or Holder("another process", "", 0, "", "")) if late < LOST else None


def _read(shelf: Readable, number: int) -> tuple[Holder | None, float | None]:
    """Who wrote a lease, None while it is being written, and when it was last touched, None where it is not there."""
    read = shelf.read(_name(number))
    if read is None:
        return None, None
    text, touched = read
    try:
        return Holder(**json.loads(text)), touched
    except (ValueError, TypeError):
        return None, touched


def _renew(lease: Lease, over: threading.Event) -> None:
    tag = lease.tag
    while not over.wait(RENEWED):
        try:
            again = lease.shelf.touch(lease.name, lease.text, tag)
        except OSError:
            # A network that does not answer for a while: the next touch may be in time.
            continue
        if again is None:
            # It is lost, which its holder finds before it leaves anything.
            return
        tag = again


def _numbers(shelf: Readable) -> list[int]:
    """The numbers of the leases in a place, in order."""
    names = [name.removeprefix(NAME) for name in shelf.names(NAME)]
    return sorted(int(name) for name in names if name.isdecimal())


def _name(number: int) -> str:
    return f"{NAME}{number}"


@cache
def _machine() -> str:
    """What tells where a pid means a process: this start of this kernel, and the namespace of its pids."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{boot} {os.readlink('/proc/self/ns/pid')}"


def _started(pid: int) -> str:
    """When a process of this machine started, in its clock's ticks; "" where it is gone."""
    try:
        told = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""
    # Its name, in brackets, may hold anything: the state is next, and the start the twentieth.
    after = told.rpartition(")")[2].split()
    return "" if after[0] == ZOMBIE else after[19]
