"""From a plan to its results: run what is missing, write and publish what there is.

Only drivers write results/<grid>/ and the tracking store, one at a time (`FolderLock`). All that they write can be
written again from the journal, so they may be killed at any moment.
"""

from __future__ import annotations

import sys
from collections.abc import Hashable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

from ablations.driver.bar import Bar, bar, minutes
from ablations.driver.following import launch, stopping
from ablations.driver.live import Live, watching
from ablations.driver.pace import Pace
from ablations.driver.pages import Ended, Stop
from ablations.driver.plan import Plan, Round, trainings
from ablations.driver.requests import asked_by, check_same_request
from ablations.driver.showing import Showing
from ablations.driver.spent import Spent, since
from ablations.driver.wanted import Wanted
from ablations.driver.watch import Watch
from ablations.driver.watched import first_judged, watched_by_stage
from ablations.driver.written import Pause, deliver, finished_trainings, head_with, records_of, write
from ablations.engine.files import Damaged
from ablations.engine.folder_lock import FolderLock
from ablations.engine.journal import Journal
from ablations.engine.stage import Event
from ablations.results.folder import declare, finished_in, standing, stands_already, write_results
from ablations.results.grid_json import head_of
from ablations.results.records import Record
from ablations.stages.stage import Stage
from ablations.tracking.mlflow_runs import request_of
from ablations.tracking.mlflow_store import Tracker
from ablations.tracking.mlflow_views import view_in
from analysis.errors import InputError

NOTHING: Mapping[Hashable, float] = {}


@dataclass(frozen=True)
class Job:
    """The job of a command on a grid: where stages and results are kept, the store that they are delivered to, and what
    grid.json says of the command. It ends once all commands on the grid have spent `hours`. Where it `confirms` a
    search, that search's results stand in the folder too."""

    journal: Journal
    folder: Path
    tracker: Tracker | None
    provenance: dict[str, Any]
    hours: float | None = None
    confirms: bool = False


def execute(rounds: Iterable[Round], job: Job, expected: Mapping[Hashable, float] = NOTHING) -> Ended:
    """Run round after round, to the end or until something stops it; the pages of each are drawn while the next one
    runs. `expected` are the seconds of stages' parts until they are measured."""
    going = iter(rounds)
    first = next(going)
    with Execution.of(first, job) as execution:
        execution.pace.expected = expected
        return execution.carry_out(chain([first], going))


