"""The end of every command: a line and exit code 2 for a wrong call, 1 for an error of the disk, 130 for Ctrl-C."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version

import psutil

from analysis.errors import InputError, line

PACKAGE = "diffusion-ablations"
HELP = {"--help", "-h", "help"}
"""The words that ask for a command's help."""
INTERRUPTED = 130
"""The exit code after Ctrl-C."""
AGAIN = "what has finished is kept, the same command continues"


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


def release() -> str:
    """The suite's name with its version."""
    try:
        return f"{PACKAGE} {version(PACKAGE)}"
    except PackageNotFoundError:
        return f"{PACKAGE} of a checkout that is not installed: pip install -e . makes its version known"


def outcome(main: Callable[[list[str]], int], arguments: Sequence[str]) -> int:
    """The exit code of a command on these arguments, after a line that says what stopped it."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.encoding.lower() not in ("utf-8", "utf8"):
            # Characters that such a terminal lacks are written out.
            stream.reconfigure(errors="backslashreplace")
    if "--version" in arguments:
        print(release())
        return 0
    try:
        return main(list(arguments))
    except InputError as error:
        print(f"error: {line(str(error))}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # Otherwise Python would find the broken pipe once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not HELP & set(arguments):
            print(f"error: what read this command's output has ended: {AGAIN}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {line(str(error))}: mend this; {AGAIN}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"interrupted: {AGAIN}", file=sys.stderr)
        return INTERRUPTED
