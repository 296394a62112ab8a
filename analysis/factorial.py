"""The effects of a factorial grid: the axes that matter in a metric, and those that depend on each other.

    y = seed + Σ_f a_f + Σ_{f<g} b_fg + error

What a term adds to all terms that do not contain it (type II) has an orthonormal basis Q over the cells. At each seed
z_s = Qᵀ y_s estimates it, and over the n seeds

    F = n |z̄|² / (Σ_s |z_s − z̄|²/(n − 1)),        p of F(1, n − 1)

This is the paired t-test where the term has one degree of freedom. Where it has more, F(1, n − 1) is Geisser and
Greenhouse's (1958) lower bound, which finds too little rather than too much. All terms of a metric are one family.
Seeds and cells with gaps are left out, whichever keeps more; with looks, only the seeds of the first one count.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.grid_json import Axis, MetricInfo
from analysis.results import Results
from analysis.statistics import Array, Paired, mean_interval, settle

Term = tuple[int, ...]
"""Numbers of axes."""
ROUNDING = 1e-8
"""The singular values of centred indicators below this are rounding."""
EFFECTS = ["metric", "factors", "df", "df_error", "F", "p", "p_adjusted", "share"]
"""The columns of the effects: `share` is the term's part of the sum of squares that seeds do not explain (η²)."""
AVERAGES = ["metric", "axis", "level", "mean", "half_width"]
"""The columns of the averages, on the metric's scale."""


@dataclass(frozen=True, eq=False)
class Block:
    """The values [n, k] of k cells at n seeds without gaps, and the cells' levels: `codes` [k, axes] count in
    `levels`."""

    axes: list[Axis]
    levels: list[list[str]]
    codes: NDArray[np.int64]
    values: Array

    @cached_property
    def tested(self) -> dict[Term, Array]:
        """An orthonormal basis [k, df] of what each main effect and two-way interaction adds to the others, if any."""
        numbers = range(len(self.axes))
        terms: list[Term] = [*itertools.combinations(numbers, 1), *itertools.combinations(numbers, 2)]
        shown = {term: _indicators(self.codes[:, term]) for term in terms}
        columns = {term: of - of.mean(0) for term, of in shown.items()}
        bases = {t: _added(columns[t], [columns[u] for u in terms if not set(t) <= set(u)]) for t in terms}
        return {term: basis for term, basis in bases.items() if basis.shape[1]}


def block_of(results: Results, metric: MetricInfo) -> Block | None:
    """The largest block of cells and seeds without gaps; None below two axes, two seeds or two cells."""
    axes = [axis for axis in results.meta.axes if results.level_names[axis.name].nunique() > 1]
    if len(axes) < 2 or metric.name not in results.runs:
        return None
    table = results.scaled(metric)
    seeds = table.columns.get_level_values(0)
    kept = ~seeds.duplicated(keep=False) & seeds.isin(list(results.meta.first_look or seeds))
    values = table.loc[:, kept].to_numpy(dtype=np.float64).T
    rows, cells = complete_block(np.isfinite(values))
    if len(rows) < 2 or len(cells) < 2:
        return None
    own = results.level_names.iloc[cells]
    axes = [axis for axis in axes if own[axis.name].nunique() > 1]
    factorized = [pd.factorize(own[axis.name]) for axis in axes]
    codes = np.column_stack([codes for codes, _ in factorized])
    return Block(axes, [list(levels) for _, levels in factorized], codes, values[np.ix_(rows, cells)])


def effects_of(results: Results, metrics: Sequence[MetricInfo]) -> pd.DataFrame:
    """The main effects and two-way interactions that can be estimated, those of a metric that matter most first."""
    blocks = [(metric, block) for metric in metrics if (block := block_of(results, metric)) and block.tested]
    frames = [_effects(metric, block) for metric, block in blocks]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=EFFECTS)


def _effects(metric: MetricInfo, block: Block) -> pd.DataFrame:
    tested, bases = list(block.tested), list(block.tested.values())
    length, df = _lengths(bases, block.values), np.array([basis.shape[1] for basis in bases])
    total, n = float(np.square(block.values - block.values.mean(1, keepdims=True)).sum()), len(block.values)
    with np.errstate(divide="ignore", invalid="ignore"):
        # An effect without any error is infinite, and none at all is 0.
        ratio = np.nan_to_num(np.square(length.mean) / length.variance, nan=0.0, posinf=np.inf)
    frame = pd.DataFrame(
        {
            "metric": metric.name,
            "factors": [" × ".join(block.axes[i].label for i in term) for term in tested],
            "df": df,
            "df_error": n - 1,
            "F": ratio,
            "p": length.p(),
            "p_adjusted": settle(length.p(), length.spread / df),
            "share": n * np.square(length.mean) / total if total else 0.0,
        }
    )
    return frame.sort_values(["p_adjusted", "share"], ascending=[True, False], kind="stable")


