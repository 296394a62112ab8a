"""Pages of a results folder, its delivery to the store, and the end of a command: what the terminal says.

Where the store fails, a warning says how to deliver later.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from rich.console import Console

from ablations.results.records import Record
from ablations.tracking.store import TrackingError, rescue
from ablations.tracking.tracker import Tracker
from analysis.pages import write_pages as write_pages
from analysis.places import without_password

NAMED = 5
"""The number of cells, or of reasons, that are named in lines of their own."""
WRITE_SECONDS, REST = 15.0, 20
"""The least seconds between two writings of results, and the least multiple of what the last one took."""
T = TypeVar("T")


@dataclass(frozen=True)
class Ended:
    """The end of a command: its records; its tracker, None once it has failed; and whether it was stopped before its
    end."""

    records: list[Record]
    tracker: Tracker | None
    stopped: bool


def finish(folder: Path, ended: Ended) -> int:
    """Write tables, figures and summary, and say what there is, or how to continue; the exit code."""
    if ended.stopped:
        # Nothing is drawn or delivered, which takes long.
        over = sum(item.status == "finished" for item in ended.records)
        print(f"\n{over} of {len(ended.records)} runs finished")
        print("interrupted: finished stages are kept, the same command continues")
        return 130
    show(folder, ended.tracker)
    failed = [item for item in ended.records if item.status in ("failed", "interrupted")]
    lines = [f"{item.status}: {item.run.name}, seed {item.run.cell.seed}: {item.reason}" for item in failed]
    unmeasured = list(dict.fromkeys(line for item in ended.records for line in item.unmeasured))
    for line in [*lines[:NAMED], *unmeasured[:NAMED]]:
        print(line)
    return 1 if failed or unmeasured else 0


def show(folder: Path, tracker: Tracker | None) -> None:
    """Draw the pages, which link to delivered runs, and give the store its summary, which carries them; print what
    there is."""
    with Console(stderr=True).status("drawing the report"):
        text = write_pages(folder)
    print(f"{text}\n\nfiles    {folder}/  (report.html, table.md, runs.csv, …)")
    if link := sent(Tracker.summarise, tracker, folder):
        print("\n".join(where(tracker, link)))


def where(tracker: Tracker | None, link: str = "") -> list[str]:
    """Lines on how to see the experiment, by a link once there is one, made without opening the store."""
    if tracker is None:
        return []
    uri = without_password(tracker.uri)
    opening = f"         opens once this runs: mlflow ui --backend-store-uri {uri}"
    place = link or f"experiment {tracker.experiment} in {uri}"
    return [f"MLflow   {place}", *([] if uri.startswith("http") else [opening])]


def deliver(tracker: Tracker | None, folder: Path) -> Tracker | None:
    return None if sent(Tracker.publish, tracker, folder) is None else tracker


def sent(act: Callable[[Tracker, Path], T], tracker: Tracker | None, folder: Path) -> T | None:
    """The answer of the store to an act on a results folder; None where it fails, after a warning."""
    if tracker is None:
        return None
    try:
        return act(tracker, folder)
    except TrackingError as error:
        print(f"warning: {error}. Results are safe in {folder}; deliver later: {rescue(folder, tracker.uri)}")
        return None
