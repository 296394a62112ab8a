"""The time that commands have spent on a grid, that of killed ones included.

results/.leases/<grid>/seconds     written every few seconds while stages run
"""

from __future__ import annotations

import time
from pathlib import Path

from ablations.engine.folder_lock import place_of
from analysis.format.files import write_text

KEPT_SECONDS = 5.0
"""Seconds between two writings: so much of a killed command is lost."""


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
