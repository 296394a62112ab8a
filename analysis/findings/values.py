"""The values of a grid's cells as arrays, by the seeds that all finished, and by held-out image where all have values;
and their curves as tables [x, seed].

A metric is compared on its scale: on a log scale a difference is the log of a ratio. Only likelihoods have a value per
image. Their difference then carries the error that other images would show besides the seeds' own; a FID has no such
part, and its noise of sampling is among its seeds'. On a log scale a cell's value is the log of its mean x̄ over images,
and an image's part of it is what x̄ owes to it, to first order: log x̄ + (x_i − x̄)/x̄, of which log x̄ is the mean.

Two cells are compared at the seeds that one kind of machine made of both: kinds round otherwise, a training makes of
another rounding as much as of another seed, and what cells of one seed share is lost then. Where it is not known what
made a row, that is a kind as well: rows of one grid that do not say are of before they said so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.findings.cells import CellRuns, Estimate
from analysis.format.grid_json import ShownMetric
from analysis.format.notation import cell_name
from analysis.read.runs import GridResults
from analysis.statistics.paired import BOOTSTRAP_FROM, bootstrap_interval

Column = tuple[int, str]  # a seed, and the kind of machine that made the values of cells there


def by_kind(kinds: Iterable[dict[int, str]], values: Iterable[dict[int, float]]) -> list[dict[Column, float]]:
    """The values of each cell, seed → value, by seed and by what made them, seed → kind."""
    return [
        {(seed, made.get(seed, "")): value for seed, value in of.items()}
        for made, of in zip(kinds, values, strict=True)
    ]


def kinds_of(cells: Iterable[CellRuns]) -> list[dict[int, str]]:
    """The kinds of machine that made each of these cells, by seed."""
    return [cell.kinds for cell in cells]


def table_of(values: Sequence[dict[Column, float]], columns: Sequence[Column]) -> Array:
    """Values as [k, n] by cell and column, nan where there is none."""
    table = np.array([[of.get(column, math.nan) for column in columns] for of in values], dtype=np.float64)
    return table.reshape(len(values), len(columns))


def held_against_all(cells: Sequence[CellRuns], metric: str) -> list[bool]:
    """The cells that share two seeds or more, made by one kind, with every other cell that has so many values."""
    have = [of.keys() for of in by_kind(kinds_of(cells), [cell.estimate(metric).values for cell in cells])]
    return [all(len(own & other) > 1 for other in have if len(other) > 1) for own in have]


@dataclass(frozen=True)
class Unpaired:
    """The differences by seed that are `left_out` of comparisons, of so many `pairs` of runs, since two kinds of
    machine made them; and in how many comparisons fewer than two seeds are left for that."""

    left_out: int
    pairs: int
    untested: int

    @staticmethod
    def of(compared: Iterable[tuple[CellRuns, CellRuns]]) -> Unpaired:
        """Those of these comparisons."""
        alike = [[a.kinds[seed] == b.kinds[seed] for seed in a.kinds.keys() & b.kinds.keys()] for a, b in compared]
        pairs, kept = sum(map(len, alike)), sum(map(sum, alike))
        return Unpaired(pairs - kept, pairs, sum(sum(of) < 2 <= len(of) for of in alike))


Array = NDArray[np.float64]
T = TypeVar("T")
TRAINING, BOUND = "train/network", "bound_per_t"
"""The names of two curves: the loss over training steps, and what each t adds to the bound."""


def axis_columns(grid: GridResults) -> list[str]:
    """The columns of the runs that hold the levels of the axes, in their order."""
    return [f"axis.{axis.name}" for axis in grid.meta.axes]


def cells_of(grid: GridResults) -> list[CellRuns]:
    """The cells in the order of the axes' levels."""
    axes, columns = grid.meta.axes, axis_columns(grid)
    if not columns:
        return [CellRuns((), (), grid.runs, cell_name([]))]
    cells = []
    for key, rows in grid.runs.groupby(columns, sort=False):
        levels = tuple(str(name) for name in key)
        labels = tuple(axis.label_of(name) for axis, name in zip(axes, levels, strict=True))
        name = cell_name(zip((axis.label for axis in axes), labels, strict=True))
        cells.append(CellRuns(levels, labels, rows, name))
    return cells


def on_scale(metric: ShownMetric, values: Array) -> Array:
    """Values as they are compared."""
    return np.log(values) if metric.scale == "log" else values


def off_scale(metric: ShownMetric, mean: float, half_width: float, values: Array) -> Estimate:
    """A mean of values [seeds] as they are compared, with its half-width, as values or ratios of the metric."""
    if metric.scale == "linear":
        return Estimate(mean, half_width, dict(enumerate(values.tolist())))
    return Estimate(math.exp(mean), half_width, dict(enumerate(np.exp(values).tolist())), factor=True)


def seeds_of(grid: GridResults, metric: ShownMetric, cells: Sequence[CellRuns]) -> list[int]:
    """The seeds of the grid, in order, and any more that these cells have values of; one that several kinds of machine
    have made is there once for each of them."""
    return [seed for seed, _ in _columns(grid, metric, cells)]


def _columns(grid: GridResults, metric: ShownMetric, cells: Sequence[CellRuns]) -> list[Column]:
    """Each seed with each kind of machine that made values of these cells there."""
    values = by_kind(kinds_of(cells), [cell.estimate(metric.name).values for cell in cells])
    made = {column for of in values for column in of}
    without = set(grid.meta.seeds) - {seed for seed, _ in made}
    return sorted(made | {(seed, "") for seed in without})


