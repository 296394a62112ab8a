"""What every command ends with: a wrong call in one line and 2, a disk's refusal in one line and 1, Ctrl-C and 130."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Callable

from ablations.settings.plugins.packages import complaints
from analysis.format.errors import InputError
from analysis.format.plain import line, printed_plainly

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
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.encoding.lower() not in ("utf-8", "utf8"):
            # What such a terminal has no letters for is written out.
            stream.reconfigure(errors="backslashreplace")
    for complaint in complaints():
        print(f"warning: {line(complaint)}", file=sys.stderr)
    try:
        with printed_plainly():
            return main(arguments)
    except InputError as error:
        print(f"error: {line(str(error))}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # Python would find it once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not {"--help", "-h", "help"} & set(arguments):
            said = "what read this command's output has ended. Finished stages are kept, the same command continues"
            print(f"error: {said}", file=sys.stderr)
        return 1
    except OSError as error:
        print(
            f"error: {line(str(error))}. Finished stages are kept: mend this, and the same command continues",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        print("interrupted: finished stages are kept, the same command continues", file=sys.stderr)
        return INTERRUPTED
