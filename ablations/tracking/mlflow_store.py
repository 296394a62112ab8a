"""MLflow: the runs of results/<grid>/ as flat runs, to browse. Only the driver writes here, and only from those files.

An experiment is a grid; a run is a cell at a seed, with every choice as a parameter, every metric, the training curves
over steps, what each test image costs, its sample sheet, and tags by which the UI groups and readers pick. An
autoencoder that cells share is a run of its own (kind = autoencoder), with its reconstructions. One summary run carries
all other files of the folder: tables, figures, report. A run is known by (cell_id, seed) and by a digest of its
content, so publishing can be repeated: what is there is left, what lacks something is completed, what is stale is
replaced. One that was shown while it ran is completed, and one that was stopped taken up; how far its curves are there
is a tag of such a run. The experiment also stores the view that the printed link opens: the grid's metrics charted,
grouped by cell, that is by the levels of its axes, with means over seeds. Where all of it is stands in the folder's
tracking.json.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any

from ablations.results.records import NOT_RUN
from ablations.tracking.addresses import Summary, refusal
from ablations.tracking.mlflow_client import TrackingError, guard, opened, refuse_links
from ablations.tracking.mlflow_found import anew, found, is_gone, kept, one_of
from ablations.tracking.mlflow_runs import (
    CELL,
    REPORTED,
    REQUEST,
    Known,
    Points,
    Tracked,
    head_in,
    key_of,
    last_of,
    name_of,
    request_of,
    round_of,
    tracked_autoencoders,
    tracked_runs,
)
from ablations.tracking.mlflow_summary import delivered
from ablations.tracking.mlflow_views import VIEW, view_in
from ablations.tracking.mlflow_writing import INTERRUPTED, end, log, send
from analysis.format.errors import InputError
from analysis.format.files import write_json
from analysis.format.links import page, to_json, tracking_of, without_password

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

MODEL = "model"
"""The artifact of a run that is its model, and the tag that says of which training."""


class Tracker:
    """The experiment of one grid in one tracking store, which is opened when it is needed or when `begin` says so.

    Two threads may write: what is done about one run is done whole. So may other commands, whose runs are looked for
    before one is shown or completed, and after one is made: of two that were made at once the later goes. Two may
    deliver to one run: both write the same points, which are there once.
    """

    def __init__(self, uri: str, experiment: str, artifacts: Path) -> None:
        self.uri = uri
        self.experiment = experiment
        self.artifacts = artifacts
        self.lock = RLock()
        self.live: set[tuple[str, str]] = set()
        self.introduced = False
        self._opening: Future[tuple[MlflowClient, str]] | None = None

    def begin(self) -> None:
        """Open the store in a thread: to import MLflow and to make a store take seconds, in which others can work."""
        if self._opening is None:
            pool = ThreadPoolExecutor(1)
            self._opening = pool.submit(opened, self.uri, self.experiment, self.artifacts)
            pool.shutdown(wait=False)

    def check(self) -> None:
        """InputError where the store has turned out not to be usable; nothing while it is being opened."""
        if self._opening is not None and self._opening.done():
            try:
                self._opening.result()
            except TrackingError as error:
                raise InputError(f"{error} (tracking.uri={without_password(self.uri)})") from error

    @property
    def is_open(self) -> bool:
        """Whether it can be written to without waiting."""
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
        """MLflow's id of the experiment."""
        return self._opened[1]

    @cached_property
    def known(self) -> dict[tuple[str, str], Known]:
        """The run that is here of each cell and seed, autoencoder and trial."""
        query = "tags.kind != 'summary'"
        runs: dict[tuple[str, str], list[Run]] = {}
        for run in guard(self.uri, lambda: self.client.search_runs([self.experiment_id], query, max_results=50_000)):
            runs.setdefault(key_of(run.data.tags), []).append(run)
        return {key: guard(self.uri, lambda all_=all_: one_of(self.client, all_)) for key, all_ in runs.items()}

    def forget(self) -> None:
        """Ask the store anew what is here: another command has delivered to it."""
        with self.lock:
            self.__dict__.pop("known", None)

    def publish(self, folder: Path) -> int:
        """Every cell, autoencoder and trial of a results folder that has run and is not here yet; the number published.

        Once all are delivered, the folder's tracking.json says where they are.
        """
        refuse_links(folder)
        runs = [run for run in tracked_runs(folder) if run.tags["reason"] != NOT_RUN]
        everything = [*runs, *tracked_autoencoders(folder)]
        published: int = sum(guard(self.uri, lambda run=run: self._publish(run)) for run in everything)
        cells = [run.tags for run in runs if run.tags["kind"] == CELL]
        ids = {(tags["cell_id"], int(tags["seed"])): self.known[key_of(tags)].run_id for tags in cells}
        write_json(folder / "tracking.json", to_json(tracking_of(self.uri, self.experiment_id, ids)))
        return published

    def introduce(self, question: str, shown: dict[str, Any]) -> None:
        """Say what the experiment is, and store the view that its link opens, unless that has been done."""
        with self.lock:
            if not self.introduced:
                guard(self.uri, lambda: self._introduce(question, shown))
                self.introduced = True

    def _introduce(self, question: str, shown: dict[str, Any]) -> None:
        tags = {"mlflow.note.content": question, "mlflow.experimentKind": "custom_model_development"}
        for name, value in (tags | {VIEW: json.dumps(shown)}).items():
            self.client.set_experiment_tag(self.experiment_id, name, value)

    def show(self, run: Tracked, points: Points, machine: dict[str, float]) -> bool:
        """Show a run that is under way: the points of its curves that are not here yet, and what the machine does.

        One that is over is left as it is, and False returned.
        """
        with self.lock:
            shown: bool = guard(self.uri, lambda: self._whole(run, lambda: self._show(run, points, machine)))
            return shown

    def _show(self, run: Tracked, points: Points, machine: dict[str, float]) -> bool:
        from mlflow.entities import Metric, RunTag

        key = key_of(run.tags)
        # Another command may have shown it since.
        known = self.known.get(key) if key in self.live else found(self.client, self.experiment_id, run.tags)
        if known is None:
            known, _ = self._begin(run, {})
        if known.reported is None:
            return False
        if key not in self.live:
            self.live.add(key)
            self.known[key] = known
            self.client.update_run(known.run_id, status="RUNNING")
            tags = run.tags | {"content": ""}
            self.client.log_batch(known.run_id, tags=[RunTag(name, value) for name, value in tags.items()])
        now, reported = time.time(), dict(known.reported)
        new = [(name, y, x) for name, line in points.items() for x, y in line if x > reported.get(name, -1.0)]
        # A training that goes on from a checkpoint is behind what was reported of it, for a while.
        reported |= {name: max(reported.get(name, -1.0), *(x for x, _ in line)) for name, line in points.items()}
        metrics = [Metric(name, y, int(1000 * now), int(x)) for name, y, x in new]
        metrics += [Metric(name, y, int(1000 * now), int(now - known.began)) for name, y in machine.items()]
        send(self.client, known.run_id, metrics)
        self.client.set_tag(known.run_id, REPORTED, json.dumps(reported))
        self.known[key] = Known(known.run_id, "", reported, known.began)
        return True

    def attach(self, key: tuple[str, str], file: Path) -> None:
        """Give a run that is shown a file, in the place of an earlier one."""
        with self.lock:
            guard(self.uri, lambda: self.client.log_artifact(self.known[key].run_id, str(file)))

    def model_in(self, tags: dict[str, str]) -> str:
        """The id of the training whose model a run has; "" where it has none."""
        with self.lock:
            run_id = self.known[key_of(tags)].run_id
            model: str = guard(self.uri, lambda: self.client.get_run(run_id).data.tags.get(MODEL, ""))
            return model

    def attach_model(self, tags: dict[str, str], folder: Path, training: str) -> None:
        """Give a run the model that a folder holds, of this training."""
        with self.lock:
            run_id = self.known[key_of(tags)].run_id
            guard(self.uri, lambda: self.client.log_artifacts(run_id, str(folder), MODEL))
            guard(self.uri, lambda: self.client.set_tag(run_id, MODEL, training))

    def keep(self, keys: Collection[tuple[str, str]]) -> None:
        """Show these on, and no others, which another command may show from now on."""
        with self.lock:
            self.live &= set(keys)

    def leave(self, key: tuple[str, str]) -> None:
        """Say of a run that is shown, and not over, that nothing runs it any more."""
        with self.lock:
            known = self.known.get(key)
            if known is not None and known.reported is not None and not known.content:
                guard(self.uri, lambda: self._leave(known.run_id))

    def _leave(self, run_id: str) -> None:
        # Another command may have completed it since, or deleted it.
        if not is_gone(self.client, run_id) and not self.client.get_run(run_id).data.tags.get("content"):
            self.client.set_tag(run_id, "status", INTERRUPTED)
            end(self.client, run_id, INTERRUPTED)

    def _begin(self, run: Tracked, reported: dict[str, float] | None) -> tuple[Known, bool]:
        """A new run, of which so much has been reported, None where all of it follows at once; or where another command
        was first, the one that it made, and False."""
        from mlflow.entities import Param

        key = key_of(run.tags)
        tags = run.tags | ({} if reported is None else {REPORTED: json.dumps(reported)})
        made = self.client.create_run(self.experiment_id, tags=tags, run_name=name_of(run)).info
        self.known[key] = Known(made.run_id, "", reported, made.start_time / 1000)
        self.client.log_batch(made.run_id, params=[Param(*param) for param in run.params.items()])
        known = found(self.client, self.experiment_id, run.tags) or self.known[key]
        self.known[key] = known
        return known, known.run_id == made.run_id

    def _whole(self, run: Tracked, act: Callable[[], bool]) -> bool:
        """act(), which writes a run, once more where another command has deleted that meanwhile."""
        key = key_of(run.tags)

        def is_lost() -> bool:
            lost = key in self.known and is_gone(self.client, self.known[key].run_id)
            if lost:
                del self.known[key]
                self.live.discard(key)
            return lost

        return anew(act, is_lost)

    def _publish(self, run: Tracked) -> bool:
        """Complete a run, or make it; False where it is here already."""
        with self.lock:
            return self._whole(run, lambda: self._complete(run))

    def _complete(self, run: Tracked) -> bool:
        from mlflow.entities import RunTag

        key, status = key_of(run.tags), run.tags["status"]
        here, new = set[str](), False
        known: Known | None = self.known.get(key)
        if known is not None and known.content != run.content:
            # Another command may have delivered it since, or deleted it.
            known = found(self.client, self.experiment_id, run.tags)
        if known is None:
            known, new = self._begin(run, None)
        self.known[key] = known
        if known.content == run.content:
            # Who delivered it may have been killed before, or shown a last point after.
            if known.reported is not None and status != INTERRUPTED:
                end(self.client, known.run_id, status, reports=True)
                self.known[key] = replace(known, reported=None)
            return False
        if known.reported is None and not new:
            known, here = kept(self.client, known, run)
        if known is None:
            del self.known[key]
            return self._complete(run)
        self._log(known, run, here)
        # What was stopped may be taken up from where its curves end.
        before = known.reported or {}
        reported = last_of(run.curves, before) if status == INTERRUPTED else None
        tags = ({} if new else run.tags) | {"content": run.content}
        tags |= {} if reported is None else {REPORTED: json.dumps(reported)}
        self.client.log_batch(known.run_id, tags=[RunTag(*tag) for tag in tags.items()])
        end(self.client, known.run_id, status, reports=not new and reported is None and not here)
        self.live.discard(key)
        self.known[key] = Known(known.run_id, run.content, reported, known.began)
        return True

    def _log(self, known: Known, run: Tracked, here: set[str]) -> None:
        log(self.client, known, run, here)

    def summarise(self, folder: Path) -> Summary:
        """Publish table, figures and grid.json as the summary run."""
        summary: Summary = guard(self.uri, lambda: self._summarise(folder))
        return summary

    def _summarise(self, folder: Path) -> Summary:
        refuse_links(folder)
        head = head_in(folder)
        tags = {"kind": "summary", "grid": self.experiment, REQUEST: request_of(head), "round": round_of(head)}
        run_id = delivered(self.client, self.experiment_id, folder, tags)
        self._introduce(head["question"], view_in(head))
        return Summary(self.uri, run_id, page(self.uri, self.experiment_id))


def open_tracker(uri: str, experiment: str, results: Path) -> Tracker:
    """The tracker of a store that is yet to be opened; InputError where it is seen at once that it cannot be used."""
    reason = refusal(uri)
    if reason:
        raise InputError(f"{reason} (tracking.uri={without_password(uri)})")
    return Tracker(uri, experiment, results / ".artifacts")
