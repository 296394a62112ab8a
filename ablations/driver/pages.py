"""The end of a command: tables, figures and report of a results folder, and what the terminal says."""

from __future__ import annotations

from pathlib import Path
from tempfile import NamedTemporaryFile

from ablations.driver.shown import Shown, last_shown, remember, still_there
from ablations.grids.grid import words
from ablations.results.records import Record
from ablations.settings.addresses import FOLDER, is_remote
from ablations.stages.disk import in_bytes, left_by
from ablations.stages.journal import Journal
from ablations.tracking.addresses import Summary, rescue
from ablations.tracking.mlflow_client import TrackingError
from ablations.tracking.mlflow_store import Tracker
from analysis.errors import InputError
from analysis.read.links import without_password


def writable(results: Path) -> None:
    """Make the results folder where there is none; InputError where it cannot be written."""
    try:
        results.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=results):
            pass
    except OSError as error:
        raise InputError(f"results={results} is no folder that can be written: {error.strerror}") from error


def finish(folder: Path, records: list[Record], journal: Journal, tracker: Tracker | None, interrupted: bool) -> int:
    """Tables, figures and summary of what there is, where they are not as they were left; the exit code."""
    last = last_shown(folder)
    said = last.said if last is not None else write_pages(folder)
    print(said)
    names = [name for name in ("report.html", "table.md", "figures", "samples", "runs.csv") if (folder / name).exists()]
    print(f"\nfiles    {folder}/  ({', '.join(names)}, …)")
    if records:
        print(kept_in(journal, folder.parent, records))
    summary = None if tracker is None else summarised(folder, tracker, last)
    if tracker is not None and summary is not None:
        print(f"MLflow   {summary.link}")
        if not tracker.uri.startswith("http"):
            print(f"         after: mlflow ui --backend-store-uri {without_password(tracker.uri)}")
    remember(folder, said, summary)
    if interrupted:
        print("interrupted: finished stages are kept, the same command continues")
        return 130
    failed = [r for r in records if r.status in ("failed", "interrupted")]
    for item in failed[:5]:
        print(f"{item.status}: {words(item.planned.levels)} seed {item.planned.cell.seed}: {item.reason}")
    unmeasured = list(dict.fromkeys(line for item in records for line in item.unmeasured))
    for line in unmeasured[:5]:
        print(line)
    return 1 if failed or unmeasured else 0


def kept_in(journal: Journal, results: Path, records: list[Record]) -> str:
    """A line that says where the stages of these cells are, and what they take where that is a disk."""
    if is_remote(journal.address):
        return f"stages   {journal.address}"
    line = f"disk     {taken(journal.root, records)}"
    if journal.address != str((results / FOLDER).resolve()):
        # Nobody frees these but who knows what else needs them.
        return f"{line}, in {journal.root}"
    return f"{line}; python -m ablations.clean frees what nobody needs"


def taken(root: Path, records: list[Record]) -> str:
    """What the stages of these cells take on the disk."""
    stages = left_by(root, {stage.id for item in records for stage in item.planned.stages})
    return f"{in_bytes(sum(left.bytes for left in stages))} in {counted(len(stages), 'stage')} of these cells"


def summarised(folder: Path, tracker: Tracker, last: Shown | None) -> Summary | None:
    """Where the store has the pages, which it is given unless it has them; None, with a warning, where that fails."""
    there = still_there(last, tracker.uri)
    if there is not None:
        return there
    try:
        return tracker.summarise(folder)
    except TrackingError as error:
        print(f"warning: {error}. Deliver later: {rescue(folder, tracker.uri)}")
        return None


def write_pages(folder: Path) -> str:
    """Tables, figures and report of a results folder, and what a terminal shows of it: after its runs were delivered,
    whose links the report shows, and before the summary, which carries it all."""
    from analysis import pages

    return pages.write_pages(folder)


def counted(n: int, noun: str) -> str:
    """1 cell, 2 cells."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def minutes(seconds: float) -> str:
    """Seconds in words."""
    return f"{seconds:.0f} seconds" if seconds < 90 else f"{seconds / 60:.0f} minutes"
