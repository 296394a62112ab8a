"""Things that several cells have, drawn once: the axes that tell them apart, and cells as these axes call them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from analysis.figures.names import name, parts_of, together
from analysis.findings.cells import CellRuns
from analysis.findings.values import shared
from analysis.format.grid_json import Axis

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Distinct(Generic[T]):
    """A thing, the `cells` that have it, each by the levels that tell it apart and once, and a name for all of them."""

    thing: T
    cells: Sequence[CellRuns]
    name: str

    @property
    def first(self) -> CellRuns:
        """The cell in whose place it is drawn."""
        return self.cells[0]


def distinct(
    axes: Sequence[Axis], things: Sequence[tuple[CellRuns, T]], agree: Callable[[T, T], bool]
) -> tuple[list[Axis], list[Distinct[T]]]:
    """The axes that tell the things of cells apart, and the things, each with the cells that have it."""
    groups = shared(things, agree)
    kept = _telling([cells for _, cells in groups], len(axes))
    everyone = [cell for cell, _ in things]
    found = [Distinct(thing, _by(kept, cells), _name(kept, cells, everyone)) for thing, cells in groups]
    return [axes[i] for i in kept], found


def _telling(groups: Sequence[Sequence[CellRuns]], axes: int) -> list[int]:
    """As few axes as tell cells of one group from those of another; the first ones where there is a choice."""
    kept = list(range(axes))
    for axis in reversed(range(axes)):
        fewer = [i for i in kept if i != axis]
        of_group = [{tuple(cell.levels[i] for i in fewer) for cell in cells} for cells in groups]
        if len({place for places in of_group for place in places}) == sum(map(len, of_group)):
            kept = fewer
    return kept


def _by(kept: Sequence[int], cells: Sequence[CellRuns]) -> list[CellRuns]:
    """The cells with their levels on these axes alone, the first of those that agree in them."""
    by_levels: dict[tuple[str, ...], CellRuns] = {}
    for cell in cells:
        levels, labels = (tuple(of[i] for i in kept) for of in (cell.levels, cell.labels))
        words = " · ".join(parts_of(cell)[i] for i in kept)
        by_levels.setdefault(levels, replace(cell, levels=levels, labels=labels, name=words))
    return list(by_levels.values())


def _name(kept: Sequence[int], cells: Sequence[CellRuns], everyone: Sequence[CellRuns]) -> str:
    """The name of those who share a line: their levels on the first axis that tells, if they agree in the others."""
    if len(cells) == len(everyone):
        return "all cells" if len(cells) > 1 else ""
    rest = {tuple(cell.levels[i] for i in kept[1:]) for cell in cells}
    if len(rest) > 1:
        return name(cells, everyone)
    return together(parts_of(cell)[kept[0]] for cell in cells)
