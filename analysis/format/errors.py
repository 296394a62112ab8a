"""Errors that a user can mend, of one line: what was given, what is expected, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """A wrong call, or runs that are missing, corrupt or mixed."""


class NothingYet(InputError):
    """Results of which no round is whole: there is nothing to show, and nothing is wrong."""


def unknown(kind: str, given: str, allowed: Iterable[str]) -> InputError:
    """The error that `given` is no `kind`, with the allowed ones and the nearest."""
    names = sorted(allowed)
    near = difflib.get_close_matches(given, names, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return InputError(f"no {kind} called {given!r}: there are {', '.join(names) or 'none'}{hint}")
