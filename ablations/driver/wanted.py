"""The stages that results need: a command lists their ids before it starts any, and `ablations.clean` keeps them.

    results/.wanted/<name>/<command>        ids, a line each; deleted with results/<name>

Each command has a file of its own, to which it alone adds: so two commands on one folder lose nothing.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterable
from pathlib import Path

from ablations.engine.stage import Stage
from analysis.folders import is_committed

WANTED = ".wanted"
"""The folder of these lists, beside the folders of results."""


class Wanted:
    """The list that a command adds to, of the stages of one results folder."""

    def __init__(self, folder: Path) -> None:
        place = lists_of(folder)
        if not folder.is_dir():
            # What stood there by this name was taken away, and wants nothing any more.
            shutil.rmtree(place, ignore_errors=True)
        self.ids = set(wanted_by(folder))
        self.file = place / secrets.token_hex(8)

    def add(self, stages: Iterable[Stage]) -> None:
        """Write down the stages that no command has listed yet."""
        new = {stage.id for stage in stages} - self.ids
        if new:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with self.file.open("a", encoding="utf-8") as file:
                file.writelines(f"{name}\n" for name in sorted(new))
            self.ids |= new


def wanted_by(folder: Path) -> frozenset[str]:
    """The ids that all commands on a results folder have listed; for a committed folder, those of the user's own
    results of that name."""
    place = lists_of(folder)
    files = sorted(place.iterdir()) if place.is_dir() else []
    return frozenset(name for file in files for name in file.read_text(encoding="utf-8").split())


def lists_of(folder: Path) -> Path:
    """The folder of a results folder's lists; for a committed folder, that of the user's own results of that name."""
    results = folder.parent.parent if is_committed(folder) else folder.parent
    return results / WANTED / folder.name
