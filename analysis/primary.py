"""The comparisons that a grid declares, as pairs of its cells, and the rows within which they are.

    {compare: {variance: learned}, at: {steps: ["5", "10"]}}        learned with the baseline's β, at 5 steps and at 10

Here `variance` is compared and `steps` are not: cells with equally many steps form a row, a question of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import TypeVar

Levels = Mapping[str, str]
"""Axis → level's name."""
Id = TypeVar("Id", bound=Hashable)


@dataclass(frozen=True)
class Primary:
    """A comparison that the grid is run for, as its file declares it: the cell at some levels with the cell at others.

    Both are `at` further levels; where an axis has several levels there, at each in turn. On axes that are named
    nowhere, both have the baseline's level; if the baseline has none either, they are compared at each level.
    """

    compare: dict[str, str]
    to: dict[str, str] = field(default_factory=dict)
    at: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def sides(self, baseline: Levels) -> list[tuple[dict[str, str], dict[str, str]]]:
        """The named levels of the first cell and of the second, for each combination of levels in `at`."""
        named = [[(axis, level) for level in levels] for axis, levels in self.at.items()]
        common = [dict(baseline) | dict(levels) for levels in product(*named)]
        return [(levels | self.compare, levels | self.to) for levels in common]

    def pairs(self, baseline: Levels, cells: Mapping[Id, Levels]) -> list[tuple[Id, Id]]:
        """The pairs of existing cells that the comparison is about."""
        return [
            (a, b)
            for first, second in self.sides(baseline)
            for a, of_a in cells.items()
            if first.items() <= of_a.items()
            for b, of_b in cells.items()
            if second.items() <= of_b.items() and _besides(of_a, first) == _besides(of_b, second)
        ]


def _besides(levels: Levels, named: Collection[str]) -> dict[str, str]:
    return {axis: level for axis, level in levels.items() if axis not in named}


def declared(primary: Sequence[Primary], baseline: Levels, cells: Mapping[Id, Levels]) -> list[tuple[Id, Id]]:
    """The primary comparisons of existing cells or, if there are none, each cell with the baseline (with the one of its
    row, if the baseline does not name all axes)."""
    rows = [axis for axis in _axes(cells) if axis not in baseline] if baseline else []
    return [pair for each in primary for pair in each.pairs(baseline, cells)] or with_base(cells, baseline, rows)


def row_axes(pairs: Sequence[tuple[Id, Id]], cells: Mapping[Id, Levels]) -> tuple[str, ...]:
    """The axes on which the two cells of every comparison agree, and on which comparisons have several levels."""
    met = {axis: {(cells[a].get(axis), cells[b].get(axis)) for a, b in pairs} for axis in _axes(cells)}
    return tuple(axis for axis, levels in met.items() if len(levels) > 1 and all(a == b for a, b in levels))


def _axes(cells: Mapping[Id, Levels]) -> list[str]:
    return list(dict.fromkeys(axis for levels in cells.values() for axis in levels))


def with_base(cells: Mapping[Id, Levels], baseline: Levels, rows: Sequence[str]) -> list[tuple[Id, Id]]:
    """Each other cell of a row with the row's cell at the baseline's levels, or with its first cell if there is none.
    Without `rows`, all cells are one row."""
    row_of = {cell: tuple(levels.get(axis) for axis in rows) for cell, levels in cells.items()}
    wanted, bases = _besides(baseline, rows), dict[tuple[str | None, ...], Id]()
    for cell in (*(cell for cell in cells if _besides(cells[cell], rows) == wanted), *cells):
        bases.setdefault(row_of[cell], cell)
    return [(cell, bases[row]) for cell, row in row_of.items() if cell != bases[row]]
