"""The command of a grid: its plan; what that would run, in a dry run; and from the plan to its results: what is missing
is run in order of its seeds, what there is written and published.

    look ─▶ its stages, seed after seed, without a barrier ─▶ pages after each whole seed ─▶ the next look, if any

Only drivers write results/<grid>/ and the tracking store, one at a time (`results_lock`). All that they write can be
written again from the journal, so they may be killed at any moment.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

from rich.console import Console

from ablations.driver.estimate import estimated_seconds
from ablations.driver.live import Live, live_runs
from ablations.driver.plan import Looks, Plan, check_same_request, looks_of, plan_of_grid, planned_anew
from ablations.driver.progress import StageProgress, bar, minutes
from ablations.driver.trained_cells import forgetting_damaged
from ablations.engine.journal import Journal, results_lock
from ablations.engine.scheduler import Scheduler
from ablations.engine.stage import code_version
from ablations.grids.grid import Grid, words
from ablations.launchers.launcher import launcher_of
from ablations.results.folder import write_results
from ablations.results.records import Record, record
from ablations.settings.request import Request
from ablations.stages.stage import Stage
from ablations.tracking.tracker import Tracker, attempt, deliver, how_to_see, open_tracker
from analysis import pages
from analysis.errors import line
from analysis.labels import listed

NAMED = 5
"""The number of cells, or of reasons, that are named in lines of their own."""
WRITE_SECONDS, REST = 15.0, 20
"""The least seconds between two writings of results, and the least multiple of what the last one took."""
DRAWN, SHARE = 8.0, 10
"""The seconds that drawing pages takes, until that is known; before the end they are drawn again once SHARE times as
long has passed."""


def planned(request: Request, grid: Grid) -> tuple[Plan, Looks | None]:
    """The plan of a request's grid, and its declarations where seeds are added by looks."""
    launcher = launcher_of(request)
    cells = plan_of_grid(grid, launcher, launcher.devices(request.device, grid.points[0].cell.threads))
    declared = Looks.of(cells) if grid.looks is not None else None
    check_same_request(request.folder, cells)
    return cells, declared


def carry_out(request: Request, planned: tuple[Plan, Looks | None], journal: Journal) -> int:
    """Run what a plan lacks, and write its results; the exit code."""
    (plan, declared), folder, results = planned, request.folder, Path(request.results)
    tracker = open_tracker(request.tracking_uri, plan.grid.name, results)
    provenance = {"command": request.command, "code": code_version()}
    with results_lock(folder):
        if lines := opening_lines(plan, declared, journal):
            print("\n".join([*lines, *how_to_see(tracker)]), flush=True)
        looks = iter([plan]) if declared is None else declared.take(journal)
        ended = execute(looks, journal, folder, tracker, provenance)
        return finish(folder, ended)


def opening_lines(plan: Plan, declared: Looks | None, journal: Journal) -> list[str]:
    """Lines that say what is run; none where nothing is missing."""
    first = plan if declared is None else declared.least()
    if not first.missing(journal):
        return []
    reasons = {item.cell_id: item for item in plan.runs if item.refusal is not None}
    refused = [line(f"incompatible: {item.name}: {item.refusal}") for item in reasons.values()]
    more = [f"incompatible: {len(refused) - NAMED} more, in the table"] if len(refused) > NAMED else []
    return [f"{plan.grid.name}: {first.size(journal)}", *refused[:NAMED], *more]


def dry_run(planned: tuple[Plan, Looks | None], journal: Journal) -> str:
    """The grid's cells, how many trainings are new, and an estimate of the time; its least and its most where seeds are
    added by looks."""
    plan, declared = planned
    lines = [f"{plan.grid.name}: {plan.grid.file.question}", *plan.grid.notes]
    for item in (item for item in plan.runs if item.cell.seed == plan.grid.seeds[0]):
        levels = f"  ({words(item.levels)})" if item.levels else ""
        reason = f"  incompatible: {item.refusal}" if item.refusal else ""
        lines.append(f"  {item.cell_id}  {item.name}{levels}{reason}")
    parts = {"": plan}
    if declared is not None:
        looks = listed(list(map(str, declared.looks)), "or")
        lines.append(f"{len(declared.pairs)} comparisons, looked at with {looks} seeds")
        parts = {"at least ": declared.least(), "at most ": plan}
    here = plan.here
    for words_before, part in parts.items():
        lines.append(f"{words_before}{part.size(journal)}")
        seconds = estimated_seconds(part.runs, part.missing(journal), here.devices, here.launcher.together)
        lines.append(f"about {minutes(seconds)} on {here.devices[0]}, measured just now")
    return "\n".join(lines)


