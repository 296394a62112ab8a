"""Cells that differ in one number only, in the order of that number: what a metric can be drawn against.

Numbers are looked for among the parameters of the runs, and not among the axes: one level of an axis may set several.
A number of steps that is not given is all of T. Steps of the sampler and of the bound that are set together are one
choice, and so is T with both where they are all of it. At a guidance scale of 1 nothing guides, whatever the guide is:
that cell is of the line of every guide. A cell whose scale was tuned is beside its guide's line.
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
"""Cells that make a line."""
_NEVER_RUN = {"incompatible", "pruned"}
_SAME = 1e-6
"""Values that differ by less than this share are one, that of a stage which cells share: they are written to seven
digits."""


@dataclass(frozen=True)
class Number:
    """A number by which cells may differ: `free` is what they need not share, as these agree within each cell."""

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
    """Cells that differ in one number alone, and their numbers, which rise; and such as found theirs by themselves."""

    xs: tuple[float, ...]
    cells: tuple[CellRuns, ...]
    tuned: tuple[CellRuns, ...] = ()

    def moves(self, metric: str) -> bool:
        """True where the metric differs between its cells at any seed; one of a stage that all of them share does
        not."""
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
    """Key → its lines, in the order of the cells; without the keys that have none."""
    cells = [cell for cell in everyone if not set(cell.runs["status"]) <= _NEVER_RUN]
    entries = [(cell, _settings(cell, parameters)) for cell in cells]
    by_number: dict[str, list[Line]] = {}
    for number in _NUMBERS:
        lines = _lines(number, _by_guide(entries) if number.key == GUIDANCE else entries)
        if lines:
            by_number.setdefault(number.key, []).extend(lines)
    return by_number


def _settings(cell: CellRuns, parameters: Sequence[str]) -> dict[str, str]:
    """The parameters of a cell, a number of steps that is not given written as T, and a guidance scale as 1."""
    settings = {name: cell.parameter(name) for name in (HORIZON, SAMPLING, EVALUATION, *parameters)}
    for name in (SAMPLING, EVALUATION):
        settings[name] = settings[HORIZON] if settings[name] in ("", "null") else settings[name]
    settings[GUIDANCE] = settings.get(GUIDANCE) or "1"
    settings.pop(_CANDIDATES, None)
    return settings


def _by_guide(entries: Sequence[Entry]) -> list[Entry]:
    """The same, a cell that nothing guides once with the settings of each guide that there is."""
    guides = {tuple((name, text) for name, text in settings.items() if _guides(name)): None for _, settings in entries}
    return [
        (cell, {**settings, **dict(guide)})
        for cell, settings in entries
        for guide in (guides if _number(settings[GUIDANCE]) == 1 else [()])
    ]


def _guides(name: str) -> bool:
    return name.startswith("guidance.") and name != GUIDANCE


def _lines(number: Number, entries: Sequence[Entry]) -> list[Line]:
    """The lines over one number. The first of cells that are alike in the number too stands for all."""
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
