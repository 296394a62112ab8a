"""`evaluation.sets=auto`: generated sets are doubled until drawing adds little to what differences vary by.

Two sets a cell and seed, then 4, 8, 16, for all cells alike, while drawing adds more than a tenth to the variance of
differences between seeds (`analysis.findings.spending`, over the comparisons that the page lists). Whether to go on
depends on the sets drawn before alone, so a command that is given again takes the same decisions.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from ablations.driver.plan import Plan
from ablations.engine.journal import Journal
from ablations.results.folder import write_frames
from ablations.results.grid_json import head_of
from ablations.results.records import record
from ablations.settings.evaluation import FEWEST_SETS, MOST_SETS
from analysis.findings.answers import Answers
from analysis.findings.spending import Spending, spending
from analysis.format.notation import percent
from analysis.read.runs import read_folder


def doubled(plan: Plan, journal: Journal) -> Iterator[tuple[Plan, int]]:
    """A plan whose first sets are drawn → it with 4 sets, 8, …, and their number, until there are as many as it takes.

    Each is to be run before the next is asked for.
    """
    first, sets = plan, FEWEST_SETS
    if not any(item.cell.evaluation.sets == "auto" for item in plan.planned):
        return
    while sets < MOST_SETS:
        found = most_noisy(plan, journal)
        if found is None or found.enough <= sets:
            return
        sets *= 2
        print(f"{said(found)}: {sets} sets a cell and seed", flush=True)
        plan = first.with_sets(sets)
        yield plan, sets
    if (found := most_noisy(plan, journal)) is not None and found.enough > sets:
        print(f"{said(found)}: more than {MOST_SETS} are not drawn", flush=True)


def most_noisy(plan: Plan, journal: Journal) -> Spending | None:
    """The metric of samples that would take the most sets; None where none says how many."""
    records = [record(item, journal) for item in plan.planned]
    with TemporaryDirectory() as place:
        folder = Path(place)
        write_frames(folder, head_of(plan.grid, plan.planned, plan.here.data, None, {}), records, journal)
        known = [found for one in Answers.of(read_folder(folder)).findings if (found := spending(one)) is not None]
    return max(known, key=lambda one: one.enough, default=None)


def said(found: Spending) -> str:
    """What a metric's noise is made of."""
    more = "" if math.isinf(found.enough) else f", below a tenth from {math.ceil(found.enough)} on"
    share = f"{percent(found.share)} of a difference's variance"
    return f"{found.metric.label}: with {found.sets} sets drawing is {share}{more}"
