"""Least squares by orthonormal bases: what a term adds to others is a subspace, its sum of squares a squared length.

    SS(term | others) = |Qᵀ y|²,   Q an orthonormal basis of the term's columns after those of the others are taken out

Terms are sets of factors, written as tuples of their numbers. A term's columns are indicators of its levels, so they
also span the terms inside it. Ranks are read off singular values: empty cells and aliasing are no special case.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]
Term = tuple[int, ...]
# Indicators have entries of size 1, so that a singular value below this is none.
ROUNDING = 1e-8


def one_hot(group: IntArray) -> Array:
    """Indicators [n, groups] of groups that count from 0."""
    return np.eye(int(group.max()) + 1)[group]


def within(matrix: Array, block: IntArray) -> Array:
    """A matrix [n, k] without the means of its blocks [n], which count from 0."""
    indicator = one_hot(block)
    means = (indicator.T @ matrix) / indicator.sum(axis=0)[:, None]
    return np.asarray(matrix - indicator @ means, dtype=np.float64)


def span(matrix: Array) -> Array:
    """An orthonormal basis [n, rank] of the columns [n, k], whose entries are of size 1 or rounding."""
    left, singular, _ = np.linalg.svd(matrix, full_matrices=False)
    basis: Array = left[:, singular > ROUNDING]
    return basis


def type_two(columns: Mapping[Term, Array]) -> dict[Term, Array]:
    """A basis of what each term adds to all terms that do not contain it, [n, df]; df 0 where that is nothing."""
    return {term: _added(columns[term], [columns[u] for u in columns if not set(term) <= set(u)]) for term in columns}


def _added(own: Array, others: Sequence[Array]) -> Array:
    if not others:
        return span(own)
    spanned = span(np.hstack(others))
    return span(own - spanned @ (spanned.T @ own))
