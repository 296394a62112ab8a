"""The commands that made a grid.json, as it names them: the last that ran anything, and the time of all of them."""

from __future__ import annotations

from typing import Any


def since(before: dict[str, Any] | None, provenance: dict[str, Any], spent: float | None) -> dict[str, Any]:
    """Provenance with the seconds `spent` so far, None where nothing ran since what stood `before`, and whether a grid
    was continued with more seeds."""
    if before is None:
        return {**provenance, "seconds": round(spent or 0.0, 1), "continued": False}
    ran, seconds = spent is not None, before["seconds"] if spent is None else spent
    # With fewer seeds than before nothing runs, and yet the results are those of this command.
    made_by = provenance if ran or before["seeds"] != provenance["seeds"] else before
    return {
        **provenance,
        "command": made_by["command"],
        "code": made_by["code"],
        "seconds": round(seconds, 1),
        "continued": bool(before.get("continued")) or _replanned(before, provenance),
    }


def _replanned(before: dict[str, Any], now: dict[str, Any]) -> bool:
    """True where seeds differ from those that were planned when results were seen: more of them, or other looks."""
    looks = [(head.get("auto") or {}).get("looks") for head in (before, now)]
    if looks == [None, None]:
        return not set(now["seeds"]) <= set(before["seeds"])
    return looks[0] != looks[1] or before["seeds"][:1] != now["seeds"][:1]