@dataclass
class Execution:
    """A command at work on the grid of a results folder: what stood there before, and what time was spent on it.

    Results are written after each `pause`, while the folder is held. `tried` are the stages that it has started, each
    once; those found `damaged` are made anew at the end. The tracker is None once it has failed. `shown` is the last
    complete round, `showing` the drawing of its pages beside the next one.
    """

    job: Job
    tracker: Tracker | None
    before: dict[str, Any] | None
    spent: Spent
    lock: FolderLock
    first: Round
    pace: Pace
    watch: Watch
    wanted: Wanted
    live: Live | None = None
    shown: Round | None = None
    showing: Showing | None = None
    printed: bool = False
    pause: Pause = field(default_factory=Pause)
    tried: set[str] = field(default_factory=set)
    damaged: set[str] = field(default_factory=set)

    @staticmethod
    @contextmanager
    def of(first: Round, job: Job) -> Iterator[Execution]:
        """The start of a command: from now on the folder's name is this plan's. InputError where it holds other
        cells."""
        journal, folder, plan = job.journal, job.folder, first.whole
        lock = FolderLock(folder)
        with lock.at_work():
            with lock.held():
                wanted = Wanted(folder)
                before = check_same_request(folder, plan, confirms=job.confirms)
                if not lock.take(asked_by(plan)):
                    raise InputError(
                        f"a command that is at work on {folder} was asked for other choices: give this grid a name of "
                        "its own with name=…, or wait for it"
                    )
                if before is None:
                    described = {**job.provenance, **first.details, "round": first.none_yet().described(0)}
                    write(plan, journal, folder, records_of(plan, journal), since(None, described, 0.0))
                else:
                    declare(folder, head_of(plan.grid, plan.planned, plan.here.data, None, {}))
            stages = [item.stages[0].id for item in plan.planned if item.stages]
            if all(journal.result(stage_id) is None for stage_id in stages):
                # No result has been seen yet, so other seeds continue nothing.
                before = None
            begun = any(journal.folder(stage_id).is_dir() for stage_id in stages)
            spent = Spent.on(folder, float(before["seconds"]) if before else 0.0, begun=begun)
            pace = Pace(plan.here.data, len(plan.here.devices))
            watch = Watch.of(job.tracker)
            execution = Execution(job, job.tracker, before, spent, lock, first, pace, watch, wanted)
            try:
                yield execution
            finally:
                if execution.showing is not None:
                    execution.showing.leave()

    @property
    def _over(self) -> bool:
        """True once all commands together have spent the hours that they may."""
        return self.job.hours is not None and self.spent.seconds > 3600 * self.job.hours

    def carry_out(self, rounds: Iterable[Round]) -> Ended:
        """Round after round, to the end or until something stops it."""
        self.live = self._live(self.first.whole)
        last: Round = self.first
        stop: Stop = ""
        with stopping(), watching(self.live):
            try:
                for last in rounds:
                    self.wanted.add(last.plan.stages())
                    if self._missing(last.plan):
                        if self.shown is not None and self.shown.number < last.number:
                            self._show()
                        stop = self.launch(last.plan, last)
                        self._showed()
                        if stop:
                            break
                    self.shown = last
            except KeyboardInterrupt:
                stop = "interrupted"
            if stop and self.live is not None:
                self.live.leave()
            # The folder is held while it is drawn.
            self._showed()
        if not stop and self.shown is not None:
            # Of looks there may have been fewer than there might be.
            self.shown = replace(self.shown, of=self.shown.number, preliminary=False)
        whole = (self.shown or self.first).whole
        records = self.publish(whole, self.shown, ended=not stop)
        finished = len(finished_trainings(records))
        return Ended(
            records, self.tracker, self.shown, self.printed, finished, len(trainings(whole)), stop, self.spent.seconds
        )

    def _missing(self, plan: Plan) -> list[Stage]:
        """The stages that a plan lacks and that were not tried yet."""
        return [stage for stage in plan.missing(self.job.journal) if stage.id not in self.tried]

    def launch(self, plan: Plan, of: Round) -> Stop:
        """Run what a plan lacks, and write the round's results now and then; returns what stopped it."""
        if self._over:
            return "hours"
        missing = self._missing(plan)
        self.tried |= {stage.id for stage in missing}
        meanwhile = self.shown or of
        if self.live is not None:
            self.live.watch(watched_by_stage(of.whole, self.job.journal, self._request(of.whole), self.job.folder))
        with (
            bar(f"round {of.number} of {of.of}", 1.0) as shown,
            closing(launch(plan, self.job.journal, missing, shown, self.pace)) as events,
        ):
            for event in events:
                self.spent.keep()
                if self._over:
                    return "hours"
                self._track(event, shown)
                if self.showing is not None and self.showing.over:
                    with shown.apart():
                        self._showed()
                        print(self._next(of, missing), flush=True)
                if event.kind == "ended" and self.pause.over and self.showing is None:
                    with self.pause.writing():
                        self.publish(meanwhile.whole, self.shown, ended=False, wait=False)
        return ""

    def _track(self, event: Event[Stage], shown: Bar) -> None:
        """Tell the store, if there is one, of an event; InputError where it turns out not to be usable."""
        if self.live is not None:
            self.live.note(event)
        if self.tracker is not None:
            if event.share > 0:
                # To open a store takes seconds, in which stages run.
                self.tracker.begin()
            self.tracker.check()
            self.watch.tell(shown)

    def _show(self) -> None:
        """Write the results of the last complete round, and begin to draw its pages."""
        if self.shown is not None:
            self.publish(self.shown.whole, self.shown, ended=False)
            self.printed, self.showing = False, Showing.begin(self.job.folder, self.lock)

    def _showed(self) -> None:
        """Print what the drawing says, once it has ended."""
        showing, self.showing = self.showing, None
        if showing is not None:
            self.printed = showing.end(self.tracker)

    def _next(self, of: Round, stages: list[Stage]) -> str:
        """A line about the round that begins, and how long it takes."""
        left = self.pace.seconds(stages)
        about = "" if left is None else f", about {minutes(left)}"
        return f"next     {of.named}{about}; Ctrl-C keeps all of this"

    def _request(self, plan: Plan) -> str:
        """The name of a plan's request in the store, by which its cells are found there."""
        return request_of(head_of(plan.grid, plan.planned, plan.here.data, None, self.job.provenance))

    def _live(self, plan: Plan) -> Live | None:
        """The watcher that shows the cells of a plan in the store while they run; None without a store."""
        if self.tracker is None:
            return None
        head = head_of(plan.grid, plan.planned, plan.here.data, None, {**self.job.provenance, **self.first.details})
        views = view_in((standing(self.job.folder) or {}) | head, last=first_judged(plan))
        return Live(self.tracker, plan.here.data, head["question"], views)

    def publish(self, plan: Plan, shown: Round | None, *, ended: bool, wait: bool = True) -> list[Record]:
        """Write the results of a plan, with the pages of the round that is `shown`, and deliver them.

        If another command writes there, and this one does not `wait` for it, that is left for another time. A stage
        that turns out damaged is left out, or, at the end, made anew. InputError where another command has given the
        folder to another plan.
        """
        while True:
            if ended and self.damaged:
                self.tried -= self.damaged
                self.damaged.clear()
                self.launch(plan, shown or self.first)
            try:
                return self._publish(plan, shown, wait=wait)
            except Damaged as error:
                print(f"{error.folder.name} is made anew: {error.what}", file=sys.stderr)
                self.job.journal.forget_result(error.folder.name)
                self.damaged.add(error.folder.name)

    def _publish(self, plan: Plan, shown: Round | None, *, wait: bool) -> list[Record]:
        """Publish once; Damaged where a file of a finished stage is damaged."""
        with self.lock.held(wait=wait) as held:
            if held is None:
                return []
            check_same_request(self.job.folder, plan, confirms=self.job.confirms)
            records = records_of(plan, self.job.journal)
            if self.tracker is not None and held.others:
                self.tracker.forget()
            finished = sum(item.status == "finished" for item in records)
            if held.others and finished < finished_in(self.job.folder):
                # Results of more seeds, which another command wrote, stay until this one has as many.
                return records
            held.lease.check()
            this = shown or self.first.none_yet()
            spent = self.spent.seconds if self.tried else None
            now = {**self.job.provenance, **this.details, "round": this.described(len(finished_trainings(records)))}
            described = since(self.before, now, spent)
            head = head_with(plan, self.job.journal, records, described)
            if not (held.others and stands_already(self.job.folder, head, records)):
                write_results(self.job.folder, head, records, self.job.journal, plan.here.data)
            self.tracker = deliver(self.tracker, self.job.folder)
        return records
