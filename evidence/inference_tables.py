"""The tables of `evidence.inference`: rates in %, what is to be held, and the generator of each figure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evidence import markdown

SEEDS = (2, 3, 5, 8)
CELLS = (3, 11, 24, 40)
"""Cells beside the baseline."""
COVERAGE = 94.0
MOST = 5.5


@dataclass(frozen=True)
class Table:
    """Rates in % by row and column, of which none may be beyond a target; a row in `free` has none."""

    rows: Mapping[str, Sequence[float]]
    target: float
    least: bool = False
    free: tuple[str, ...] = ()

    def lines(self, head: Sequence[str]) -> list[str]:
        """The table, its worst figure in bold."""
        held = [rate for name, rates in self.rows.items() if name not in self.free for rate in rates]
        worst = (min if self.least else max)(rate for rate in held if not math.isnan(rate))
        shown = (
            (name, *(self._word(rate, worst, name in self.free) for rate in rates)) for name, rates in self.rows.items()
        )
        return [*markdown.table(head, shown), ""]

    def _word(self, rate: float, worst: float, free: bool) -> str:
        if math.isnan(rate):
            return ""
        word = f"**{rate:.1f}**" if rate == worst and not free else f"{rate:.1f}"
        missed = rate < self.target if self.least else rate > self.target
        return word + (" ✗" if missed and not free else "")


def plain(head: Sequence[str], rows: Mapping[str, Sequence[float]]) -> list[str]:
    """A table of rates in % that have no target."""
    return [*markdown.table(head, ((name, *(f"{rate:.0f}" for rate in rates)) for name, rates in rows.items())), ""]


def numbered(word: str, numbers: Sequence[int]) -> list[str]:
    """The heads of columns for numbers."""
    return [f"{word} = {number}" for number in numbers]


def generator(*key: int) -> np.random.Generator:
    """The generator of one figure."""
    return np.random.default_rng([20_240, *key])
