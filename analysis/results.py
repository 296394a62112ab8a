"""A results folder as tidy frames: grid.json, runs.csv and curves.parquet, checked and in one canonical order.

    runs    a row per cell and seed: cell_id, training_id, seed, status, reason, …, axis.*, choices, metrics
    curves  cell_id, seed, curve, x, y: those that pages or a tracking store read, what a formula gives a cell once and
            without a seed

Names of metrics hold a "/"; those of choices do not. An error names the file and the fault in one line.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import pandas as pd

from analysis.errors import InputError, line
from analysis.files import replace_file
from analysis.grid_json import Meta, MetricInfo, kind_of
from analysis.labels import cell_name
from analysis.schema import (
    BOUND,
    BY_SET,
    CURVES,
    CURVES_FILE,
    FORMULA_CURVES,
    LIKELIHOOD,
    MACHINE,
    METADATA,
    NOT_COMPARABLE,
    OVER_STEPS,
    SEVERAL,
    STATUSES,
)

AGAIN = "run the same command again, what has finished is not repeated"
TYPES = {"cell_id": "str", "seed": "Int64", "curve": "str", "x": "float64", "y": "float64"}
PACKED = {"compression": "zstd", "use_dictionary": list(CURVES[:-1]), "use_byte_stream_split": ["y"]}
"""Parquet's options: values of y seldom repeat."""


def is_kept(curve: str) -> bool:
    """True for the name of a curve that the file holds."""
    return curve in (BOUND, *FORMULA_CURVES) or curve.startswith((*OVER_STEPS, BY_SET))


def write_curves(folder: Path, curves: pd.DataFrame) -> None:
    """Write curves.parquet of a results folder; a seed may be missing."""
    typed = curves[list(CURVES)].astype(TYPES)
    replace_file(folder / CURVES_FILE, partial(typed.to_parquet, index=False, write_page_checksum=True, **PACKED))


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """A context in which a file that is missing or damaged, which fails in many ways, is an InputError of one line."""
    try:
        yield
    except InputError:
        raise
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise InputError(f"{path} cannot be read ({line(str(error))}): {AGAIN}") from error


def read_curves(folder: Path, *names: str) -> pd.DataFrame:
    """The curves of a results folder, all or of these names, −1 for the seed of a formula; InputError where the file is
    damaged."""
    path, chosen = folder / CURVES_FILE, [("curve", "in", names)] if names else None
    with readable(path):
        curves = pd.read_parquet(path, columns=list(CURVES), filters=chosen, page_checksum_verification=True)
        return curves.assign(seed=curves["seed"].fillna(-1).astype("int64"))


def read_csv(path: Path, needed: Sequence[str]) -> pd.DataFrame:
    """A CSV file as text; InputError where it is missing, damaged, or lacks columns."""
    with readable(path):
        # The copy has its columns in one block, which is read faster.
        texts = pd.read_csv(path, dtype=object, keep_default_na=False, index_col=False).copy()
        texts[list(needed)]
        # Half of a number would be another number.
        if not path.read_bytes().endswith(b"\n"):
            raise ValueError("it is cut off in its last line")
        return texts


def numbers(texts: pd.Series, name: str, source: Path) -> pd.Series:
    """A column as float64, empty as nan; InputError where one is no number."""
    try:
        return pd.Series([float(text or "nan") for text in texts], texts.index, dtype="float64")
    except ValueError as error:
        raise InputError(f"{source}: the column {name!r} holds a text where a number is due ({error})") from error


FINISHED = STATUSES[0]


Key = TypeVar("Key")
Value = TypeVar("Value")


