"""The names of lines: sets of cells by as few axes as tell them apart, and single names as readers write them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence

from analysis.findings.cells import CellRuns

_NAMES = 3
_WRITTEN = {"log_snr_linear": "log-SNR linear", "learned_linear": "learned ends, log-SNR linear", "min_snr": "min-SNR"}
_SUBSCRIPTS = str.maketrans("0123456789+-−tsnki", "₀₁₂₃₄₅₆₇₈₉₊₋₋ₜₛₙₖᵢ")


def name(cells: Sequence[CellRuns], everyone: Sequence[CellRuns]) -> str:
    """Names of cells by their levels of as few axes as tell them from all others, a line each, `_NAMES` at most."""
    kept = list(range(len(cells[0].levels)))
    for axis in reversed(kept.copy()):
        fewer = [i for i in kept if i != axis]
        places = {tuple(cell.levels[i] for i in fewer) for cell in cells}
        if sum(tuple(cell.levels[i] for i in fewer) in places for cell in everyone) == len(cells):
            kept = fewer
    return together(", ".join(parts_of(cell)[i] for i in kept) for cell in cells)


def together(names: Iterable[str]) -> str:
    """Names of what is one, a line each, `_NAMES` at most."""
    known = list(dict.fromkeys(names))
    return "\n".join(known if len(known) <= _NAMES else [*known[: _NAMES - 1], f"and {len(known) - _NAMES + 1} more"])


def compared(a: CellRuns, b: CellRuns) -> str:
    """Two cells by the levels in which they differ, after those that they share: Steps = 5: DDIM | ancestral."""
    parts = list(zip(parts_of(a), parts_of(b), strict=True))
    common = " · ".join(x for x, y in parts if x == y)
    first, second = (" · ".join(pair[i] for pair in parts if pair[0] != pair[1]) for i in (0, 1))
    return f"{common}: {first} | {second}" if common else f"{first} | {second}"


def parts_of(cell: CellRuns) -> tuple[str, ...]:
    """The parts of a cell's name, one of each level: bare numbers are led by their axis there, Steps = 5."""
    parts = tuple(cell.name.split(" · "))
    return parts if len(parts) == len(cell.labels) else cell.labels


def unnamed_later(i: int, panels: Sequence[Collection[str]]) -> set[str]:
    """The lines of panel i of a row that no later one has: each is named once, in the last panel that has it."""
    return set(panels[i]).difference(*panels[i + 1 :])


def written(text: str) -> str:
    """The name of a choice as readers write it, and indices in braces as such: log-SNR linear, ᾱₜ₋₁."""
    indexed = re.sub(r"_\{([^}]*)\}", lambda match: match[1].translate(_SUBSCRIPTS), text)
    return _WRITTEN.get(text, indexed)
