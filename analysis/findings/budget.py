"""The dependence of an answer on the training budget: comparisons at rungs, where trainings were scored midway.

    rung       a share 2^−h of a training's steps, h > 0; its end is h = 0
    d(h)_s     the difference of two cells at rung h and seed s, on the metric's scale
    d(0) + (d(0) − d(h))/h     at twice the steps, if it keeps changing as it did since the last rung

A verdict at the end *may turn* unless the 95 % interval of this extrapolation lies on the same side of 0. While a rival
may overtake the best cell in this way, that cell is not called the best. The intervals are not adjusted, because they
only take claims back and never make any. Likelihoods here are those of validation images, at the end too; the tests
leave out the error from the choice of images.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from analysis.findings.cells import CellRuns
from analysis.findings.comparisons import TOLD_APART, Budget, CellComparison, Change, Course, Rung, Standing, holds
from analysis.findings.values import Column, by_kind, kinds_of, table_of
from analysis.grid_json import ShownMetric
from analysis.schema import RUNG
from analysis.statistics.families import Verdict, beaten_by, judge
from analysis.statistics.paired import Comparison, compare
from analysis.statistics.variances import Array

STEPS, RATE = "training.steps", "training.rate"
FALLING = ("linear", "cosine")
"""Rate schedules that fall towards the end of training, so a rung differs from a finished training of its length."""
BRANCHED = "wsd"
"""The rate schedule in which each rung has a fall of its own."""


def ends_at_rungs(cell: CellRuns) -> bool:
    """True where a rung of the cell's training equals the end of a training of only that many steps."""
    return cell.parameter(RATE) not in FALLING


def budget_of(
    metric: ShownMetric,
    cells: Sequence[CellRuns],
    standing: Standing,
    best: int | None,
    curve: Callable[[str], list[pd.DataFrame]],
) -> Budget | None:
    """A metric's values at rungs, and what follows from them; None if it has none. `curve` maps a curve's name to a
    table [x, seed] per cell.

    Cells whose trainings do not end at rungs (`ends_at_rungs`) are left out.
    """
    counted = {i for i, cell in enumerate(cells) if ends_at_rungs(cell)}
    column = metric.name.replace("/test", "/val")
    ends = tuple(cell.estimate(column).values if i in counted else {} for i, cell in enumerate(cells))
    curves = [at if i in counted else at[:0] for i, at in enumerate(curve(f"{RUNG}{column}"))]
    scored = [rung for rung in _by_share(cells, curves) if _is_whole(rung, ends)]
    if not scored or not any(ends):
        return None
    values = [by_kind(kinds_of(cells), at) for at in (*(rung.values for rung in scored), ends)]
    columns = sorted({column for at in values for of in at for column in of})
    numbers = {id(cell): i for i, cell in enumerate(cells)}
    pairs = [pair for pair in standing.pairs if {numbers[id(pair.a)], numbers[id(pair.b)]} <= counted]
    asked = [(numbers[id(pair.a)], numbers[id(pair.b)]) for pair in pairs]
    *tables, end = [_table(metric, at, columns) for at in values]
    verdicts = [_verdicts(metric, table, asked, pairs) for table in tables]
    rungs = [
        replace(rung, leading=_leading(metric, table, asked, at_rung))
        for rung, table, at_rung in zip(scored, tables, verdicts, strict=True)
    ]
    steps = [int(cell.parameter(STEPS)) for cell, end in zip(cells, ends, strict=True) if end]
    leading = standing.leading
    if len(counted) < len(cells):
        leading = _leading(metric, end, asked, [pair.verdict for pair in pairs])
    rungs.append(Rung(0.0, (min(steps), max(steps)), ends, leading))
    before = tables[-1]

    def ahead(i: int, j: int) -> Comparison | None:
        at_end = end[i] - end[j]
        return _compared(at_end + (at_end - (before[i] - before[j])) / scored[-1].halvings)

    courses = tuple(
        Course(pair, tuple(at[k] for at in verdicts), _change(scored[-1], before, end, {i: 1.0, j: -1.0}), ahead(i, j))
        for k, (pair, (i, j)) in enumerate(zip(pairs, asked, strict=True))
    )
    behind = [] if best is None else [i for i, beaten in enumerate(standing.beaten) if beaten]
    rivals = frozenset(i for i in behind if best is not None and _catches_up(metric, ahead(best, i)))
    return Budget(tuple(rungs), courses, rivals, column != metric.name)


def change_of(
    metric: ShownMetric, cells: Sequence[CellRuns], budget: Budget, terms: Sequence[tuple[float, CellRuns]]
) -> Change | None:
    """The change of a contrast Σ c · cell of terms (c, cell) since the last rung; None below two seeds."""
    rung, end = budget.rungs[-2:]
    values = [by_kind(kinds_of(cells), at.values) for at in (rung, end)]
    columns = sorted({column for at in values for of in at for column in of})
    numbers = {id(cell): i for i, cell in enumerate(cells)}
    before, after = (_table(metric, at, columns) for at in values)
    return _change(rung, before, after, {numbers[id(cell)]: c for c, cell in terms})


