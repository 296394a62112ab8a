"""The answer of a grid in each metric that decides: which cell to take, what is as good, and what is not known to be.

In a preliminary round no verdict is due: the cell with the best mean leads, and that is all.

The ± of a difference is of that difference alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.findings.cells import CellRuns, one_training
from analysis.findings.comparisons import Budget, CellComparison, Lead
from analysis.findings.places import Places
from analysis.format.grid_json import KnownValue
from analysis.format.names import SET_SPREAD
from analysis.statistics.paired import sampling_noise

UNIFORM, HISTOGRAM = "uniform code", "histogram"
"""The label of the code that knows nothing of the data, and a word in those of the codes that know its grey levels."""


@dataclass(frozen=True, eq=False)
class Findings(Places):
    """One metric's answer: where its cells stand and, where known, what they did on their way; `codes` are what codes
    without a network score. It has a `lead` where no verdict is due, and `rows` where comparisons are within such."""

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
        """The answers that a page gives: of each row, or of all cells."""
        return [row.answer for row in self.rows] or [self]

    @property
    def rivals(self) -> list[int]:
        """The cells that are shown to be worse, and may be better at twice the steps, the best mean first."""
        return [] if self.budget is None else [i for i in self.ranked if i in self.budget.rivals]

    @property
    def out_untold(self) -> list[int]:
        """The cells that are shown to be worse than some other, and that a listed comparison cannot tell from the one
        to take, the best mean first."""
        if self.best is None or self.best not in self.leading:
            return []
        best = self.cells[self.best]
        untold = [(pair.a, pair.b) for pair in self.pairs if pair.verdict == "cannot tell"]
        listed = {id(cell) for both in untold if best in both for cell in both}
        return [i for i in self.ranked if id(self.cells[i]) in listed and self.standing.beaten[i]]

    @property
    def untested(self) -> list[int]:
        """The cells that have a value and too few seeds to be compared."""
        return [i for i in self.ranked if self.standing.beaten[i] is None]

    @property
    def unreached(self) -> KnownValue | None:
        """A code than which every cell is worse: the uniform one, which knows nothing of the data, or else the best of
        the histograms; None where some cell is as good. Other codes, as the exact density, are no match for a model."""
        if not self.ranked:
            return None
        sign, best = self.metric.sign, self.estimates[self.ranked[0]].mean
        ahead = [code for code in self.codes if sign * (best - code.value) < 0]
        uniform = [code for code in ahead if code.label == UNIFORM]
        histograms = [code for code in ahead if HISTOGRAM in code.label]
        return next(iter(uniform), max(histograms, key=lambda code: sign * code.value, default=None))

    @property
    def same(self) -> bool:
        """True where all cells have one value at every seed."""
        values = [self.estimates[i].values for i in self.ranked]
        return len(values) > 1 and all(of_cell == values[0] for of_cell in values)

    @property
    def shared(self) -> bool:
        """True where that value is of a stage which nothing that the grid varies enters."""
        return self.same and one_training([self.cells[i] for i in self.ranked])

    def noise(self) -> tuple[float, float]:
        """Typical standard deviations of a cell's value: between seeds, and what drawing samples alone adds to that.

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


@dataclass(frozen=True, eq=False)
class Row:
    """The cells that share these levels, by the axis, and the answer among them: a question of its own, where what is
    declared compares cells within rows."""

    levels: dict[str, str]
    answer: Findings


def _typical(deviations: Sequence[float]) -> float:
    """The root of the mean square of the standard deviations that are known."""
    finite = [deviation for deviation in deviations if not math.isnan(deviation)]
    return math.sqrt(sum(deviation**2 for deviation in finite) / len(finite)) if finite else math.nan
