"""The places of a grid's results: the folders that hold them, and a tracking store's address and page.

    results/<grid>/              a person's own runs, which git ignores
    results/committed/<grid>/    runs for all to read, which come with the code
    results/.committed/<grid>/   pages that a command draws of committed runs

No command writes to results/committed/ but `evidence.promote`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from analysis.errors import InputError, unknown
from analysis.files import read_json
from analysis.schema import SEARCH, TRIALS
from analysis.shell import Option, folder_name

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
    head = read_json(folder / "grid.json") or {}
    return SEARCH in head and not head.get("cells")


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


def pages_of(folder: Path) -> Path:
    """The folder for the pages that commands other than `evidence.promote` draw: the results folder itself, or one
    beside committed results."""
    committed = folder.resolve().parent.name == COMMITTED
    return folder.parent.parent / f".{COMMITTED}" / folder.name if committed else folder


LOCAL = "http://127.0.0.1:5000"
"""The address at which `mlflow ui` shows a store that is not a server."""


def tracking_of(uri: str, experiment: str, runs: Mapping[tuple[str, int], str]) -> dict[str, Any]:
    """The tracking.json of runs of an experiment, given by its id, in the store at `uri`: that without passwords, the
    `link` that opens the grid's page, and cell_id → seed → run id."""
    public, by_cell = without_password(uri), dict[str, dict[int, str]]()
    for (cell_id, seed), run in sorted(runs.items()):
        by_cell.setdefault(cell_id, {})[seed] = run
    return {"uri": public, "experiment": experiment, "link": page(public, experiment), "runs": by_cell}


def without_password(uri: str) -> str:
    """The address without user:password@ and without its ?query, which can hold them too."""
    return re.sub(r"//[^/]*@", "//", uri.partition("?")[0])


def reason_of(error: Exception, uri: str) -> str:
    """The line of a store's error that says what went wrong, without the secrets of its address and of any other."""
    lines = [line for line in str(error).strip().splitlines() if not line.startswith("(raised as a result of")]
    message = (lines or [type(error).__name__])[0].replace(uri, without_password(uri))
    return re.sub(r"//[^/\s]*@", "//", message)


def page(uri: str, experiment: str, view: str = "grid") -> str:
    """The page of the UI that charts a grid, by the name of one of its views."""
    host = without_password(uri) if uri.startswith(("http://", "https://")) else LOCAL
    query = f"compareRunsMode=CHART&workflowType=machine_learning&viewStateShareKey={view}"
    return f"{host.rstrip('/')}/#/experiments/{experiment}/runs?{query}"
