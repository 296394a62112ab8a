"""The cells of a large grid that there is room for: the best by the first metric that decides, and the baseline.

What is said of them is what the whole grid says: verdicts, bold type and fronts do not depend on what is shown.
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
from analysis.format.grid_json import Axis
from analysis.format.notation import counted
from analysis.read.runs import GridResults

T = TypeVar("T")
MOST_ROWS = 200
"""Cells and runs in a table or list that is read on a screen; the files beside it have all."""


def _of_the_whole(name: str) -> cached_property[Any]:
    """The property of the whole grid, of which nothing is cut."""
    return cached_property(lambda cut: getattr(cut.whole, name))


@dataclass(frozen=True, eq=False)
class Best(Answers):
    """The answers of a grid, cut to some of its cells, by their numbers in the `whole`.

    So many are there `besides` the best: the baseline, where it is none of these.
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
        """The part of the whole grid's summary that is of these cells."""
        summary = self.whole.summary
        estimates = {name: self._of(of_cells) for name, of_cells in summary.estimates.items()}
        stands = {name: self._standing(standing) for name, standing in summary.standing.items()}
        marks = {name: self._of(of_cells) for name, of_cells in summary.marks.items()}
        return replace(summary, cells=self.cells, estimates=estimates, standing=stands, marks=marks)

    @cached_property
    def findings(self) -> list[Findings]:
        """The findings of the whole grid that are of these cells, and of the pairs of them."""
        return [self._cut(answer) for answer in self.whole.findings]

    @cached_property
    def purchases(self) -> list[Purchase]:
        """The costs of these cells in the whole grid, and which of them are on its front."""
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
        """The entries of these cells, of an entry per cell."""
        return [of_cells[i] for i in self.kept]

    def _standing(self, whole: Standing) -> Standing:
        """The standing of these cells in the whole grid; who beats them and is not here has the number −1."""
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
        """The places here of these cells of the whole grid, of those that are here."""
        places = {i: place for place, i in enumerate(self.kept)}
        return frozenset(places[i] for i in numbers & places.keys())


def best(answers: Answers, most: int) -> Answers:
    """The answers as they are up to so many cells; else those of so many, and of the baseline besides."""
    by = ranking(answers)
    order = [*(by.ranked if by is not None else ()), *range(len(answers.cells))]
    kept = set(list(dict.fromkeys(order))[:most])
    besides = {i for i, cell in enumerate(answers.cells) if cell is answers.baseline} - kept
    numbers = tuple(sorted(kept | besides))
    if len(numbers) == len(answers.cells):
        return answers
    return Best(_cut_grid(answers.grid, [answers.cells[i] for i in numbers]), answers, numbers, len(besides))


def ranking(answers: Answers) -> Findings | None:
    """The first answer that decides, where any cell has a value there: what says which cells are the best."""
    return next((answer for answer in answers.findings[:1] if answer.ranked), None)


def _cut_grid(grid: GridResults, cells: Sequence[CellRuns]) -> GridResults:
    """The runs of these cells, and the levels that they have."""
    axes = tuple(_cut_axis(axis, {cell.levels[i] for cell in cells}) for i, axis in enumerate(grid.meta.axes))
    runs = pd.concat([cell.runs for cell in cells])
    return replace(grid, meta=replace(grid.meta, axes=axes), runs=runs.sort_index())


def _cut_axis(axis: Axis, names: Collection[str]) -> Axis:
    return replace(axis, levels=tuple(level for level in axis.levels if level.name in names))
