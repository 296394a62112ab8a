"""A large grid cut to the cells that fit on a page: the best by the first deciding metric, and the baseline.

Verdicts, bold type and fronts remain those of the whole grid: they do not depend on which cells are shown.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar

import pandas as pd

from analysis.findings.answers import Answers
from analysis.findings.cells import CellRuns
from analysis.findings.comparisons import Budget, Standing
from analysis.findings.costs import Purchase
from analysis.findings.summary import Summary
from analysis.findings.verdicts import Findings
from analysis.grid_json import Axis
from analysis.labels import counted
from analysis.read.runs import GridResults

T = TypeVar("T")
MOST_ROWS = 200
"""The most cells or runs in a table or list for the screen; the files beside it have all of them."""


def _of_the_whole(name: str) -> cached_property[Any]:
    """A property that returns the value which the whole grid has for `name`."""
    return cached_property(lambda cut: getattr(cut.whole, name))


@dataclass(frozen=True, eq=False)
class Best(Answers):
    """The answers of a grid, cut to the cells whose indices in the `whole` grid are `kept`.

    `besides` is 1 if the baseline was added although it is not among the best cells, else 0.
    """

    whole: Answers
    kept: tuple[int, ...]
    besides: int

    baseline = _of_the_whole("baseline")
    metrics = _of_the_whole("metrics")
    claims = _of_the_whole("claims")
    effects = _of_the_whole("effects")
    parameters = _of_the_whole("parameters")
    varied = _of_the_whole("varied")
    changes = _of_the_whole("changes")
    weight_check = _of_the_whole("weight_check")
    draw_errors = _of_the_whole("draw_errors")
    held_out_errors = _of_the_whole("held_out_errors")

    @cached_property
    def cells(self) -> list[CellRuns]:
        """The cells that are kept, in the order of the axes' levels."""
        return self._of(self.whole.cells)

    @cached_property
    def summary(self) -> Summary:
        """The whole grid's summary, cut to these cells."""
        summary = self.whole.summary
        estimates = {name: self._of(of_cells) for name, of_cells in summary.estimates.items()}
        stands = {name: self._standing(standing) for name, standing in summary.standing.items()}
        marks = {name: self._of(of_cells) for name, of_cells in summary.marks.items()}
        return replace(summary, cells=self.cells, estimates=estimates, standing=stands, marks=marks)

    @cached_property
    def findings(self) -> list[Findings]:
        """The whole grid's findings, cut to these cells and to the comparisons between them."""
        return [self._cut(answer) for answer in self.whole.findings]

    @cached_property
    def purchases(self) -> list[Purchase]:
        """The costs of these cells in the whole grid, and which of the cells are on its front."""
        by_metric = {answer.metric.name: answer for answer in self.findings}
        return [
            Purchase(
                by_metric[purchase.answer.metric.name],
                replace(purchase.cost, values=tuple(self._of(purchase.cost.values))),
                tuple(self._of(purchase.front)),
            )
            for purchase in self.whole.purchases
        ]

    @property
    def cells_shown(self) -> str:
        """The cells that are shown, in words: the 40 best of 1000 cells by NLL and the baseline."""
        best = len(self.kept) - self.besides
        by, everyone = ranking(self.whole), counted(len(self.whole.cells), "cell")
        which = f"the first {best}" if by is None else f"the {best} best"
        named = f"{which} of {everyone}" + ("" if by is None else f" by {by.metric.label}")
        return f"{named} and the baseline" if self.besides else named

    def left_out(self, whole: str = "table.csv") -> str:
        """A sentence that says which cells are shown, and which file has the `whole`."""
        return f"Shown are {self.cells_shown}; {whole} has all."

    def _of(self, of_cells: Sequence[T]) -> list[T]:
        """The entries of the kept cells, from `of_cells`, which has an entry per cell of the whole grid."""
        return [of_cells[i] for i in self.kept]

    def _standing(self, whole: Standing) -> Standing:
        """The whole grid's standing, cut to these cells. A better cell that is not shown gets the index −1."""
        here = {id(cell) for cell in self.cells}
        places = {i: place for place, i in enumerate(self.kept)}
        return Standing(
            [pair for pair in whole.pairs if id(pair.a) in here and id(pair.b) in here],
            [rivals and frozenset(places.get(i, -1) for i in rivals) for rivals in self._of(whole.beaten)],
            self._places(whole.near),
        )

    def _cut(self, answer: Findings) -> Findings:
        standing = self._standing(answer.standing)
        budget = answer.budget and self._budget(answer.budget)
        return replace(answer, cells=self.cells, estimates=self._of(answer.estimates), standing=standing, budget=budget)

    def _budget(self, whole: Budget) -> Budget:
        """The whole grid's budget, cut to these cells."""
        here = {id(cell) for cell in self.cells}
        rungs = (
            replace(entry, values=tuple(self._of(entry.values)), leading=self._places(entry.leading))
            for entry in whole.rungs
        )
        courses = (entry for entry in whole.courses if id(entry.pair.a) in here and id(entry.pair.b) in here)
        return replace(whole, rungs=tuple(rungs), courses=tuple(courses), rivals=self._places(whole.rivals))

    def _places(self, numbers: frozenset[int]) -> frozenset[int]:
        """The indices within this cut of the shown cells among those with these `numbers` in the whole grid."""
        places = {i: place for place, i in enumerate(self.kept)}
        return frozenset(places[i] for i in numbers & places.keys())


def best(answers: Answers, most: int) -> Answers:
    """The answers cut to the `most` best cells and the baseline; unchanged if that is all cells."""
    by = ranking(answers)
    order = [*(by.ranked if by is not None else ()), *range(len(answers.cells))]
    kept = set(list(dict.fromkeys(order))[:most])
    besides = {i for i, cell in enumerate(answers.cells) if cell is answers.baseline} - kept
    numbers = tuple(sorted(kept | besides))
    if len(numbers) == len(answers.cells):
        return answers
    return Best(_cut_grid(answers.grid, [answers.cells[i] for i in numbers]), answers, numbers, len(besides))


def ranking(answers: Answers) -> Findings | None:
    """The answer that ranks the cells: the one in the first deciding metric. None if no cell has a value in it."""
    return next((answer for answer in answers.findings[:1] if answer.ranked), None)


def _cut_grid(grid: GridResults, cells: Sequence[CellRuns]) -> GridResults:
    """The grid with the runs of these cells alone, and only the levels that these cells have."""
    axes = tuple(_cut_axis(axis, {cell.levels[i] for cell in cells}) for i, axis in enumerate(grid.meta.axes))
    runs = pd.concat([cell.runs for cell in cells])
    return replace(grid, meta=replace(grid.meta, axes=axes), runs=runs.sort_index())


def _cut_axis(axis: Axis, names: Collection[str]) -> Axis:
    return replace(axis, levels=tuple(level for level in axis.levels if level.name in names))
