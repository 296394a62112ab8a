"""MLflow: the runs of results/<grid>/ as flat runs, to browse. Only the driver writes here, and only from those files.

An experiment is a grid; a run is a cell at a seed, with every choice as a parameter, every metric, the training curves
over steps, samples over steps, its data set, and tags by which the UI groups and readers pick. An autoencoder that
cells share is a run of its own (kind = autoencoder), with its reconstructions. One summary run carries all other files
of the folder: tables, figures, report. A run is known by (cell_id, seed) and by a digest of its content, so publishing
can be repeated: what is there is left, what lacks something is completed, what is stale is replaced. One that was shown
while it ran is completed, and one that was stopped taken up. The experiment is described by its question and what was
found, and stores the views that links open (`mlflow_views`). Where all of it is stands in the folder's tracking.json.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, replace
from functools import cached_property, partial
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING

from ablations.results.csv_text import number
from ablations.results.records import NOT_RUN
from ablations.tracking.mlflow_client import TrackingError, guard, opened, refuse_links
from ablations.tracking.mlflow_images import SAMPLES, log_sheet
from ablations.tracking.mlflow_runs import (
    CELL,
    REQUEST,
    Points,
    Tracked,
    head_in,
    key_of,
    request_of,
    round_of,
    tracked_autoencoders,
    tracked_runs,
)
from ablations.tracking.mlflow_stored import (
    OPEN,
    Stored,
    anew,
    began_at,
    complete,
    find,
    is_gone,
    is_stale,
    last_step,
    leave,
    metric_of,
    one_of,
    points_over_steps,
    send,
    take_up,
)
from ablations.tracking.mlflow_summary import NOTE, delivered, described, description, origin, said_in
from ablations.tracking.mlflow_views import MEANS, SEEDS, VIEW, View, text_of, view_in
from ablations.tracking.sqlite_file import Summary
from ablations.tracking.uris import refusal
from analysis.errors import InputError
from analysis.files import write_json
from analysis.links import page, tracking_of, without_password

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

MODEL = "model"
"""The artifact of a run that is its model, and the tag with the id of that model's training."""


