"""The files of a results folder that its page links to: tables, rows, figures as PDF."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from analysis.folders import pages_of
from analysis.report.page import Link

NAMES = ("table.csv", "table.md", "table.tex", "runs.csv", "curves.csv", "answers.json", "grid.json")
"""The files that the foot of a page links to, if they exist."""


@dataclass(frozen=True)
class Files:
    """A results folder as seen from its page: `at` is the relative path to it. `folder` is None if a store was read."""

    folder: Path | None = None
    at: str = ""

    @staticmethod
    def beside(folder: Path) -> Files:
        """The files of a folder, seen from where its page is written."""
        return Files(folder, os.path.relpath(folder, pages_of(folder)))

    def link(self, name: str) -> str:
        """The address of a file; "" where it does not exist."""
        if self.folder is None or not (self.folder / name).is_file():
            return ""
        return quote(Path(self.at, name).as_posix())

    def paper(self, figure: str) -> str:
        """The address of a figure's PDF."""
        return self.link(f"figures/{figure}.pdf")

    @property
    def links(self) -> Sequence[Link]:
        """Links to all files in `NAMES` that exist."""
        return [Link(name, link) for name in NAMES if (link := self.link(name))]
