"""The declarations of a grid, kept in its grid.json from the moment it first runs: what was to be compared, and when.

A command that declares the same as the last one leaves them; another declaration is appended, with its time and whether
finished runs stood in the folder by then. None is ever taken away. Of a folder that was written before they were kept,
what its grid.json says is the first one, at a time that is not known. A search has no cells to declare anything of, and
begins anew with those that confirm it.
"""

from __future__ import annotations

import json
from typing import Any

from analysis.format.names import DECLARATIONS
from analysis.format.times import utc_now

SAID = ("baseline", "primary", "expects")
"""The keys of grid.json that say what is to be compared, and what papers lead one to expect."""


def said_in(head: dict[str, Any]) -> dict[str, Any]:
    """The part of a grid.json that is a declaration."""
    said = {key: head.get(key, {} if key == "baseline" else []) for key in SAID}
    return dict(json.loads(json.dumps(said)))


def declared(before: dict[str, Any] | None, now: dict[str, Any], *, seen: bool) -> list[dict[str, Any]]:
    """The declarations that stood before, and what grid.json says now where that is another; `seen` tells whether
    finished runs stand in the folder."""
    kept: list[dict[str, Any]] = []
    if before is not None and before["cells"]:
        kept = before.get(DECLARATIONS) or [{"time": None, "seen": False, **said_in(before)}]
    said = said_in(now)
    if kept and {key: kept[-1].get(key) for key in SAID} == said:
        return kept
    return [*kept, {"time": utc_now(), "seen": seen, **said}]


def kept_declarations(before: dict[str, Any] | None, now: dict[str, Any], *, seen: bool) -> list[dict[str, Any]]:
    """The declarations that stand where this one is among them: of two commands that write one folder in turn each has
    declared once, when it began. Else with this one."""
    kept = (before or {}).get(DECLARATIONS) or []
    if any({key: one.get(key) for key in SAID} == said_in(now) for one in kept):
        return list(kept)
    return declared(before, now, seen=seen)
