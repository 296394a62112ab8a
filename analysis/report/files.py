"""The files of a grid that its page links to: tables, rows, figures as PDF."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from analysis.folders import pages_of
from analysis.report.page import Link
from analysis.schema import CURVES_FILE

NAMES = ("table.csv", "table.md", "table.tex", "runs.csv", CURVES_FILE, "answers.json", "grid.json")
"""The files that the foot of a page links to, if they exist."""


@dataclass(frozen=True)
class Files:
    """The files of a results folder as seen from its page, which may lie in another one."""

    folder: Path

    def link(self, name: str) -> str:
        """The address of a file, of the page's own folder first; "" where it does not exist."""
        pages = pages_of(self.folder)
        found = (place / name for place in (pages, self.folder) if (place / name).is_file())
        return next((quote(Path(os.path.relpath(path, pages)).as_posix()) for path in found), "")

    def paper(self, figure: str) -> str:
        """The address of a figure's PDF."""
        return self.link(f"figures/{figure}.pdf")

    @property
    def links(self) -> Sequence[Link]:
        """Links to all files in `NAMES` that exist."""
        return [Link(name, link) for name in NAMES if (link := self.link(name))]
