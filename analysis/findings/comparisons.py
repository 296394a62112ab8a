"""Comparisons of cells in one metric, as data: of two cells, of all of them, and over the training budget.

CellComparison    cell a against cell b, with its verdict
Standing          the comparisons of a metric, and for each cell the cells that are shown to be better
Lead              the lead of the first cell over the second, where no verdict is due yet
Budget            the same comparisons at rungs, where trainings were scored midway
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from analysis.findings.cells import CellRuns, one_training
from analysis.grid_json import ShownMetric
from analysis.statistics.families import Decision, Open, Verdict
from analysis.statistics.looks import Looked
from analysis.statistics.paired import Comparison

Pair = tuple[CellRuns, CellRuns]
TOLD_APART = ("better", "worse")
"""The verdicts that tell two cells apart, that is, show one of them to be better."""


@dataclass(frozen=True, eq=False)
class CellComparison:
    """A comparison of cells `a` and `b` in one metric, on the metric's scale, with the `decision` of its family.

    It is `primary` where the grid declares it, or declares none. `prospect` computes `fresh_seeds`.
    """

    metric: ShownMetric
    a: CellRuns
    b: CellRuns
    decision: Decision | Looked | Open
    primary: bool
    prospect: Callable[[], int | None] | None = None

    @property
    def sequential(self) -> Looked | None:
        """The decision, if it was made by looks; else None."""
        return self.decision if isinstance(self.decision, Looked) else None

    @property
    def comparison(self) -> Comparison:
        """The difference by itself. With looks, its interval holds at all looks."""
        if self.sequential is not None:
            return replace(self.sequential.found, half_width=self.sequential.half_width)
        return self.decision.found

    @property
    def adjusted(self) -> float:
        """The adjusted p of the verdict: of equality for practical purposes if that is the verdict, else of a
        difference. It is nan where looks decided or no verdict is due."""
        if not isinstance(self.decision, Decision):
            return math.nan
        return self.decision.equal if self.verdict == "equal" else self.decision.different

    @property
    def adjusted_p(self) -> float | None:
        """The adjusted p of a difference; None where looks decided, or no verdict is due."""
        return self.decision.different if isinstance(self.decision, Decision) else None

    @property
    def equal_p(self) -> float | None:
        """The adjusted p of equality for practical purposes; None as for `adjusted_p`."""
        return self.decision.equal if isinstance(self.decision, Decision) else None

    @property
    def settled_at(self) -> int | None:
        """The number of seeds at which looks settled the comparison; None where they did not."""
        if self.sequential is None:
            return None
        return self.sequential.equal if self.verdict == "equal" else self.sequential.different

    @property
    def verdict(self) -> Verdict:
        """Verdict on cell a relative to b."""
        return self.decision.verdict(self.metric.sign)

    @property
    def fresh_seeds(self) -> int | None:
        """The number of fresh seeds of all listed cells that would probably show the difference
        (`statistics.prospects`). None where no affordable number would, where looks choose the seeds, and where the
        plan has more seeds to come."""
        return None if self.prospect is None else self.prospect()

    @property
    def same(self) -> bool:
        """True where both cells have the same value at every seed."""
        return self.comparison.difference == self.comparison.half_width == 0

    @property
    def shared(self) -> bool:
        """True where the cells have the same values because they share their trainings."""
        return self.same and one_training([self.a, self.b])


@dataclass(frozen=True, eq=False)
class Standing:
    """The standing of cells in one metric: their comparisons `pairs`; per cell, the cells shown to be better, `beaten`;
    and the cells `near` the best, shown to be worse by no more than the relevant difference, if at all. An entry of
    `beaten` is None if nothing was tested: too few seeds, no value, or no better direction."""

    pairs: Sequence[CellComparison]
    beaten: Sequence[frozenset[int] | None]
    near: frozenset[int] = frozenset()

    @property
    def leading(self) -> frozenset[int]:
        """The cells that may be the best."""
        return frozenset(i for i, better in enumerate(self.beaten) if better is not None and not better)


@dataclass(frozen=True, eq=False)
class Lead:
    """The lead of the first cell over the `second`: the paired difference `ahead`, above 0 where the first is better.
    Either is None where it does not exist: there is no second cell, or the two have no seed in common."""

    second: CellRuns | None = None
    ahead: Comparison | None = None


@dataclass(frozen=True, eq=False)
class Rung:
    """The scores of all cells after a share 2^−`halvings` of their steps: `values` by seed, for each cell.

    `steps` are the fewest and the most that any training took; `leading` are the cells that may be the best there.
    """

    halvings: float
    steps: tuple[int, int]
    values: tuple[dict[int, float], ...]
    leading: frozenset[int]

    @property
    def label(self) -> str:
        """The number of steps in words, from the fewest to the most."""
        low, high = self.steps
        return f"{low}" if low == high else f"{low} to {high}"

    def mean(self, i: int) -> float:
        """The mean of a cell over its seeds; nan where it has none."""
        values = list(self.values[i].values())
        return float(np.mean(values)) if values else math.nan

    def best(self, sign: int) -> int | None:
        """The cell with the best mean of those that may be the best, or of all where none was tested."""
        measured = [i for i, values in enumerate(self.values) if values]
        return max(self.leading or measured, key=lambda i: sign * self.mean(i), default=None)


@dataclass(frozen=True)
class Change:
    """The change of a difference late in training: its mean `before`, at the last rung before the end, over the seeds
    scored there; that rung's `steps`; and the change `since`."""

    steps: str
    before: float
    since: Comparison


@dataclass(frozen=True, eq=False)
class Course:
    """A listed comparison over the budget: its verdict at each rung, its change since the last rung, and the difference
    `ahead`, extrapolated to twice the steps."""

    pair: CellComparison
    verdicts: tuple[Verdict, ...]
    change: Change | None
    ahead: Comparison | None

    @property
    def told_apart(self) -> bool:
        """True where its cells are told apart at the end."""
        return self.pair.verdict in TOLD_APART

    @property
    def settled(self) -> bool:
        """True where its cells are told apart at the end, and would be at twice the steps."""
        return self.told_apart and holds(self.ahead, self.pair.comparison.difference)

    @property
    def turned(self) -> bool:
        """True where the verdict at some rung is the opposite of the one at the end."""
        contrary = {"better": "worse", "worse": "better"}.get(self.pair.verdict)
        return contrary in self.verdicts


@dataclass(frozen=True, eq=False)
class Budget:
    """A metric over the training budget: its `rungs`, with the end as the last one; the `courses` of its comparisons;
    and the `rivals` that may overtake the best cell.

    Rivals are worse at the end, but not surely worse at twice the steps. The values are `on_validation` images if the
    metric itself is of test images.
    """

    rungs: tuple[Rung, ...]
    courses: tuple[Course, ...]
    rivals: frozenset[int]
    on_validation: bool


def holds(ahead: Comparison | None, difference: float) -> bool:
    """True where the interval of `ahead` lies on the same side of 0 as the `difference`."""
    return ahead is not None and difference * ahead.difference > 0 and abs(ahead.difference) > ahead.half_width