def averages_of(results: Results, metrics: Sequence[MetricInfo]) -> pd.DataFrame:
    """Each level, averaged over the other axes: over the combinations that all levels have, if these are at least half,
    else by a model without interactions."""
    rows = [
        (metric.name, axis.label, axis.label_of(level), *mean_interval(block.values @ weights))
        for metric in metrics
        if (block := block_of(results, metric))
        for i, axis in enumerate(block.axes)
        for level, weights in zip(block.levels[i], _level_weights(block.codes, i), strict=False)
    ]
    return pd.DataFrame(rows, columns=AVERAGES)


def complete_block(present: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The rows and columns of the largest block without gaps in a table, with at least two rows: the k fullest rows
    with the columns that all of them have."""
    order = np.argsort(-present.sum(axis=1), kind="stable")
    common = np.logical_and.accumulate(present[order])
    sizes = [k for k in range(2, len(common) + 1) if common[k - 1].any()]
    if not sizes:
        return np.empty(0, np.intp), np.empty(0, np.intp)
    best = max(sizes, key=lambda k: (k * int(common[k - 1].sum()), k))
    return np.sort(order[:best]), np.flatnonzero(common[best - 1])


def _groups(codes: NDArray[np.int64]) -> NDArray[np.intp]:
    """The number of each row among rows with unlike codes."""
    return np.unique(codes, axis=0, return_inverse=True)[1].reshape(-1)


def _indicators(codes: NDArray[np.int64]) -> Array:
    """Indicators [k, groups] of rows with equal codes."""
    group = _groups(codes)
    return np.eye(int(group.max()) + 1)[group]


def _span(matrix: Array) -> Array:
    """An orthonormal basis [k, rank] of the columns."""
    left, singular, _ = np.linalg.svd(matrix, full_matrices=False)
    return np.asarray(left[:, singular > ROUNDING])


def _added(own: Array, others: list[Array]) -> Array:
    """A basis of what the columns add to those of others."""
    spanned = _span(np.hstack([np.empty((len(own), 0)), *others]))
    return _span(own - spanned @ (spanned.T @ own))


def _lengths(bases: list[Array], values: Array) -> Paired:
    """The moments of |z̄| for each basis: variances are summed over contrasts, so that their choice does not matter."""
    moments = []
    for basis in bases:
        z = np.einsum("kd,nk->dn", basis, values)
        z[np.abs(z) < 1e-13 * np.abs(values).max() * len(basis)] = 0
        each = Paired.of(z)
        moments.append((np.sqrt(np.square(each.mean).sum()), each.variance.sum(), each.spread.sum()))
    mean, variance, spread = np.array(moments).T
    n = np.full(len(bases), len(values))
    return Paired(mean, variance, n - 1, np.sqrt(variance * n), spread, n)


def _level_weights(codes: NDArray[np.int64], axis: int) -> Array:
    """Weights [levels, k] over the combinations of the other axes that every level has; where these are fewer than
    half, of least-squares means over equally frequent levels; no rows where there are none."""
    own, group = codes[:, axis], _groups(np.delete(codes, axis, axis=1))
    there = np.zeros((own.max() + 1, group.max() + 1))
    np.add.at(there, (own, group), 1)
    common = np.asarray(there.all(axis=0))
    if 2 * common.sum() >= len(common):
        return np.stack([((own == level) & common[group]) / common.sum() for level in range(own.max() + 1)])
    columns = [_indicators(column[:, None]) for column in codes.T]
    wanted = [np.full((columns[axis].shape[1], c.shape[1]), 1 / c.shape[1]) for c in columns]
    wanted[axis] = np.eye(columns[axis].shape[1])
    design, goal = np.hstack(columns), np.hstack(wanted)
    weights: Array = goal @ np.linalg.pinv(design)
    return weights if np.allclose(weights @ design, goal) else weights[:0]
