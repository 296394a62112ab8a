"""From a plan to its results: launch what is missing, write and publish what is found.

The driver is the only process that writes results/<grid>/ and the tracking store. Everything it writes can be written
again from the journal, so it may be killed at any moment.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ablations.driver.bar import Bar, bar
from ablations.driver.live import Live, watching
from ablations.driver.plan import Plan
from ablations.driver.sets import with_enough
from ablations.driver.shown import last_shown, still_there
from ablations.driver.watched import watched_by_stage
from ablations.launchers.dispatch import Dispatch, Event
from ablations.results.folder import finished_in, of_an_earlier_version, standing, write_results
from ablations.results.grid_json import head_of
from ablations.results.records import Record, record
from ablations.settings.cell import Cell
from ablations.settings.identity import from_outside
from ablations.settings.registry import ORIGIN
from ablations.stages.graph import work
from ablations.stages.journal import Journal, Result
from ablations.stages.kinds import Stage
from ablations.tracking.mlflow_client import TrackingError
from ablations.tracking.mlflow_runs import request_of, rows_of
from ablations.tracking.mlflow_store import Tracker
from ablations.tracking.mlflow_views import view_in
from analysis.errors import InputError
from diffusion_core.choices import choice_name

WRITE_SECONDS = 15.0
REST = 20
"""Results are written again after so many times as long as it last took: those of thousands of cells take seconds."""


def check_same_request(folder: Path, plan: Plan, journal: Journal, command: str) -> dict[str, Any] | None:
    """The grid.json that stands in `folder`; InputError where it holds other cells than these.

    None also where it holds the same cells as another kind of device makes them, or what an earlier version made by the
    same command, and came with a checkout.
    """
    head = standing(folder)
    if head is None:
        return None
    theirs = set(head["cells"])
    sensible = [item.cell for item in plan.planned if item.refusal is None]
    if theirs == {item.cell_id for item in plan.planned}:
        return head
    if plan.here.made_elsewhere(
        lambda there: {there.id_of(item.cell) for item in plan.planned} == theirs, sensible, journal
    ):
        return None
    if of_an_earlier_version(folder, head.get("command", ""), command, journal):
        return None
    raise InputError(
        f"{folder} holds the results of {_changed(folder, sensible) or 'other choices'} "
        f"({head.get('command', 'unknown')}), which are never overwritten: give this grid a name of its own with "
        f"name=…, or move {folder} away"
    )


def _changed(folder: Path, cells: Iterable[Cell]) -> str:
    """A class from outside that was another one when the results of a folder were made, in words; "" if none is."""
    runs = folder / "runs.csv"
    rows = rows_of(runs, ()) if runs.exists() else []
    for cell in cells:
        for axis, choice, here in from_outside(cell):
            name = choice_name(choice)
            then = {row.get(f"{axis}.{ORIGIN}", "") for row in rows if row.get(axis) == name} - {"", here}
            if then:
                return f"another {axis}={name}, of {min(then)}, where here it is of {here}"
    return ""


def execute(
    plan: Plan, journal: Journal, folder: Path, tracker: Tracker | None, provenance: dict[str, Any]
) -> tuple[list[Record], Tracker | None, bool]:
    """Run what is missing; the records, the tracker (None once it has failed), and whether it was interrupted."""
    execution = Execution.of(plan, journal, folder, tracker, provenance)
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
    """A command at work on the grid of a results folder: what stood there before, and when it began.

    Results are written after each `pause`; `tried` are the stages that it has started, each once; the tracker is None
    once it has failed.
    """

    journal: Journal
    folder: Path
    tracker: Tracker | None
    before: dict[str, Any] | None
    started: float
    pause: Pause = field(default_factory=Pause)
    tried: set[str] = field(default_factory=set)

    @staticmethod
    def of(
        plan: Plan, journal: Journal, folder: Path, tracker: Tracker | None, provenance: dict[str, Any]
    ) -> Execution:
        """The beginning; InputError where the folder holds other cells than the plan's."""
        before = check_same_request(folder, plan, journal, provenance["command"])
        if all(journal.result(item.stages[0].id) is None for item in plan.planned if item.stages):
            # Results that came with a checkout: nothing here is continued.
            before = None
        return Execution(journal, folder, tracker, before, time.monotonic())

    @property
    def seconds(self) -> float:
        """Seconds of all commands on the grid so far."""
        return (0.0 if self.before is None else float(self.before["seconds"])) + time.monotonic() - self.started

    def launch(self, plan: Plan, meanwhile: Plan, provenance: dict[str, Any]) -> bool:
        """Run what a plan lacks, and write now and then the results of `meanwhile`; whether it was interrupted."""
        missing = [stage for stage in plan.missing(self.journal) if stage.id not in self.tried]
        self.tried |= {stage.id for stage in missing}
        total = sum(work(stage, plan.here.data) for stage in missing)
        live = self._live(plan, head_of(meanwhile.grid, meanwhile.planned, plan.here.data, None, provenance))
        with stopping(), bar(f"{len(missing)} stages", total) as shown, watching(live):
            try:
                for event in _launch(plan, self.journal, missing, shown):
                    if live is not None:
                        live.note(event)
                    if self.tracker is not None:
                        _open_beside(self.tracker, event)
                    if event.kind == "ended" and self.pause.over:
                        with self.pause.writing():
                            self.publish(meanwhile, provenance, ended=False)
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

    def publish(self, plan: Plan, provenance: dict[str, Any], *, ended: bool) -> list[Record]:
        """Write the results of a plan, and deliver them."""
        since = _since(self.before, provenance, self.started, ran=bool(self.tried))
        records, self.tracker = publish(plan, self.journal, self.folder, self.tracker, since, ended=ended)
        return records


