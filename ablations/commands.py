"""What every command ends with: a wrong call in one line and exit code 2, a full disk in one line and 1."""

from __future__ import annotations

import sys
from collections.abc import Callable

from analysis.errors import InputError


def exit_code(main: Callable[[list[str]], int]) -> int:
    """Run a command on the process's arguments."""
    try:
        return main(sys.argv[1:])
    except InputError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: {error}. What was finished before is intact; the same command continues", file=sys.stderr)
        return 1
