"""The trials of a search: which are the best, which is the paper's default, and which lie at the end of a range.

With one objective the best are those whose value lies farthest in its direction; with two, those that no other
dominates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from analysis.format.grid_json import ShownMetric
from analysis.read.search import Search, SearchedParameter
from analysis.statistics.pareto import pareto_front

END = 0.05
"""The share of a range, from either end, in which a winner says that there may be more beyond."""
_SAME = 1e-6
"""Relative difference below which two values of a parameter are one: a default is text of a few digits."""


def default_trial(search: Search) -> int | None:
    """The number of the trial whose parameters are the paper's default; None where there is none."""
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
    """The end of a range, "low" or "high", whose last 5 % a value lies in, by logarithm where drawn so; else ""."""
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
    """The finished trials that none dominates, the best in the first objective first; with one objective its best."""
    first, last = search.head.objectives[0], search.head.objectives[-1]
    finished = search.finished
    if finished.empty:
        return finished
    kept = pareto_front((-first.sign * finished[first.name]).tolist(), finished[last.name].tolist(), last.sign)
    return _ordered(finished[kept], search.head.objectives)


def _ordered(trials: pd.DataFrame, objectives: Sequence[ShownMetric]) -> pd.DataFrame:
    """The best in the first objective first, then by the next, then by number."""
    upwards = [objective.sign < 0 for objective in objectives]
    names = [objective.name for objective in objectives]
    return trials.sort_values([*names, "trial"], ascending=[*upwards, True], kind="stable")


def best_trials(search: Search, most: int) -> pd.DataFrame:
    """So many of the best, the best first; with two objectives winners before others of the front, by the first."""
    first = search.head.objectives[:1]
    if len(search.head.objectives) == 1:
        return _ordered(search.finished, first).head(most)
    on = front_of_trials(search)
    winners = {winner.trial for winner in search.head.winners}
    others = on[~on["trial"].isin(winners)].head(max(0, most - len(winners)))
    chosen = {*winners, *others["trial"]}
    return _ordered(search.finished[search.finished["trial"].isin(chosen)], first)
