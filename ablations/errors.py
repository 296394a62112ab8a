"""What a user can mend: one line that says what was given, what is allowed, and what to do; exit code 2."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Iterable


class UserError(Exception):
    """A wrong call, a missing or foreign file, a store that cannot be read."""


def unknown(kind: str, given: str, allowed: Iterable[str]) -> UserError:
    """`given` is no `kind`: the allowed ones, and the nearest."""
    allowed = sorted(allowed)
    near = difflib.get_close_matches(given, allowed, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return UserError(f"no {kind} called {given!r}: there are {', '.join(allowed)}{hint}")


def exit_code(main: Callable[[list[str]], int]) -> int:
    """Run a command on the process's arguments; a UserError becomes its line and 2, a full disk its line and 1."""
    try:
        return main(sys.argv[1:])
    except UserError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: {error}. What was finished before is intact; the same command continues", file=sys.stderr)
        return 1
