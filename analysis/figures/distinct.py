"""Things that several cells have, drawn once; the axes that tell them apart; names of cells and lines by these axes."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from analysis.findings.cells import CellRuns
from analysis.findings.values import shared
from analysis.grid_json import Axis

_NAMES = 3
_WRITTEN = {
    "log_snr_linear": "log-SNR linear",
    "learned_linear": "learned ends (log-SNR linear)",
    "min_snr": "min-SNR",
    "simple": "L_simple",
    "hybrid": "L_hybrid",
    "vlb": "L_vlb",
}
_SUBSCRIPTS = str.maketrans("0123456789+-−tsnki", "₀₁₂₃₄₅₆₇₈₉₊₋₋ₜₛₙₖᵢ")


def name(cells: Sequence[CellRuns], everyone: Sequence[CellRuns]) -> str:
    """The names of cells by as few levels as tell them from all others, one per line, `_NAMES` at most."""
    kept = list(range(len(cells[0].levels)))
    for axis in reversed(kept.copy()):
        fewer = [i for i in kept if i != axis]
        places = {tuple(cell.levels[i] for i in fewer) for cell in cells}
        if sum(tuple(cell.levels[i] for i in fewer) in places for cell in everyone) == len(cells):
            kept = fewer
    return together(", ".join(parts_of(cell)[i] for i in kept) for cell in cells)


def together(names: Iterable[str]) -> str:
    """Names of the same thing, one per line, `_NAMES` at most."""
    unique = list(dict.fromkeys(names))
    return "\n".join(
        unique if len(unique) <= _NAMES else [*unique[: _NAMES - 1], f"and {len(unique) - _NAMES + 1} more"]
    )


def compared(a: CellRuns, b: CellRuns) -> str:
    """Two cells by the levels in which they differ, after those that they share: Steps = 5: DDIM | ancestral."""
    parts = list(zip(parts_of(a), parts_of(b), strict=True))
    common = " · ".join(x for x, y in parts if x == y)
    first, second = (" · ".join(pair[i] for pair in parts if pair[0] != pair[1]) for i in (0, 1))
    return f"{common}: {first} | {second}" if common else f"{first} | {second}"


def parts_of(cell: CellRuns) -> tuple[str, ...]:
    """The parts of a cell's name, one for each level; a bare number has its axis before it, as in "Steps = 5"."""
    parts = tuple(cell.name.split(" · "))
    return parts if len(parts) == len(cell.labels) else cell.labels


def unnamed_later(i: int, panels: Sequence[Collection[str]]) -> set[str]:
    """The lines of panel i in a row that no later panel has: each line is named once, in the last panel that has it."""
    return set(panels[i]).difference(*panels[i + 1 :])


def written(text: str) -> str:
    """The name of a choice as readers write it, with indices in braces as subscripts: log-SNR linear, ᾱₜ₋₁."""
    indexed = re.sub(r"_\{([^}]*)\}", lambda match: match[1].translate(_SUBSCRIPTS), text)
    return _WRITTEN.get(text, indexed)


T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Distinct(Generic[T]):
    """A thing, the `cells` that have it (one per combination of telling levels), and a name for all of them."""

    thing: T
    cells: Sequence[CellRuns]
    name: str

    @property
    def first(self) -> CellRuns:
        """The cell whose place the thing takes."""
        return self.cells[0]


def distinct(
    axes: Sequence[Axis], things: Sequence[tuple[CellRuns, T]], agree: Callable[[T, T], bool]
) -> tuple[list[Axis], list[Distinct[T]]]:
    """The axes that tell the things of cells apart, and the distinct things, each with the cells that have it."""
    groups = shared(things, agree)
    kept = _telling([cells for _, cells in groups], len(axes))
    everyone = [cell for cell, _ in things]
    entries = [Distinct(thing, _by(kept, cells), _name(kept, cells, everyone)) for thing, cells in groups]
    return [axes[i] for i in kept], entries


def _telling(groups: Sequence[Sequence[CellRuns]], axes: int) -> list[int]:
    """The indices of as few axes as tell the cells of different groups apart; the first ones if there is a choice."""
    kept = list(range(axes))
    for axis in reversed(range(axes)):
        fewer = [i for i in kept if i != axis]
        of_group = [{tuple(cell.levels[i] for i in fewer) for cell in cells} for cells in groups]
        if len({place for places in of_group for place in places}) == sum(map(len, of_group)):
            kept = fewer
    return kept


def _by(kept: Sequence[int], cells: Sequence[CellRuns]) -> list[CellRuns]:
    """The cells reduced to their levels on these axes; of cells that agree on them, only the first."""
    by_levels: dict[tuple[str, ...], CellRuns] = {}
    for cell in cells:
        levels, labels = (tuple(of[i] for i in kept) for of in (cell.levels, cell.labels))
        words = " · ".join(parts_of(cell)[i] for i in kept)
        by_levels.setdefault(levels, replace(cell, levels=levels, labels=labels, name=words))
    return list(by_levels.values())


def _name(kept: Sequence[int], cells: Sequence[CellRuns], everyone: Sequence[CellRuns]) -> str:
    """The name of cells that share a line: their levels on the first axis that tells, if they agree on the rest."""
    if len(cells) == len(everyone):
        return "all cells" if len(cells) > 1 else ""
    rest = {tuple(cell.levels[i] for i in kept[1:]) for cell in cells}
    if len(rest) > 1:
        return name(cells, everyone)
    return together(parts_of(cell)[kept[0]] for cell in cells)
