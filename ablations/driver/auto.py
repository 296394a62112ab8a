"""`seeds=auto`: looks in turn, each at the seeds that those before it left something to decide for.

A look that is begun is run to its end, and its decisions come from the journal alone (`looking`): so a command that was
killed takes the same ones when it is given again. Results are written of whole looks.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from ablations.driver.execute import Execution
from ablations.driver.looking import Declared
from ablations.driver.plan import Plan
from ablations.driver.sets import with_enough
from ablations.results.records import Record
from ablations.stages.journal import Journal
from ablations.tracking.mlflow_store import Tracker


def execute_auto(
    declared: Declared,
    journal: Journal,
    folder: Path,
    tracker: Tracker | None,
    provenance: dict[str, Any],
    hours: float | None,
) -> tuple[list[Record], Tracker | None, bool]:
    """Look after look, until nothing is open, at the most seeds, or none is begun since the hours are over.

    As `execute`: the records, the tracker (None once it has failed), and whether it was interrupted.
    """
    state = declared.begin()
    whole = declared.plan.first(state.seeds)
    with Execution.of(whole, journal, folder, tracker, _told(whole, provenance)) as execution:
        for n in declared.looks.seeds:
            part = declared.plan.first(state.seeds)
            if part.missing(journal):
                if hours is not None and n > declared.looks.seeds[0] and execution.seconds > 3600 * hours:
                    print(f"hours={hours:g} are over before {n} seeds: the same command with more hours goes on")
                    break
                if execution.launch(part, whole, _told(whole, provenance)):
                    return execution.publish(whole, _told(whole, provenance), ended=False), execution.tracker, True
                execution.publish(part, _told(part, provenance), ended=False)
            if n == declared.looks.seeds[0]:
                part, sets, stopped = with_enough(
                    part, journal, lambda more: execution.launch(more, more, _told(more, provenance))
                )
                if stopped:
                    return execution.publish(part, _told(part, provenance), ended=False), execution.tracker, True
                declared = replace(declared, plan=declared.plan.with_sets(sets))
            before, state, whole = state, declared.after(state, n, journal), part
            print("\n".join(declared.said(before, state, n)), flush=True)
            if not state.open:
                break
        return execution.publish(whole, _told(whole, provenance), ended=True), execution.tracker, False


def _told(part: Plan, provenance: dict[str, Any]) -> dict[str, Any]:
    """What grid.json says of the looks and of the seeds so far."""
    assert part.grid.looks is not None, "its seeds are not added by looks"
    stopped = Counter(item.cell_id for item in part.planned if item.refusal is None)
    auto = {"looks": list(part.grid.looks.seeds), "most": part.grid.looks.most, "stopped": dict(stopped)}
    return {**provenance, "seeds": part.grid.seeds, "auto": auto}
