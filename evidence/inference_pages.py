"""The rate of pages that are wrong somewhere: several metrics, whose families each keep what they promise."""

from __future__ import annotations

import numpy as np

from evidence.inference_rules import Bools, against_first, claimed, excluded, moments_of
from evidence.inference_tables import generator, plain

METRICS = (1, 2, 3)
PAGES = (3, 11, 27)
"""Cells of a grid, its baseline among them."""
NUMBERS = (3, 5, 8)
"""Seeds."""
AT_ONCE = 500
"""Grids."""


def page_tables(replicates: int) -> list[str]:
    """Shares of grids with nothing but equal cells that say of any metric that cells differ."""
    sizes = [(k, n) for k in PAGES for n in NUMBERS]
    rates = {size: anywhere(*size, replicates) for size in sizes}
    head = ["metrics", *(f"k = {k}, n = {n}" for k, n in sizes)]
    tables = [
        {_counted(m): [100 * float(np.mean(rates[size][m - 1, part])) for size in sizes] for m in METRICS}
        for part in (0, 1)
    ]
    return [
        "## A page as a whole",
        "",
        "What is promised is promised for each metric, and of the one cell that truly is the best. Here all of k cells",
        f"are equal, and metrics know nothing of each other; {replicates} grids each. No target. A list against the",
        "baseline that claims a difference, in any of so many metrics:",
        "",
        *plain(head, tables[0]),
        "Any cell that bears no mark, as if something were better than it, in any of so many metrics:",
        "",
        *plain(head, tables[1]),
    ]


def _counted(metrics: int) -> str:
    return f"{metrics} metric{'s' * (metrics > 1)}"


def false_claims(values: np.ndarray) -> Bools:
    """True where the list claims a difference, and where a cell bears no mark, [2, grids], by values [grids, k, n]."""
    moments = moments_of(against_first(values))
    different = claimed(moments)[0]
    out = np.stack([excluded(values, cell) for cell in range(values.shape[1])], axis=-1)
    out[:, 1:] |= different & (moments.mean < 0)
    out[:, 0] |= (different & (moments.mean > 0)).any(-1)
    return np.stack([different.any(-1), out.any(-1)])


def anywhere(k: int, n: int, replicates: int) -> Bools:
    """The same in any of the first so many metrics, [metrics, 2, grids], of grids that are drawn."""
    rng, parts = generator(10, k, n), []
    for start in range(0, replicates, AT_ONCE):
        count = min(AT_ONCE, replicates - start)
        parts.append(np.array([false_claims(rng.normal(size=(count, k, n))) for _ in METRICS]))
    return np.asarray(np.logical_or.accumulate(np.concatenate(parts, axis=-1), axis=0))
