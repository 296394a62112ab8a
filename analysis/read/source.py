"""The grid that a command is about: the options `grid` and `runs`, and what they name."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from analysis.errors import InputError
from analysis.folders import COMMITTED, is_committed, names_in, own_or_committed, pages_of, search_alone
from analysis.options import Option, folder_name
from analysis.read.runs import GridResults, read_folder
from analysis.read.store import read_store

SOURCE = {
    "grid": Option("the grid's name: your own run of it in results/<grid>, else the one in results/committed/<grid>"),
    "runs": Option("instead: a results folder, or a tracking store: sqlite:///PATH, http://HOST:PORT"),
}
"""The options of every command that reads a grid."""
RESULTS = Path("results")


@dataclass(frozen=True)
class Source:
    """The source of a grid: a results `folder` or, if `store` is not "", the grid of that name in the store."""

    folder: Path
    store: str = ""

    @property
    def pages(self) -> Path:
        """The folder that its pages are written to, which holds nothing committed."""
        return pages_of(self.folder)

    @property
    def search_alone(self) -> bool:
        """True where it is a search that has confirmed nothing."""
        return not self.store and search_alone(self.folder)

    def read(self) -> GridResults:
        """The grid; InputError where there is none."""
        return read_store(self.store, self.folder.name) if self.store else read_folder(self.folder)


def source_of(values: Mapping[str, str]) -> Source:
    """The source that `grid=` and `runs=` name; InputError where there is none, or neither is given. If only a name is
    given, a line on stderr says whose run is read."""
    grid, runs = values["grid"], values["runs"]
    if "://" in runs:
        if not grid:
            raise InputError(f"runs={runs} is a tracking store, which holds many grids: give grid=NAME too")
        return Source(RESULTS / folder_name("grid", grid), runs)
    if runs:
        return Source(Path(runs))
    if not grid:
        raise InputError(f"which grid? give grid=NAME; {_held(RESULTS)}; {_held(RESULTS / COMMITTED)}")
    folder = own_or_committed(RESULTS, folder_name("grid", grid))
    whose = f"the committed run: {RESULTS}/ holds none of your own" if is_committed(folder) else "your own run"
    print(f"reading {folder}, {whose}", file=sys.stderr)
    return Source(folder)


def _held(results: Path) -> str:
    return f"{results}/ holds {', '.join(names_in(results)) or 'none yet'}"
