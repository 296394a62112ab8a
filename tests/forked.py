"""Processes of their own for tests: forks of this one, which has imported what takes seconds to import."""

from __future__ import annotations

from collections.abc import Callable
from mmap import mmap
from pathlib import Path

from evidence.child import AT_BYTES, Child


def forked(command: Callable[[], int], log: Path) -> Child:
    """A fork that runs a command, whose result is its exit code; what it prints goes to a file."""
    return Child.start(command, log, mmap(-1, AT_BYTES))
