"""`python -m evidence.promote grid=NAME`: your own run of a grid becomes the committed one, with new pages.

    results/NAME ─▶ a copy ─▶ pages ─▶ results/committed/NAME

Nothing else writes committed results. `redraw=true` draws the pages of committed grids anew, after the code that draws
has changed, of all or of one. The new folder takes the old one's place at the end: whatever stops the command before
leaves the old one as it was.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from ablations.engine.locks import results_lock
from ablations.results.csv_text import rows_of
from ablations.settings.exits import exit_code
from analysis import options, pages
from analysis.errors import InputError
from analysis.files import read_json
from analysis.folders import COMMITTED, names_in, no_grid
from analysis.options import Option, folder_name

PURPOSE = "Copy your own finished run of a grid to results/committed/, where README, docs and tests read it."
OPTIONS = {
    "grid": Option("a grid in results/ that was run to its end; with redraw=true a committed one, else all"),
    "redraw": Option("draw committed grids anew, and copy nothing", "false", choices=("true", "false")),
    "results": Option("the results folder", "results"),
}
LEFT_OUT = ("report.html", "tracking.json", "clock.csv", ".*")
"""Files that are not committed: the largest page, links into a store, an earlier version's times, and hidden ones."""


def main(arguments: list[str]) -> int:
    """The command; its exit code."""
    return options.run("evidence.promote", PURPOSE, OPTIONS, promote, arguments)


def promote(given: dict[str, Any]) -> None:
    """Copy a run, or draw committed grids anew, with a line for each; InputError where there is none such."""
    results, redraw = Path(given["results"]), given["redraw"] == "true"
    source = results / COMMITTED if redraw else results
    there = names_in(source)
    if not there or not (given["grid"] or redraw):
        raise InputError(f"which grid? give grid=NAME; {source}/ holds {', '.join(there) or 'none yet'}")
    for name in [folder_name("grid", given["grid"])] if given["grid"] else there:
        if name not in there:
            raise no_grid(source / name, there)
        with nullcontext() if redraw else results_lock(source / name):
            if not redraw:
                check_over(source / name)
            print(f"{put(source / name, results / COMMITTED / name)}: drawn anew from {source / name}", flush=True)


def check_over(folder: Path) -> None:
    """InputError where a run is not complete, for a search its confirmation: its plan is not over, or some failed."""
    if (folder / "trials.csv").exists():
        folder = folder.with_name(f"{folder.name}-confirmed")
    head = read_json(folder / "grid.json")
    last = head.get("round") if isinstance(head, dict) else None
    if last and (last.get("preliminary") or not last.get("number")):
        raise InputError(
            f"{folder} is at round {last.get('number')} of {last.get('of')} of its plan, and shows nothing final: give "
            f"its command again until that is over ({head.get('command', 'unknown')})"
        )
    counts = Counter(row["status"] for row in rows_of(folder / "runs.csv", ("status",)))
    if not counts or counts.keys() & {"failed", "interrupted"}:
        ended = ", ".join(f"{many} {status}" for status, many in sorted(counts.items())) or "none"
        raise InputError(f"{folder} is not whole (runs: {ended}): give its command again until all are finished")


def put(source: Path, place: Path) -> Path:
    """Make `place` a copy of a results folder with new pages, and return it."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=".promote-") as temporary:
        new = Path(temporary) / place.name
        shutil.copytree(source, new, ignore=shutil.ignore_patterns(*LEFT_OUT))
        pages.write_pages(new)
        (new / "report.html").unlink()
        if place.exists():
            place.rename(Path(temporary) / "replaced")
        new.rename(place)
    return place


if __name__ == "__main__":
    raise SystemExit(exit_code(main))
