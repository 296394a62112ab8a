"""The share of drawing samples in the noise of a difference, from paired differences, seeds × sets.

Generated set k of every cell starts from the same noise. Let d_sk be the difference of two cells at seed s in set k, of
K, on the metric's scale. It varies between trainings and, within one, between sets:

    Var_s d̄_s = σ_seed² + σ_set²/K,      σ_set² = mean_s Var_k d_sk       (one-way analysis of variance)
    K* = √(σ_set²/σ_seed² · c/c_set)     leaves the least variance a second, where a set takes c_set seconds and all
                                         else of a run, its share of a training above all, takes c
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.comparisons import planned_pairs
from analysis.costs import work_seconds
from analysis.grid_json import MetricInfo
from analysis.results import Results
from analysis.schema import BY_SET, MOST_SETS


@dataclass(frozen=True)
class Drawing:
    """What drawing adds to the noise of a grid's differences in a metric: its share of their variance (the median over
    so many `pairs`) with so many `sets`, and the number of sets that is `best` for the time it takes."""

    share: float
    sets: int
    pairs: int
    best: int


def drawing(results: Results, metric: MetricInfo) -> Drawing | None:
    """The share of drawing over the grid's comparisons; None where fewer than two sets or seeds were kept."""
    curves, scaled = results.curve(f"{BY_SET}{metric.name}"), results.scaled(metric)
    shares, sets = list[float](), max((len(curve) for curve in curves.values()), default=0)
    for a, b, declared in planned_pairs(results):
        if not declared or not {a, b} <= curves.keys():
            continue
        paired = scaled.loc[[a, b]].dropna(axis=1).columns.get_level_values("seed")
        one, other = (curves[cell].reindex(columns=paired).to_numpy(dtype=np.float64) for cell in (a, b))
        d = np.log(one / other) if metric.scale == "log" else one - other
        d = d[:, np.isfinite(d).all(0)]
        between = float(d.mean(0).var(ddof=1)) if min(d.shape) > 1 else 0.0
        if between > 0:
            shares.append(min(1.0, float(d.var(axis=0, ddof=1).mean()) / len(d) / between))
    if not shares:
        return None
    share = float(np.median(shares))
    return Drawing(share, sets, len(shares), best_sets(share, sets, _cost(results, sets)))


def best_sets(share: float, sets: int, cost: float) -> int:
    """K* from the share of drawing at K = `sets`, where all else costs as much as so many sets."""
    ratio = sets * share / (1 - share) if share < 1 else np.inf
    return int(np.clip(np.rint(np.sqrt(ratio * cost)), 1, MOST_SETS))


def _cost(results: Results, sets: int) -> float:
    """c/c_set, over all finished runs; 0 where no time is known."""
    drawn = work_seconds(results.finished.filter(items=["seed", "training_id", "cost/sample_seconds"]))
    return sets * (work_seconds(results.finished) / drawn - 1) if drawn > 0 else 0.0
