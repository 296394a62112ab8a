"""The cells of a grid with what their seeds say: mean and interval per metric, who is missing and why, and notes."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import pandas as pd

from analysis.read.meta import kind_of
from analysis.read.runs import METADATA, NOT_COMPARABLE, NOTES, SEVERAL, STATUSES, GridResults
from analysis.statistics.paired import mean_interval


@dataclass(frozen=True)
class Estimate:
    """A metric over a cell's finished seeds; `values` is seed → value."""

    mean: float
    half_width: float
    values: dict[int, float]

    @property
    def known(self) -> bool:
        """Whether there is a value at all."""
        return math.isfinite(self.mean)


@dataclass(frozen=True, eq=False)
class CellRuns:
    """The runs of a cell, a row per seed, with its place in the grid: a level per axis, by name and by label."""

    levels: tuple[str, ...]
    labels: tuple[str, ...]
    runs: pd.DataFrame

    @cached_property
    def cell_id(self) -> str:
        """The id that all of its seeds share."""
        return self.parameter("cell_id")

    @property
    def name(self) -> str:
        """What a reader calls it: its levels."""
        return " · ".join(self.labels) or "this cell"

    def parameter(self, name: str) -> str:
        """The value of a parameter, given by its config name; "" where the cell has none."""
        return str(self.runs[name].iloc[0]) if name in self.runs else ""

    def comparable(self, metric: str) -> bool:
        """Whether no run that finished says that its metrics of this kind cannot be set beside others'."""
        return not any(kind_of(metric) in kinds.split(SEVERAL) for kinds in self._finished[NOT_COMPARABLE])

    def estimate(self, metric: str) -> Estimate:
        """Mean and 95 % interval over the finished seeds that have this metric."""
        if metric not in self._estimates:
            self._estimates[metric] = self._estimated(metric)
        return self._estimates[metric]

    @cached_property
    def _estimates(self) -> dict[str, Estimate]:
        """Those that were asked for: comparisons ask for the same ones again and again."""
        return {}

    def _estimated(self, metric: str) -> Estimate:
        known = self._finished[metric].tolist() if metric in self.runs else [math.nan] * len(self._finished)
        values = {int(s): float(v) for s, v in zip(self._finished["seed"], known, strict=True) if not math.isnan(v)}
        return Estimate(*mean_interval(list(values.values())), values)

    @cached_property
    def _finished(self) -> pd.DataFrame:
        """The rows of the seeds that finished."""
        return self.runs[self.runs["status"] == "finished"]


_LONGEST = 200
"""Characters of a reason in a footnote."""
_NUMBER = re.compile(r"(?<![\w.])[-−]?\d+(?:\.\d+)?(?!\w)")


def reason_in_short(reason: str) -> str:
    """The first line of a reason, which is its message; results of an older writer have the traceback below it."""
    return reason.strip().partition("\n")[0].strip()


def shortfall(cells: Sequence[CellRuns]) -> str:
    """Which seeds are not finished, how they ended and why; "" where all are. Counts are per cell, reasons of all."""
    total = len(cells[0].runs)
    parts = []
    for status in STATUSES[1:]:
        ended = [reason for cell in cells for reason in cell.runs["reason"][cell.runs["status"] == status]]
        if ended:
            parts.append(f"{status} in {len(ended) // len(cells)} of {total} seeds{_reasons(ended)}")
    finished = int((cells[0].runs["status"] == "finished").sum())
    rest = f"; mean over the other {finished}" if parts and finished else ""
    return "; ".join(parts) + rest


def shortfalls(cells: Sequence[CellRuns]) -> list[str]:
    """The shortfall of each cell, in the same words for cells that differ in the numbers of their reasons only."""
    alike: dict[tuple[tuple[str, str], ...], list[CellRuns]] = {}
    for cell in cells:
        reasons = [_NUMBER.sub("#", reason_in_short(reason)) for reason in cell.runs["reason"]]
        alike.setdefault(tuple(sorted(zip(cell.runs["status"], reasons, strict=True))), []).append(cell)
    told = [(shortfall(group), group) for group in alike.values()]
    words = {id(cell): text for text, group in told for cell in group}
    return [words[id(cell)] for cell in cells]


def noted(cells: Sequence[CellRuns]) -> list[list[str]]:
    """What the runs of each cell note, in the same words for notes that differ in their numbers only."""
    own = [[line for text in cell.runs[NOTES] for line in text.splitlines() if line] for cell in cells]
    alike: dict[str, list[str]] = {}
    for line in chain.from_iterable(own):
        alike.setdefault(_NUMBER.sub("#", line), []).append(line)
    words = {key: _merged(group) for key, group in alike.items()}
    return [[words[key] for key in dict.fromkeys(_NUMBER.sub("#", line) for line in lines)] for lines in own]


def _reasons(reasons: Sequence[str]) -> str:
    """Two reasons in short at most."""
    alike: dict[str, list[str]] = {}
    for line in (reason_in_short(reason)[:_LONGEST] for reason in reasons):
        if line:
            alike.setdefault(_NUMBER.sub("#", line), []).append(line)
    merged = [_merged(group) for group in alike.values()]
    more = " and others" if len(merged) > 2 else ""
    return f" ({'; '.join(merged[:2])}{more})" if merged else ""


def _merged(texts: list[str]) -> str:
    """Texts that differ in their numbers only as one, with the range of each number that differs."""
    columns = list(zip(*(_NUMBER.findall(text) for text in texts), strict=True))
    ranges = iter(_range(column) for column in columns)
    return _NUMBER.sub(lambda _: next(ranges), texts[0])


def _range(numbers: Sequence[str]) -> str:
    ordered = sorted(numbers, key=lambda number: float(number.replace("−", "-")))
    return ordered[0] if ordered[0] == ordered[-1] else f"{ordered[0]}–{ordered[-1]}"


def axis_columns(grid: GridResults) -> list[str]:
    """The columns of the runs that hold the levels of the axes, in their order."""
    return [f"axis.{axis.name}" for axis in grid.meta.axes]


def parameters_of(runs: pd.DataFrame) -> list[str]:
    """The columns of runs that are parameters: choices, and neither levels of an axis nor metrics."""
    columns = [str(name) for name in runs if name not in METADATA]
    return [name for name in columns if "/" not in name and not name.startswith("axis.")]


def cells_of(grid: GridResults) -> list[CellRuns]:
    """The cells in the order of the axes' levels."""
    axes, columns = grid.meta.axes, axis_columns(grid)
    if not columns:
        return [CellRuns((), (), grid.runs)]
    found = []
    for key, rows in grid.runs.groupby(columns, sort=False):
        levels = tuple(str(name) for name in key)
        labels = tuple(axis.label_of(name) for axis, name in zip(axes, levels, strict=True))
        found.append(CellRuns(levels, labels, rows))
    return found
