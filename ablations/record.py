"""`python -m ablations.record grid=NAME`: the user's own run of a grid becomes the committed one, with new pages.

    results/NAME ─▶ a copy ─▶ pages ─▶ results/committed/NAME

Nothing else writes committed results. The new folder is built beside the old one and takes its place at the end, by two
renames: whatever stops the command before leaves the old one as it was.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from ablations.settings.exits import exit_code
from analysis.errors import InputError, unknown
from analysis.folders import (
    COMMITTED,
    committed_in,
    holds_results,
    is_committed,
    names_in,
    no_grid,
    search_alone,
)
from analysis.options import Option, folder_name, run
from analysis.schema import TRIAL

PURPOSE = (
    "Copy your own run of a grid, once it is over, to results/committed/, where README, docs and tests read it, and "
    "draw its pages anew. With redraw=true draw those of committed grids anew, after the code that draws has changed."
)
OPTIONS = {
    "grid": Option("a grid in results/ that was run to its end; with redraw=true a committed one, else all"),
    "redraw": Option("draw committed grids anew, and copy nothing", "false", choices=("true", "false")),
    "results": Option("the results folder", "results"),
}
LEFT_OUT = ("report.html", "tracking.json", "clock.csv", ".*")
"""Files of a folder that are not committed: its largest page, the links to its runs in a store, the times of its
trainings, and hidden files."""
UNDONE = {"failed", "interrupted"}


def main(arguments: list[str]) -> int:
    """The command; its exit code."""
    return run("ablations.record", PURPOSE, OPTIONS, record, arguments)


def record(given: dict[str, Any]) -> None:
    """Record a run, or draw committed grids anew, with a line for each."""
    from ablations.engine.folder_lock import FolderLock

    results = Path(given["results"])
    name = folder_name("grid", given["grid"]) if given["grid"] else ""
    if given["redraw"] == "true":
        folders = chosen(results, name)
        with FolderLock(results / COMMITTED).held():
            for folder in folders:
                print(f"{put(folder, folder)}: drawn anew", flush=True)
        return
    if not name:
        raise InputError(f"which grid? give grid=NAME; {results}/ holds {', '.join(names_in(results)) or 'none yet'}")
    own = results / name
    if is_committed(own) or not holds_results(own):
        raise no_grid(own, names_in(results))
    with FolderLock(own).held(), FolderLock(results / COMMITTED).held():
        check_over(own)
        place = put(own, results / COMMITTED / name)
    print(f"{place}: recorded from {own}. Commit it once `pytest` passes: README and docs are held to its numbers")


def chosen(results: Path, name: str) -> list[Path]:
    """The committed grid of this name, or all of them; InputError where there is none."""
    grids = {folder.name: folder for folder in committed_in(results)}
    if name and name not in grids:
        raise unknown(f"grid in {results / COMMITTED}", name, grids)
    if not grids:
        raise InputError(f"{results / COMMITTED} holds no grids to draw: record one first, with grid=NAME")
    return [grids[name]] if name else list(grids.values())


def check_over(folder: Path) -> None:
    """InputError where a run is not complete: its plan is not over, or some of it failed."""
    from ablations.results.csv_text import rows_of
    from analysis.files import read_json

    if search_alone(folder):
        raise InputError(f"{folder} is a search that has confirmed nothing yet: give its command again until it has")
    head = read_json(folder / "grid.json")
    last = head.get("round") if isinstance(head, dict) else None
    if isinstance(last, dict) and (last.get("preliminary") or not last.get("number")):
        raise InputError(
            f"{folder} is at round {last.get('number')} of {last.get('of')} of its plan, and shows nothing final: give "
            f"its command again until that is over ({head.get('command', 'unknown')})"
        )
    counts = Counter(row["status"] for row in rows_of(folder / "runs.csv", ("status",)) if not row.get(TRIAL))
    if not counts or counts.keys() & UNDONE:
        ended = ", ".join(f"{many} {status}" for status, many in sorted(counts.items())) or "none"
        raise InputError(f"{folder} is not whole (runs: {ended}): give its command again until all are finished")


def put(source: Path, place: Path) -> Path:
    """Make `place` a copy of a results folder with new pages, and return it."""
    from analysis.pages import write_pages

    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=".record-") as temporary:
        new = Path(temporary) / place.name
        shutil.copytree(source, new, ignore=shutil.ignore_patterns(*LEFT_OUT))
        write_pages(new)
        (new / "report.html").unlink()
        if place.exists():
            place.rename(Path(temporary) / "replaced")
        new.rename(place)
    return place


if __name__ == "__main__":
    raise SystemExit(exit_code(main))
