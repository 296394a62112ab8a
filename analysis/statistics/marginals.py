"""The scores of a factor's levels, averaged over the other factors: a value per level and seed.

The values of two levels are paired by seed, so `statistics.mean_interval` and `statistics.compare` apply to them.
Levels are averaged over the same combinations of the other factors: those at which every level finished, if these are
at least half of all. Otherwise, as in fractional factorials, the averages are predictions of a model without
interactions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.statistics.designs import (
    Array,
    Design,
    IntArray,
    complete_block,
    groups,
    one_hot,
    read_design,
    table_of_rows,
)


@dataclass(frozen=True, eq=False)
class Marginal:
    """A factor's levels, each averaged over the other factors: `values` [levels, seeds].

    `note` says over which combinations, if not over all. `additive` is True where a model without interactions predicts
    the values.
    """

    factor: str
    levels: tuple[str, ...]
    values: NDArray[np.float64]
    note: str
    additive: bool


def marginals(frame: pd.DataFrame) -> tuple[Marginal, ...]:
    """The marginals of each factor of a frame (`designs`) with two levels or more that can be compared.

    All values are of the same cells at each seed: seeds or cells with gaps are left out, whichever keeps more.
    InputError as in `effects`.
    """
    design, y, _ = read_design(frame)
    table = table_of_rows(design.seed, design.cell)
    seeds, cells = complete_block(table >= 0, least=2)
    runs = table[np.ix_(seeds, cells)]
    if len(cells) < 2:
        return ()
    each = (_marginal(design, factor, runs, y) for factor in range(len(design.factors)))
    return tuple(marginal for marginal in each if marginal is not None)


def _marginal(design: Design, factor: int, runs: IntArray, y: Array) -> Marginal | None:
    codes = design.codes[runs[0]]
    levels, own = np.unique(codes[:, factor], return_inverse=True)
    others = groups(*np.delete(codes, factor, axis=1).T, like=own)
    weights, note = _like_with_like(own, others)
    additive = weights is None
    if additive:
        weights, note = _additive(codes, factor), "by a model without interactions"
    if weights is None or len(levels) < 2:
        return None
    return Marginal(
        design.factors[factor].name,
        tuple(design.factors[factor].levels[i] for i in levels),
        weights @ y[runs].T,
        note,
        additive,
    )


def _like_with_like(own: IntArray, others: IntArray) -> tuple[Array | None, str]:
    """Weights [levels, cells] of the combinations that every level has, with a note; None if fewer than half."""
    table = table_of_rows(own, others)
    common = np.asarray((table >= 0).all(axis=0))
    if 2 * common.sum() < len(common):
        return None, ""
    weights = np.zeros((len(table), len(own)))
    weights[np.arange(len(table))[:, None], table[:, common]] = 1 / common.sum()
    note = f"over the {common.sum()} of {len(common)} combinations of the others that every level has"
    return weights, "" if common.all() else note


def _additive(codes: IntArray, factor: int) -> Array | None:
    """Weights [levels, cells] of least-squares means over equally frequent levels; None where there are none."""
    columns = [one_hot(groups(column)) for column in codes.T]
    mean = [np.full((columns[factor].shape[1], c.shape[1]), 1 / c.shape[1]) for c in columns]
    mean[factor] = np.eye(columns[factor].shape[1])
    design, wanted = np.hstack(columns), np.hstack(mean)
    weights = wanted @ np.linalg.pinv(design)
    return weights if np.allclose(weights @ design, wanted) else None
