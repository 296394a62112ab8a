"""Errors that a user can mend, in one line: what was given, what is expected, what to do."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence


class InputError(ValueError):
    """A wrong call, or runs that are missing, corrupt or mixed."""


class NothingYet(InputError):
    """Results without any finished round: there is nothing to show, and nothing is wrong."""


FEW = 16
"""The most names that are listed beside a near one; if there are more, the near one stands alone."""


def unknown(kind: str, given: str, allowed: Iterable[str], meant: Sequence[str] = (), *notes: str) -> InputError:
    """The error that no `kind` is called `given`. It suggests `meant`, by default the nearest allowed names, and lists
    all names if they are few, or none is near."""
    names = sorted(set(allowed))
    near = meant or nearest(given, names)
    hint = [f"did you mean {' or '.join(map(repr, near))}?"] if near else []
    every = [] if near and len(names) > FEW else [f"there are {', '.join(names) or 'none'}"]
    return InputError(" ".join([f"no {kind} called {given!r}: {'; '.join([*every, *hint])}", *notes]))


def nearest(given: str, names: Iterable[str]) -> list[str]:
    """The names written most similarly, if any are near. Unless a whole name matches, last words do, so there may be
    several, such as a.steps and b.steps. Capitals and separators do not count."""
    forms: dict[str, list[str]] = {}
    for name in names:
        for form in {plain(name), plain(name.rpartition(".")[2])}:
            forms.setdefault(form, []).append(name)
    close = difflib.get_close_matches(plain(given), forms, n=1)
    nearest_names = sorted(forms[close[0]]) if close else []
    return [name for name in nearest_names if plain(name) == close[0]] or nearest_names


def plain(name: str) -> str:
    """A name in small letters and without separators: cifar10 for CIFAR-10."""
    return re.sub(r"[\W_]", "", name.lower())


SUFFIXES = {"": 1, "h": 1, "k": 1e3}
"""The suffixes that a number may have, and their factors; hours remain hours."""


def written_out(given: object) -> str:
    """A hint such as ": write 10000" for a number that is written as 10k, 10_000 or 1e4; else ""."""
    match = re.fullmatch(r"(\d+(?:\.\d*)?(?:e\+?\d+)?)([hk]?)", re.sub(r"[_' ]", "", str(given).lower()))
    number = f"{float(match[1]) * SUFFIXES[match[2]]:.15g}" if match else ""
    return "" if number in ("", "inf", str(given)) else f": write {number}"


def line(text: str) -> str:
    """The text in one line."""
    return " ".join(text.split())