class Tracker:
    """The experiment of one grid in one tracking store, opened when it is needed or when `begin` is called. Two threads
    may write, one run at a time.

    Other commands may write at any moment, so the store is asked which run a cell has before that run is shown or
    completed, and again after one is made: where two commands have made one each, one of them is deleted, and both
    write the same points to the other.
    """

    def __init__(self, uri: str, experiment: str, artifacts: Path) -> None:
        self.uri = uri
        self.experiment = experiment
        self.artifacts = artifacts
        self.lock = RLock()
        self.shown: dict[tuple[str, str], set[tuple[str, int]]] = {}
        self.introduced, self.last = False, 0
        self.rungs: frozenset[str] = frozenset()
        self._opening: Future[tuple[MlflowClient, str]] | None = None

    def begin(self) -> None:
        """Open the store in a thread: importing MLflow and making a store take seconds."""
        if self._opening is None:
            pool = ThreadPoolExecutor(1)
            self._opening = pool.submit(opened, self.uri, self.experiment, self.artifacts)
            pool.shutdown(wait=False)

    def check(self) -> None:
        """InputError where the store turned out not to be usable; nothing while it is being opened."""
        if self._opening is not None and self._opening.done():
            try:
                self._opening.result()
            except TrackingError as error:
                raise InputError(f"{error} (tracking.uri={without_password(self.uri)})") from error

    @property
    def is_open(self) -> bool:
        """True once it can be written to without waiting."""
        return self._opening is not None and self._opening.done()

    @cached_property
    def _opened(self) -> tuple[MlflowClient, str]:
        self.begin()
        assert self._opening is not None
        return self._opening.result()

    @property
    def client(self) -> MlflowClient:
        """MLflow's client; TrackingError where the store cannot be used."""
        return self._opened[0]

    @property
    def experiment_id(self) -> str:
        return self._opened[1]

    @cached_property
    def runs(self) -> dict[tuple[str, str], Stored]:
        """The runs of the store, by the cell and seed, autoencoder or trial."""
        query = "tags.kind != 'summary'"
        runs: dict[tuple[str, str], list[Run]] = {}
        for run in guard(self.uri, lambda: self.client.search_runs([self.experiment_id], query, max_results=50_000)):
            runs.setdefault(key_of(run.data.tags), []).append(run)
        return {key: Stored.of(guard(self.uri, partial(one_of, self.client, of))) for key, of in runs.items()}

    def forget(self) -> None:
        """Ask the store anew which runs it has, because another command has delivered to it."""
        with self.lock:
            self.__dict__.pop("runs", None)

    def publish(self, folder: Path) -> int:
        """Publish every cell, autoencoder and trial of a results folder that has run and is not there yet; return their
        number. After all are delivered, the folder's tracking.json holds their links."""
        refuse_links(folder)
        runs = [run for run in tracked_runs(folder) if run.tags["reason"] != NOT_RUN]
        self.rungs = frozenset(name for run in runs for name in run.at_rungs)
        everything = [*(replace(run, lines=self.rungs) for run in runs), *tracked_autoencoders(folder)]
        self.last = sorted(map(last_step, runs))[len(runs) // 2] if runs else self.last
        published = sum(guard(self.uri, partial(self._publish, run)) for run in everything)
        cells = [run.tags for run in runs if run.tags["kind"] == CELL]
        ids = {(tags["cell_id"], int(tags["seed"])): self.runs[key_of(tags)].run_id for tags in cells}
        write_json(folder / "tracking.json", asdict(tracking_of(self.uri, self.experiment_id, ids)))
        return published

    def introduce(self, question: str, views: dict[str, View]) -> None:
        """Give the experiment its question, and store the views that its links open, unless that has been done."""
        with self.lock:
            if not self.introduced:
                guard(self.uri, lambda: self._introduce(self._description(question, (), views), views, question))
                self.introduced = True

    def _introduce(self, note: str, views: dict[str, View], question: str, *, answered: bool = False) -> None:
        tags = described(self.client.get_experiment(self.experiment_id).tags, note, question, answered=answered)
        for name, value in (tags | {f"{VIEW}{name}": text_of(view) for name, view in views.items()}).items():
            self.client.set_experiment_tag(self.experiment_id, name, value)

    def _description(self, question: str, said: Sequence[str], views: Collection[str]) -> str:
        words = {MEANS: "charts", SEEDS: "each seed, and samples over training"}
        # Within the UI, wherever that is.
        links = {words[name]: f"#{page(self.uri, self.experiment_id, name).partition('#')[2]}" for name in views}
        return description(question, said, links)

    def show(self, run: Tracked, points: Points, machine: dict[str, float]) -> bool:
        """Update a run that is under way: with the points of its curves that are not there yet, and the machine's load.
        A run that is over stays as it is, and False is returned."""
        with self.lock:
            return guard(self.uri, lambda: self._whole(run, lambda: self._show(run, points, machine)))

    def _show(self, run: Tracked, points: Points, machine: dict[str, float]) -> bool:
        from mlflow.entities import Metric

        key = key_of(run.tags)
        if key not in self.shown:
            # Another command may have shown it since.
            there = find(self.client, self.experiment_id, run.tags) or self._make(run)
            self.runs[key] = Stored.of(there)
            if there.data.tags.get("status") not in OPEN:
                return False
            self.runs[key] = replace(self.runs[key], content="")
            self.shown[key] = take_up(self.client, there, run)
        stored, steps, now = self.runs[key], self.shown[key], int(1000 * time.time())
        # The digits of files, from which it is delivered at its end.
        lines = [(metric_of(name), x, float(number(y))) for name, line in points.items() for x, y in line]
        new = points_over_steps([line for line in lines if (line[0], int(line[1])) not in steps], stored.began)
        use = [Metric(name, value, now, (now - stored.began) // 1000) for name, value in machine.items()]
        send(self.client, stored.run_id, new + use)
        steps |= {(point.key, point.step) for point in new}
        return True

    def show_samples(self, key: tuple[str, str], sheet: Path, step: int) -> None:
        """Give a run under way a sheet of samples of a step."""
        with self.lock:
            guard(self.uri, lambda: log_sheet(self.client, self.runs[key].run_id, sheet, SAMPLES, step))
            self.last = self.last or step

    def model_in(self, tags: dict[str, str]) -> str:
        """The id of the training whose model a run has; "" where it has no model."""
        with self.lock:
            run_id = self.runs[key_of(tags)].run_id
            return guard(self.uri, lambda: str(self.client.get_run(run_id).data.tags.get(MODEL, "")))

    def attach_model(self, tags: dict[str, str], folder: Path, training: str) -> None:
        """Give a run the model in a folder, which this training made."""
        with self.lock:
            run_id = self.runs[key_of(tags)].run_id
            guard(self.uri, lambda: self.client.log_artifacts(run_id, str(folder), MODEL))
            guard(self.uri, lambda: self.client.set_tag(run_id, MODEL, training))

    def keep(self, keys: Collection[tuple[str, str]]) -> None:
        """Keep updating these runs, and no others, which another command may update from now on."""
        with self.lock:
            self.shown = {key: steps for key, steps in self.shown.items() if key in keys}

    def leave(self, key: tuple[str, str]) -> None:
        """Mark a run that is shown, and not over, as one that nobody runs."""
        with self.lock:
            stored = self.runs.get(key)
            if stored is not None and not stored.content:
                guard(self.uri, lambda: leave(self.client, stored.run_id))

    def _make(self, run: Tracked) -> Run:
        """Make a new run; where another command was first, return the one that it made."""
        began = began_at(run, int(1000 * time.time()))
        made = self.client.create_run(self.experiment_id, began, run.tags, run.name)
        self.runs[key_of(run.tags)] = Stored.of(made)
        return find(self.client, self.experiment_id, run.tags) or made

    def _whole(self, run: Tracked, act: Callable[[], bool]) -> bool:
        """Call act(), which writes a run; call it again where another command has deleted that run meanwhile."""
        key = key_of(run.tags)

        def is_lost() -> bool:
            lost = key in self.runs and is_gone(self.client, self.runs[key].run_id)
            if lost:
                del self.runs[key]
                self.shown.pop(key, None)
            return lost

        return anew(act, is_lost)

    def _publish(self, run: Tracked) -> bool:
        """Complete a run, or make it; False where it is up to date."""
        with self.lock:
            return self._whole(run, lambda: self._complete(run))

    def _complete(self, run: Tracked) -> bool:
        key = key_of(run.tags)
        stored = self.runs.get(key)
        if stored is not None and stored.content == run.content:
            return False
        # Another command may have delivered it since, or deleted it.
        there = None if stored is None else find(self.client, self.experiment_id, run.tags)
        while there is None or is_stale(self.client, there, run):
            if there is not None:
                self.client.delete_run(there.info.run_id)
            there = self._make(run)
        self.runs[key] = stored = Stored.of(there)
        if stored.content == run.content:
            return False
        complete(self.client, there, run)
        self.shown.pop(key, None)
        self.runs[key] = replace(stored, content=run.content)
        return True

    def summarise(self, folder: Path) -> Summary:
        """Publish table, figures and grid.json as the summary run."""
        return guard(self.uri, lambda: self._summarise(folder))

    def _summarise(self, folder: Path) -> Summary:
        refuse_links(folder)
        head = head_in(folder)
        views = view_in(head, self.rungs, self.last)
        note = self._description(head["question"], said_in(folder), views)
        tags = {"kind": "summary", "grid": self.experiment, REQUEST: request_of(head), "round": round_of(head)}
        run_id = delivered(self.client, self.experiment_id, folder, tags | origin(head) | {NOTE: note})
        self._introduce(note, views, head["question"], answered=not (head.get("round") or {}).get("preliminary"))
        return Summary(self.uri, run_id, page(self.uri, self.experiment_id))


def open_tracker(uri: str, experiment: str, results: Path) -> Tracker:
    """The tracker of a store, which is not opened yet; InputError where it clearly cannot be used."""
    reason = refusal(uri)
    if reason:
        raise InputError(f"{reason} (tracking.uri={without_password(uri)})")
    return Tracker(uri, experiment, results / ".artifacts")
