"""A results folder as tidy frames: grid.json, runs.csv and curves.parquet, checked and in one canonical order.

    runs    a row per cell and seed: cell_id, training_id, seed, status, reason, …, axis.*, choices, metrics
    curves  cell_id, seed, curve, x, y

Names of metrics hold a "/"; those of choices do not.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.frames import numbers, read_csv, read_curves
from analysis.grid_json import Meta, MetricInfo, kind_of
from analysis.labels import cell_name
from analysis.links import Tracking, read_tracking
from analysis.schema import CURVES, MACHINE, METADATA, NOT_COMPARABLE, SEVERAL, STATUSES

FINISHED = STATUSES[0]
FORMULA_COLUMNS = ("figure", "series", "x", "y")
"""The columns of formulas.csv, curves that follow from formulas alone; `series` names a line, as readers write it."""


@dataclass(frozen=True, eq=False, repr=False)
class Results:
    """The results of a grid. `planned` is the number of seeds of the whole plan, of which a round shows the first."""

    folder: Path
    meta: Meta
    runs: pd.DataFrame
    planned: int

    @cached_property
    def curves(self) -> pd.DataFrame:
        """The curves of the runs in their order, each by x; that of a formula at each of its cell's seeds."""
        every, seeds = read_curves(self.folder), self.runs[["cell_id", "seed"]]
        formulas = every[every["seed"] < 0].drop(columns="seed").merge(seeds, on="cell_id")
        curves = pd.concat([every[every["seed"] >= 0], formulas])
        curves["place"] = curves["cell_id"].map({cell: i for i, cell in enumerate(self.cell_ids)})
        shown = curves[curves["place"].notna() & curves["seed"].isin(seeds["seed"])]
        return shown.sort_values(["place", "curve", "seed", "x"], kind="stable", ignore_index=True)[list(CURVES)]

    @cached_property
    def formulas(self) -> pd.DataFrame:
        """The curves of formulas in the order of their file; no rows where there is none."""
        path = self.folder / "formulas.csv"
        if not path.is_file():
            return pd.DataFrame(columns=list(FORMULA_COLUMNS))
        texts = read_csv(path, FORMULA_COLUMNS)
        return texts.assign(x=numbers(texts["x"], "x", path), y=numbers(texts["y"], "y", path))

    @cached_property
    def tracking(self) -> Tracking | None:
        """The grid's place in a tracking store; None where it was delivered to none."""
        return read_tracking(self.folder / "tracking.json")

    def subfolder(self, name: str) -> Path | None:
        """A folder of sheets (samples, strips, reconstructions); None where there is none."""
        path = self.folder / name
        return path if path.is_dir() else None

    @cached_property
    def finished(self) -> pd.DataFrame:
        """The runs whose values count."""
        return self.runs[self.runs["status"] == FINISHED]

    @cached_property
    def _first_runs(self) -> pd.DataFrame:
        """The first run of each cell, in the order of the axes' levels."""
        return self.runs.drop_duplicates("cell_id").set_index("cell_id")

    @cached_property
    def cells(self) -> pd.DataFrame:
        """A row per cell in the order of the axes' levels: a level's name per axis, indexed by cell_id."""
        columns = {f"axis.{axis.name}": axis.name for axis in self.meta.axes}
        return self._first_runs[list(columns)].rename(columns=columns)

    @cached_property
    def cell_ids(self) -> list[str]:
        """The cells in the order of the axes' levels."""
        return list(self._first_runs.index)

    @cached_property
    def names(self) -> dict[str, str]:
        """The name of each cell, by its id: β̃ · Steps = 5."""
        labels = [axis.label for axis in self.meta.axes]
        return {cell: cell_name(zip(labels, self.labels(cell), strict=True)) for cell in self.cell_ids}

    def labels(self, cell: str) -> list[str]:
        """The labels of a cell's levels, in the order of the axes."""
        return [axis.label_of(self._levels[cell][axis.name]) for axis in self.meta.axes]

    @cached_property
    def _levels(self) -> dict[str, dict[str, str]]:
        rows = self.cells.iterrows()
        return {str(cell): {str(axis): str(level) for axis, level in row.items()} for cell, row in rows}

    def levels(self, cell: str) -> dict[str, str]:
        """The levels of a cell, by the names of the axes."""
        return dict(self._levels[cell])

    def at(self, levels: Mapping[str, str]) -> list[str]:
        """The cells at these levels, on whatever levels of other axes."""
        return [cell for cell in self.cell_ids if levels.items() <= self._levels[cell].items()]

    @cached_property
    def baseline(self) -> str | None:
        """The cell that others are compared with, by default the first; None where it has no finished run."""
        cell = next((cell for cell in self.cell_ids if self._levels[cell] == self.meta.baseline), self.cell_ids[0])
        return cell if cell in set(self.finished["cell_id"]) else None

    @cached_property
    def metrics(self) -> tuple[MetricInfo, ...]:
        """The grid's metrics that have a value, or all if none has, as this grid reads them."""
        present = [metric for metric in self.meta.metrics if metric.name in self.runs] or self.meta.metrics
        return tuple(map(self._read, present))

    def _read(self, metric: MetricInfo) -> MetricInfo:
        """The metric with the smallest difference that matters in this grid. A relative difference means nothing where
        values can be 0 or less: such a metric is compared as it is."""
        if metric.scale == "log" and metric.name in self.runs and (self.runs[metric.name] <= 0).any():
            return replace(metric, scale="linear", relevant=None)
        return replace(metric, relevant=self.meta.relevant.get(metric.kind, metric.relevant))

    @cached_property
    def declared(self) -> list[tuple[str, str]]:
        """The comparisons that the grid declares, of cells that were run."""
        return [pair for pair in self.meta.declared if self._levels.keys() >= set(pair)]

    @property
    def deciding(self) -> list[MetricInfo]:
        """The metrics that give verdicts and have values."""
        return [metric for metric in self.metrics if metric.deciding and metric.name in self.runs]

    def metric(self, name: str) -> MetricInfo:
        """The metric of this name; KeyError where the grid has none."""
        return {metric.name: metric for metric in self.metrics}[name]

    def values(self, metric: str) -> pd.DataFrame:
        """The finite values of a metric by cell (rows) and by seed and kind of machine (columns).

        Kinds of machine round differently, which changes a training as much as another seed does. So cells are paired
        only at seeds that one kind of machine ran; "" is a kind, too.
        """
        if metric not in self._values:
            own = self.finished.assign(value=self.finished[metric] if metric in self.runs else math.nan)
            own = own[np.isfinite(own["value"])]
            table = own.pivot(index="cell_id", columns=["seed", MACHINE], values="value")
            self._values[metric] = table.reindex(self.cell_ids).sort_index(axis=1)
        return self._values[metric]

    @cached_property
    def _values(self) -> dict[str, pd.DataFrame]:
        return {}

    def by_seed(self, metric: str) -> dict[str, NDArray[np.float64]]:
        """The values of a metric of each cell at every seed, of the first kind of machine that has one."""
        if metric not in self._by_seed:
            first = self.values(metric).T.groupby(level=0).first().T
            values = first.to_numpy(dtype=np.float64)
            self._by_seed[metric] = dict(zip(self.cell_ids, values, strict=True))
        return self._by_seed[metric]

    @cached_property
    def _by_seed(self) -> dict[str, dict[str, NDArray[np.float64]]]:
        return {}

    def scaled(self, metric: MetricInfo) -> pd.DataFrame:
        """The same values on the metric's scale."""
        values = self.values(metric.name)
        return pd.DataFrame(np.log(values)) if metric.scale == "log" and values.size else values

    def parameter(self, cell: str, name: str) -> str:
        """The value of a choice of a cell; "" where it has none."""
        return str(self._first_runs.loc[cell, name]) if name in self.runs else ""

    @cached_property
    def choices(self) -> list[str]:
        """The columns of the runs that are choices: neither levels of an axis nor metrics."""
        named = (str(name) for name in self.runs if name not in METADATA)
        return [name for name in named if "/" not in name and not name.startswith("axis.")]

    @cached_property
    def varied(self) -> list[str]:
        """The choices in which cells differ."""
        return [name for name in self.choices if self.runs[name].nunique() > 1]

    def comparable(self, cell: str, metric: str) -> bool:
        """True unless a finished run says that its metrics of this kind cannot be compared with those of others."""
        return kind_of(metric) not in self._not_comparable.get(cell, ())

    @cached_property
    def _not_comparable(self) -> dict[str, list[str]]:
        own = self.finished[self.finished[NOT_COMPARABLE] != ""]
        return {str(cell): SEVERAL.join(kinds).split(SEVERAL) for cell, kinds in own.groupby("cell_id")[NOT_COMPARABLE]}

    def counted(self, column: str) -> dict[str, int]:
        """The names in a column that may hold several (code, machine), each with the number of its runs."""
        return dict(Counter(name for names in self.runs[column] for name in names.split(SEVERAL) if name))

    def curve(self, name: str) -> dict[str, pd.DataFrame]:
        """The curve of this name of each cell that has it, as [x, seed]."""
        points = self.curves[(self.curves["curve"] == name) & np.isfinite(self.curves["y"])]
        points = points.drop_duplicates(["cell_id", "seed", "x"], keep="last")
        groups = points.groupby("cell_id", sort=False)
        return {str(cell): rows.pivot(index="x", columns="seed", values="y") for cell, rows in groups}
