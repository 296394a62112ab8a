"""MLflow: the runs of results/<grid>/ as flat runs, to browse. Only the driver writes here, under the folder's lock.

An experiment is a grid; a run is a cell at a seed, with every choice as a parameter, every metric, the training curves
and samples over steps, and tags by which the UI groups and readers pick. An autoencoder that cells share is a run of
its own. One summary run carries all other files of the folder: tables, figures, report.

    files ─▶ digest ─▶ there with this digest: skipped │ shown live by this command: completed │ else: logged anew

A run has its digest (the tag `content`) once it is complete, so that whatever a killed command left is stale. The
experiment is described by its question and what was found, and stores the views that links open (`views`). Where all
of it is stands in the folder's tracking.json.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ablations.engine.journal import Curves
from ablations.results.csv_text import number
from ablations.tracking.runs import CELL, INTERRUPTED, Key, Points, Tracked, head_in, key_of, tracked_runs
from ablations.tracking.store import TrackingError, opened, reachable, refusal
from ablations.tracking.views import MEANS, SEEDS, View, tags_of, view_in
from analysis import read
from analysis.errors import InputError
from analysis.files import whole_files, write_json
from analysis.labels import in_markdown
from analysis.links import page, tracking_of, without_password
from analysis.schema import RUNG
from analysis.words import answers

if TYPE_CHECKING:
    from mlflow import MlflowClient

CONTENT, MODEL = "content", "model"
"""The tags of a complete run with the digest of all that was logged, and of one with the id of its model's training."""
NOTE, SOURCE = "mlflow.note.content", "mlflow.source.name"
"""MLflow's documented tags of a description, in Markdown, and of what made a run."""
ENDINGS = {"failed": "FAILED", INTERRUPTED: "KILLED"}
"""MLflow's words for how a run ended, where it did not finish."""
FOLDERS = ("figures", "strips", "reconstructions")
"""The subfolders of a results folder that its summary carries."""
BATCH, SIDE = 1000, 512
"""The most metrics that MLflow takes in a request, and the pixels along a side to which sheets are enlarged."""


@dataclass
class Stored:
    """A run in the store with its tags; of one that this command is logging (`live`) also its start in ms, parameters,
    and the metrics and steps that it has."""

    run_id: str
    tags: Mapping[str, str]
    live: bool = False
    began: int = 0
    params: Mapping[str, str] = field(default_factory=dict)
    points: set[tuple[str, int]] = field(default_factory=set)


