"""MLflow: the runs of results/<grid>/ as flat runs, to browse. Only the driver writes here, under the folder's lock.

An experiment is a grid; a run is a cell at a seed. One summary run carries all files of the folder.

    files ─▶ digest ─▶ there with this digest: skipped │ shown live by this command: completed │ else: logged anew

A run has its digest (the tag `content`) once it is complete, so that whatever a killed command left is stale. The
experiment is described by its question and what was found, and stores the views that links open (`views`). Where all
of it is stands in the folder's tracking.json.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from PIL import Image, ImageOps

from ablations.engine.journal import Curves
from ablations.results.csv_text import number
from ablations.tracking.runs import CELL, INTERRUPTED, SUMMARY, Key, Points, Tracked, head_in, key_of, tracked_runs
from ablations.tracking.store import (
    TrackingError,
    check_uri,
    default_uri,
    delivery_command,
    mlflow,
    open_store,
    store_errors,
)
from ablations.tracking.views import View, tags_of, view_in
from analysis import read
from analysis.errors import InputError
from analysis.files import whole_files, write_json
from analysis.labels import in_markdown
from analysis.places import page, tracking_of, without_password
from analysis.schema import RUNG
from analysis.words import answers

if TYPE_CHECKING:
    from mlflow import MlflowClient

T = TypeVar("T")
CONTENT = "content"
"""The tag of a complete run with the digest of all that was logged."""
NOTE, SOURCE = "mlflow.note.content", "mlflow.source.name"
"""MLflow's documented tags of a description, in Markdown, and of what made a run."""
ENDINGS = {"failed": "FAILED", INTERRUPTED: "KILLED"}
FOLDERS = ("figures", "reconstructions")
"""The subfolders of a results folder that its summary carries."""
BATCH, SIDE = 1000, 512
"""The most metrics that MLflow takes in a request, and the pixels along a side to which sheets are enlarged."""


@dataclass
class Stored:
    """A run in the store with its tags; of one that this command shows (`shown`) also what it has been given."""

    run_id: str
    tags: Mapping[str, str]
    shown: Tracked | None = None
    points: Points = field(default_factory=dict)


