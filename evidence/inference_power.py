"""The fate of truths, for `evidence.inference`: the best lost, a difference found, an equality said to be one."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.statistics.families import ALPHA
from analysis.statistics.variances import Array
from evidence.inference_grids import (
    COMPONENTS,
    IMAGES,
    Draw,
    chunks,
    equal,
    heavy,
    one_other,
    unequal,
)
from evidence.inference_rules import Bools, against_first, claimed, every_pair, excluded, moments_of
from evidence.inference_tables import MOST, Table, generator, plain

# 3. The best


BEHIND: dict[str, Callable[[int], NDArray[np.floating[Any]]]] = {
    "all tied": lambda k: np.zeros(k),
    "rivals 0.5 SD behind": lambda k: 0.5 * (np.arange(k) > 0),
    "half tied, half 8 SD behind": lambda k: 8.0 * (np.arange(k) >= (k + 1) // 2),
}
AMONG: dict[str, Draw] = {
    "equal SDs": equal,
    "SDs exp(1.2 z)": unequal(1.2),
    "the best × 10": one_other(0, 10.0),
    "the best × 0.1": one_other(0, 0.1),
    "a rival × 10": one_other(1, 10.0),
    "t with 5 degrees of freedom": heavy,
}


def best_errors(replicates: int) -> list[str]:
    """Share of grids in which the true best is excluded."""
    many, rows = 5 * replicates, {}
    for behind, offsets in BEHIND.items():
        for name, draw in AMONG.items():
            figures = [worst_lost(draw, offsets, n, many if n < 8 else replicates) for n in (3, 5, 8)]
            rows[f"{behind}; {name}"] = [rate for two in figures for rate in two]
    for parts in COMPONENTS[3:8]:
        figures = [lost(parts.draw, np.zeros(11), (replicates, 11, n), IMAGES) for n in (3, 5, 8)]
        rows[f"all tied; images, {parts.name}"] = [rate for two in figures for rate in two]
    head = [f"n = {n}, {what}" for n in (3, 5, 8) for what in ("not among the best", "or worse")]
    return [
        "## The true best is lost",
        "",
        "Not among those that may be the best; or that, or the list says that it is worse than another: the worst of",
        "three, where another cell is the baseline, where the best itself is, and, for 3 cells, where the list is of",
        f"every pair. Target: at most {MOST:g}. The worst of k = 3, 11, 24 cells, {many} grids each ({replicates} at 8",
        f"seeds); with {IMAGES} images k = 11, {replicates} grids.",
        "",
        *Table(rows, MOST).lines(["cells", *head]),
    ]


def worst_lost(
    draw: Draw, behind: Callable[[int], NDArray[np.floating[Any]]], n: int, replicates: int
) -> tuple[float, float]:
    """The worst rates of `lost` over numbers of cells."""
    rates = [lost(draw, behind(k), (replicates, k, n)) for k in (3, 11, 24)]
    return max(rate[0] for rate in rates), max(rate[1] for rate in rates)


def lost(
    draw: Draw, behind: NDArray[np.floating[Any]], shape: tuple[int, int, int], images: int = 1
) -> tuple[float, float]:
    """Shares of grids whose first cell, a best one, is not among the best; and is not, or is said to be worse."""
    rng, out, either = generator(6, *shape[1:]), 0, np.zeros(3)
    for count in chunks(shape[0], shape[1] * shape[2] * images):
        values = draw(rng, (count, *shape[1:]))
        values -= behind.reshape(-1, *[1] * (values.ndim - 2))
        gone = excluded(values, 0)
        out += int(gone.sum())
        lists = [said_worse(values), beaten(values)] + ([under(values)] if shape[1] <= 6 else [])
        either[: len(lists)] += [(gone | said).sum() for said in lists]
    return 100 * out / shape[0], 100 * float(either.max()) / shape[0]


def said_worse(values: Array) -> Bools:
    """True where the list against the last cell says that the first is worse."""
    moments = moments_of(values[:, :-1] - values[:, -1:])
    return claimed(moments)[0][:, 0] & (moments.mean[:, 0] < 0)


def beaten(values: Array) -> Bools:
    """True where the list against the first cell says that any is better."""
    moments = moments_of(against_first(values))
    return np.asarray((claimed(moments)[0] & (moments.mean > 0)).any(-1))


def under(values: Array) -> Bools:
    """True where the list of every pair says that the first cell is worse than any."""
    moments = moments_of(every_pair(values))
    return np.asarray((claimed(moments)[0] & (moments.mean < 0))[:, : values.shape[1] - 1].any(-1))


# 4. Power


def power_tables(replicates: int) -> list[str]:
    """Share of grids in which one cell that differs is found, by Holm and by the rule here."""
    apart, listed, best = (2, 3, 5, 10), {}, {}
    for k in (11, 24):
        for n in (3, 5, 8):
            name = f"n = {n}, k = {k}"
            listed[name] = [rate for sds in apart for rate in found_in_list(n, k, sds, replicates)]
            best[name] = [rate for sds in apart for rate in found_below(n, k, sds, replicates)]
    head = [f"{sds} SD, {rule}" for sds in apart for rule in ("Holm", "here")]
    return [
        "## Power",
        "",
        f"One of k cells differs from the baseline and all others; SDs are equal, {replicates} grids each. How often",
        "it is found, by Holm's equal weights and by the rule here, where no margin is given:",
        "",
        *plain(["", *head], listed),
        "One of k cells is better than all others. The share of these that are not among those that may be the best,",
        "by a paired test against the best mean at 0.05/(k − 1), one-sided, and by the rule here.",
        "",
        *plain(["", *(word.replace("Holm", "best mean") for word in head)], best),
    ]


def found_in_list(n: int, k: int, sds: float, replicates: int) -> tuple[float, float]:
    """Share of grids in which one cell of k is found, by Holm and here."""
    values = equal(generator(7, k, n), (replicates, k + 1, n))
    values[:, 1] += sds
    moments = moments_of(against_first(values))
    holm = replace(moments, spread=np.ones(moments.spread.shape))
    rates = [100 * float(claimed(rule)[0][:, 0].mean()) for rule in (holm, moments)]
    return rates[0], rates[1]


def found_below(n: int, k: int, sds: float, replicates: int) -> tuple[float, float]:
    """The share of k − 1 cells, `sds` behind the best, that are excluded against the best mean, and here."""
    values = equal(generator(8, k, n), (replicates, k, n))
    values[:, 0] += sds
    ours = np.mean([excluded(values, cell).mean() for cell in range(1, k)])
    leader = values.mean(-1).argmax(1)
    moments = moments_of(values[np.arange(replicates), leader][:, None] - values)
    with np.errstate(invalid="ignore"):
        out = (moments.mean > 0) & (moments.two_sided() / 2 <= ALPHA / (k - 1))
    return 100 * float(out[:, 1:].mean()), 100 * float(ours)


# 5. Equality


def equality_power(replicates: int) -> list[str]:
    """Share of cells that do not differ which are said to be equal."""
    parts = (0.25, 0.5, 1.0)
    rows = {f"k = {k}": [said_equal(n, k, part, replicates) for n in (3, 5, 8) for part in parts] for k in (3, 11, 24)}
    return [
        "## Cells that do not differ, said to be equal",
        "",
        f"The share of k cells, all like the baseline, {replicates} grids each; the SD of a difference is told as a",
        "part of the margin.",
        "",
        *plain(["", *(f"n = {n}, SD = {part:g}" for n in (3, 5, 8) for part in parts)], rows),
    ]


def said_equal(n: int, k: int, part: float, replicates: int) -> float:
    """The share of comparisons that are said to be below a margin, where the differences' SD is a part of it."""
    values = equal(generator(9, k, n), (replicates, k + 1, n))
    return 100 * float(claimed(moments_of(against_first(values)), math.sqrt(2) / part)[1].mean())
