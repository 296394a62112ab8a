"""The exit of every command of this package (`analysis.shell`)."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress

from analysis import shell
from analysis.shell import REFUSED


def exit_code(main: Callable[[list[str]], int]) -> int:
    """Run a command on the process's arguments; its exit code. A refused one ends at once."""
    code = shell.exit_code(lambda: outcome(main, sys.argv[1:]))
    if code == REFUSED:
        _end_at_once(code)
    return code


def outcome(main: Callable[[list[str]], int], arguments: list[str]) -> int:
    """The exit code of a command on these arguments."""
    return shell.outcome(lambda words: main(list(words)), arguments)


def _end_at_once(code: int) -> None:
    """End this process and those that it started, which still import what they would have needed; Python's own end
    would take seconds once torch is there."""
    import psutil

    with suppress(psutil.Error):
        for child in psutil.Process().children(recursive=True):
            child.kill()
    with suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)
