"""Lines that a command prints before its bar: what it runs and for how long, and which cells make no sense."""

from __future__ import annotations

from collections.abc import Sequence

from ablations.driver.estimates import Measured
from ablations.driver.plan import Plan
from ablations.driver.round import Round, trainings
from ablations.driver.sizes import in_turn, measured_there, seconds_of_rounds
from ablations.driver.wording import counted, minutes
from ablations.engine.journal import Journal
from analysis.format.plain import line

NAMED = 5
"""So many cells are named in lines of their own."""


def beginning(rounds: Sequence[Round], journal: Journal, hours: float | None = None) -> tuple[list[str], Measured]:
    """Lines that say what is run, by rounds, and for how long, about; and the measurement behind that. Both are empty
    where nothing is missing."""
    plan = rounds[-1].plan
    missing = [stage for round_ in rounds for stage in round_.plan.missing(journal)]
    if not missing:
        return [], Measured()
    cells = len({item.cell_id for item in plan.planned if item.refusal is None})
    new = len(trainings(plan) & {stage.id for stage in missing})
    size = f"{counted(cells, 'cell')} × {counted(len(plan.grid.seeds), 'seed')}, {counted(new, 'training')} to run"
    measurement = measured_there(plan.here, missing, quick=True)
    if not measurement.each:
        return [f"{plan.grid.name}: {size}, {counted(len(rounds), 'round')}", *refused(plan)], measurement
    seconds = seconds_of_rounds(rounds, journal, measurement)
    total = f"about {minutes(sum(seconds))} on {counted(len(plan.here.devices), 'worker')}"
    turns = in_turn(rounds, seconds) if len(rounds) > 1 else []
    if hours is not None:
        turns = [*turns, f"it ends once all its commands have taken {minutes(3600 * hours)} (hours={hours:g})"]
    return [f"{plan.grid.name}: {size}, {total}", *turns, *refused(plan)], measurement


def refused(plan: Plan) -> list[str]:
    """A line for each cell that makes no sense, with the reason; of many the first, and how many more there are."""
    reasons = {item.cell_id: item for item in plan.planned if item.refusal is not None}
    lines = [line(f"incompatible: {item.name}: {item.refusal}") for item in reasons.values()]
    more = len(lines) - NAMED
    return [*lines[:NAMED], *([f"incompatible: {more} more, in the table"] if more > 0 else [])]
