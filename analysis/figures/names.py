"""The names of lines: sets of cells by as few axes as tell them apart, and single names as readers write them."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from analysis.findings.cells import CellRuns
from analysis.format.grid_json import Axis
from analysis.format.notation import cell_name

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
    names = list(dict.fromkeys(", ".join(cell.labels[i] for i in kept) for cell in cells))
    shown = names if len(names) <= _NAMES else [*names[: _NAMES - 1], f"and {len(names) - _NAMES + 1} more"]
    return "\n".join(shown)


def compared(axes: Sequence[Axis], a: CellRuns, b: CellRuns) -> str:
    """Two cells by the levels in which they differ, after those that they share: Steps = 5: DDIM | ancestral."""
    parts = [
        (cell_name([(axis.label, x)]), cell_name([(axis.label, y)]))
        for axis, x, y in zip(axes, a.labels, b.labels, strict=True)
    ]
    common = " · ".join(x for x, y in parts if x == y)
    first, second = (" · ".join(pair[i] for pair in parts if pair[0] != pair[1]) for i in (0, 1))
    return f"{common}: {first} | {second}" if common else f"{first} | {second}"


def unnamed_later(i: int, panels: Sequence[Collection[str]]) -> set[str]:
    """The lines of panel i of a row that no later one has: each is named once, in the last panel that has it."""
    return set(panels[i]).difference(*panels[i + 1 :])


def written(text: str) -> str:
    """The name of a choice as readers write it, and indices in braces as such: log-SNR linear, ᾱₜ₋₁."""
    indexed = re.sub(r"_\{([^}]*)\}", lambda match: match[1].translate(_SUBSCRIPTS), text)
    return _WRITTEN.get(text, indexed)