def values_of(grid: GridResults, metric: ShownMetric, cells: Sequence[CellRuns]) -> Array:
    """The values of cells as they are compared, [k, n] by seed (`seeds_of`), or [k, n, m] by seed and held-out image
    where each has one; nan where there is none, so that a column is of one kind of machine."""
    all_values = [cell.estimate(metric.name).values for cell in cells]
    finite = [{seed: value for seed, value in of.items() if math.isfinite(value)} for of in all_values]
    table = table_of(by_kind(kinds_of(cells), finite), _columns(grid, metric, cells))
    images = [_images(grid, metric, cell, sorted(of)) for cell, of in zip(cells, finite, strict=True) if of]
    width = {of_cell.shape[1] for of_cell in images if of_cell is not None}
    if len(width) != 1 or any(of_cell is None for of_cell in images):
        return on_scale(metric, table)
    out = np.full((*table.shape, width.pop()), math.nan)
    out[np.isfinite(table)] = np.concatenate([of_cell for of_cell in images if of_cell is not None])
    return out


def paired(
    grid: GridResults, metric: ShownMetric, a: CellRuns, b: CellRuns, among: Collection[int] | None = None
) -> Array:
    """a − b as [n] per common seed of one kind of machine, or as [n, m] per such seed and held-out image; of the seeds
    `among` these."""
    return contrast(grid, metric, [(1.0, a), (-1.0, b)], among)


@dataclass(frozen=True)
class ImageShare:
    """The share of n held-out images on which one cell is better than another, with a 95 % interval over images."""

    mean: float
    low: float
    high: float
    n: int


def share_of_images(grid: GridResults, metric: ShownMetric, a: CellRuns, b: CellRuns) -> ImageShare | None:
    """The images on which a is better than b in the mean over their common seeds, for these trainings.

    None where values per image are not known, or too few for a bootstrap.
    """
    differences = paired(grid, replace(metric, scale="linear"), a, b)
    if differences.ndim != 2 or len(differences) == 0 or differences.shape[1] < BOOTSTRAP_FROM:
        return None
    better = (metric.sign * differences.mean(axis=0) > 0).astype(np.float64)
    low, high = bootstrap_interval(better, np.random.default_rng(0))
    return ImageShare(float(better.mean()), low, high, len(better))


def contrast(
    grid: GridResults,
    metric: ShownMetric,
    terms: Sequence[tuple[float, CellRuns]],
    among: Collection[int] | None = None,
) -> Array:
    """Σ c · cell over terms (c, cell): [n] per seed that all of them finished on one kind of machine, or [n, m] per
    such seed and image; of the seeds `among` these, where they are given."""
    values = [cell.estimate(metric.name).values for _, cell in terms]
    common = set.intersection(*({seed for seed, v in of.items() if math.isfinite(v)} for of in values))
    alike = {seed for seed in common if len({cell.kinds[seed] for _, cell in terms}) == 1}
    seeds = sorted(alike if among is None else alike & set(among))
    by_image = [_images(grid, metric, cell, seeds) for _, cell in terms]
    whole = [images for images in by_image if images is not None]
    by_seed = [on_scale(metric, np.array([of[seed] for seed in seeds], dtype=np.float64)) for of in values]
    parts = whole if len(whole) == len(terms) else by_seed
    total: Array = np.sum([c * part for (c, _), part in zip(terms, parts, strict=True)], axis=0)
    return total


def _images(grid: GridResults, metric: ShownMetric, cell: CellRuns, seeds: Sequence[int]) -> Array | None:
    """The values [n, m] of a cell per seed and image as they are compared; None where a seed lacks them."""
    if not seeds or grid.images.empty:
        return None
    try:
        places = [grid.images.index.get_loc((cell.cell_id, seed, metric.name)) for seed in seeds]
    except KeyError:
        return None
    values: Array = grid.images.to_numpy(dtype=np.float64)[np.array(places, dtype=np.intp)]
    if not np.isfinite(values).all():
        return None
    return values if metric.scale == "linear" else log_of_mean(values)


def log_of_mean(values: Array) -> Array:
    """The parts [..., m] that values per image [..., m] have in the log of their mean, which is the parts' mean.

    The mean must be above 0, and a value need not be. Their spread is that of the log by the delta method.
    """
    mean = values.mean(-1, keepdims=True)
    return np.asarray(np.log(mean) + values / mean - 1)


def curves_of(curves: pd.DataFrame, name: str, cells: Sequence[CellRuns]) -> list[pd.DataFrame]:
    """The curve of this name as [x, seed] of each cell, without points that are not finite; empty where it has none."""
    finite = curves[(curves["curve"] == name) & np.isfinite(curves["y"])]
    by_id = {str(cell_id): rows for cell_id, rows in finite.groupby("cell_id", sort=False)}
    ids = [set(cell.runs["cell_id"]) for cell in cells]
    return [_curve_of([by_id.get(i, finite[:0]) for i in own], cell) for own, cell in zip(ids, cells, strict=True)]


def _curve_of(parts: list[pd.DataFrame], cell: CellRuns) -> pd.DataFrame:
    """The curve of a cell among the rows of its ids."""
    rows = parts[0] if len(parts) == 1 else pd.concat(parts).sort_index()
    own = rows[rows["seed"].isin(set(cell.runs["seed"]))]
    return pd.DataFrame(own.pivot_table(index="x", columns="seed", values="y", aggfunc="last"))


def shared(of_cells: Iterable[tuple[CellRuns, T]], agree: Callable[[T, T], bool]) -> list[tuple[T, list[CellRuns]]]:
    """The things that cells have and that can be told apart, each by its first cell, with the cells that have it."""
    apart: list[tuple[T, list[CellRuns]]] = []
    for cell, own in of_cells:
        cells = next((cells for other, cells in apart if agree(other, own)), None)
        if cells is None:
            apart.append((own, [cell]))
        else:
            cells.append(cell)
    return apart
