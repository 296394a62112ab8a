"""Locks: a stage is run by one process at a time, and a results folder is written by one command at a time.

    <journal>/<id>/.lock     the process that runs a stage
    results/.locks/<grid>    the command that works on results/<grid>/; `.clean` is `ablations.clean`

A lock's file holds the pid of its process. The kernel lets it go with the process, however that ends. Several hosts
need a file system that passes locks on, such as NFS from version 4.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from analysis.errors import InputError

STAGE_LOCK, LOCKS, CLEANING = ".lock", ".locks", ".clean"


@contextmanager
def tried(path: Path, kind: int = fcntl.LOCK_EX) -> Iterator[str]:
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
    with _held(folder):
        # Each takes its own lock before it tries the other's: of two that begin at once, one sees the other.
        with _held(folder.with_name(CLEANING), fcntl.LOCK_SH):
            pass
        yield


@contextmanager
def cleaning_lock(results: Path) -> Iterator[None]:
    """Hold all results folders; InputError while a command works on one of them."""
    with _held(results / CLEANING):
        for path in sorted((results / LOCKS).glob("[!.]*")):
            with _held(results / path.name):
                pass
        yield


@contextmanager
def _held(folder: Path, kind: int = fcntl.LOCK_EX) -> Iterator[None]:
    with tried(folder.parent / LOCKS / folder.name, kind) as pid:
        if pid:
            works = f"cleans {folder.parent}" if folder.name == CLEANING else f"works on {folder}"
            raise InputError(f"another command {works} (process {pid}): wait until it has ended, or stop it")
        yield
