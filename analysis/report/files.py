"""The files of a results folder that its page leads to: tables, rows, figures as PDF."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from analysis.format.folders import pages_of
from analysis.report.page import Link

NAMES = ("table.csv", "table.md", "table.tex", "runs.csv", "curves.csv", "answers.json", "grid.json")
"""The files that are named at the foot of a page, where they are there."""


@dataclass(frozen=True)
class Files:
    """A results folder as its page sees it: `at` is the way there. None is known where a store was read."""

    folder: Path | None = None
    at: str = ""

    @staticmethod
    def beside(folder: Path) -> Files:
        """The files of a folder, seen from where its page is written."""
        return Files(folder, os.path.relpath(folder, pages_of(folder)))

    def link(self, name: str) -> str:
        """The address of a file; "" where it is not there."""
        if self.folder is None or not (self.folder / name).is_file():
            return ""
        return quote(Path(self.at, name).as_posix())

    def paper(self, figure: str) -> str:
        """The address of a figure's PDF."""
        return self.link(f"figures/{figure}.pdf")

    @property
    def links(self) -> Sequence[Link]:
        """Links to all that have a name of their own."""
        return [Link(name, link) for name in NAMES if (link := self.link(name))]
