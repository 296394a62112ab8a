"""Locks: a stage is run by one process at a time, and a results folder is written by one command at a time.

    <journal>/<id>/.lock     the process that runs a stage
    results/.locks/<grid>    the command that works on results/<grid>/
    results/.locks/.clean    `ablations.clean`, alone, or commands that work, which share it

A lock's file holds the pid of its process. The kernel lets it go with the process, however that ends. Several hosts
need a file system that passes locks on, such as NFS from version 4.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
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
    results = folder.parent
    with (
        _held(results, CLEANING, f"cleans {results}", fcntl.LOCK_SH),
        _held(results, folder.name, f"works on {folder}"),
    ):
        yield


def cleaning_lock(results: Path) -> AbstractContextManager[None]:
    """Hold all results folders; InputError while a command works on one of them."""
    return _held(results, CLEANING, f"works on a folder of {results}")


@contextmanager
def _held(results: Path, name: str, works: str, kind: int = fcntl.LOCK_EX) -> Iterator[None]:
    """Hold a lock; InputError, which says that another command `works`, where it cannot be had."""
    with tried(results / LOCKS / name, kind) as pid:
        if pid:
            raise InputError(f"another command {works} (process {pid}): wait until it has ended, or stop it")
        yield
