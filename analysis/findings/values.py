"""The values of a grid's cells as arrays, by seed and, where possible, by held-out image; their curves as [x, seed].

A metric is compared on its scale: on a log scale, a difference is the log of a ratio. Only likelihoods have a value per
image. Their differences then include the error from the choice of images, besides that of the seeds. A FID has no such
part; its sampling noise is part of the noise of its seeds. On a log scale, a cell's value is the log of its mean x̄
over images. To first order, an image's part in it is log x̄ + (x_i − x̄)/x̄, and the mean of these parts is log x̄.

Two cells are compared at the seeds for which one kind of machine ran both. Kinds of machine round differently, which
changes a training as much as another seed does, and so the cells of one seed no longer share their noise. Unknown
counts as a kind too, because rows of one grid without a record are all from before kinds were recorded.
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
from analysis.grid_json import ShownMetric
from analysis.labels import cell_name
from analysis.read.runs import GridResults
from analysis.statistics.paired import BOOTSTRAP_FROM, bootstrap_interval

Column = tuple[int, str]  # a seed, and the kind of machine that made the values of cells there


def by_kind(kinds: Iterable[dict[int, str]], values: Iterable[dict[int, float]]) -> list[dict[Column, float]]:
    """The values of each cell, by (seed, kind of machine) instead of by seed alone; the kind is "" if unknown."""
    return [
        {(seed, made.get(seed, "")): value for seed, value in of.items()}
        for made, of in zip(kinds, values, strict=True)
    ]


def kinds_of(cells: Iterable[CellRuns]) -> list[dict[int, str]]:
    """Seed → the kind of machine that ran it, for each of these cells."""
    return [cell.kinds for cell in cells]


def table_of(values: Sequence[dict[Column, float]], columns: Sequence[Column]) -> Array:
    """Values as [k, n] by cell and column, nan where there is none."""
    table = np.array([[of.get(column, math.nan) for column in columns] for of in values], dtype=np.float64)
    return table.reshape(len(values), len(columns))


def held_against_all(cells: Sequence[CellRuns], metric: str) -> list[bool]:
    """A flag per cell, True if it shares two or more seeds of one kind with every cell that has so many values."""
    have = [of.keys() for of in by_kind(kinds_of(cells), [cell.estimate(metric).values for cell in cells])]
    return [all(len(own & other) > 1 for other in have if len(other) > 1) for own in have]


@dataclass(frozen=True)
class Unpaired:
    """The number of `pairs` of runs at a common seed, and of those `left_out` because two kinds of machine ran them;
    and of comparisons left `untested`, with fewer than two seeds, for that reason."""

    left_out: int
    pairs: int
    untested: int

    @staticmethod
    def of(compared: Iterable[tuple[CellRuns, CellRuns]]) -> Unpaired:
        """The counts over these comparisons of two cells."""
        alike = [[a.kinds[seed] == b.kinds[seed] for seed in a.kinds.keys() & b.kinds.keys()] for a, b in compared]
        pairs, kept = sum(map(len, alike)), sum(map(sum, alike))
        return Unpaired(pairs - kept, pairs, sum(sum(of) < 2 <= len(of) for of in alike))


Array = NDArray[np.float64]
T = TypeVar("T")
TRAINING = "train/network"
"""The curve of the loss over training steps."""


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
    """The values on the metric's scale: their logarithms if it is `log`."""
    return np.log(values) if metric.scale == "log" else values


def off_scale(metric: ShownMetric, mean: float, half_width: float, values: Array) -> Estimate:
    """A mean and half-width on the metric's scale, of values [seeds], as an estimate in units of the metric."""
    if metric.scale == "linear":
        return Estimate(mean, half_width, dict(enumerate(values.tolist())))
    return Estimate(math.exp(mean), half_width, dict(enumerate(np.exp(values).tolist())), factor=True)


def seeds_of(grid: GridResults, metric: ShownMetric, cells: Sequence[CellRuns]) -> list[int]:
    """The grid's seeds and any others of these cells, in order; a seed occurs once per kind of machine that ran it."""
    return [seed for seed, _ in _columns(grid, metric, cells)]


def _columns(grid: GridResults, metric: ShownMetric, cells: Sequence[CellRuns]) -> list[Column]:
    """The pairs of each seed with each kind of machine that ran any of these cells there."""
    values = by_kind(kinds_of(cells), [cell.estimate(metric.name).values for cell in cells])
    made = {column for of in values for column in of}
    without = set(grid.meta.seeds) - {seed for seed, _ in made}
    return sorted(made | {(seed, "") for seed in without})


def values_of(grid: GridResults, metric: ShownMetric, cells: Sequence[CellRuns]) -> Array:
    """The values of cells on the metric's scale, [k, n] by cell and seed (`seeds_of`), or [k, n, m] by image too where
    each has them; nan where missing. A column is of one seed and one kind of machine."""
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
    """The differences a − b, [n] per common seed of one kind of machine, or [n, m] per such seed and held-out image;
    only of seeds `among` these, if given."""
    return contrast(grid, metric, [(1.0, a), (-1.0, b)], among)


@dataclass(frozen=True)
class ImageShare:
    """The share of n held-out images on which one cell is better than another, with a 95 % interval over images."""

    mean: float
    low: float
    high: float
    n: int


def share_of_images(grid: GridResults, metric: ShownMetric, a: CellRuns, b: CellRuns) -> ImageShare | None:
    """The share of images on which a is better than b in the mean over their common seeds.

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
    """The sum Σ c · cell over terms (c, cell): [n] per seed that one kind of machine finished for all, or [n, m] per
    such seed and image; only of seeds `among` these, if given."""
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
    """The parts [..., m] of images in the log of their mean, from values [..., m]; the mean of the parts is that log.

    The mean must be above 0, single values need not be. By the delta method, the parts' spread is that of the log.
    """
    mean = values.mean(-1, keepdims=True)
    return np.asarray(np.log(mean) + values / mean - 1)


def curves_of(curves: pd.DataFrame, name: str, cells: Sequence[CellRuns]) -> list[pd.DataFrame]:
    """The curve of this name as [x, seed] for each cell, with finite points only; empty where a cell has none."""
    finite = curves[(curves["curve"] == name) & np.isfinite(curves["y"])]
    by_id = {str(cell_id): rows for cell_id, rows in finite.groupby("cell_id", sort=False)}
    ids = [set(cell.runs["cell_id"]) for cell in cells]
    return [_curve_of([by_id.get(i, finite[:0]) for i in own], cell) for own, cell in zip(ids, cells, strict=True)]


def _curve_of(parts: list[pd.DataFrame], cell: CellRuns) -> pd.DataFrame:
    """The curve of a cell, from the rows of its ids."""
    rows = parts[0] if len(parts) == 1 else pd.concat(parts).sort_index()
    own = rows[rows["seed"].isin(set(cell.runs["seed"]))]
    return pd.DataFrame(own.pivot_table(index="x", columns="seed", values="y", aggfunc="last"))


def shared(of_cells: Iterable[tuple[CellRuns, T]], agree: Callable[[T, T], bool]) -> list[tuple[T, list[CellRuns]]]:
    """The distinct things that cells have, each with the cells that have it; `agree` says which two are the same."""
    apart: list[tuple[T, list[CellRuns]]] = []
    for cell, own in of_cells:
        cells = next((cells for other, cells in apart if agree(other, own)), None)
        if cells is None:
            apart.append((own, [cell]))
        else:
            cells.append(cell)
    return apart
