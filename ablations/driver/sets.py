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
        noisiest = most_noisy(plan, journal)
        if noisiest is None or noisiest.enough <= sets:
            return
        sets *= 2
        print(f"{in_words(noisiest)}: {sets} sets a cell and seed", flush=True)
        plan = first.with_sets(sets)
        yield plan, sets
    if (noisiest := most_noisy(plan, journal)) is not None and noisiest.enough > sets:
        print(f"{in_words(noisiest)}: more than {MOST_SETS} are not drawn", flush=True)


def most_noisy(plan: Plan, journal: Journal) -> Spending | None:
    """The metric of samples that would take the most sets; None where none says how many."""
    records = [record(item, journal) for item in plan.planned]
    with TemporaryDirectory() as place:
        folder = Path(place)
        write_frames(folder, head_of(plan.grid, plan.planned, plan.here.data, None, {}), records, journal)
        spent = [spending(finding) for finding in Answers.of(read_folder(folder)).findings]
    return max((item for item in spent if item is not None), key=lambda item: item.enough, default=None)


def in_words(noisiest: Spending) -> str:
    """The share of a metric's noise that drawing makes, in words."""
    more = "" if math.isinf(noisiest.enough) else f", below a tenth from {math.ceil(noisiest.enough)} on"
    share = f"{percent(noisiest.share)} of a difference's variance"
    return f"{noisiest.metric.label}: with {noisiest.sets} sets drawing is {share}{more}"
