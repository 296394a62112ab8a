"""The trials of a search: the best ones, the default, those at the end of a range, and the search's optimism.

With one objective, the best trials are those farthest in its direction; with two, those that no other dominates.

The best of many noisy values is the best partly by luck: run anew with fresh seeds, the same cell is worse on average.
This difference is the search's optimism. Its ± assumes that the search's own seeds vary like the fresh ones: with n
fresh seeds of half-width h and k seeds in the search, h √(1 + n/k). Without it, luck alone would often look like a gap.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from analysis.findings.cells import CellRuns, Estimate
from analysis.grid_json import ShownMetric
from analysis.read.runs import GridResults
from analysis.read.search import Search, SearchedParameter, SearchWinner
from analysis.schema import LIKELIHOOD
from analysis.statistics.pareto import pareto_front

CHOICE = "axis.choice"
"""The confirmation's only axis: the default and each winner."""


@dataclass(frozen=True)
class Optimism:
    """The optimism of a search about one winner in one `objective`: its value `searched` in the search, and the mean of
    the same cell at `fresh` seeds; for a likelihood, also the mean on `test` data. `seeds` is the number of the
    search's seeds."""

    winner: SearchWinner
    objective: ShownMetric
    searched: float
    fresh: Estimate
    test: Estimate | None
    seeds: int

    @property
    def gap(self) -> float:
        """The amount by which the fresh mean is worse than the search's value: above 0, the search was optimistic."""
        fresh, searched = self.fresh.mean, self.searched
        return fresh - searched if self.objective.sign < 0 else searched - fresh

    @property
    def half_width(self) -> float:
        """The half-width of the 95 % interval of the gap."""
        return self.fresh.half_width * math.sqrt(1 + len(self.fresh.values) / self.seeds)

    @property
    def alone(self) -> bool:
        """True where the winner won by this objective alone. With two, it may have won by the other one, or by both."""
        return len(self.winner.values) == 1


def optimism(search: Search, grid: GridResults) -> list[Optimism] | None:
    """The optimism of each winner in each objective that the grid has values of; None if it confirms no search."""
    if CHOICE not in grid.runs:
        return None
    gaps = []
    for winner in search.head.winners:
        # Runs at the search's own seeds would only repeat its value.
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


END = 0.05  # share of a range, at either end, where a winner suggests that better values may lie beyond
_SAME = 1e-6  # relative difference below which two values are equal: a default is text of a few digits


def default_trial(search: Search) -> int | None:
    """The number of the trial whose parameters are the default; None where there is none."""
    if not search.head.default:
        return None
    same = pd.Series(True, index=search.trials.index)
    for parameter in search.head.parameters:
        same &= _equal(parameter, search.trials[parameter.column], search.head.default.get(parameter.name, ""))
    numbers = search.trials.loc[same, "trial"]
    return int(numbers.iloc[0]) if len(numbers) else None


def _equal(parameter: SearchedParameter, values: pd.Series, default: str) -> pd.Series:
    if parameter.kind == "choice":
        return values == default
    if default == "":
        return values.isna()
    try:
        number = float(default)
    except ValueError:
        return pd.Series(False, index=values.index)
    return (values - number).abs() <= _SAME * abs(number)


def near_an_end(parameter: SearchedParameter, value: str) -> str:
    """The end of a range, "low" or "high", within whose last 5 % a value lies, on a log scale if drawn so; else ""."""
    if parameter.low is None or parameter.high is None or value == "" or parameter.step is not None:
        return ""
    if parameter.low == parameter.high:
        return ""
    number = min(max(float(value), parameter.low), parameter.high)
    scale = math.log if parameter.log else float
    low, high = scale(parameter.low), scale(parameter.high)
    share = (scale(number) - low) / (high - low)
    return "low" if share < END else "high" if share > 1 - END else ""


def value_of(search: Search, trial: int | None, objective: str) -> float:
    """The value of a finished trial; nan where it has not finished, or there is none."""
    values = search.finished.loc[search.finished["trial"] == trial, objective]
    return float(values.iloc[0]) if len(values) else math.nan


def front_of_trials(search: Search) -> pd.DataFrame:
    """The finished trials that no other dominates, ordered by the first objective; with one objective, its best."""
    first, last = search.head.objectives[0], search.head.objectives[-1]
    finished = search.finished
    if finished.empty:
        return finished
    kept = pareto_front((-first.sign * finished[first.name]).tolist(), finished[last.name].tolist(), last.sign)
    return _ordered(finished[kept], search.head.objectives)


def _ordered(trials: pd.DataFrame, objectives: Sequence[ShownMetric]) -> pd.DataFrame:
    """The trials in the order of the first objective, best first; ties by the next objective, then by number."""
    upwards = [objective.sign < 0 for objective in objectives]
    names = [objective.name for objective in objectives]
    return trials.sort_values([*names, "trial"], ascending=[*upwards, True], kind="stable")


def best_trials(search: Search, most: int) -> pd.DataFrame:
    """The `most` best trials, best first. With two objectives they are the winners, then others of the front, in the
    order of the first objective."""
    first = search.head.objectives[:1]
    if len(search.head.objectives) == 1:
        return _ordered(search.finished, first).head(most)
    on = front_of_trials(search)
    winners = {winner.trial for winner in search.head.winners}
    others = on[~on["trial"].isin(winners)].head(max(0, most - len(winners)))
    chosen = {*winners, *others["trial"]}
    return _ordered(search.finished[search.finished["trial"].isin(chosen)], first)
