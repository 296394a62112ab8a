"""Processes of their own for tests: forks of this one, which has imported what takes seconds to import."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from multiprocessing import get_context
from multiprocessing.context import ForkProcess
from pathlib import Path


def forked(command: Callable[[], int], log: Path) -> ForkProcess:
    """A fork that runs a command, whose result is its exit code; what it prints goes to a file."""

    def run() -> None:
        with log.open("a", encoding="utf-8") as file, redirect_stdout(file), redirect_stderr(file):
            sys.exit(command())

    process = get_context("fork").Process(target=run)
    process.start()
    return process


def code_of(process: ForkProcess) -> int | None:
    """Its exit code, once it has ended."""
    process.join()
    return process.exitcode
