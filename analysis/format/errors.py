"""Errors that a user can mend, of one line: what was given, what is expected, what to do."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence


class InputError(ValueError):
    """A wrong call, or runs that are missing, corrupt or mixed."""


class NothingYet(InputError):
    """Results of which no round is whole: there is nothing to show, and nothing is wrong."""


FEW = 16
"""So many names are listed beside the one that is near; of more, that one stands alone."""


def unknown(kind: str, given: str, allowed: Iterable[str], meant: Sequence[str] = (), *notes: str) -> InputError:
    """The error that `given` is no `kind`, with what is `meant`, by default the nearest of the allowed names; all of
    these where they are few, or none is near."""
    names = sorted(set(allowed))
    near = meant or nearest(given, names)
    hint = [f"did you mean {alternatives([repr(name) for name in near])}?"] if near else []
    listed = [] if near and len(names) > FEW else [f"there are {', '.join(names) or 'none'}"]
    return InputError(" ".join([f"no {kind} called {given!r}: {'; '.join([*listed, *hint])}", *notes]))


def alternatives(words: Sequence[str]) -> str:
    """a, b or c."""
    *before, last = words
    return f"{', '.join(before)} or {last}" if before else last


def nearest(given: str, names: Iterable[str]) -> list[str]:
    """The name that is written most nearly so, if one is near: by its last word where it is so by no other, and then
    several, as a.steps and b.steps. Capitals and separators are not told apart."""
    forms: dict[str, list[str]] = {}
    for name in names:
        for form in {plain(name), plain(name.rpartition(".")[2])}:
            forms.setdefault(form, []).append(name)
    close = difflib.get_close_matches(plain(given), forms, n=1)
    found = sorted(forms[close[0]]) if close else []
    return [name for name in found if plain(name) == close[0]] or found


def plain(name: str) -> str:
    """A name in small letters, without what separates them: cifar10 of CIFAR-10."""
    return re.sub(r"[\W_]", "", name.lower())


SUFFIXES = {"": 1, "h": 1, "k": 1e3}
"""What a number may end in, and how many that is; hours are counted in hours."""


def written_out(given: object) -> str:
    """A colon and `write 10000` where this is 10k, 10_000 or 1e4, as a number is not written here; else ""."""
    match = re.fullmatch(r"(\d+(?:\.\d*)?(?:e\+?\d+)?)([hk]?)", re.sub(r"[_' ]", "", str(given).lower()))
    number = f"{float(match[1]) * SUFFIXES[match[2]]:.15g}" if match else ""
    return "" if number in ("", "inf", str(given)) else f": write {number}"