def _open_beside(tracker: Tracker, event: Event) -> None:
    """Open the store once a stage is under way; InputError where it turns out not to be usable."""
    if event.share > 0:
        tracker.begin()
    tracker.check()


def _launch(plan: Plan, journal: Journal, missing: list[Stage], shown: Bar) -> Iterator[Event]:
    """Run stages and move the bar; yields what happens to them."""
    if not missing:
        return
    total = {stage.id: work(stage, plan.here.data) for stage in missing}
    done: dict[str, float] = {}
    at = 0.0
    dispatch = Dispatch(plan.here.launcher, journal.root, plan.here.devices)
    dispatch.add(missing)
    for event in dispatch.run():
        if event.kind == "died":
            shown.write(tried_again(event))
        elif event.kind != "started":
            before, now = done.get(event.stage.id, 0.0), event.share * total[event.stage.id]
            done[event.stage.id] = now
            at += now - before
            shown.move_to(at)
        yield event


def tried_again(event: Event) -> str:
    """What is said of a stage whose worker died."""
    return f"a worker died in {event.stage.kind} {event.stage.id}; trying it once more"


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


def _since(before: dict[str, Any] | None, provenance: dict[str, Any], started: float, *, ran: bool) -> dict[str, Any]:
    """Provenance with the seconds of all runs so far, and whether the grid was continued with more seeds."""
    if before is None:
        return {**provenance, "seconds": round(time.monotonic() - started, 1), "continued": False}
    seconds = before["seconds"] + (time.monotonic() - started if ran else 0.0)
    # Of fewer seeds than before nothing runs, and yet the results are those that were asked for now.
    made_by = provenance if ran or before["seeds"] != provenance["seeds"] else before
    return {
        **provenance,
        "command": made_by["command"],
        "code": made_by["code"],
        "seconds": round(seconds, 1),
        "continued": bool(before.get("continued")) or _replanned(before, provenance),
    }


def _replanned(before: dict[str, Any], now: dict[str, Any]) -> bool:
    """Whether there are other seeds than were planned when results were seen: more of them, or other looks at them."""
    looks = [(head.get("auto") or {}).get("looks") for head in (before, now)]
    if looks == [None, None]:
        return not set(now["seeds"]) <= set(before["seeds"])
    return looks[0] != looks[1] or before["seeds"][:1] != now["seeds"][:1]


def publish(
    plan: Plan, journal: Journal, folder: Path, tracker: Tracker | None, provenance: dict[str, Any], *, ended: bool
) -> tuple[list[Record], Tracker | None]:
    """Write results/<grid>/ and deliver it; a tracker that fails is dropped with a line that says what to do."""
    records = [record(planned, journal) for planned in plan.planned]
    if not ended and sum(item.status == "finished" for item in records) < finished_in(folder):
        # Results that came with a checkout stand until there are as many new ones.
        return records, tracker
    floor = floor_of(plan, journal)
    device = {"device": next((r.metadata["device"] for r in records if "device" in r.metadata), "")}
    head = head_of(plan.grid, plan.planned, plan.here.data, floor, {**provenance, **device})
    write_results(folder, head, records, journal, plan.here.data)
    return records, deliver(tracker, folder)


def floor_of(plan: Plan, journal: Journal) -> Result | None:
    """What real images score, as far as it is known; None while nothing is."""
    floor = journal.result(plan.floor.id) if plan.floor else None
    more = [journal.result(stage.id) for stage in plan.metric_floors]
    scores = {name: value for result in more if result for name, value in result.metrics.items()}
    return replace(floor, metrics=floor.metrics | scores) if floor else None


def deliver(tracker: Tracker | None, folder: Path) -> Tracker | None:
    """Publish to the tracker, unless it has it all; None, with a warning, where it fails."""
    if tracker is None or still_there(last_shown(folder), tracker.uri) is not None:
        return tracker
    try:
        tracker.publish(folder)
    except TrackingError as error:
        print(f"warning: {error}. Results are safe in {folder}; deliver them later: python -m ablations.publish")
        return None
    return tracker
