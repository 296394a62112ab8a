"""The answer of a grid in each deciding metric: which cell to take, which are as good, and what is not known.

One rule serves all pages. A cell is beaten where a listed comparison says so (`family`), or where another cell is shown
to be better among all pairs. A cell that is not beaten may be the best.

    take          the cell with the best mean among those that may be the best
    as good       others that are shown to be worse by no more than the relevant difference, if at all
    open          others that may be the best, and may be much worse

The ± of a difference is of that difference alone.

In a preliminary round no verdict is due. The leader is the cell with the best mean, and its lead is the paired
difference to the next cell. As these are the first two of many, it looks larger than it is, so it is no verdict.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from analysis.findings.cells import CellRuns, Estimate, one_training
from analysis.findings.comparisons import TOLD_APART, Budget, CellComparison, Lead, Standing
from analysis.findings.sequential import order_by_looks
from analysis.findings.values import contrast, held_against_all, values_of
from analysis.grid_json import KnownValue, ShownMetric
from analysis.read.runs import GridResults
from analysis.schema import SET_SPREAD
from analysis.statistics.families import beaten_by, near_best
from analysis.statistics.paired import compare, sampling_noise

Mark = Literal["good", "open", "worse", ""]


@dataclass(frozen=True, eq=False)
class Places:
    """The estimates of a metric's cells, and the cells' standing."""

    metric: ShownMetric
    cells: Sequence[CellRuns]
    estimates: Sequence[Estimate]
    standing: Standing

    @property
    def leading(self) -> frozenset[int]:
        """The cells that may be the best."""
        return self.standing.leading

    @cached_property
    def ranked(self) -> list[int]:
        """The indices of the cells that have a value, the best mean first."""
        measured = [i for i, estimate in enumerate(self.estimates) if estimate.known]
        return sorted(measured, key=lambda i: -self.metric.sign * self.estimates[i].mean)

    @property
    def best(self) -> int | None:
        """The cell with the best mean among those that may be the best, or all if none was tested; None without a
        value."""
        return next((i for i in self.ranked if i in self.leading), self.ranked[0] if self.ranked else None)

    @property
    def as_good(self) -> list[int]:
        """The other cells that are equal to the best for practical purposes, best mean first: they have the same
        values, a listed comparison says so, or no cell is better by more than the relevant difference."""
        return [i for i in self.ranked if i != self.best and self._is_near(i)]

    @property
    def open(self) -> list[int]:
        """The other cells that may be the best, but also worse by a relevant difference, best mean first."""
        return [i for i in self.ranked if i in self.leading and i != self.best and not self._is_near(i)]

    @property
    def marks(self) -> list[Mark]:
        """The mark of each cell in a table. Among those that may be the best, `good` are the best and those as good,
        `open` are the others; "" where nothing was tested."""
        good = self.leading & {self.best, *self.as_good}
        return [
            "" if better is None else "good" if i in good else "worse" if better else "open"
            for i, better in enumerate(self.standing.beaten)
        ]

    def _is_near(self, i: int) -> bool:
        if self.best is None or not self.leading:
            return False
        same = self.estimates[i].values == self.estimates[self.best].values
        return same or i in self.standing.near or i in self._listed_equal

    @cached_property
    def _listed_equal(self) -> frozenset[int]:
        """The cells that a listed comparison calls equal to the best cell, and then the best cell itself."""
        assert self.best is not None, "nothing is equal to none"
        best = self.cells[self.best]
        equal = [(pair.a, pair.b) for pair in self.standing.pairs if pair.verdict == "equal"]
        named = {id(cell) for both in equal if best in both for cell in both}
        return frozenset(i for i, cell in enumerate(self.cells) if id(cell) in named)


UNIFORM, HISTOGRAM = "uniform code", "histogram"
"""The label of the code that knows nothing of the data, and a word in the labels of codes that know its grey levels."""


@dataclass(frozen=True, eq=False)
class Findings(Places):
    """The answer in one metric: the standing of its cells, and their course over the `budget` where known. `codes` are
    the scores of codes without a network. It has a `lead` if no verdict is due, `rows` where it is given by rows."""

    exploratory: bool
    budget: Budget | None = None
    codes: Sequence[KnownValue] = ()
    lead: Lead | None = None
    rows: Sequence[Row] = ()

    @property
    def pairs(self) -> Sequence[CellComparison]:
        """The comparisons that the grid asks for."""
        return self.standing.pairs

    @property
    def parts(self) -> list[Findings]:
        """The answers that a page gives: one per row, or a single one for all cells."""
        return [row.answer for row in self.rows] or [self]

    @property
    def rivals(self) -> list[int]:
        """The cells that are shown to be worse, but may be better at twice the steps, best mean first."""
        return [] if self.budget is None else [i for i in self.ranked if i in self.budget.rivals]

    @property
    def out_untold(self) -> list[int]:
        """The beaten cells that a listed comparison cannot tell from the best cell, best mean first."""
        if self.best is None or self.best not in self.leading:
            return []
        best = self.cells[self.best]
        untold = [(pair.a, pair.b) for pair in self.pairs if pair.verdict == "cannot tell"]
        listed = {id(cell) for both in untold if best in both for cell in both}
        return [i for i in self.ranked if id(self.cells[i]) in listed and self.standing.beaten[i]]

    @property
    def untested(self) -> list[int]:
        """The cells that have a value but too few seeds for a comparison."""
        return [i for i in self.ranked if self.standing.beaten[i] is None]

    @property
    def plain_codes(self) -> list[KnownValue]:
        """The codes that a model should beat: the uniform one, which knows nothing of the data, and the histograms. It
        need not beat others, such as the exact density."""
        return [code for code in self.codes if is_plain(code)]

    @property
    def unreached(self) -> KnownValue | None:
        """A code that is better than every cell: the uniform one, or else the best histogram; None if there is none."""
        if not self.ranked:
            return None
        sign, best = self.metric.sign, self.estimates[self.ranked[0]].mean
        ahead = [code for code in self.plain_codes if sign * (best - code.value) < 0]
        uniform = [code for code in ahead if code.label == UNIFORM]
        return next(iter(uniform), max(ahead, key=lambda code: sign * code.value, default=None))

    @property
    def same(self) -> bool:
        """True where all cells have the same value at every seed."""
        values = [self.estimates[i].values for i in self.ranked]
        return len(values) > 1 and all(of_cell == values[0] for of_cell in values)

    @property
    def shared(self) -> bool:
        """True where the cells have the same values because all share one training per seed."""
        return self.same and one_training([self.cells[i] for i in self.ranked])

    def noise(self) -> tuple[float, float]:
        """The typical standard deviations of a cell's value: between seeds, and from drawing samples alone.

        The second is nan for a metric that is not measured on several generated sets.
        """
        values = [list(estimate.values.values()) for estimate in self.estimates if len(estimate.values) > 1]
        seeds = [float(np.std(of_cell, ddof=1)) for of_cell in values]
        return _typical(seeds), _typical([self._sampling(cell) for cell in self.cells])

    def _sampling(self, cell: CellRuns) -> float:
        name = f"{self.metric.name}{SET_SPREAD}"
        if name not in cell.runs or cell.runs[name].isna().all():
            return math.nan
        return sampling_noise(cell.runs[name].dropna().to_numpy(), cell.sets)


def is_plain(value: KnownValue) -> bool:
    """True of a code that knows nothing of the data but its grey levels."""
    return value.label == UNIFORM or HISTOGRAM in value.label


@dataclass(frozen=True, eq=False)
class Row:
    """The cells that share these `levels`, by axis, the answer among them, and the `lead` of the best mean. A row is a
    question of its own where declared comparisons are within rows."""

    levels: dict[str, str]
    answer: Findings
    lead: Lead


def _typical(deviations: Sequence[float]) -> float:
    """The median of the standard deviations that are known."""
    finite = [deviation for deviation in deviations if not math.isnan(deviation)]
    return statistics.median(finite) if finite else math.nan


def standing(
    grid: GridResults, metric: ShownMetric, cells: Sequence[CellRuns], listed: Sequence[CellComparison]
) -> Standing:
    """The standing of these cells, from the listed comparisons between them and from all pairs of them."""
    here = {id(cell) for cell in cells}
    listed = [pair for pair in listed if {id(pair.a), id(pair.b)} <= here]
    measured = [i for i, cell in enumerate(cells) if cell.estimate(metric.name).known]
    beaten: list[frozenset[int] | None] = [None] * len(cells)
    if metric.sign == 0 or len(measured) < 2 or grid.meta.preliminary:
        return Standing(listed, beaten)
    compared, near = _order(grid, metric, [cells[i] for i in measured])
    held = held_against_all([cells[i] for i in measured], metric.name)
    for i, rivals in zip(measured, compared, strict=True):
        beaten[i] = None if rivals is None else frozenset(measured[j] for j in rivals)
    alike: dict[tuple[tuple[int, float], ...], list[int]] = defaultdict(list)
    for i in measured:
        alike[cells[i].estimate(metric.name).by_seed].append(i)
    for pair in listed:
        if pair.verdict in TOLD_APART:
            better, worse = (pair.a, pair.b) if pair.verdict == "better" else (pair.b, pair.a)
            # Cells with equal values count as one, in listed comparisons as among all pairs.
            for i in alike[worse.estimate(metric.name).by_seed]:
                beaten[i] = (beaten[i] or frozenset()) | set(alike[better.estimate(metric.name).by_seed])
    near_all = (i for i, *kept in zip(measured, near, held, strict=True) if all(kept))
    return Standing(listed, beaten, frozenset(near_all))


def _order(
    grid: GridResults, metric: ShownMetric, cells: Sequence[CellRuns]
) -> tuple[list[frozenset[int] | None], list[bool]]:
    """A set per cell, of the cells that are shown to be better, and a flag per cell that the best is hardly better than
    it; both from all pairs alone."""
    margin = metric.margin if metric.deciding else math.nan
    if grid.meta.auto is not None:
        return order_by_looks(grid, grid.meta.auto, metric, cells, margin)
    values, sign, resolution = values_of(grid, metric, cells), metric.sign, metric.resolution
    return beaten_by(values, sign, resolution), near_best(values, sign, margin, resolution)


def lead_of(grid: GridResults, metric: ShownMetric, ranked: Sequence[CellRuns]) -> Lead:
    """The lead of the first of these cells over the second; they are `ranked` by their means, best first."""
    if len(ranked) < 2:
        return Lead()
    first, second = ranked[:2]
    sign = float(metric.sign)
    values = contrast(grid, metric, [(sign, first), (-sign, second)])
    return Lead(second, compare(values, resolution=metric.resolution) if values.size else None)