class Tracker:
    """The experiment of one grid in one tracking store, which is opened when it is first needed."""

    def __init__(self, uri: str, experiment: str, artifacts: Path) -> None:
        self.uri, self.experiment, self.artifacts = uri, experiment, artifacts
        self.last = 0
        self.lines: set[str] = set()

    @cached_property
    def _opened(self) -> tuple[MlflowClient, str]:
        return open_store(self.uri, self.experiment, self.artifacts)

    @property
    def client(self) -> MlflowClient:
        """MLflow's client; TrackingError where the store cannot be used."""
        return self._opened[0]

    @property
    def experiment_id(self) -> str:
        return self._opened[1]

    @cached_property
    def runs(self) -> dict[Key, Stored]:
        client, experiment_id = self._opened
        with store_errors(self.uri):
            runs = client.search_runs([experiment_id], max_results=50_000)
        return {key_of(run.data.tags): Stored(run.info.run_id, run.data.tags) for run in runs}

    def publish(self, folder: Path) -> int:
        """Log every run of a results folder that is not there with the same content; return their number. Once all are
        delivered, the folder's tracking.json holds their links."""
        runs = tracked_runs(folder)
        news = [run for run in runs if not self._has(run)]
        with store_errors(self.uri):
            for run in news:
                self._log(run)
        self.lines = {name for run in runs for name, step in run.points if step}
        self.last = sorted(run.last_step for run in runs)[len(runs) // 2] if runs else self.last
        keys = [key_of(run.tags) for run in runs if run.tags["kind"] == CELL]
        ids = {(cell_id, int(seed)): self.runs[cell_id, seed].run_id for cell_id, seed in keys}
        write_json(folder / "tracking.json", tracking_of(self.uri, self.experiment_id, ids))
        return len(news)

    def _has(self, run: Tracked) -> bool:
        """True for a run that is there as it is now, or that was interrupted and is under way again."""
        there = self.runs.get(key_of(run.tags))
        if there is None or (there.shown and run.tags["status"] == INTERRUPTED):
            return there is not None
        return there.tags.get(CONTENT) == run.content

    def _log(self, run: Tracked) -> None:
        """Complete a run that this command has shown, or log it anew. Of several values at one step MLflow shows the
        latest, which is the final one."""
        there = self.runs.get(key_of(run.tags))
        if there is None or there.shown is None or not there.shown.params.items() <= run.params.items():
            there = self._start(run.name, run.tags)
        self._give(there, run, run.points)
        if run.sheet is not None:
            self._give_sheet(there, run.sheet, run.last_step)
        self._end(there, run.tags, run.content)

    def _start(self, name: str, tags: dict[str, str]) -> Stored:
        if (key := key_of(tags)) in self.runs:
            self.client.delete_run(self.runs[key].run_id)
        made = self.client.create_run(self.experiment_id, tags=tags | {SOURCE: "ablations"}, run_name=name)
        self.runs[key] = Stored(made.info.run_id, tags)
        return self.runs[key]

    def _end(self, there: Stored, tags: dict[str, str], content: str) -> None:
        self.client.set_terminated(there.run_id, ENDINGS.get(tags.get("status", ""), "FINISHED"))
        self.client.set_tag(there.run_id, CONTENT, content)
        self.runs[key_of(tags)] = Stored(there.run_id, tags | {CONTENT: content})

    def _give(self, there: Stored, run: Tracked, points: Points) -> None:
        """Give a run its tags and parameters, and of these points those that it lacks."""
        entities, now = mlflow().entities, int(1000 * time.time())
        params = [entities.Param(name, value) for name, value in run.params.items()]
        self.client.log_batch(there.run_id, params=params, tags=[entities.RunTag(*tag) for tag in run.tags.items()])
        lacking = {at: value for at, value in points.items() if there.points.get(at) != value}
        metrics = [entities.Metric(name, value, now, step) for (name, step), value in lacking.items()]
        for start in range(0, len(metrics), BATCH):
            self.client.log_batch(there.run_id, metrics=metrics[start : start + BATCH])
        there.points |= lacking

    def _give_sheet(self, there: Stored, sheet: Path, step: int) -> None:
        """Give a run a sheet of samples at a step, each pixel enlarged to a square; a table of points as a file."""
        if sheet.suffix != ".png":
            self.client.log_artifact(there.run_id, str(sheet))
            return
        with Image.open(sheet) as small:
            picture = ImageOps.scale(small.convert("RGB"), max(1, SIDE // max(small.size)), Image.Resampling.NEAREST)
        self.client.log_image(there.run_id, picture, key="samples", step=step)

    def show(self, run: Tracked, curves: Curves) -> bool:
        """Show a run that is under way, with its curves so far; False where it is over."""
        there = self.runs.get(key_of(run.tags))
        if there is not None and CONTENT in there.tags and there.tags["status"] not in ENDINGS:
            return False
        points: Points = {}
        for name, xy in curves.items():
            # The digits of files, from which it is delivered at its end.
            points |= {(name.removeprefix(RUNG), int(x)): float(number(y)) for x, y in zip(*xy, strict=True)}
        with store_errors(self.uri):
            if there is None or there.shown is None:
                there = self._start(run.name, run.tags)
            there.shown = run
            self._give(there, run, points)
        return True

    def show_samples(self, key: Key, sheet: Path, step: int) -> None:
        """Give a run under way a sheet of samples of a step."""
        with store_errors(self.uri):
            self._give_sheet(self.runs[key], sheet, step)
            self.last = self.last or step

    def leave(self) -> None:
        """Mark the runs that are shown, and not over, as run by nobody."""
        with store_errors(self.uri):
            for run in (run for run in self.runs.values() if run.shown):
                self.client.set_tag(run.run_id, "status", INTERRUPTED)
                self.client.set_terminated(run.run_id, ENDINGS[INTERRUPTED])

    def introduce(self, head: Mapping[str, Any], last: int) -> None:
        """Describe the experiment by the question of grid.json, unless something describes it already: answers stay.
        The page shows the samples of step `last` first."""
        with store_errors(self.uri):
            if NOTE not in self.client.get_experiment(self.experiment_id).tags:
                self._describe(head["question"], view_in(head, last=last))

    def _describe(self, question: str, views: dict[str, View], found: Iterable[str] = ()) -> str:
        """Describe the experiment by the question in bold, the answers as a list, and links to the views within the UI,
        wherever that is; return this text. Its HTML is escaped, since MLflow would show the pictures and frames of a
        folder, which may be anybody's."""
        pages = {name: page(self.uri, self.experiment_id, name).partition("#")[2] for name in views}
        lines = [f"**{in_markdown(question)}**", "\n".join(f"- {in_markdown(line)}" for line in found)]
        text = "\n\n".join(filter(None, lines)).replace("\\<", "&lt;")
        note = "\n\n".join([text, " · ".join(f"[{name}](#{link})" for name, link in pages.items())])
        for name, value in ({NOTE: note} | tags_of(views)).items():
            self.client.set_experiment_tag(self.experiment_id, name, value)
        return note

    def summarise(self, folder: Path) -> str:
        """Log the folder's pages as the one summary run, unless they are there; the link that opens the grid's page."""
        head, answered = head_in(folder), list[str]()
        with suppress(InputError):
            # A search alone has no answers.
            answered = answers(read(folder))
        pages = [path for path in folder.iterdir() if path.is_file() or path.name in FOLDERS]
        files = {file: file.relative_to(folder) for path in sorted(pages) for file in whole_files(path)}
        parts = [part for file, name in files.items() for part in (str(name).encode(), file.read_bytes())]
        with store_errors(self.uri):
            note = self._describe(head["question"], view_in(head, self.lines, self.last), answered)
            content = hashlib.sha256(b"".join([note.encode(), *parts])).hexdigest()[:16]
            tags = {"kind": SUMMARY, "grid": self.experiment, NOTE: note}
            if (there := self.runs.get(key_of(tags))) is None or there.tags.get(CONTENT) != content:
                there = self._start(SUMMARY, tags)
                for file, name in files.items():
                    self.client.log_artifact(there.run_id, str(file), name.parent.as_posix().strip("."))
                self._end(there, tags, content)
        return page(self.uri, self.experiment_id)


def open_tracker(uri: str | None, experiment: str, results: Path) -> Tracker:
    """The tracker of a store, by default the results' own, which is not opened yet; InputError where it clearly cannot
    be used."""
    check_uri(uri := uri or default_uri(results))
    return Tracker(uri, experiment, results / ".artifacts")


def how_to_see(tracker: Tracker | None, link: str = "") -> list[str]:
    """Lines on how to see the experiment, by a link once there is one, made without opening the store."""
    if tracker is None:
        return []
    uri = without_password(tracker.uri)
    opening = f"         opens once this runs: mlflow ui --backend-store-uri {uri}"
    place = link or f"experiment {tracker.experiment} in {uri}"
    return [f"MLflow   {place}", *([] if uri.startswith("http") else [opening])]


def deliver(tracker: Tracker | None, folder: Path) -> Tracker | None:
    return None if attempt(Tracker.publish, tracker, folder) is None else tracker


def attempt(act: Callable[[Tracker, Path], T], tracker: Tracker | None, folder: Path) -> T | None:
    """The answer of the store to an act on a results folder; None where it fails, after a warning."""
    if tracker is None:
        return None
    try:
        return act(tracker, folder)
    except TrackingError as error:
        print(f"warning: {error}. Results are safe in {folder}; deliver later: {delivery_command(folder, tracker.uri)}")
        return None
