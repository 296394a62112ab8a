"""Interim analyses of a results folder: what its comparisons still need, for the command that continues it.

They read files, as pages do. So a reader of a command's files can retrace what it decided.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from analysis.findings.answers import Answers
from analysis.findings.sequential import declared_pairs, followed
from analysis.findings.spending import Spending, spending
from analysis.findings.summary import deciding
from analysis.labels import percent
from analysis.read.runs import read_folder
from analysis.statistics.looks import Looked

Progress = Literal["open", "settled", "over"]
"""The progress of a comparison: `open` if more seeds are wanted, `settled`, or `over` without a verdict."""


@dataclass(frozen=True)
class Enough:
    """The number of generated sets from which on drawing adds little, inf if none is enough; and the reason in
    words."""

    sets: float
    reason: str


def progress(folder: Path) -> dict[tuple[str, str], Progress]:
    """The progress of each declared comparison of a grid with looks, by the ids of its cells.

    A comparison is open if it is in any metric with values of both cells, else settled if all closed metrics settled
    it.
    """
    answers = Answers.of(read_folder(folder))
    assert answers.meta.auto is not None, "its seeds are not added by looks"
    standings: dict[tuple[str, str], list[tuple[Looked, bool]]] = defaultdict(list)
    for metric in deciding(answers.metrics):
        for (a, b), looked in followed(answers.grid, answers.meta.auto, metric, answers.cells):
            measured = a.estimate(metric.name).known and b.estimate(metric.name).known
            standings[a.cell_id, b.cell_id].append((looked, measured))
    pairs = [(a.cell_id, b.cell_id) for a, b in declared_pairs(answers.meta, answers.cells)]
    return {pair: _progress(standings[pair]) for pair in pairs}


def _progress(in_metrics: Sequence[tuple[Looked, bool]]) -> Progress:
    """The progress of a comparison over all metrics, from each metric's decision and a flag for measured cells."""
    if any(looked.open and measured for looked, measured in in_metrics):
        return "open"
    closed = [looked for looked, _ in in_metrics if not looked.open]
    return "settled" if closed and all(looked.settled for looked in closed) else "over"


def enough_sets(folder: Path) -> Enough | None:
    """The number of sets that suffices for every metric of samples; None if no metric says how many."""
    spent = [spending(finding) for finding in Answers.of(read_folder(folder)).findings]
    noisiest = max((item for item in spent if item is not None), key=lambda item: item.enough, default=None)
    return None if noisiest is None else Enough(noisiest.enough, in_words(noisiest))


def in_words(noisiest: Spending) -> str:
    """A sentence on the share of a metric's noise that comes from drawing."""
    more = "" if math.isinf(noisiest.enough) else f", below a tenth from {math.ceil(noisiest.enough)} on"
    share = f"{percent(noisiest.share)} of a difference's variance"
    return f"{noisiest.metric.label}: with {noisiest.sets} sets drawing is {share}{more}"
