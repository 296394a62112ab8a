"""The end of a command: tables, figures and report of a results folder, and what the terminal says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ablations.driver.bar import minutes, waiting
from ablations.driver.page_cache import last_shown, remember
from ablations.driver.plan import Round
from ablations.driver.written import summarised
from ablations.engine.disk import in_bytes, left_by
from ablations.engine.journal import FOLDER, Journal
from ablations.results.records import Record
from ablations.tracking.mlflow_store import Tracker
from analysis.labels import counted
from analysis.links import without_password

Stop = Literal["", "interrupted", "hours"]
"""The reason why a command stopped before its end, if it did: a signal, or because its hours are over."""


@dataclass(frozen=True)
class Ended:
    """The end of a command: its records; its tracker (None once it has failed); the last complete round (None where
    there is none), and whether it was `printed` already; how many trainings have finished, of how many; what stopped
    it; and the seconds that all commands have spent on the grid."""

    records: list[Record]
    tracker: Tracker | None
    shown: Round | None
    printed: bool
    finished: int
    trainings: int
    stop: Stop
    seconds: float


def finish(folder: Path, journal: Journal, ended: Ended) -> int:
    """Write tables, figures and summary of the last complete round, if they changed, and say how to continue; the exit
    code."""
    if ended.shown is None:
        print(f"{ended.finished} of {ended.trainings} trainings finished; nothing to show yet")
    elif ended.stop and ended.printed:
        # Its pages were drawn, and its table printed, beside what was stopped.
        print(f"\n{folder}/ shows {ended.shown.named}{', which is preliminary' * ended.shown.preliminary}")
    else:
        show(folder, ended.tracker)
    if ended.records:
        print(kept_in(journal, folder.parent, ended.records))
    if ended.stop == "interrupted":
        print("interrupted: finished stages are kept, the same command continues")
        return 130
    if ended.stop == "hours":
        spent = f"all commands here have taken {minutes(ended.seconds)}"
        print(f"the hours are over ({spent}): finished stages are kept, the same command with more hours goes on")
    failed = [r for r in ended.records if r.status == "failed" or (r.status == "interrupted" and not ended.stop)]
    for item in failed[:5]:
        print(f"{item.status}: {item.planned.name}, seed {item.planned.cell.seed}: {item.reason}")
    unmeasured = list(dict.fromkeys(line for item in ended.records for line in item.unmeasured))
    for line in unmeasured[:5]:
        print(line)
    return 1 if failed or unmeasured else 0


def show(folder: Path, tracker: Tracker | None) -> None:
    """Draw the pages and give the store its summary, unless both are up to date; print what there is."""
    last = last_shown(folder)
    text = last.said if last is not None else drawn(folder)
    print(text)
    names = [name for name in ("report.html", "table.md", "figures", "samples", "runs.csv") if (folder / name).exists()]
    print(f"\nfiles    {folder}/  ({', '.join(names)}, …)")
    summary = None if tracker is None else summarised(folder, tracker)
    if tracker is not None and summary is not None:
        print(f"MLflow   {summary.link}")
        if not tracker.uri.startswith("http"):
            print(f"         opens once this runs: mlflow ui --backend-store-uri {without_password(tracker.uri)}")
    remember(folder, text, summary)


def kept_in(journal: Journal, results: Path, records: list[Record]) -> str:
    """A line that says where the stages of these cells are, and their size."""
    line = f"disk     {taken(journal.root, records)}"
    if journal.address != str((results / FOLDER).resolve()):
        # Nobody frees these but who knows what else needs them.
        return f"{line}, in {journal.root}"
    return f"{line}; python -m ablations.clean frees what nobody needs"


def taken(root: Path, records: list[Record]) -> str:
    """The disk space of the stages of these cells, in words."""
    stages = left_by(root, {stage.id for item in records for stage in item.planned.stages})
    return f"{in_bytes(sum(left.bytes for left in stages))} in {counted(len(stages), 'stage')} of these cells"


def drawn(folder: Path) -> str:
    """Write the pages, with a sign of life, because it takes seconds."""
    with waiting("drawing the report"):
        return write_pages(folder)


def write_pages(folder: Path) -> str:
    """Write tables, figures and report of a results folder; returns what a terminal shows of it. The runs must have
    been delivered, because the report links to them; the summary comes after it, because it carries all of it."""
    from analysis import pages

    return pages.write_pages(folder)
