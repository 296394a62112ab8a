"""The end of a command: tables, figures and report of a results folder, and what the terminal says."""

from __future__ import annotations

from pathlib import Path

from ablations.grids.grid import words
from ablations.results.records import Record
from ablations.tracking.mlflow_store import Tracker, TrackingError
from analysis.errors import InputError


def writable(results: Path) -> Path:
    """The results folder, made where there is none; InputError where it cannot be written."""
    try:
        results.mkdir(parents=True, exist_ok=True)
        (results / ".lock").touch()
    except OSError as error:
        raise InputError(f"results={results} is no folder that can be written: {error.strerror}") from error
    return results


def finish(folder: Path, records: list[Record], tracker: Tracker | None, interrupted: bool) -> int:
    """Tables, figures and summary of what there is; the exit code."""
    write_pages(folder)
    print(in_words(folder))
    shown = [name for name in ("report.html", "table.md", "figures", "samples", "runs.csv") if (folder / name).exists()]
    print(f"\nfiles    {folder}/  ({', '.join(shown)}, …)")
    if tracker is not None:
        try:
            print(f"MLflow   {tracker.summarise(folder)}")
            if not tracker.uri.startswith("http"):
                print(f"         after: mlflow ui --backend-store-uri {tracker.uri}")
        except TrackingError as error:
            print(f"warning: {error}. Deliver later: python -m ablations.publish")
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


def write_pages(folder: Path) -> None:
    """All that is drawn from a results folder: after its runs were delivered, whose links it shows, and before the
    summary, which carries it."""
    from analysis.figures import write_figures, write_search_figures
    from analysis.read.search import search_alone
    from analysis.report import write_report
    from analysis.tables import write_tables

    if search_alone(folder):
        write_search_figures(folder)
    else:
        write_tables(folder)
        write_figures(folder)
    write_report(folder)


def in_words(folder: Path) -> str:
    """What a results folder holds, for a terminal: a search, the table of a grid, or both."""
    from analysis.read.runs import read_folder
    from analysis.read.search import search_alone, search_in
    from analysis.tables import terminal_table
    from analysis.tables.search import terminal_search

    grid, search = None if search_alone(folder) else read_folder(folder), search_in(folder)
    parts = [terminal_search(search, grid)] if search is not None else []
    return "\n\n".join(parts + ([terminal_table(grid)] if grid is not None else []))


def counted(n: int, noun: str) -> str:
    """1 cell, 2 cells."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def minutes(seconds: float) -> str:
    """Seconds in words."""
    return f"{seconds:.0f} seconds" if seconds < 90 else f"{seconds / 60:.0f} minutes"
