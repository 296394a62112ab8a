"""Where the cells of a grid stand in a metric: which to take, what is as good, and what is not known to be.

take          of the cells that may be the best, the one with the best mean
as good       others that are shown to be worse by no more than the difference that matters, if at all
open          others that may be the best, and may be much worse
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from analysis.findings.cells import CellRuns, Estimate
from analysis.findings.comparisons import Standing
from analysis.format.grid_json import ShownMetric

Mark = Literal["good", "open", "worse", ""]


@dataclass(frozen=True, eq=False)
class Places:
    """The estimates of a metric's cells, and their standing."""

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
        """The cell with the best mean of those that may be the best, or of all where nothing was tested; None where
        none has a value."""
        return next((i for i in self.ranked if i in self.leading), self.ranked[0] if self.ranked else None)

    @property
    def as_good(self) -> list[int]:
        """The others that are equal to it for practical purposes, the best mean first: those with all of its values,
        those that the list says are equal to it, and those that no cell is shown to be better than by what matters."""
        return [i for i in self.ranked if i != self.best and self._is_near(i)]

    @property
    def open(self) -> list[int]:
        """The others that may be the best, and may be worse by more than what matters, the best mean first."""
        return [i for i in self.ranked if i in self.leading and i != self.best and not self._is_near(i)]

    @property
    def marks(self) -> list[Mark]:
        """What a table marks each cell as: `good` are the one to take and the others that are as good, of those that
        may be the best; "" where nothing was tested."""
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
        """The cells that the list says are equal to the one to take, and that one where there are any."""
        assert self.best is not None, "nothing is equal to none"
        best = self.cells[self.best]
        equal = [(pair.a, pair.b) for pair in self.standing.pairs if pair.verdict == "equal"]
        named = {id(cell) for both in equal if best in both for cell in both}
        return frozenset(i for i, cell in enumerate(self.cells) if id(cell) in named)
