"""Lines on what a command will run, before its bar or in a dry run: its cells and trainings, which cells make no sense,
an estimate of the time, and where MLflow shows it."""

from __future__ import annotations

from ablations.driver.estimate import estimated
from ablations.driver.plan import Plan
from ablations.driver.progress import minutes
from ablations.driver.sequential import Looks
from ablations.engine.journal import Journal
from ablations.grids.footnotes import words
from ablations.tracking.mlflow_store import Tracker
from analysis.errors import alternatives
from analysis.labels import counted
from analysis.links import without_password
from analysis.plain import line

NAMED = 5
"""The number of cells, or of reasons, that are named in lines of their own."""


def beginning(plan: Plan, declared: Looks | None, journal: Journal) -> list[str]:
    """Lines that say what is run; none where nothing is missing."""
    first = plan if declared is None else declared.least()
    missing = {stage.id for stage in first.missing(journal)}
    if not missing:
        return []
    size = f"{counted(first.sensible, 'cell')} × {counted(len(first.grid.seeds), 'seed')}"
    new, workers = counted(len(first.trainings & missing), "training"), counted(len(plan.here.devices), "worker")
    later = [] if declared is None else list(map(str, declared.looks[1:]))
    looks = [f"  then looks at {alternatives(later)} seeds, of what is open"] if later else []
    return [f"{plan.grid.name}: {size}, {new} to run on {workers}", *looks, *refused(plan)]


def refused(plan: Plan) -> list[str]:
    """A line for each cell that makes no sense, with the reason; of many cells only the first, and the number of the
    others."""
    reasons = {item.cell_id: item for item in plan.runs if item.refusal is not None}
    lines = [line(f"incompatible: {item.name}: {item.refusal}") for item in reasons.values()]
    more = len(lines) - NAMED
    return [*lines[:NAMED], *([f"incompatible: {more} more, in the table"] if more > 0 else [])]


def dry_run(plan: Plan, declared: Looks | None, journal: Journal) -> str:
    """The grid's cells, how many trainings are new, and an estimate of the time; its least and its most where seeds are
    added by looks."""
    lines = [f"{plan.grid.name}: {plan.grid.file.question}", *plan.grid.notes]
    for item in (item for item in plan.runs if item.cell.seed == plan.grid.seeds[0]):
        levels = f"  ({words(item.levels)})" if item.levels else ""
        reason = f"  incompatible: {item.refusal}" if item.refusal else ""
        lines.append(f"  {item.cell_id}  {item.name}{levels}{reason}")
    if declared is None:
        return "\n".join([*lines, *sizes(plan, journal)])
    lines += [f"{len(declared.pairs)} comparisons, looked at with {alternatives(list(map(str, declared.looks)))} seeds"]
    for name, part in (("at least:", declared.least()), ("at most:", declared.most())):
        lines += [name, *(f"  {text}" for text in sizes(part, journal))]
    return "\n".join(lines)


def sizes(plan: Plan, journal: Journal) -> list[str]:
    """Lines about the trainings of a plan, the new ones among them, and the time that it takes."""
    new = len(plan.trainings & {stage.id for stage in plan.missing(journal)})
    cells = counted(len({item.cell_id for item in plan.runs}), "cell")
    devices, trainings = plan.here.devices, counted(len(plan.trainings), "training")
    return [
        f"{cells} × {counted(len(plan.grid.seeds), 'seed')}: {trainings}, {new} of them new",
        f"about {minutes(estimated(plan, journal))} on {len(devices)} worker(s) ({devices[0]}), measured just now",
    ]


def where(tracker: Tracker | None) -> list[str]:
    """Lines on how to see the experiment, made without opening the store."""
    if tracker is None:
        return []
    return [f"MLflow   experiment {tracker.experiment} in {without_password(tracker.uri)}", *opening(tracker)]


def opening(tracker: Tracker) -> list[str]:
    """A line that says what opens a store which no server stands before."""
    local = f"         opens once this runs: mlflow ui --backend-store-uri {without_password(tracker.uri)}"
    return [] if tracker.uri.startswith("http") else [local]
