"""The lock of a results folder: of all commands that work on it, one at a time writes there and delivers it.

    results/.leases/<grid>/             the lease of the command that writes, and `last`: the command that wrote last
    results/.leases/<grid>/<command>/   the lease of a command that is at work on the grid, and what it was asked for
    results/.leases/.clean/             the lease of `ablations.clean` while it deletes: other commands wait for it

Each can be deleted while no command runs. The lease of a command that was killed at work stays, as a sign of that,
until another one has ended well.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ablations.engine.lease import WAITED, Lease, has_lease, holder, leased
from analysis.files import write_text

REQUEST = "request"
"""The file beside the lease of a command at work: what that command was asked for."""
SEARCH = "search"
"""The lease of a search's one driver, beside these."""
CLEANING = ".clean"
"""The lease of the command that deletes what nobody needs."""


@dataclass(frozen=True)
class Held:
    """A results folder while it is held; `others` says whether another command has held it since this one did."""

    lease: Lease
    others: bool


class FolderLock:
    """The lock of a results folder as one command has it."""

    def __init__(self, folder: Path) -> None:
        self.place = place_of(folder)
        self.me = secrets.token_hex(8)
        self.seen = self._last()

    @contextmanager
    def held(self, *, wait: bool = True) -> Iterator[Held | None]:
        """Hold the folder, after another; None where one does not `wait` for that."""
        with leased(self.place, wait=wait) as lease:
            if lease is None:
                yield None
                return
            last, self.seen = self.seen, self.me
            others = self._last() not in (last, self.me)
            if self._last() != self.me:
                write_text(self.place / "last", self.me)
            yield Held(lease, others)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Be at work on the folder, which other commands can see."""
        own = self.place / self.me
        try:
            with leased(own):
                wait_for_cleaning(self.place.parent)
                yield
                self._take_over()
        finally:
            _leave(own)

    def take(self, request: str) -> bool:
        """Take the folder's name for a request, while it is held; False where a command at work has the name for
        another request."""
        asked = [_asked(path) for path in self._others() if holder(path) is not None]
        free = all(other in ("", request) for other in asked)
        if free:
            write_text(self.place / self.me / REQUEST, request)
        return free

    def _others(self) -> list[Path]:
        return [path for path in self.place.glob("*/") if path.is_dir() and path.name not in (self.me, SEARCH)]

    def _take_over(self) -> None:
        """Take away the leases of commands that were killed on this machine, since this command has continued their
        work."""
        # One that is just beginning has no lease yet, and is left alone.
        for path in (path for path in self._others() if has_lease(path) and holder(path) is None):
            with leased(path):
                pass
            _leave(path)

    def _last(self) -> str:
        path = self.place / "last"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


def _asked(path: Path) -> str:
    """The request of the command with this folder; "" where it has not been written yet, or is gone."""
    try:
        return (path / REQUEST).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""


def _leave(path: Path) -> None:
    """Take away the folder of a command whose lease has been let go."""
    (path / REQUEST).unlink(missing_ok=True)
    # Another command may be reading the folder, so that it cannot be removed: without a lease it means nothing.
    with suppress(OSError):
        path.rmdir()


def place_of(folder: Path) -> Path:
    """The folder of the leases of a results folder."""
    return folder.parent / ".leases" / folder.name


def wait_for_cleaning(leases: Path) -> None:
    """Wait while another command deletes what nobody needs: it looked at who is at work before this command was."""
    while holder(leases / CLEANING) is not None:
        time.sleep(WAITED)
