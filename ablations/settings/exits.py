"""The exit of every command of this package (`analysis.shell`)."""

from __future__ import annotations

import sys
from collections.abc import Callable

from analysis import shell


def exit_code(main: Callable[[list[str]], int]) -> int:
    """Run a command on the process's arguments; its exit code."""
    return shell.exit_code(lambda: outcome(main, sys.argv[1:]))


def outcome(main: Callable[[list[str]], int], arguments: list[str]) -> int:
    """The exit code of a command on these arguments."""
    return shell.outcome(lambda words: main(list(words)), arguments)