class Tracker:
    """The experiment of one grid in one tracking store, opened in a thread: importing MLflow and making a store take
    seconds."""

    def __init__(self, uri: str, experiment: str, artifacts: Path) -> None:
        self.uri, self.experiment, self.artifacts = uri, experiment, artifacts
        self.introduced, self.last = False, 0
        self.lines: set[str] = set()

    @cached_property
    def _opening(self) -> Future[tuple[MlflowClient, str]]:
        pool = ThreadPoolExecutor(1)
        opening = pool.submit(opened, self.uri, self.experiment, self.artifacts)
        pool.shutdown(wait=False)
        return opening

    def begin(self) -> bool:
        """Begin to open the store; True once it need not be waited for."""
        return self._opening.done()

    @property
    def client(self) -> MlflowClient:
        """MLflow's client; TrackingError where the store cannot be used."""
        return self._opening.result()[0]

    @property
    def experiment_id(self) -> str:
        return self._opening.result()[1]

    @cached_property
    def runs(self) -> dict[Key, Stored]:
        """The runs of the store but its summary."""
        with reachable(self.uri):
            found = self.client.search_runs([self.experiment_id], "tags.kind != 'summary'", max_results=50_000)
        return {key_of(run.data.tags): Stored(run.info.run_id, run.data.tags) for run in found}

    def publish(self, folder: Path) -> int:
        """Log every run of a results folder that is not there with the same content; return their number. Once all are
        delivered, the folder's tracking.json holds their links."""
        refuse_links(folder)
        runs = tracked_runs(folder)
        news = [run for run in runs if not self._has(run)]
        with reachable(self.uri):
            for run in news:
                self._log(run)
        self.lines = {name for run in runs for name, step in run.ends if step}
        self.last = sorted(run.last_step for run in runs)[len(runs) // 2] if runs else self.last
        keys = [key_of(run.tags) for run in runs if run.tags["kind"] == CELL]
        ids = {(cell_id, int(seed)): self.runs[cell_id, seed].run_id for cell_id, seed in keys}
        write_json(folder / "tracking.json", asdict(tracking_of(self.uri, self.experiment_id, ids)))
        return len(news)

    def _has(self, run: Tracked) -> bool:
        """True for a run that is there as it is now, or that was interrupted and is under way again."""
        there = self.runs.get(key_of(run.tags))
        if there is None or (there.live and run.tags["status"] == INTERRUPTED):
            return there is not None
        return there.tags.get(CONTENT) == run.content

    def _log(self, run: Tracked) -> None:
        """Complete a run that this command has shown, or log it anew. Of several values at one step MLflow shows the
        latest, so that the final ones have the time of the end."""
        end, there = now(), self.runs.get(key_of(run.tags))
        if there is None or not there.live or not there.params.items() <= run.params.items():
            there = self._start(run, end - round(1000 * run.seconds))
        self._add(there, {at: value for at, value in run.curves.items() if at not in run.ends}, there.began)
        there.points -= run.ends.keys()
        self._add(there, run.ends, max(end, there.began + 1))
        self._describe(there, run)
        if run.sheet is not None:
            key = "samples" if run.tags["kind"] == CELL else "reconstructions"
            self._log_sheet(there.run_id, run.sheet, key, run.last_step)
        self.client.set_terminated(there.run_id, ENDINGS.get(run.tags["status"], "FINISHED"), end)
        self.client.set_tag(there.run_id, CONTENT, run.content)
        self.runs[key_of(run.tags)] = Stored(there.run_id, run.tags | {CONTENT: run.content})

    def _start(self, run: Tracked, began: int) -> Stored:
        """Make a run that began at this time, in ms, in place of an earlier one."""
        if (key := key_of(run.tags)) in self.runs:
            self.client.delete_run(self.runs[key].run_id)
        made = self.client.create_run(self.experiment_id, began, run.tags | {SOURCE: "ablations"}, run.name)
        self.runs[key] = there = Stored(made.info.run_id, run.tags, live=True, began=began)
        self._describe(there, run)
        return there

    def _describe(self, there: Stored, run: Tracked) -> None:
        """Give a run its tags, and the parameters that it lacks."""
        from mlflow.entities import Param, RunTag

        params = [Param(name, value) for name, value in run.params.items() if name not in there.params]
        self.client.log_batch(there.run_id, params=params, tags=[RunTag(*tag) for tag in run.tags.items()])
        there.params = run.params

    def _add(self, there: Stored, points: Points, time_: int) -> None:
        """Give a run the points that it lacks, at a time in ms."""
        from mlflow.entities import Metric

        lacking = [
            Metric(name, y, time_, step) for (name, step), y in points.items() if (name, step) not in there.points
        ]
        for start in range(0, len(lacking), BATCH):
            self.client.log_batch(there.run_id, metrics=lacking[start : start + BATCH])
        there.points |= points.keys()

    def _log_sheet(self, run_id: str, sheet: Path, key: str, step: int) -> None:
        """Give a run a sheet of images at a step, each pixel enlarged to a square; a table of points as a file."""
        from PIL import Image

        if sheet.suffix != ".png":
            self.client.log_artifact(run_id, str(sheet))
            return
        with Image.open(sheet) as small:
            times = max(1, SIDE // max(small.size))
            size = (small.width * times, small.height * times)
            picture = small.convert("RGB").resize(size, Image.Resampling.NEAREST)
        self.client.log_image(run_id, picture, key=key, step=step)

    def show(self, run: Tracked, curves: Curves, machine: Mapping[str, float]) -> bool:
        """Show a run that is under way, with its curves so far and the machine's load; False where it is over."""
        there = self.runs.get(key_of(run.tags))
        if there is not None and CONTENT in there.tags and there.tags["status"] not in ENDINGS:
            return False
        with reachable(self.uri):
            if there is None or not there.live:
                there = self._start(run, now())
            named = (
                (name.removeprefix(RUNG), *point) for name, xy in curves.items() for point in zip(*xy, strict=True)
            )
            # The digits of files, from which it is delivered at its end.
            self._add(there, {(name, int(x)): float(number(y)) for name, x, y in named}, now())
            second = (now() - there.began) // 1000
            self._add(there, {(name, second): use for name, use in machine.items()}, now())
        return True

    def show_samples(self, key: Key, sheet: Path, step: int) -> None:
        """Give a run under way a sheet of samples of a step."""
        with reachable(self.uri):
            self._log_sheet(self.runs[key].run_id, sheet, "samples", step)
            self.last = self.last or step

    def leave(self) -> None:
        """Mark the runs that are shown, and not over, as run by nobody."""
        with reachable(self.uri):
            for run in (run for run in self.runs.values() if run.live):
                self.client.set_tag(run.run_id, "status", INTERRUPTED)
                self.client.set_terminated(run.run_id, ENDINGS[INTERRUPTED])

    def model_in(self, key: Key) -> str:
        """The id of the training whose model a run has; "" where it has no model."""
        return self.runs[key].tags.get(MODEL, "")

    def attach_model(self, key: Key, folder: Path, training: str) -> None:
        """Give a run the model in a folder, which this training made."""
        with reachable(self.uri):
            self.client.log_artifacts(self.runs[key].run_id, str(folder), MODEL)
            self.client.set_tag(self.runs[key].run_id, MODEL, training)

    def introduce(self, question: str, views: dict[str, View]) -> None:
        """Describe the experiment by its question, once, where it is not yet; an answer to the same question stays."""
        if not self.introduced:
            with reachable(self.uri):
                before, note = (
                    self.client.get_experiment(self.experiment_id).tags.get(NOTE, ""),
                    self._note(question, views),
                )
                self._introduce(before if before.startswith(note.split("\n")[0]) else note, views)
            self.introduced = True

    def _introduce(self, note: str, views: dict[str, View]) -> None:
        for name, value in ({NOTE: note} | tags_of(views)).items():
            self.client.set_experiment_tag(self.experiment_id, name, value)

    def _note(self, question: str, views: Collection[str], said: Iterable[str] = ()) -> str:
        """The question in bold, the answers as a list, and links to the views within the UI, wherever that is."""
        words = {MEANS: "charts", SEEDS: "each seed, and samples over training"}
        pages = {name: page(self.uri, self.experiment_id, name).partition("#")[2] for name in views}
        links = " · ".join(f"[{words[name]}](#{link})" for name, link in pages.items())
        parts = [f"**{escaped(question)}**", "\n".join(f"- {escaped(line)}" for line in said), links]
        return "\n\n".join(filter(None, parts))

    def summarise(self, folder: Path) -> str:
        """Log the folder's pages as the one summary run, unless they are there; the link that opens the grid's page."""
        refuse_links(folder)
        head = head_in(folder)
        views = view_in(head, self.lines, self.last)
        with reachable(self.uri):
            note = self._note(head["question"], views, said_in(folder))
            self._introduce(note, views)
            tags = {"kind": "summary", "grid": self.experiment, NOTE: note, SOURCE: "ablations"}
            self._log_pages(folder, tags)
        return page(self.uri, self.experiment_id)

    def _log_pages(self, folder: Path, tags: dict[str, str]) -> None:
        pages = [path for path in sorted(folder.iterdir()) if path.is_file() or path.name in FOLDERS]
        files = [(file, file.relative_to(folder)) for path in pages for file in whole_files(path)]
        parts = [part for file, name in files for part in (str(name).encode(), file.read_bytes())]
        content = hashlib.sha256(b"".join([tags[NOTE].encode(), *parts])).hexdigest()[:16]
        earlier = self.client.search_runs([self.experiment_id], "tags.kind = 'summary'")
        if [run.data.tags.get(CONTENT) for run in earlier] == [content]:
            return
        run_id = self.client.create_run(self.experiment_id, tags=tags, run_name="summary").info.run_id
        for file, name in files:
            self.client.log_artifact(run_id, str(file), None if name.parent == Path() else name.parent.as_posix())
        self.client.set_terminated(run_id, "FINISHED")
        self.client.set_tag(run_id, CONTENT, content)
        for run in earlier:
            self.client.delete_run(run.info.run_id)


def now() -> int:
    """The time in ms, as MLflow has it."""
    return int(1000 * time.time())


def escaped(text: str) -> str:
    """Text of a folder, which may be anybody's, with its HTML escaped: MLflow would show its pictures and frames."""
    return in_markdown(text).replace("\\<", "&lt;")


def said_in(folder: Path) -> list[str]:
    """The answers of a results folder, a sentence for each metric; none where it cannot be read."""
    try:
        return answers(read(folder))
    except InputError:
        return []


def refuse_links(folder: Path) -> None:
    """TrackingError where a results folder, which anyone may have sent, has a link to a file elsewhere: the store would
    publish that file."""
    for path in folder.rglob("*"):
        if path.is_symlink() and not path.resolve().is_relative_to(folder.resolve()):
            raise TrackingError(f"{path} is a link out of its folder, and is not delivered: put the file itself there")


def open_tracker(uri: str, experiment: str, results: Path) -> Tracker:
    """The tracker of a store, which is not opened yet; InputError where it clearly cannot be used."""
    if reason := refusal(uri):
        raise InputError(f"{reason} (tracking.uri={without_password(uri)})")
    return Tracker(uri, experiment, results / ".artifacts")
