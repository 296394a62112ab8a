"""`python -m evidence.promote grid=NAME`: your own run of a grid becomes the committed one, with new pages.

    results/NAME ─▶ a copy ─▶ pages ─▶ what is kept ─▶ results/committed/NAME

Kept are the files that pages are made of, samples of the first seed, table.md, and the figures that a page of the
repository shows, in 256 colours; `python -m analysis.report grid=NAME` draws all else. Nothing else writes committed
results. `redraw=true` draws table.md and figures of committed grids anew, after the code that draws has changed, of all
or of one. The new folder takes the old one's place at the end: whatever stops the command before leaves the old one.
"""

from __future__ import annotations

import re
import shutil
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from PIL import Image

from ablations.engine.journal import results_lock
from ablations.results.csv_text import rows_of
from analysis import pages, shell
from analysis.errors import InputError
from analysis.files import read_json
from analysis.places import COMMITTED, RESULTS, names_in, no_grid
from analysis.schema import CURVES_FILE
from analysis.shell import Option, exit_code, folder_name

PURPOSE = "Copy your own finished run of a grid to results/committed/, where README, docs and tests read it."
OPTIONS = {
    "grid": Option("a grid in results/ that was run to its end; with redraw=true a committed one, else all"),
    "redraw": Option("draw committed grids anew, and copy nothing", "false", choices=("true", "false")),
}
KEPT = (
    *("grid.json", "runs.csv", "trials.csv", CURVES_FILE, "autoencoders.csv"),
    *("reconstructions", "samples", "figures", "table.md"),
)
SHOWING = ("*.md", "docs/*.md", "docs/*.ipynb", "evidence/*.md", "benchmarks/*.md", "examples/**/*.md")
PHOTOS = ("samples", "reconstructions")
ROOT = Path(__file__).parents[1]


def promote(given: dict[str, Any]) -> None:
    """Copy a run, or draw committed grids anew, with a line for each; InputError where there is none such."""
    redraw = given["redraw"] == "true"
    source = RESULTS / COMMITTED if redraw else RESULTS
    there = names_in(source)
    if not there or not (given["grid"] or redraw):
        raise InputError(f"which grid? give grid=NAME; {source}/ holds {', '.join(there) or 'none yet'}")
    for name in [folder_name("grid", given["grid"])] if given["grid"] else there:
        if name not in there:
            raise no_grid(source / name, there)
        with nullcontext() if redraw else results_lock(source / name):
            if not redraw:
                check_over(source / name)
            print(f"{put(source / name, RESULTS / COMMITTED / name)}: drawn anew from {source / name}", flush=True)


def check_over(folder: Path) -> None:
    """InputError where a run is not complete, for a search its confirmation: its plan is not over, or some failed."""
    if (folder / "trials.csv").exists():
        folder = folder.with_name(f"{folder.name}-confirmed")
    last = (read_json(folder / "grid.json") or {}).get("round")
    if last and (last.get("preliminary") or not last.get("number")):
        at = f"{last.get('number')} of {last.get('of')}"
        raise InputError(f"{folder} is at round {at} of its plan: give its command again until that is over")
    ended = {row["status"] for row in rows_of(folder / "runs.csv", ("status",))}
    if not ended or ended & {"failed", "interrupted"}:
        runs = ", ".join(sorted(ended)) or "none"
        raise InputError(f"{folder} is not whole (runs: {runs}): give its command again until all are finished")


def put(source: Path, place: Path) -> Path:
    """Make `place` a copy of a results folder with new pages, and return it."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=place.parent, prefix=".promote-") as temporary:
        new = shutil.copytree(source, Path(temporary) / place.name, ignore=shutil.ignore_patterns(".*"))
        pages.write_pages(new)
        prune(new)
        if place.exists():
            place.rename(Path(temporary) / "replaced")
        return new.rename(place)


def prune(folder: Path) -> None:
    """Leave of a results folder and its pages what is committed."""
    shown, first = shown_figures(folder.name), str(read_json(folder / "grid.json")["seeds"][0])
    for path in sorted(folder.rglob("*"), reverse=True):
        part = path.relative_to(folder).parts[0]
        sheet = re.search(r"-(\d+)(?:-nearest|-at-\d+)?$", path.stem) if part == "samples" else None
        if path.is_dir():
            if not any(path.iterdir()):
                path.rmdir()
        elif part not in KEPT or (part == "figures" and path.name not in shown) or (sheet and sheet[1] != first):
            path.unlink()
        elif part == "figures" and path.stem not in PHOTOS:
            with Image.open(path) as image:
                dpi, small = image.info["dpi"], image.convert("RGB").quantize(256)
            small.save(path, dpi=dpi, optimize=True)


def shown_figures(grid: str) -> set[str]:
    """The files of a grid's figures that a page of the repository shows."""
    texts = (path.read_text(encoding="utf-8") for pattern in SHOWING for path in ROOT.glob(pattern))
    return {name for text in texts for name in re.findall(rf"results/committed/{grid}/figures/([\w.]+)", text)}


main = partial(shell.run, "evidence.promote", PURPOSE, OPTIONS, promote)

if __name__ == "__main__":
    raise SystemExit(exit_code(main))
