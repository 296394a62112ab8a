"""Kinds of machine, which round otherwise: two cells are compared at the seeds that one kind made of both.

A training makes of another rounding as much as of another seed, and what cells of one seed share is lost then. Where it
is not known what made a row, that is a kind as well: rows of one grid that do not say are of before they said so.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.findings.cells import CellRuns
from analysis.statistics.variances import Array

Column = tuple[int, str]
"""A seed, and the kind of machine that made the values of cells there."""


def by_kind(kinds: Iterable[dict[int, str]], values: Iterable[dict[int, float]]) -> list[dict[Column, float]]:
    """The values of each cell, seed → value, by seed and by what made them, seed → kind."""
    return [
        {(seed, made.get(seed, "")): value for seed, value in of.items()}
        for made, of in zip(kinds, values, strict=True)
    ]


def kinds_of(cells: Iterable[CellRuns]) -> list[dict[int, str]]:
    """The kinds of machine that made each of these cells, by seed."""
    return [cell.kinds for cell in cells]


def table_of(values: Sequence[dict[Column, float]], columns: Sequence[Column]) -> Array:
    """Values as [k, n] by cell and column, nan where there is none."""
    table = np.array([[of.get(column, math.nan) for column in columns] for of in values], dtype=np.float64)
    return table.reshape(len(values), len(columns))


def held_against_all(cells: Sequence[CellRuns], metric: str) -> list[bool]:
    """The cells that share two seeds or more, made by one kind, with every other cell that has so many values."""
    have = [of.keys() for of in by_kind(kinds_of(cells), [cell.estimate(metric).values for cell in cells])]
    return [all(len(own & other) > 1 for other in have if len(other) > 1) for own in have]


@dataclass(frozen=True)
class Unpaired:
    """The differences by seed that are `left_out` of comparisons, of so many `pairs` of runs, since two kinds of
    machine made them; and in how many comparisons fewer than two seeds are left for that."""

    left_out: int
    pairs: int
    untested: int

    @staticmethod
    def of(compared: Iterable[tuple[CellRuns, CellRuns]]) -> Unpaired:
        """Those of these comparisons."""
        alike = [[a.kinds[seed] == b.kinds[seed] for seed in a.kinds.keys() & b.kinds.keys()] for a, b in compared]
        pairs, kept = sum(map(len, alike)), sum(map(sum, alike))
        return Unpaired(pairs - kept, pairs, sum(sum(of) < 2 <= len(of) for of in alike))
