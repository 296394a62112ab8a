"""The cells of a factorial to run when not all can be: a D-optimal fraction.

    maximise log det(XᵀX),    X = rows of the chosen cells: 1, main effects, two-way interactions

With X of full rank every main effect and two-way interaction can be told apart (Fedorov 1972, by exchanges of one cell
for another until none helps). Deterministic: the same grid always runs the same cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
Crossing = dict[str, str]
"""Axis → level's name."""

RIDGE = 1e-6
"""Lets fractions be compared that are too small for every effect."""
STARTS = 10


def d_optimal(cells: Sequence[Crossing], n: int, keep: int) -> list[int]:
    """The indices, in order, of n of these cells; the cell `keep` is among them."""
    x = model_matrix(cells)
    designs = [_exchanged(x, _start(len(cells), n, keep, seed), keep) for seed in range(STARTS)]
    return sorted(max(designs, key=lambda rows: log_det(x[np.array(rows)])))


def model_matrix(cells: Sequence[Crossing]) -> Matrix:
    """[cells, parameters]: ones, sum-to-zero contrasts of every axis, and the products of every two axes' contrasts."""
    main = {axis: _contrasts([levels[axis] for levels in cells]) for axis in cells[0]}
    ones: Matrix = np.ones((len(cells), 1))
    products = [(main[a][:, :, None] * main[b][:, None, :]).reshape(len(cells), -1) for a, b in combinations(main, 2)]
    return np.hstack([ones, *main.values(), *products])


def _contrasts(values: Sequence[str]) -> Matrix:
    names = list(dict.fromkeys(values))
    coding = np.vstack([np.eye(len(names) - 1), -np.ones(len(names) - 1)])
    return np.array([coding[names.index(value)] for value in values])


def _start(total: int, n: int, keep: int, seed: int) -> list[int]:
    rest = [i for i in range(total) if i != keep]
    return [keep, *np.random.default_rng(seed).permutation(rest)[: n - 1].tolist()]


def _exchanged(x: Matrix, rows: list[int], keep: int) -> list[int]:
    """The best exchange of a chosen cell for one that is not, again and again until none is better."""
    products = x[:, :, None] * x[:, None, :]
    while True:
        information = products[rows].sum(0) + RIDGE * np.eye(x.shape[1])
        outs = [row for row in rows if row != keep]
        news = [row for row in range(len(x)) if row not in rows]
        trials = information - products[np.array(outs)][:, None] + products[news][None, :]
        scores = np.linalg.slogdet(trials)[1]
        if not scores.size or scores.max() <= np.linalg.slogdet(information)[1] + 1e-9:
            return rows
        out, new = np.unravel_index(int(scores.argmax()), scores.shape)
        rows = [*(row for row in rows if row != outs[out]), news[new]]


def log_det(x: Matrix) -> float:
    """log det(XᵀX), the criterion; far below 0 where X has not full rank."""
    return float(np.linalg.slogdet(x.T @ x + RIDGE * np.eye(x.shape[1]))[1])
