"""By how much the own best value of a search flatters it.

The best of many noisy values is the best partly by luck: run anew with fresh seeds, the same cell is worse on average.
That difference is the search's optimism. Its ± takes the search's own seeds to vary as the fresh ones do: of n fresh
seeds with a half-width h and k of the search, h √(1 + n/k), without which a gap of luck alone would often be told.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from analysis.findings.cells import CellRuns, Estimate
from analysis.format.grid_json import ShownMetric
from analysis.format.names import LIKELIHOOD
from analysis.read.runs import GridResults
from analysis.read.search import Search, SearchWinner

CHOICE = "axis.choice"
"""The confirmation's only axis: the paper's default and each winner."""


@dataclass(frozen=True)
class Optimism:
    """A winner's value in the search, the mean of the same cell at fresh seeds, and of a likelihood the test's."""

    winner: SearchWinner
    objective: ShownMetric
    searched: float
    fresh: Estimate
    test: Estimate | None
    seeds: int

    @property
    def gap(self) -> float:
        """By how much the fresh mean is worse than the search's value: above 0 the search was optimistic."""
        fresh, searched = self.fresh.mean, self.searched
        return fresh - searched if self.objective.sign < 0 else searched - fresh

    @property
    def half_width(self) -> float:
        """The half-width of the 95 % interval of the gap."""
        return self.fresh.half_width * math.sqrt(1 + len(self.fresh.values) / self.seeds)

    @property
    def alone(self) -> bool:
        """True where it won by this value; where there are two objectives it may have won by the other, or by both."""
        return len(self.winner.values) == 1


def optimism(search: Search, grid: GridResults) -> list[Optimism] | None:
    """The optimism of each winner in each objective that the grid has values of; None where it is no confirmation."""
    if CHOICE not in grid.runs:
        return None
    gaps = []
    for winner in search.head.winners:
        # What the search has trained already would only repeat its value.
        fresh = grid.runs[(grid.runs[CHOICE] == winner.level) & ~grid.runs["seed"].isin(search.head.seeds)]
        cell = CellRuns((winner.level,), (winner.label,), fresh, winner.label)
        for objective in search.head.objectives:
            estimate = cell.estimate(objective.name)
            if estimate.values and objective.name in winner.values:
                test = cell.estimate(objective.on_test) if objective.decides == LIKELIHOOD else None
                gaps.append(
                    Optimism(winner, objective, winner.values[objective.name], estimate, test, len(search.head.seeds))
                )
    return gaps