def finish(folder: Path, ended: Ended) -> int:
    """Write tables, figures and summary, and say what there is, or how to continue; the exit code."""
    if ended.stopped:
        # Nothing is drawn or delivered, which takes long.
        over = sum(item.status == "finished" for item in ended.records)
        print(f"\n{over} of {len(ended.records)} runs finished")
        print("interrupted: finished stages are kept, the same command continues")
        return 130
    show(folder, ended.tracker)
    failed = [item for item in ended.records if item.status in ("failed", "interrupted")]
    lines = [f"{item.status}: {item.run.name}, seed {item.run.cell.seed}: {item.reason}" for item in failed]
    unmeasured = list(dict.fromkeys(text for item in ended.records for text in item.unmeasured))
    for text in [*lines[:NAMED], *unmeasured[:NAMED]]:
        print(text)
    return 1 if failed or unmeasured else 0


def show(folder: Path, tracker: Tracker | None) -> None:
    """Draw the pages, which link to delivered runs, and give the store its summary, which carries them; print what
    there is."""
    with Console(stderr=True).status("drawing the report"):
        text = pages.write_pages(folder)
    print(f"{text}\n\nfiles    {folder}/  (report.html, table.md, runs.csv, …)")
    if link := attempt(Tracker.summarise, tracker, folder):
        print("\n".join(how_to_see(tracker, link)))


@dataclass(frozen=True)
class Ended:
    """The end of a command: its records; its tracker, None once it has failed; and whether it was stopped before its
    end."""

    records: list[Record]
    tracker: Tracker | None
    stopped: bool


def execute(
    looks: Iterator[Plan], journal: Journal, folder: Path, tracker: Tracker | None, provenance: dict[str, Any]
) -> Ended:
    """Run look after look, to the end or until something stops it; stages and results are kept in these places, the
    results are delivered to this store, and grid.json has this `provenance`. InputError where the folder holds other
    cells."""
    first = next(looks)
    before = check_same_request(folder, first)
    # Where no result has been seen yet, other seeds continue nothing.
    seen = any(journal.result(item.stages[0].id) for item in first.runs if item.stages)
    before = before if before and seen else {}
    return Execution(chain([first], looks), journal, folder, tracker, provenance, before, first, first).end()


