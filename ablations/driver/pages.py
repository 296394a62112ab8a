"""Pages of a results folder, its delivery to the store, and the end of a command: what the terminal says.

Where the store fails, a warning says how to deliver later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from rich.filesize import decimal

from ablations.driver.progress import bar
from ablations.driver.summary import NAMED, opening
from ablations.driver.trained_cells import forgetting_damaged
from ablations.engine.files import Damaged, bytes_of
from ablations.engine.journal import FOLDER, Journal
from ablations.results.folder import read_grid_json
from ablations.results.records import Record
from ablations.tracking.mlflow_client import TrackingError
from ablations.tracking.mlflow_store import Tracker
from ablations.tracking.model import write_model
from ablations.tracking.sqlite_file import Summary
from ablations.tracking.uris import rescue
from analysis.files import read_json
from analysis.labels import counted

T = TypeVar("T")


@dataclass(frozen=True)
class Ended:
    """The end of a command: its records; its tracker, None once it has failed; and whether it was stopped before its
    end."""

    records: list[Record]
    tracker: Tracker | None
    stopped: bool


def finish(folder: Path, journal: Journal, ended: Ended) -> int:
    """Write tables, figures and summary, and say what there is, or how to continue; the exit code."""
    if ended.stopped:
        return stop(folder, ended)
    show(folder, ended.tracker)
    print(kept_in(journal, folder.parent, ended.records))
    failed = [item for item in ended.records if item.status in ("failed", "interrupted")]
    for item in failed[:NAMED]:
        print(f"{item.status}: {item.run.name}, seed {item.run.cell.seed}: {item.reason}")
    unmeasured = list(dict.fromkeys(line for item in ended.records for line in item.unmeasured))
    for line in unmeasured[:NAMED]:
        print(line)
    return 1 if failed or unmeasured else 0


def stop(folder: Path, ended: Ended) -> int:
    """Say what there is of a command that was stopped; its exit code. Nothing is drawn or delivered, which takes
    long."""
    now = (read_grid_json(folder) or {})["round"]
    print(f"\n{now['finished']} of {now['trainings']} trainings finished")
    if ended.tracker is not None and (left := undelivered(folder, ended.records)):
        again = rescue(folder, ended.tracker.uri)
        print(f"MLflow lacks {counted(left, 'finished run')}: the same command delivers, or {again}")
    print("interrupted: finished stages are kept, the same command continues")
    return 130


def show(folder: Path, tracker: Tracker | None) -> None:
    """Draw the pages and give the store its summary; print what there is."""
    with bar("drawing the report", None):
        text = write_pages(folder)
    names = [name for name in ("report.html", "table.md", "figures", "samples", "runs.csv") if (folder / name).exists()]
    print(f"{text}\n\nfiles    {folder}/  ({', '.join(names)}, …)")
    summary = summarised(folder, tracker)
    if tracker is not None and summary is not None:
        print("\n".join([f"MLflow   {summary.link}", *opening(tracker)]))


def kept_in(journal: Journal, results: Path, records: list[Record]) -> str:
    """A line that says where the stages of these cells are, and their size."""
    ids = {stage.id for item in records for stage in item.run.stages}
    sizes = [bytes_of(folder) for stage_id in ids if (folder := journal.folder(stage_id)).is_dir()]
    # A journal that is elsewhere nobody frees but who knows what else needs it.
    own = journal.root.resolve() == (results / FOLDER).resolve()
    how = "; python -m ablations.clean frees what nobody needs" if own else f", in {journal.root}"
    return f"disk     {decimal(sum(sizes))} in {counted(len(sizes), 'stage')} of these cells{how}"


def write_pages(folder: Path) -> str:
    """Write tables, figures and report of a results folder; returns what a terminal shows of it. Its runs must have
    been delivered, because the report links to them; the summary comes after it, because it carries all of it."""
    from analysis import pages

    return pages.write_pages(folder)


def deliver(tracker: Tracker | None, folder: Path) -> Tracker | None:
    """Publish to the tracker; None where that fails."""
    return None if _sent(lambda to: to.publish(folder), tracker, folder) is None else tracker


def summarised(folder: Path, tracker: Tracker | None) -> Summary | None:
    """The store's summary of the pages, sent; None where that fails."""
    return _sent(lambda to: to.summarise(folder), tracker, folder)


def _sent(act: Callable[[Tracker], T], tracker: Tracker | None, folder: Path) -> T | None:
    if tracker is None:
        return None
    try:
        return act(tracker)
    except TrackingError as error:
        print(f"warning: {error}. Results are safe in {folder}; deliver later: {rescue(folder, tracker.uri)}")
        return None


def undelivered(folder: Path, records: Iterable[Record]) -> int:
    """The number of finished cells and seeds among these that were not delivered from this folder."""
    there = (read_json(folder / "tracking.json") or {}).get("runs", {})
    over = [item.run for item in records if item.status == "finished"]
    return sum(str(item.cell.seed) not in there.get(item.cell_id, {}) for item in over)


def deliver_models(tracker: Tracker, records: Iterable[Record], journal: Journal) -> None:
    """Give each run of a finished cell its weights as an MLflow model (`tracking.models=true`), unless it has them."""
    for item in (item.run for item in records if item.status == "finished"):
        parts, tags = item.parts, {"cell_id": item.cell_id, "seed": str(item.cell.seed)}
        if parts is None:
            continue
        try:
            if tracker.model_in(tags) == parts.training:
                continue
            with TemporaryDirectory() as place:
                with forgetting_damaged(journal):
                    write_model(Path(place), item.cell, parts, journal)
                tracker.attach_model(tags, Path(place), parts.training)
        except Damaged as error:
            print(f"warning: {error}. Its model is delivered then")
        except TrackingError as error:
            print(f"warning: {error}. Models are delivered when the same command is given again")
            return
