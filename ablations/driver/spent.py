"""The time that commands have spent on a grid, including killed ones, and which of them made its grid.json.

results/.leases/<grid>/seconds     written every few seconds while stages run
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from ablations.engine.folder_lock import place_of
from analysis.files import write_text

KEPT_SECONDS = 5.0
"""Seconds between two writings: a killed command loses at most so much."""


class Spent:
    """Seconds that were spent `before` a command began, and its own so far."""

    def __init__(self, folder: Path, before: float) -> None:
        self.path = place_of(folder) / "seconds"
        self.before = before
        self.began = self.kept = time.monotonic()

    @staticmethod
    def on(folder: Path, seconds: float, *, begun: bool) -> Spent:
        """The time spent on a results folder whose grid.json says so many `seconds`; none where no stage has begun."""
        kept = _read(place_of(folder) / "seconds")
        return Spent(folder, max(seconds, kept) if begun else 0.0)

    @property
    def own(self) -> float:
        """Seconds of this command."""
        return time.monotonic() - self.began

    @property
    def seconds(self) -> float:
        """Seconds of all commands."""
        return self.before + self.own

    def keep(self) -> None:
        """Write them down now and then."""
        if time.monotonic() - self.kept > KEPT_SECONDS:
            self.kept = time.monotonic()
            write_text(self.path, f"{self.seconds:.1f}\n")


def _read(path: Path) -> float:
    try:
        return max(0.0, float(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError):
        return 0.0


def since(before: dict[str, Any] | None, provenance: dict[str, Any], spent: float | None) -> dict[str, Any]:
    """Provenance with the seconds `spent` so far (None where nothing ran since what stood `before`), and whether the
    grid was continued with more seeds."""
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
    """True where the seeds are not those planned when results were first seen: there are more, or the looks are
    others."""
    looks = [(head.get("auto") or {}).get("looks") for head in (before, now)]
    if looks == [None, None]:
        return not set(now["seeds"]) <= set(before["seeds"])
    return looks[0] != looks[1] or before["seeds"][:1] != now["seeds"][:1]
