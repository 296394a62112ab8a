"""The cells of a grid: the mean and interval of each metric over seeds, and which cells can be compared."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from analysis.grid_json import Axis, Meta, kind_of
from analysis.schema import COUNTED, MACHINE, METADATA, NOT_COMPARABLE, SETS, SEVERAL
from analysis.statistics.paired import mean_interval

_LONGEST = 709.0
"""The largest whole number whose exponential a float64 holds."""


@dataclass(frozen=True)
class Estimate:
    """A metric over a cell's finished seeds; `values` is seed → value.

    With `factor`, `mean` is the geometric mean, and `half_width` that of the mean of the logarithms.
    """

    mean: float
    half_width: float
    values: dict[int, float]
    factor: bool = False

    @property
    def low(self) -> float:
        """The lower end of the 95 % interval."""
        return self.mean / self._width if self.factor else self.mean - self.half_width

    @property
    def high(self) -> float:
        """The upper end of the 95 % interval."""
        return self.mean * self._width if self.factor else self.mean + self.half_width

    @property
    def _width(self) -> float:
        """The factor from the mean to either end of the interval; infinite where a float64 cannot hold it."""
        return math.inf if self.half_width > _LONGEST else math.exp(self.half_width)

    @property
    def by_seed(self) -> tuple[tuple[int, float], ...]:
        """The pairs (seed, value) in the order of seeds. Cells for which they are equal count as one."""
        return tuple(sorted(self.values.items()))

    @property
    def known(self) -> bool:
        """True where there is a value at all."""
        return math.isfinite(self.mean)


@dataclass(frozen=True, eq=False)
class CellRuns:
    """A cell: its `runs`, a row per seed; its level on each axis, with the level's label; and its `name`."""

    levels: tuple[str, ...]
    labels: tuple[str, ...]
    runs: pd.DataFrame
    name: str

    @cached_property
    def cell_id(self) -> str:
        """The id that all of its seeds share."""
        return self.parameter("cell_id")

    def levels_of(self, axes: Sequence[Axis]) -> dict[str, str]:
        """Its levels by the names of the grid's axes."""
        return {axis.name: level for axis, level in zip(axes, self.levels, strict=True)}

    def parameter(self, name: str) -> str:
        """The value of a parameter, given by its config name; "" where the cell has none."""
        return str(self.runs[name].iloc[0]) if name in self.runs else ""

    @property
    def sets(self) -> int:
        """The number of generated sets over which the cell's metrics of samples are averaged; 0 if unknown."""
        asked = self.parameter("evaluation.sets")
        if asked.isdigit():
            return int(asked)
        drawn = self.runs[SETS].dropna().tolist() if SETS in self.runs else []
        return int(max(drawn, default=0))

    @cached_property
    def kinds(self) -> dict[int, str]:
        """Finished seed → the kinds of machine that ran it; "" where unknown, which counts as a kind too."""
        return dict(zip(self._finished["seed"].tolist(), self._finished[MACHINE].tolist(), strict=True))

    def comparable(self, metric: str) -> bool:
        """True unless a finished run says that its metrics of this kind cannot be compared with those of other runs."""
        return not any(kind_of(metric) in kinds.split(SEVERAL) for kinds in self._finished[NOT_COMPARABLE])

    def estimate(self, metric: str) -> Estimate:
        """Mean and 95 % interval over the finished seeds that have this metric."""
        if metric not in self._estimates:
            self._estimates[metric] = self._estimated(metric)
        return self._estimates[metric]

    @cached_property
    def _estimates(self) -> dict[str, Estimate]:
        """A cache of the estimates asked for so far, because comparisons ask for the same ones again and again."""
        return {}

    def _estimated(self, metric: str) -> Estimate:
        column = self._finished[metric].tolist() if metric in self.runs else [math.nan] * len(self._finished)
        values = {int(s): float(v) for s, v in zip(self._finished["seed"], column, strict=True) if not math.isnan(v)}
        return Estimate(*mean_interval(list(values.values())), values)

    @cached_property
    def _finished(self) -> pd.DataFrame:
        """The rows of the seeds that finished or, in a round of rungs, that were scored."""
        return self.runs[self.runs["status"].isin(COUNTED)]


def parameters_of(runs: pd.DataFrame) -> list[str]:
    """The columns of runs that are parameters: choices, and neither levels of an axis nor metrics."""
    columns = [str(name) for name in runs if name not in METADATA]
    return [name for name in columns if "/" not in name and not name.startswith("axis.")]


def at_levels(meta: Meta, cells: Sequence[CellRuns], levels: Mapping[str, str]) -> CellRuns | None:
    """The cell at these levels; None where it was not run."""
    wanted = tuple(levels.get(axis.name, "") for axis in meta.axes)
    return next((cell for cell in cells if cell.levels == wanted), None)


def baseline(meta: Meta, cells: Sequence[CellRuns]) -> CellRuns | None:
    """The cell that the grid names as its baseline, else the first; None where it has no finished run."""
    chosen = at_levels(meta, cells, meta.baseline) or cells[0]
    return chosen if chosen.runs["status"].isin(COUNTED).any() else None


def one_training(cells: Sequence[CellRuns]) -> bool:
    """True where cells share a training at every seed."""
    trainings = [dict(zip(cell.runs["seed"], cell.runs["training_id"], strict=True)) for cell in cells]
    return all(of_cell == trainings[0] for of_cell in trainings)