def cached(method: Callable[[Any, Key], Value]) -> Callable[[Any, Key], Value]:
    """The method of results, which now computes its value for each argument once."""
    return cached_property(lambda results: cache(partial(method, results)))  # type: ignore[return-value]


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
        return self._curves()

    def _curves(self, *names: str) -> pd.DataFrame:
        """The curves of these names, by default all."""
        every, seeds = read_curves(self.folder, *names), self.runs[["cell_id", "seed"]]
        formulas = every[every["seed"] < 0].drop(columns="seed").merge(seeds, on="cell_id")
        curves = pd.concat([every[every["seed"] >= 0], formulas])
        curves["place"] = curves["cell_id"].map({cell: i for i, cell in enumerate(self.cell_ids)})
        shown = curves[curves["place"].notna() & curves["seed"].isin(seeds["seed"])]
        return shown.sort_values(["place", "curve", "seed", "x"], kind="stable", ignore_index=True)[list(CURVES)]

    @cached_property
    def finished(self) -> pd.DataFrame:
        """The runs whose values count."""
        return self.runs[self.runs["status"] == FINISHED]

    @cached_property
    def _first_runs(self) -> pd.DataFrame:
        """The first run of each cell, in the order of the axes' levels."""
        return self.runs.drop_duplicates("cell_id").set_index("cell_id")

    @cached_property
    def level_names(self) -> pd.DataFrame:
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
        return cast("dict[str, dict[str, str]]", self.level_names.to_dict("index"))

    def levels(self, cell: str) -> dict[str, str]:
        """The levels of a cell, by the names of the axes."""
        return dict(self._levels[cell])

    def at(self, levels: Mapping[str, str]) -> list[str]:
        """The cells at these levels, on whatever levels of other axes."""
        return [cell for cell in self.cell_ids if levels.items() <= self._levels[cell].items()]

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
        """The metrics that give verdicts and have values, likelihoods first."""
        deciding = [metric for metric in self.metrics if metric.deciding and metric.name in self.runs]
        return sorted(deciding, key=lambda metric: metric.decides != LIKELIHOOD)

    def metric(self, name: str) -> MetricInfo:
        """The metric of this name; KeyError where the grid has none."""
        return {metric.name: metric for metric in self.metrics}[name]

    @cached
    def values(self, metric: str) -> pd.DataFrame:
        """The finite values of a metric by cell (rows) and by seed and kind of machine (columns).

        Kinds of machine round differently, which changes a training as much as another seed does. So cells are paired
        only at seeds that one kind of machine ran; "" is a kind, too.
        """
        own = self.finished.reindex(columns=["cell_id", "seed", MACHINE, metric])
        finite: pd.DataFrame = own[np.isfinite(own[metric])]
        table = finite.pivot(index="cell_id", columns=["seed", MACHINE], values=metric)
        return table.reindex(self.cell_ids).sort_index(axis=1)

    @cached
    def keys(self, metric: str) -> dict[str, bytes]:
        """A key per cell, equal for cells with the same values at every seed."""
        first = self.values(metric).T.groupby(level=0).first().T
        return dict(zip(self.cell_ids, map(bytes, first.to_numpy(dtype=np.float64)), strict=True))

    @cached
    def scaled(self, metric: MetricInfo) -> pd.DataFrame:
        """The same values on the metric's scale."""
        values = self.values(metric.name)
        return pd.DataFrame(np.log(values)) if metric.scale == "log" and values.size else values

    def parameter(self, cell: str, name: str) -> str:
        """The value of a choice of a cell; "" where it has none."""
        return self.parameters[cell].get(name, "")

    @cached_property
    def parameters(self) -> dict[str, dict[str, str]]:
        """The choices of each cell by name."""
        return cast("dict[str, dict[str, str]]", self._first_runs[self.choices].to_dict("index"))

    @cached_property
    def choices(self) -> list[str]:
        """The columns of the runs that are choices: neither levels of an axis nor metrics."""
        named = (str(name) for name in self.runs if name not in METADATA)
        return [name for name in named if "/" not in name and not name.startswith("axis.")]

    @cached_property
    def varied(self) -> list[str]:
        """The choices in which cells differ."""
        return [str(name) for name, n in self.runs[self.choices].nunique().items() if n > 1]

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

    def points(self, name: str) -> pd.DataFrame:
        """The finite points of the curves of this name, of each x the last that was written."""
        points = self._curves(name)
        finite: pd.DataFrame = points[np.isfinite(points["y"])]
        return finite.drop_duplicates(["cell_id", "seed", "x"], keep="last")

    def curve(self, name: str) -> dict[str, pd.DataFrame]:
        """The curve of this name of each cell that has it, as [x, seed]."""
        groups = self.points(name).groupby("cell_id", sort=False)
        return {str(cell): rows.pivot(index="x", columns="seed", values="y") for cell, rows in groups}
