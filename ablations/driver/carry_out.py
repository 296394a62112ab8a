"""The command of a grid: its plan; lines on what that will run, before its bar or in a dry run; and its results."""

from __future__ import annotations

from pathlib import Path

from ablations.driver.estimate import estimated
from ablations.driver.execute import execute
from ablations.driver.pages import NAMED, finish, where
from ablations.driver.plan import Plan, check_same_request, plan
from ablations.driver.progress import minutes
from ablations.driver.sequential import Looks
from ablations.engine.journal import Journal, results_lock
from ablations.engine.stage import code_version
from ablations.grids.grid import make, words
from ablations.launchers.launcher import launcher_of
from ablations.results.deck import write_deck
from ablations.settings.request import Request
from ablations.tracking.tracker import open_tracker
from analysis.errors import alternatives, line
from analysis.labels import counted


def planned(request: Request) -> tuple[Plan, Looks | None]:
    """The plan of a request, and its declarations where seeds are added by looks."""
    grid, launcher = make(request), launcher_of(request)
    cells = plan(grid, launcher, launcher.devices(request.device, grid.points[0].cell.threads))
    declared = Looks.of(cells) if grid.looks is not None else None
    check_same_request(request.folder, cells)
    return cells, declared


def carry_out(request: Request, planned: tuple[Plan, Looks | None], journal: Journal) -> int:
    """Run what a plan lacks, and write its results; the exit code."""
    (plan, declared), folder, results = planned, request.folder, Path(request.results)
    tracker = open_tracker(request.tracking_uri, plan.grid.name, results)
    provenance = {"command": request.command, "code": code_version()}
    with results_lock(folder):
        if lines := beginning(plan, declared, journal):
            print("\n".join([*lines, *where(tracker)]), flush=True)
        looks = iter([plan]) if declared is None else declared.take(journal)
        ended = execute(looks, journal, folder, tracker, provenance)
        if plan.grid.file.deck and not ended.stopped:
            write_deck(folder, ended.records, journal, plan.here.data)
        return finish(folder, ended)


def beginning(plan: Plan, declared: Looks | None, journal: Journal) -> list[str]:
    """Lines that say what is run; none where nothing is missing."""
    first = plan if declared is None else declared.least()
    if not first.missing(journal):
        return []
    reasons = {item.cell_id: item for item in plan.runs if item.refusal is not None}
    refused = [line(f"incompatible: {item.name}: {item.refusal}") for item in reasons.values()]
    more = [f"incompatible: {len(refused) - NAMED} more, in the table"] if len(refused) > NAMED else []
    return [f"{plan.grid.name}: {size(first, journal)}", *refused[:NAMED], *more]


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
        looks = alternatives(list(map(str, declared.looks)))
        lines.append(f"{len(declared.pairs)} comparisons, looked at with {looks} seeds")
        parts = {"at least ": declared.least(), "at most ": plan}
    for words_before, part in parts.items():
        lines.append(f"{words_before}{size(part, journal)}")
        lines.append(f"about {minutes(estimated(part, journal))} on {part.here.devices[0]}, measured just now")
    return "\n".join(lines)


def size(plan: Plan, journal: Journal) -> str:
    """A line on the cells and trainings of a plan, the new ones among them, and the workers."""
    trainings, new = plan.trainings, plan.trainings & {stage.id for stage in plan.missing(journal)}
    cells, seeds = counted(plan.sensible, "cell"), counted(len(plan.grid.seeds), "seed")
    workers = counted(len(plan.here.devices), "worker")
    return f"{cells} × {seeds}: {counted(len(trainings), 'training')}, {len(new)} of them new, on {workers}"
