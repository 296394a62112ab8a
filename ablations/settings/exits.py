"""What every command ends with: a wrong call in one line and 2, a disk's refusal in one line and 1, Ctrl-C and 130."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable

from ablations.settings.packages import complaints
from analysis.errors import InputError
from analysis.plain import line, printed_plainly

INTERRUPTED = 130
"""The exit code after Ctrl-C."""


def exit_code(main: Callable[[list[str]], int]) -> int:
    """Run a command on the process's arguments; once it was interrupted, a further Ctrl-C ends the process at once."""
    code = outcome(main, sys.argv[1:])
    if code == INTERRUPTED:
        signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
    return code


def outcome(main: Callable[[list[str]], int], arguments: list[str]) -> int:
    """The exit code of a command on these arguments, once packages that cannot be used were named."""
    for complaint in complaints():
        print(f"warning: {line(complaint)}", file=sys.stderr)
    try:
        with printed_plainly():
            return main(arguments)
    except InputError as error:
        print(f"error: {line(str(error))}", file=sys.stderr)
        return 2
    except OSError as error:
        print(
            f"error: {line(str(error))}. Finished stages are kept: mend this, and the same command continues",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        print("interrupted: finished stages are kept, the same command continues", file=sys.stderr)
        return INTERRUPTED
