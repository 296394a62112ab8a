"""From a plan to its results: run what is missing in order of its seeds, write and publish what there is.

    look ─▶ its stages, seed after seed, without a barrier ─▶ pages after each whole seed ─▶ the next look, if any

Only drivers write results/<grid>/ and the tracking store, one at a time (`results_lock`). All that they write can be
written again from the journal, so they may be killed at any moment.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

from ablations.driver import pages
from ablations.driver.live import Live, watched_in, watching
from ablations.driver.pages import Ended
from ablations.driver.plan import check_same_request
from ablations.driver.progress import Following, bar
from ablations.driver.sequential import Look
from ablations.engine.files import Damaged
from ablations.engine.journal import Journal
from ablations.engine.scheduler import Scheduler
from ablations.results.folder import write_results
from ablations.results.grid_json import head_of
from ablations.results.records import Record, record
from ablations.stages.stage import Stage
from ablations.tracking.mlflow_store import Tracker

PARTS = (1, 3, 8, 20, 50, 120)
"""The numbers of seeds up to which stages are given to workers together: a first table comes soon, and trainings of
further seeds are many enough to run side by side (`engine.side_by_side`)."""
DRAWN, SHARE = 8.0, 10
"""Seconds that drawing pages takes, until it is known; pages before the end are drawn once so many times as long has
passed since the last."""
WRITE_SECONDS, REST = 15.0, 20
"""The least seconds between two writings of results; and so many times as long as the last one took."""


@dataclass(frozen=True)
class Job:
    """The job of a command on a grid: where stages and results are kept, the store that they are delivered to, and what
    grid.json says of the command."""

    journal: Journal
    folder: Path
    tracker: Tracker | None
    provenance: dict[str, Any]


@dataclass(frozen=True)
class Reached:
    """The first seeds of a look that are whole: all their stages are over."""

    look: Look
    seeds: int


def execute(looks: Iterator[Look], job: Job) -> Ended:
    """Run look after look, to the end or until something stops it. InputError where the folder holds other cells."""
    first = next(looks)
    before = check_same_request(job.folder, first.plan)
    if not any(job.journal.result(item.stages[0].id) for item in first.plan.runs if item.stages):
        # No result has been seen yet, so other seeds continue nothing.
        before = None
    return Execution(job, chain([first], looks), before, first, Reached(first, 0), job.tracker).carry_out()


@dataclass
class Execution:
    """A command at work on the grid of a results folder, `before` which this grid.json stood there.

    Of its `look` some stages are `waiting`, by id, with their seeds; results show what was `reached`, and pages what
    was reached when they were `drawn`. `tried` are the stages that it has given to workers, each once, and `named` all
    that its cells need. The tracker is None once it has failed.
    """

    job: Job
    looks: Iterator[Look]
    before: dict[str, Any] | None
    look: Look
    reached: Reached
    tracker: Tracker | None
    drawn: Reached | None = None
    waiting: dict[str, int] = field(default_factory=dict)
    tried: set[str] = field(default_factory=set)
    named: set[str] = field(default_factory=set)
    began: float = field(default_factory=time.monotonic)
    next_writing: float = 0.0
    next_pages: float = field(default_factory=lambda: time.monotonic() + SHARE * DRAWN)

    def carry_out(self) -> Ended:
        """Look after look, to the end or until something stops it."""
        stopped = False
        try:
            with watching(self.live):
                self.run()
        except KeyboardInterrupt:
            stopped = True
        return Ended(self.publish(over=not stopped, deliver=not stopped), self.tracker, stopped)

    @cached_property
    def scheduler(self) -> Scheduler[Stage]:
        here = self.look.plan.here
        return Scheduler(self.job.journal, here.launcher.start(self.job.journal, here.devices))

    @cached_property
    def live(self) -> Live | None:
        """The watcher that shows cells in the store while they run; None without a store."""
        provenance, job = self.job.provenance | self.look.details, self.job
        return Live.of(self.tracker, self.look.plan, provenance, job.journal, job.folder) if self.tracker else None

    def run(self) -> None:
        """Run what is missing, which a bar follows; InputError where the store turns out not to be usable."""
        missing = self.advance()
        if not missing:
            return
        with bar(self.look.plan.grid.name, 1.0) as shown, closing(self.scheduler.run()) as events:
            following = Following(shown, self.job.journal)
            following.add(missing, self.look.plan.names)
            for event in events:
                following.note(event)
                if self.tracker is not None and self.live is not None:
                    self.live.note(event)
                    if event.kind == "progress":
                        # To open a store takes seconds, in which stages run.
                        self.tracker.begin()
                    self.tracker.check()
                if event.kind == "ended":
                    self.waiting.pop(event.stage.id, None)
                    self._reach()
                    if not self.waiting:
                        following.add(self.advance(), self.look.plan.names)
                if event.kind in ("progress", "ended"):
                    self._show()

    def advance(self) -> list[Stage]:
        """Go on to the next look that lacks something, and have that run, in order of its seeds; the stages that it
        lacks, none where no look does."""
        for look in self.looks:
            self.look, plan = look, look.plan
            self.named |= {stage.id for stage in plan.stages()}
            missing = [stage for stage in plan.missing(self.job.journal) if stage.id not in self.tried]
            self.waiting = {stage.id: stage.cell.seed for stage in missing}
            self._reach()
            if missing:
                self.tried |= self.waiting.keys()
                self.publish(deliver=False)
                for seeds in in_parts(plan.grid.seeds) if plan.sensible > 1 else [plan.grid.seeds]:
                    self.scheduler.add([stage for stage in missing if stage.cell.seed in seeds])
                if self.live is not None:
                    self.live.watch(watched_in(plan, self.job.journal, self.job.folder))
                return missing
        return []

    def _reach(self) -> None:
        """Note which first seeds of the first look are whole; a later one is shown once all its seeds are."""
        if not self.waiting:
            self.reached = Reached(self.look, self.look.seeds)
        elif self.reached.seeds < self.reached.look.seeds:
            left, seeds = set(self.waiting.values()), self.look.plan.grid.seeds
            self.reached = Reached(self.look, next((i for i, seed in enumerate(seeds) if seed in left), len(seeds)))

    def _show(self) -> None:
        """Draw the pages of what was reached, or write results, if it is time to."""
        now, new = time.monotonic(), self.reached.seeds > 0 and self.reached != self.drawn and bool(self.waiting)
        if new and now > self.next_pages:
            self.publish()
            print(pages.write_pages(self.job.folder), flush=True)
            pages.summarised(self.job.folder, self.tracker)
            self.drawn, drew = self.reached, time.monotonic()
            self.next_pages = drew + SHARE * (drew - now)
        elif now > self.next_writing:
            self.publish()

    def publish(self, *, over: bool = False, deliver: bool = True) -> list[Record]:
        """Write the results of the look that was reached, and deliver them; `over` if no look follows. A stage that
        turns out damaged loses its result, and the same command makes it anew."""
        began, journal, plan = time.monotonic(), self.job.journal, self.reached.look.plan
        while True:
            records = [record(item, journal) for item in plan.runs]
            try:
                write_results(self.job.folder, self._head(records, over), records, journal, plan.here.data)
                break
            except Damaged as error:
                print(f"warning: {error}", file=sys.stderr)
                journal.forget_result(error.folder.name)
        if deliver:
            self.tracker = pages.deliver(self.tracker, self.job.folder)
        wrote = time.monotonic()
        self.next_writing = wrote + max(WRITE_SECONDS, REST * (wrote - began))
        return records

    def _head(self, records: list[Record], over: bool) -> dict[str, Any]:
        """grid.json now, with the scores of real images and the device that made its cells."""
        look, seeds, result = self.reached.look, self.reached.seeds, self.job.journal.result
        plan, done = look.plan, [item.run for item in records if item.status == "finished"]
        round_ = {
            "number": seeds,
            "of": seeds if over else look.most,
            "seeds": seeds,
            "rung": False,
            "preliminary": seeds < look.seeds,
            "finished": len(replace(plan, runs=done).trainings),
            "trainings": len(plan.trainings),
        }
        floor = result(plan.floor.id) if plan.floor else None
        for more in (result(stage.id) for stage in plan.metric_floors):
            if floor is not None and more is not None:
                floor = replace(floor, metrics=floor.metrics | more.metrics)
        now = {**self.job.provenance, **look.details, "round": round_, "stages": sorted(self.named)}
        device = next((item.metadata["device"] for item in records if "device" in item.metadata), "")
        spent = time.monotonic() - self.began if self.tried else 0.0
        provenance = {**continued(self.before, now, spent), "device": device}
        return head_of(plan.grid, plan.runs, plan.here.data, floor, provenance)


def in_parts(seeds: list[int]) -> list[list[int]]:
    """Seeds in the parts that are given to workers together."""
    ends = [0, *(end for end in PARTS if end < len(seeds)), len(seeds)]
    return [seeds[begin:end] for begin, end in pairwise(ends)]


def continued(before: dict[str, Any] | None, now: dict[str, Any], spent: float) -> dict[str, Any]:
    """What grid.json says of a command that has `spent` so many seconds after what stood `before`: the seconds of all
    commands, and whether other seeds, or looks, were planned than when results were first seen."""
    if before is None:
        return {**now, "seconds": round(spent, 1), "continued": False}
    looks = [(head.get("auto") or {}).get("looks") for head in (before, now)]
    more = not set(now["seeds"]) <= set(before["seeds"])
    other = more if looks == [None, None] else looks[0] != looks[1] or before["seeds"][:1] != now["seeds"][:1]
    return {
        **now,
        "seconds": round(before["seconds"] + spent, 1),
        "continued": bool(before.get("continued")) or other,
    }
