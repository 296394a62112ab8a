"""Lines of cells that differ in one number only, in the order of that number, along which a metric can be drawn.

The number is a parameter of the runs rather than an axis, because one level of an axis may set several parameters. A
number of steps that is not given equals T. Steps of the sampler and of the bound that are set together count as one
choice, and so do T and both of them where both equal T. At a guidance scale of 1 nothing guides, so such a cell belongs
to the line of every guide. A cell whose scale was tuned stands beside its guide's line.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from analysis.findings.cells import CellRuns

HORIZON, EVALUATION = "horizon", "evaluation.horizon"
SAMPLING, SKIP, ETA = "sampler.steps", "sampler.skip", "sampler.eta"
GUIDANCE, TUNED = "guidance.scale", "guidance/scale"
"""The guidance scale that a cell asks for, and the one that a tuned cell took at a seed."""
_CANDIDATES, _AUTO = "guidance.scales", "auto"
FEWEST = 3
"""The fewest cells that make a line."""
_NEVER_RUN = {"incompatible", "pruned"}
_SAME = 1e-6
"""The relative difference below which values count as one, of a shared stage: they are written to 7 digits."""


@dataclass(frozen=True)
class Number:
    """A number by which cells may differ. Cells of a line may also differ in the parameters `free`, which must all be
    equal within each cell."""

    key: str
    free: tuple[str, ...]


_NUMBERS = (
    Number(SAMPLING, (SAMPLING, EVALUATION)),
    Number(SAMPLING, (SAMPLING,)),
    Number(SKIP, (SKIP,)),
    Number(HORIZON, (HORIZON, SAMPLING, EVALUATION)),
    Number(EVALUATION, (EVALUATION,)),
    Number(ETA, (ETA,)),
    Number(GUIDANCE, (GUIDANCE,)),
)


@dataclass(frozen=True, eq=False)
class Line:
    """Cells that differ in one number alone, with these numbers, which rise; `tuned` cells chose theirs themselves."""

    xs: tuple[float, ...]
    cells: tuple[CellRuns, ...]
    tuned: tuple[CellRuns, ...] = ()

    def moves(self, metric: str) -> bool:
        """True where the metric differs between the cells at any seed; not if it comes from a stage that all share."""
        by_seed: dict[int, list[float]] = {}
        for cell in self.cells:
            for seed, value in cell.estimate(metric).values.items():
                by_seed.setdefault(seed, []).append(value)
        return any(max(values) - min(values) > _SAME * max(map(abs, values)) for values in by_seed.values())


Entry = tuple[CellRuns, Mapping[str, str]]
"""A cell and its settings."""
Rest = tuple[tuple[str, str], ...]
"""The values that the cells of a line share."""


def lines_of(everyone: Sequence[CellRuns], parameters: Sequence[str]) -> dict[str, list[Line]]:
    """The key of a number → its lines, in the order of the cells; keys without lines are left out."""
    cells = [cell for cell in everyone if not set(cell.runs["status"]) <= _NEVER_RUN]
    entries = [(cell, _settings(cell, parameters)) for cell in cells]
    by_number: dict[str, list[Line]] = {}
    for number in _NUMBERS:
        lines = _lines(number, _by_guide(entries) if number.key == GUIDANCE else entries)
        if lines:
            by_number.setdefault(number.key, []).extend(lines)
    return by_number


def _settings(cell: CellRuns, parameters: Sequence[str]) -> dict[str, str]:
    """The parameters of a cell. A number of steps that is not given is written as T, a missing guidance scale as 1."""
    settings = {name: cell.parameter(name) for name in (HORIZON, SAMPLING, EVALUATION, *parameters)}
    for name in (SAMPLING, EVALUATION):
        settings[name] = settings[HORIZON] if settings[name] in ("", "null") else settings[name]
    settings[GUIDANCE] = settings.get(GUIDANCE) or "1"
    settings.pop(_CANDIDATES, None)
    return settings


def _by_guide(entries: Sequence[Entry]) -> list[Entry]:
    """The entries, with each unguided cell repeated once per guide, with that guide's settings."""
    guides = {tuple((name, text) for name, text in settings.items() if _guides(name)): None for _, settings in entries}
    return [
        (cell, {**settings, **dict(guide)})
        for cell, settings in entries
        for guide in (guides if _number(settings[GUIDANCE]) == 1 else [()])
    ]


def _guides(name: str) -> bool:
    return name.startswith("guidance.") and name != GUIDANCE


def _lines(number: Number, entries: Sequence[Entry]) -> list[Line]:
    """The lines over one number. Of cells that also have the same number, the first stands for all."""
    groups: dict[Rest, dict[float, CellRuns]] = {}
    tuned: dict[Rest, list[CellRuns]] = {}
    for cell, settings in entries:
        text = settings.get(number.key, "")
        rest = tuple((name, value) for name, value in settings.items() if name not in number.free)
        if text == _AUTO:
            tuned.setdefault(rest, []).append(cell)
        elif math.isfinite(x := _number(text)) and len({settings[name] for name in number.free}) == 1:
            groups.setdefault(rest, {}).setdefault(x, cell)
    ordered = {rest: sorted(group.items(), key=lambda item: item[0]) for rest, group in groups.items()}
    return [
        Line(tuple(x for x, _ in items), tuple(cell for _, cell in items), tuple(tuned.get(rest, ())))
        for rest, items in ordered.items()
        if len(items) >= FEWEST
    ]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
