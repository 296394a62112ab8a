"""The names of lines: sets of cells by as few axes as tell them apart, and single names as readers write them."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

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
    names = list(dict.fromkeys(", ".join(cell.labels[i] for i in kept) for cell in cells))
    shown = names if len(names) <= _NAMES else [*names[: _NAMES - 1], f"and {len(names) - _NAMES + 1} more"]
    return "\n".join(shown)


def described(cells: Sequence[CellRuns], everyone: Sequence[CellRuns]) -> str:
    """Names of cells by their later levels, a line each, led by those of the first axis where they are not all."""
    firsts: dict[tuple[str, ...], list[str]] = {}
    for cell in cells:
        firsts.setdefault(cell.labels[1:], []).extend(cell.labels[:1])
    lines = []
    for rest, leads in firsts.items():
        whole = len(leads) == sum(cell.labels[1:] == rest for cell in everyone) > 1
        lead = "" if whole and rest else ", ".join(leads)
        lines.append(": ".join(word for word in (lead, ", ".join(rest)) if word))
    return "\n".join(lines)


def unnamed_later(i: int, panels: Sequence[Collection[str]]) -> set[str]:
    """The lines of panel i of a row that no later one has: each is named once, in the last panel that has it."""
    return set(panels[i]).difference(*panels[i + 1 :])


def written(text: str) -> str:
    """The name of a choice as readers write it, and indices in braces as such: log-SNR linear, ᾱₜ₋₁."""
    indexed = re.sub(r"_\{([^}]*)\}", lambda match: match[1].translate(_SUBSCRIPTS), text)
    return _WRITTEN.get(text, indexed)
