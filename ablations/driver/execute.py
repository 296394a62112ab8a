"""From a plan to its results: launch what is missing, write and publish what is found.

Drivers are the only processes that write results/<grid>/ and the tracking store, one at a time (`turns`). Everything
they write can be written again from the journal, so they may be killed at any moment.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ablations.driver.bar import Bar, OtherCommands, bar, tried_again
from ablations.driver.live import Live, watching
from ablations.driver.plan import Plan
from ablations.driver.provenance import since
from ablations.driver.requests import asked_by, check_no_search, check_same_request
from ablations.driver.sets import with_enough
from ablations.driver.shown import last_shown, still_there
from ablations.driver.spent import Spent
from ablations.driver.turns import Turns
from ablations.driver.watched import watched_by_stage
from ablations.launchers.dispatch import Dispatch
from ablations.launchers.events import Event
from ablations.results.folder import finished_in, standing, stands_already, write_results
from ablations.results.grid_json import head_of
from ablations.results.records import Record, record
from ablations.stages.artifacts import Damaged
from ablations.stages.graph import work
from ablations.stages.journal import Journal, Result
from ablations.stages.kinds import Stage
from ablations.tracking.addresses import rescue
from ablations.tracking.mlflow_client import TrackingError
from ablations.tracking.mlflow_runs import request_of
from ablations.tracking.mlflow_store import Tracker
from ablations.tracking.mlflow_views import view_in
from analysis.errors import InputError

WRITE_SECONDS = 15.0
REST = 20
"""Results are written again after so many times as long as it last took: those of thousands of cells take seconds."""


def execute(
    plan: Plan,
    journal: Journal,
    folder: Path,
    tracker: Tracker | None,
    provenance: dict[str, Any],
    *,
    confirms: bool = False,
) -> tuple[list[Record], Tracker | None, bool]:
    """Run what is missing; the records, the tracker (None once it has failed), and whether it was interrupted.

    Where it `confirms` a search, the results of that stand in the folder too.
    """
    with Execution.of(plan, journal, folder, tracker, provenance, confirms=confirms) as execution:
        interrupted = execution.launch(plan, plan, provenance)
        if not interrupted:
            plan, _, interrupted = with_enough(plan, journal, lambda more: execution.launch(more, more, provenance))
        records = execution.publish(plan, provenance, ended=not interrupted)
        return records, execution.tracker, interrupted


@dataclass
class Pause:
    """Between two writings of results, the longer the longer the last one took."""

    written: float = field(default_factory=time.monotonic)
    seconds: float = 0.0

    @property
    def over(self) -> bool:
        """Whether they are to be written again."""
        return time.monotonic() - self.written > max(WRITE_SECONDS, self.seconds)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """They are written meanwhile."""
        began = time.monotonic()
        yield
        self.written = time.monotonic()
        self.seconds = REST * (self.written - began)


@dataclass
class Execution:
    """A command at work on the grid of a results folder: what stood there before, and what time was spent on it.

    Results are written after each `pause`, in a turn of the folder; `tried` are the stages that it has started, each
    once; those that turned out `damaged` are made anew at the end; the tracker is None once it has failed.
    """

    journal: Journal
    folder: Path
    tracker: Tracker | None
    before: dict[str, Any] | None
    spent: Spent
    turns: Turns
    pause: Pause = field(default_factory=Pause)
    tried: set[str] = field(default_factory=set)
    damaged: set[str] = field(default_factory=set)

    @staticmethod
    @contextmanager
    def of(
        plan: Plan,
        journal: Journal,
        folder: Path,
        tracker: Tracker | None,
        provenance: dict[str, Any],
        *,
        confirms: bool = False,
    ) -> Iterator[Execution]:
        """The beginning, from which on the folder's name is this plan's; InputError where it holds other cells."""
        turns = Turns(folder)
        with turns.at_work():
            with turns.turn():
                if not confirms:
                    check_no_search(folder)
                before = check_same_request(folder, plan)
                if not turns.take(asked_by(plan)):
                    raise InputError(
                        f"a command that is at work on {folder} was asked for other choices: give this grid a name of "
                        "its own with name=…, or wait for it"
                    )
                if standing(folder) is None:
                    write(plan, journal, folder, records_of(plan, journal), since(None, provenance, 0.0))
            first = [item.stages[0].id for item in plan.planned if item.stages]
            if all(journal.result(stage_id) is None for stage_id in first):
                # No result has been seen yet, so other seeds continue nothing.
                before = None
            begun = any(journal.folder(stage_id).is_dir() for stage_id in first)
            spent = Spent.on(folder, float(before["seconds"]) if before else 0.0, begun=begun)
            yield Execution(journal, folder, tracker, before, spent, turns)

    @property
    def seconds(self) -> float:
        """Seconds of all commands on the grid so far."""
        return self.spent.seconds

    def launch(self, plan: Plan, meanwhile: Plan, provenance: dict[str, Any]) -> bool:
        """Run what a plan lacks, and write now and then the results of `meanwhile`; whether it was interrupted."""
        missing = [stage for stage in plan.missing(self.journal) if stage.id not in self.tried]
        self.tried |= {stage.id for stage in missing}
        total = sum(work(stage, plan.here.data) for stage in missing)
        live = self._live(plan, head_of(meanwhile.grid, meanwhile.planned, plan.here.data, None, provenance))
        with stopping(), bar(f"{len(missing)} stages", total) as shown, watching(live):
            try:
                with closing(_launch(plan, self.journal, missing, shown)) as events:
                    for event in events:
                        self.spent.keep()
                        if live is not None:
                            live.note(event)
                        if self.tracker is not None:
                            _open_beside(self.tracker, event)
                        if event.kind == "ended" and self.pause.over:
                            with self.pause.writing():
                                self.publish(meanwhile, provenance, ended=False, wait=False)
            except KeyboardInterrupt:
                if live is not None:
                    live.leave()
                return True
        return False

    def _live(self, plan: Plan, head: dict[str, Any]) -> Live | None:
        """What shows the cells of a plan while they run, by their grid.json; None without a store."""
        if self.tracker is None:
            return None
        watched = watched_by_stage(plan, self.journal, request_of(head), self.folder)
        return Live(self.tracker, plan.here.data, head["question"], view_in(self.folder, head), watched)

    def publish(self, plan: Plan, provenance: dict[str, Any], *, ended: bool, wait: bool = True) -> list[Record]:
        """Write the results of a plan, and deliver them; left for another time where another command writes there, and
        one does not `wait` for it. What turns out damaged is left out, or, at the end, made anew.

        InputError where another command has made the folder another plan's.
        """
        while True:
            if ended and self.damaged:
                self.tried -= self.damaged
                self.damaged.clear()
                self.launch(plan, plan, provenance)
            try:
                return self._publish(plan, provenance, ended=ended, wait=wait)
            except Damaged as error:
                print(f"{error.folder.name} is made anew: {error.what}", file=sys.stderr)
                self.journal.forget_result(error.folder.name)
                self.damaged.add(error.folder.name)

    def _publish(self, plan: Plan, provenance: dict[str, Any], *, ended: bool, wait: bool) -> list[Record]:
        """Once; Damaged where something of a finished stage is."""
        told = since(self.before, provenance, self.seconds if self.tried else None)
        with self.turns.turn(wait=wait) as turn:
            if turn is None:
                return []
            check_same_request(self.folder, plan)
            records = records_of(plan, self.journal)
            if self.tracker is not None and turn.others:
                self.tracker.forget()
            finished = sum(item.status == "finished" for item in records)
            if turn.others and finished < finished_in(self.folder):
                # What another command wrote, of more seeds, stands until there is as much.
                return records
            turn.lease.check()
            head = head_with(plan, self.journal, records, told)
            if not (turn.others and stands_already(self.folder, head, records)):
                write_results(self.folder, head, records, self.journal, plan.here.data)
            self.tracker = deliver(self.tracker, self.folder)
        return records


def _open_beside(tracker: Tracker, event: Event) -> None:
    """Open the store once a stage is under way; InputError where it turns out not to be usable."""
    if event.share > 0:
        tracker.begin()
    tracker.check()


def _launch(plan: Plan, journal: Journal, missing: list[Stage], shown: Bar) -> Generator[Event, None, None]:
    """Run stages and move the bar; yields what happens to them."""
    if not missing:
        return
    total = {stage.id: work(stage, plan.here.data) for stage in missing}
    done: dict[str, float] = {}
    at = 0.0
    dispatch = Dispatch(plan.here.launcher, journal, plan.here.devices)
    dispatch.add(missing, plan.stages())
    others = OtherCommands(dispatch, shown)
    with closing(dispatch.run()) as events:
        for event in events:
            others.tell()
            if event.kind in ("died", "damaged"):
                shown.write(tried_again(event))
            elif event.kind != "started":
                # One that is made anew was not counted on.
                cost = total.get(event.stage.id) or work(event.stage, plan.here.data)
                before, now = done.get(event.stage.id, 0.0), event.share * cost
                done[event.stage.id] = now
                at += now - before
                shown.move_to(at)
            yield event


@contextmanager
def stopping() -> Iterator[None]:
    """SIGTERM stops like Ctrl-C."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def records_of(plan: Plan, journal: Journal) -> list[Record]:
    """What the journal holds of a plan's cells."""
    journal.expect(stage.id for stage in plan.stages())
    return [record(planned, journal) for planned in plan.planned]