def _change(rung: Rung, before: Array, end: Array, terms: Mapping[int, float]) -> Change | None:
    """The change of a contrast since a rung, from values [k, n] there and at the end."""
    at_rung, at_end = (
        sum((c * table[i] for i, c in terms.items()), np.zeros(table.shape[1])) for table in (before, end)
    )
    since = _compared(at_end - at_rung)
    if since is None:
        return None
    return Change(rung.label, float(at_rung[np.isfinite(at_end - at_rung)].mean()), since)


def _by_share(cells: Sequence[CellRuns], curves: Sequence[pd.DataFrame]) -> list[Rung]:
    """The rungs of all trainings, earliest first. Scores at the same share 2^−h of the steps, h rounded, form one.

    The leading cells are not filled in yet.
    """
    by_halvings: dict[int, list[tuple[int, float, int]]] = {}
    for i, (cell, curve) in enumerate(zip(cells, curves, strict=True)):
        for x in curve.index:
            halvings = math.log2(float(cell.parameter(STEPS)) / float(x))
            by_halvings.setdefault(round(halvings), []).append((i, halvings, int(x)))
    rungs = []
    for places in (by_halvings[k] for k in sorted(by_halvings, reverse=True) if k > 0):
        values: list[dict[int, float]] = [{} for _ in cells]
        for i, _, x in places:
            values[i] = _by_seed(curves[i], x)
        steps = [x for *_, x in places]
        halvings = float(np.mean([h for _, h, _ in places]))
        rungs.append(Rung(halvings, (min(steps), max(steps)), tuple(values), frozenset()))
    return rungs


def _is_whole(rung: Rung, ends: Sequence[Mapping[int, float]]) -> bool:
    """True where some cell was scored at a rung at all of its seeds: a rung counts only then, since others served the
    first answer alone."""
    return any(end.keys() <= there.keys() for end, there in zip(ends, rung.values, strict=True) if there)


def _by_seed(curve: pd.DataFrame, x: float) -> dict[int, float]:
    values = ((int(str(seed)), float(str(curve[seed][x]))) for seed in curve)
    return {seed: value for seed, value in values if math.isfinite(value)}


def _table(metric: ShownMetric, values: Sequence[dict[Column, float]], columns: Sequence[Column]) -> Array:
    """Values [k, n] by cell and column on the metric's scale, nan where there is none."""
    table = table_of(values, columns)
    return np.log(np.where(table > 0, table, np.nan)) if metric.scale == "log" else table


def _leading(
    metric: ShownMetric, table: Array, asked: Sequence[tuple[int, int]], verdicts: Sequence[Verdict]
) -> frozenset[int]:
    """The cells to which no other is shown to be better, neither among all pairs nor by a listed comparison. Cells with
    equal values count as one."""
    measured = np.flatnonzero(np.isfinite(table).any(1))
    every = beaten_by(table[measured], metric.sign, metric.resolution) if len(measured) else []
    listed = {b if word == "better" else a for (a, b), word in zip(asked, verdicts, strict=True) if word in TOLD_APART}
    out = {table[i].tobytes() for i in listed}
    leading = {int(i) for i, beaten in zip(measured, every, strict=True) if beaten is not None and not beaten}
    return frozenset(i for i in leading if table[i].tobytes() not in out)


def _compared(differences: Array) -> Comparison | None:
    """The comparison over the seeds that have a difference; None below two."""
    measured = differences[np.isfinite(differences)]
    return compare(measured) if len(measured) > 1 else None


def _verdicts(
    metric: ShownMetric, table: Array, both: Sequence[tuple[int, int]], pairs: Sequence[CellComparison]
) -> list[Verdict]:
    """The verdicts on the listed comparisons at a rung, judged as one family like those at the end."""
    differences = [table[i] - table[j] for i, j in both]
    measured = [k for k, of in enumerate(differences) if np.isfinite(of).any()]
    decisions = judge(
        [differences[k][np.isfinite(differences[k])] for k in measured],
        margins=metric.margin,
        resolution=metric.resolution,
        primary=[pairs[k].primary for k in measured],
    )
    verdicts: list[Verdict] = ["cannot tell"] * len(pairs)
    for k, decision in zip(measured, decisions, strict=True):
        verdicts[k] = decision.verdict(metric.sign)
    return verdicts


def _catches_up(metric: ShownMetric, ahead: Comparison | None) -> bool:
    """True where `ahead`, the best cell minus a rival at twice the steps, is known and does not favour the best."""
    return ahead is not None and not holds(ahead, float(metric.sign))
