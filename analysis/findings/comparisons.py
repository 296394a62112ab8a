"""The comparisons of cells in one metric, as data: two cells, where all of them stand, and what the budget changes.

CellComparison    cell a against cell b, with its verdict
Standing          the comparisons of a metric, and which cells are shown to be better than each
Lead              who leads where no verdict is due yet
Budget            the same comparisons at rungs, where trainings were scored on their way
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from analysis.findings.cells import CellRuns, one_training
from analysis.findings.claims import Claim
from analysis.format.grid_json import ShownMetric
from analysis.statistics.families import ALPHA, Decision, Open, Verdict
from analysis.statistics.looks import Looked
from analysis.statistics.paired import Comparison

Pair = tuple[CellRuns, CellRuns]
TOLD_APART = ("better", "worse")
"""The verdicts that tell two cells apart."""


@dataclass(frozen=True, eq=False)
class CellComparison:
    """Cell a against cell b in one metric, on the metric's scale; `decision` is that of its family.

    It is `primary` where the grid declares it, or declares none. `prospect` works out `fresh_seeds`.
    """

    metric: ShownMetric
    a: CellRuns
    b: CellRuns
    decision: Decision | Looked | Open
    primary: bool
    prospect: Callable[[], int | None] | None = None

    @property
    def sequential(self) -> Looked | None:
        """The looks' decision; None where the number of seeds was fixed."""
        return self.decision if isinstance(self.decision, Looked) else None

    @property
    def comparison(self) -> Comparison:
        """The difference by itself; where seeds were added while one looked, its interval holds at all looks."""
        if self.sequential is not None:
            return replace(self.sequential.found, half_width=self.sequential.half_width)
        return self.decision.found

    @property
    def adjusted(self) -> float:
        """The adjusted p of what the verdict says: that both are equal for practical purposes, or else that they
        differ; nan where it was decided by looks, or is not decided."""
        if not isinstance(self.decision, Decision):
            return math.nan
        return self.decision.equal if self.verdict == "equal" else self.decision.different

    @property
    def adjusted_p(self) -> float | None:
        """The adjusted p of a difference; None where looks decided, or no verdict is due."""
        return self.decision.different if isinstance(self.decision, Decision) else None

    @property
    def equal_p(self) -> float | None:
        """The adjusted p of equality for practical purposes; None as above."""
        return self.decision.equal if isinstance(self.decision, Decision) else None

    @property
    def settled_at(self) -> int | None:
        """The number of seeds at which looks settled it; None where they did not."""
        if self.sequential is None:
            return None
        return self.sequential.equal if self.verdict == "equal" else self.sequential.different

    @property
    def verdict(self) -> Verdict:
        """Verdict on cell a relative to b."""
        return self.decision.verdict(self.metric.sign)

    @property
    def fresh_seeds(self) -> int | None:
        """The number of fresh seeds of all listed cells that would probably tell the difference
        (`statistics.prospects`); None where no affordable number would, where the looks say how many were worth it, and
        where the plan has more."""
        return None if self.prospect is None else self.prospect()

    @property
    def same(self) -> bool:
        """True where both cells have one value at every seed."""
        return self.comparison.difference == self.comparison.half_width == 0

    @property
    def shared(self) -> bool:
        """True where that value is of a stage which they share."""
        return self.same and one_training([self.a, self.b])


@dataclass(frozen=True, eq=False)
class JudgedClaim:
    """A claim with the decision on it, None where the looks decide; `listed` is the comparison that it is about, where
    the list has that."""

    claim: Claim
    decision: Decision | None
    listed: CellComparison | None

    @property
    def tells_apart(self) -> bool:
        """True where what it compares is shown to differ, and not by less than matters."""
        if self.listed is not None and (not self.claim.of_equality or self.listed.verdict in TOLD_APART):
            return self.listed.verdict in TOLD_APART
        return self.decision is not None and self.decision.different <= ALPHA


@dataclass(frozen=True, eq=False)
class Standing:
    """The comparisons of a metric, and the cells that are shown to be better than each: None where nothing was tested,
    for want of two seeds, of a value, or of a better end. `near` are the cells than which the best is shown to be
    better by no more than the difference that matters; `claims` are those about the metric, as they were judged."""

    pairs: Sequence[CellComparison]
    beaten: Sequence[frozenset[int] | None]
    near: frozenset[int] = frozenset()
    claims: Sequence[JudgedClaim] = ()

    @property
    def leading(self) -> frozenset[int]:
        """The cells that may be the best."""
        return frozenset(i for i, better in enumerate(self.beaten) if better is not None and not better)


@dataclass(frozen=True, eq=False)
class Lead:
    """By how much the first cell is `ahead` of the `second`, where that is above 0 on the metric's scale; None where
    there is no second, or no seed in common with it."""

    second: CellRuns | None = None
    ahead: Comparison | None = None


@dataclass(frozen=True, eq=False)
class Rung:
    """A share of the trainings' steps, and the `values` of each cell there by seed.

    `steps` are the fewest and the most that any training took; `leading` are the cells that may be the best there, by
    all pairs alone.
    """

    halvings: float
    steps: tuple[int, int]
    values: tuple[dict[int, float], ...]
    leading: frozenset[int]

    @property
    def label(self) -> str:
        """Its steps in words, from the fewest to the most."""
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
    """A difference on its way: what it was at the last rung before the end, at so many steps, in the mean over the
    seeds that were scored there; and the change `since`."""

    steps: str
    before: float
    since: Comparison


@dataclass(frozen=True, eq=False)
class Course:
    """A comparison of the list, with its verdict at each rung and its change since the last; `ahead` is what twice the
    steps would leave of it."""

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
        """True where they are, and would be at twice the steps."""
        return self.told_apart and holds(self.ahead, self.pair.comparison.difference)

    @property
    def turned(self) -> bool:
        """True where a rung says the contrary of the end."""
        contrary = {"better": "worse", "worse": "better"}.get(self.pair.verdict)
        return contrary in self.verdicts


@dataclass(frozen=True, eq=False)
class Budget:
    """A metric over the budget: its rungs, the end last, the comparisons over these, and the rivals that may overtake
    the best cell.

    The last of these are worse at the end, and not surely so at twice the steps. The values are `on_validation` where
    the metric is one of test images.
    """

    rungs: tuple[Rung, ...]
    courses: tuple[Course, ...]
    rivals: frozenset[int]
    on_validation: bool


def holds(ahead: Comparison | None, difference: float) -> bool:
    """True where an interval lies on that side of 0 where the difference does."""
    return ahead is not None and difference * ahead.difference > 0 and abs(ahead.difference) > ahead.half_width