@dataclass
class Execution:
    """A command at work on the grid of a results folder, with the grid.json that stood there `before`.

    `waiting` are the stages of its `look` that are not over, by id, with their seeds. Of the look that was `reached`,
    results show the first `whole` seeds, all of whose stages are over, and pages the first `drawn`. The tracker is None
    once it has failed. It `began` to run stages at that time, 0 if it has not.
    """

    looks: Iterator[Plan]
    journal: Journal
    folder: Path
    tracker: Tracker | None
    provenance: dict[str, Any]
    before: dict[str, Any]
    look: Plan
    reached: Plan
    whole: int = 0
    drawn: int = 0
    waiting: dict[str, int] = field(default_factory=dict)
    began: float = 0.0
    next_writing: float = 0.0
    next_pages: float = field(default_factory=lambda: time.monotonic() + SHARE * DRAWN)

    def end(self) -> Ended:
        """The end, after look after look, unless something stops it before."""
        stopped = False
        try:
            if missing := self.advance():
                self.run(missing)
        except KeyboardInterrupt:
            stopped = True
        return Ended(self.publish(over=not stopped, to_store=not stopped), self.tracker, stopped)

    @cached_property
    def scheduler(self) -> Scheduler[Stage]:
        here = self.look.here
        return Scheduler(self.journal, here.launcher.start(self.journal, here.devices))

    @cached_property
    def live(self) -> Live | None:
        """The watcher that shows cells in the store while they run; None without a store."""
        look, tracker = self.look, self.tracker
        return Live(tracker, self.journal, self.folder, look.here.data, look.runs) if tracker else None

    def run(self, missing: list[Stage]) -> None:
        """Run what is missing, which a bar follows."""
        self.began = time.monotonic()
        with live_runs(self.live), bar(self.look.grid.name, 1.0) as shown, closing(self.scheduler.run()) as events:
            following = StageProgress(shown, self.journal)
            following.add(missing)
            for event in events:
                following.note(event)
                if self.live is not None:
                    self.live.note(event)
                if event.kind == "ended":
                    self.waiting.pop(event.stage.id, None)
                    self._reach()
                    if not self.waiting:
                        following.add(self.advance())
                if event.kind in ("progress", "ended"):
                    self._show()

    def advance(self) -> list[Stage]:
        """Go on to the next look that lacks something, and have that run, in order of its seeds; the stages that it
        lacks, none where no look does."""
        for plan in self.looks:
            self.look = plan
            missing = [stage for stage in plan.missing(self.journal) if stage.id not in self.scheduler.finished]
            self.waiting = {stage.id: stage.cell.seed for stage in missing}
            self._reach()
            if missing:
                self.publish(to_store=False)
                # A first table comes soon, and trainings of further seeds are many enough to run side by side.
                alone = plan.grid.seeds[:1] if plan.sensible > 1 else []
                for first in (True, False):
                    self.scheduler.add([stage for stage in missing if (stage.cell.seed in alone) == first])
                if self.live is not None:
                    self.live.runs = plan.runs
                return missing
        return []

    def _reach(self) -> None:
        """Note which first seeds of the first look are whole; a later one is shown once all its seeds are."""
        if not self.waiting:
            self.reached, self.whole = self.look, len(self.look.grid.seeds)
        elif self.reached is self.look:
            left = set(self.waiting.values())
            self.whole = next(i for i, seed in enumerate(self.look.grid.seeds) if seed in left)

    def _show(self) -> None:
        """Draw the pages of what was reached, or write results, if it is time to."""
        now = time.monotonic()
        if self.whole > self.drawn and self.waiting and now > self.next_pages:
            self.publish()
            print(pages.write_pages(self.folder), flush=True)
            attempt(Tracker.summarise, self.tracker, self.folder)
            self.drawn, drew = self.whole, time.monotonic()
            self.next_pages = drew + SHARE * (drew - now)
        elif now > self.next_writing:
            self.publish()

    def publish(self, *, over: bool = False, to_store: bool = True) -> list[Record]:
        """Write the results of the look that was reached, and deliver them; `over` if no look follows. Damaged where a
        file of a stage is."""
        began, plan = time.monotonic(), self.reached
        records = [record(item, self.journal) for item in plan.runs]
        with forgetting_damaged(self.journal):
            write_results(self.folder, self._head(records, over), records, self.journal, plan.here.data)
        if to_store:
            self.tracker = deliver(self.tracker, self.folder)
        wrote = time.monotonic()
        self.next_writing = wrote + max(WRITE_SECONDS, REST * (wrote - began))
        return records

    def _head(self, records: list[Record], over: bool) -> dict[str, Any]:
        """grid.json now, with the scores of real images and the device that made its cells."""
        plan, before = self.reached, self.before
        seeds, done = plan.grid.seeds, [item.run for item in records if item.status == "finished"]
        round_ = {
            "number": self.whole,
            "of": self.whole if over else (plan.grid.looks or [len(seeds)])[-1],
            "seeds": self.whole,
            "preliminary": self.whole < len(seeds),
            "finished": len(replace(plan, runs=done).trainings),
            "trainings": len(plan.trainings),
        }
        floors = [result for stage in plan.floors if (result := self.journal.result(stage.id))]
        floor = replace(floors[0], metrics={k: v for it in floors for k, v in it.metrics.items()}) if floors else None
        spent = time.monotonic() - self.began if self.began else 0.0
        provenance = {
            **self.provenance,
            **looks_of(plan),
            "round": round_,
            "stages": sorted(stage.id for stage in self.look.stages()),
            "seconds": round(before.get("seconds", 0.0) + spent, 1),
            "continued": bool(before) and (before.get("continued", False) or planned_anew(before, plan.grid)),
            "device": next((item.metadata["device"] for item in records if "device" in item.metadata), ""),
        }
        return plan.head(floor, provenance)