def write(plan: Plan, journal: Journal, folder: Path, records: list[Record], provenance: dict[str, Any]) -> None:
    """Write results/<grid>/ from these records and the journal."""
    write_results(folder, head_with(plan, journal, records, provenance), records, journal, plan.here.data)


def head_with(plan: Plan, journal: Journal, records: list[Record], provenance: dict[str, Any]) -> dict[str, Any]:
    """grid.json of a plan, with what real images score and the device that made its cells."""
    floor = floor_of(plan, journal)
    device = {"device": next((r.metadata["device"] for r in records if "device" in r.metadata), "")}
    return head_of(plan.grid, plan.planned, plan.here.data, floor, {**provenance, **device})


def floor_of(plan: Plan, journal: Journal) -> Result | None:
    """What real images score, as far as it is known; None while nothing is."""
    floor = journal.result(plan.floor.id) if plan.floor else None
    more = [journal.result(stage.id) for stage in plan.metric_floors]
    scores = {name: value for result in more if result for name, value in result.metrics.items()}
    return replace(floor, metrics=floor.metrics | scores) if floor else None


def deliver(tracker: Tracker | None, folder: Path) -> Tracker | None:
    """Publish to the tracker, unless it has it all; None, with a warning that says what to do, where it fails."""
    if tracker is None or still_there(last_shown(folder), tracker.uri) is not None:
        return tracker
    try:
        tracker.publish(folder)
    except TrackingError as error:
        print(f"warning: {error}. Results are safe in {folder}; deliver them later: {rescue(folder, tracker.uri)}")
        return None
    return tracker
