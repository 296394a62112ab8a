"""The exit of every command of this package (`analysis.shell`)."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable

import psutil

from analysis.shell import INTERRUPTED, outcome


def exit_code(main: Callable[[list[str]], int]) -> int:
    """Run a command on the process's arguments; its exit code. A refused one ends at once, without the seconds that
    imports take to end, here and for workers; and so does an interrupted one at a further Ctrl-C."""
    code = outcome(main, sys.argv[1:])
    if code == 2:
        for child in psutil.Process().children(recursive=True):
            child.kill()
        print(end="", flush=True)
        os._exit(code)
    if code == INTERRUPTED:
        signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
    return code
