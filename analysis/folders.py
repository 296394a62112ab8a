"""The folders that hold results, and those of them that were committed.

    results/<grid>/              a person's own runs, which git ignores
    results/committed/<grid>/    runs for all to read, which come with the code
    results/.committed/<grid>/   pages that a command draws of committed runs

No command writes to results/committed/ but `evidence.promote`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from analysis.errors import InputError, unknown
from analysis.files import read_json
from analysis.options import Option, folder_name
from analysis.schema import SEARCH, TRIALS

COMMITTED = "committed"
"""The name of the folder of committed results within a results folder; no grid has this name."""

RESULTS = Path("results")
SOURCE = {
    "grid": Option("the grid's name: your own run of it in results/<grid>, else the one in results/committed/<grid>"),
    "runs": Option("instead: a results folder, such as `mlflow artifacts download` makes of a grid's summary run"),
}
"""The options of every command that reads a grid."""


def holds_results(folder: Path) -> bool:
    return (folder / "grid.json").is_file()


def search_alone(folder: Path) -> bool:
    """True where a results folder holds a search without a confirmation."""
    try:
        head = read_json(folder / "grid.json")
    except InputError:
        # The error is raised when the file is read.
        return False
    return isinstance(head, dict) and SEARCH in head and not head.get("cells")


def trials_of(folder: Path, search: str) -> Path:
    """The table with the trials of a search of this name: in its own folder, or in one beside its confirmation."""
    own = folder / TRIALS
    return own if own.is_file() else folder.parent / search / TRIALS


def folder_of(values: Mapping[str, str]) -> Path:
    """The results folder that `grid=` and `runs=` name, a person's own before a committed one; InputError where neither
    is given, or none is there. If only a name is given, a line on stderr says whose run is read."""
    if values["runs"]:
        return Path(values["runs"])
    if not values["grid"]:
        held = ((results, names_in(results)) for results in (RESULTS, RESULTS / COMMITTED))
        listing = "; ".join(f"{results}/ holds {', '.join(names) or 'none yet'}" for results, names in held)
        raise InputError(f"which grid? give grid=NAME; {listing}")
    own = RESULTS / folder_name("grid", values["grid"])
    folder = own if holds_results(own) else RESULTS / COMMITTED / values["grid"]
    if not holds_results(folder):
        raise no_grid(own)
    whose = "your own run" if folder == own else f"the committed run: {RESULTS}/ holds none of your own"
    print(f"reading {folder}, {whose}", file=sys.stderr)
    return folder


def names_in(results: Path) -> list[str]:
    """The names of the grids that lie in a folder."""
    return sorted(path.parent.name for path in results.glob("*/grid.json"))


def no_grid(folder: Path, names: Sequence[str] = ()) -> InputError:
    """The error that a folder holds no grid; it lists these names, by default those of the grids beside it."""
    beside = names or [*names_in(folder.parent), *names_in(folder.parent / COMMITTED)]
    how = f"`python -m ablations.run grid={folder.name}` runs it, if it ships"
    hint = unknown(f"grid in {folder.parent}", folder.name, beside)
    return InputError(f"{hint} ({folder / 'grid.json'} is missing; {how})")


def is_committed(folder: Path) -> bool:
    return folder.resolve().parent.name == COMMITTED


def pages_of(folder: Path) -> Path:
    """The folder for the pages that commands other than `evidence.promote` draw: the results folder itself, or one
    beside committed results."""
    return folder.parent.parent / f".{COMMITTED}" / folder.name if is_committed(folder) else folder
