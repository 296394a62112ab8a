"""`evaluation.sets=auto`: generated sets are doubled until drawing adds little to what differences vary by.

Two sets a cell and seed, then 4, 8, 16, for all cells alike, while drawing adds more than a tenth to the variance of
differences between seeds (`analysis.interim`, over the comparisons that the page lists). Whether to go on
depends on the sets drawn before alone, so a command that is given again takes the same decisions.
"""

from __future__ import annotations

from collections.abc import Iterator

from ablations.driver.plan import Plan
from ablations.driver.written import so_far
from ablations.engine.journal import Journal
from ablations.settings.evaluation import FEWEST_SETS, MOST_SETS
from analysis.interim import Enough, enough_sets


def doubled(plan: Plan, journal: Journal) -> Iterator[tuple[Plan, int]]:
    """A plan whose first sets are drawn → it with 4 sets, 8, …, and their number, until there are as many as it takes.

    Each is to be run before the next is asked for.
    """
    first, sets = plan, FEWEST_SETS
    if not any(item.cell.evaluation.sets == "auto" for item in plan.planned):
        return
    while sets < MOST_SETS:
        enough = enough_for(plan, journal)
        if enough is None or enough.sets <= sets:
            return
        sets *= 2
        print(f"{enough.reason}: {sets} sets a cell and seed", flush=True)
        plan = first.with_sets(sets)
        yield plan, sets
    if (enough := enough_for(plan, journal)) is not None and enough.sets > sets:
        print(f"{enough.reason}: more than {MOST_SETS} are not drawn", flush=True)


def enough_for(plan: Plan, journal: Journal) -> Enough | None:
    """The number of sets that a plan would take by what the journal holds; None where nothing says how many."""
    with so_far(plan, journal, {}) as folder:
        return enough_sets(folder)
