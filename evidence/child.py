"""A command in a fork of this process, which has imported everything, so that what it takes is the command's own time.

It says in memory that it shares with its parent what it is at, which is how moments are told.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from mmap import mmap
from pathlib import Path
from typing import Any

AT_BYTES = 32
LATE, PROMPT = 240.0, 10.0
"""Seconds after which a child that should have ended is taken for hung, and one that was asked to stop."""


class Hung(Exception):
    """A command that neither ends nor goes on."""


@dataclass
class Child:
    """A command under way: its process, the first of a group, and the memory in which it says what it is at."""

    pid: int
    at: mmap
    code: int | None = None

    @staticmethod
    def start(command: Callable[[], int], log: Path, at: mmap) -> Child:
        """Fork a process that runs a command; what it prints goes to a file."""
        at[:] = b"\0" * AT_BYTES
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        # Whoever is first makes the group: the parent may signal it at once.
        with contextlib.suppress(OSError):
            os.setpgid(pid, pid)
        if pid:
            return Child(pid, at)
        code = 70
        # What is started in the background of a shell ignores it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            file = log.open("a", encoding="utf-8", buffering=1)
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
            sys.stdout = sys.stderr = file
            code = command()
        except BaseException:
            traceback.print_exc()
        finally:
            with contextlib.suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    @property
    def moment(self) -> str:
        """The name of what it is doing."""
        return bytes(self.at[:]).rstrip(b"\0").decode() or "beginning"

    @property
    def ended(self) -> bool:
        """True where it has come to an end."""
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.code = os.waitstatus_to_exitcode(status) if pid else None
        return self.code is not None

    @property
    def processes(self) -> list[int]:
        """Its own process and the workers that it has started, as far as Linux tells."""
        pids = [self.pid]
        for path in Path(f"/proc/{self.pid}/task").glob("*/children"):
            # Threads come and go.
            with contextlib.suppress(OSError):
                pids += map(int, path.read_text(encoding="ascii").split())
        return pids

    def is_survived(self) -> bool:
        """True where one of its workers still runs a while after it has ended."""
        until = time.monotonic() + PROMPT
        with contextlib.suppress(ProcessLookupError):
            while time.monotonic() < until:
                os.killpg(self.pid, 0)
                time.sleep(0.01)
            os.killpg(self.pid, signal.SIGKILL)
            return True
        return False

    def wait(self, seconds: float) -> bool:
        """Wait up to so many seconds for its end; True where it has ended."""
        until = time.monotonic() + seconds
        while not self.ended and time.monotonic() < until:
            time.sleep(0.002)
        return self.ended

    def signal(self, number: int, *, group: bool = False) -> int:
        """Send it, or all of its group, a signal by which it is to end at once; its exit code."""
        (os.killpg if group else os.kill)(self.pid, number)
        return self.finish(PROMPT)

    def finish(self, seconds: float = LATE) -> int:
        """Its exit code; Hung where it does not end within so many seconds."""
        if not self.wait(seconds):
            os.killpg(self.pid, signal.SIGKILL)
            raise Hung(f"a command that was to end stayed at {self.moment!r} for {seconds:g} s")
        assert self.code is not None, "it has ended"
        return self.code


@contextlib.contextmanager
def saying(at: mmap, moment: str) -> Iterator[None]:
    """Say meanwhile that this is what one is at."""
    before = bytes(at[:])
    at[:] = moment.encode()[:AT_BYTES].ljust(AT_BYTES, b"\0")
    try:
        yield
    finally:
        at[:] = before


def announced(at: mmap, moment: Callable[..., str], function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that says what it is at while it runs, by what it is given."""

    def run(*given: Any, **named: Any) -> Any:
        with saying(at, moment(*given)):
            return function(*given, **named)

    return run
