"""The folders that hold results, and those of them that were committed.

    results/<grid>/              a person's own runs, which git ignores
    results/committed/<grid>/    runs for all to read, which come with the code
    results/.committed/<grid>/   pages that a command draws of committed runs

No command writes to results/committed/ but `evidence.promote`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from analysis.errors import InputError, unknown
from analysis.files import read_json
from analysis.options import Option, folder_name
from analysis.schema import SEARCH, TRIALS

RESULTS = Path("results")
SOURCE = {
    "grid": Option("the grid's name: your own run of it in results/<grid>, else the one in results/committed/<grid>"),
    "runs": Option("instead: a results folder, such as `mlflow artifacts download` makes of a grid's summary run"),
}
"""The options of every command that reads a grid."""

COMMITTED = "committed"
"""The name of the folder of committed results within a results folder; no grid has this name."""


def folders_in(results: Path) -> list[Path]:
    """The folders below one that hold a grid's or a search's results; hidden ones and committed ones are left out."""
    inner = {path.relative_to(results).parts[:-1] for path in results.rglob("grid.json")}
    own = [parts for parts in inner if parts and parts[0] != COMMITTED and not any(part[0] == "." for part in parts)]
    return sorted(results.joinpath(*parts) for parts in own)


def committed_in(results: Path) -> list[Path]:
    """The folders of committed results within the folder `results`."""
    return folders_in(results / COMMITTED)


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
    """The table with the trials of a search of this name: in its folder, beside that of its confirmation, or, of an
    earlier version, the rows of runs.csv."""
    tables = (folder / TRIALS, folder.parent / search / TRIALS)
    return next((path for path in tables if path.is_file()), folder / "runs.csv")


def own_or_committed(results: Path, name: str) -> Path:
    """The folder of the results of this name: a person's own, else the committed ones; InputError where none are."""
    for folder in (results / name, results / COMMITTED / name):
        if holds_results(folder):
            return folder
    raise no_grid(results / name, [*names_in(results), *names_in(results / COMMITTED)])


def folder_of(values: Mapping[str, str]) -> Path:
    """The results folder that `grid=` and `runs=` name; InputError where neither is given. If only a name is given, a
    line on stderr says whose run is read."""
    grid, runs = values["grid"], values["runs"]
    if runs:
        return Path(runs)
    if not grid:
        held = ((results, names_in(results)) for results in (RESULTS, RESULTS / COMMITTED))
        told = "; ".join(f"{results}/ holds {', '.join(names) or 'none yet'}" for results, names in held)
        raise InputError(f"which grid? give grid=NAME; {told}")
    folder = own_or_committed(RESULTS, folder_name("grid", grid))
    whose = f"the committed run: {RESULTS}/ holds none of your own" if is_committed(folder) else "your own run"
    print(f"reading {folder}, {whose}", file=sys.stderr)
    return folder


def names_in(results: Path) -> list[str]:
    """The names of the grids that lie in a folder."""
    return sorted(path.parent.name for path in results.glob("*/grid.json"))


def no_grid(folder: Path, names: list[str]) -> InputError:
    """The error that a folder holds no grid; it lists the grids that there are."""
    hint = unknown(f"grid in {folder.parent}", folder.name, dict.fromkeys(names))
    how = f"`python -m ablations.run grid={folder.name}` runs it, if it ships"
    return InputError(f"{hint} ({folder / 'grid.json'} is missing; {how})")


def is_committed(folder: Path) -> bool:
    return folder.resolve().parent.name == COMMITTED


def pages_of(folder: Path) -> Path:
    """The folder for the pages that commands other than `evidence.promote` draw: the results folder itself, or one
    beside committed results."""
    return folder.parent.parent / f".{COMMITTED}" / folder.name if is_committed(folder) else folder
