"""A results folder → tidy frames.

    runs    a row per cell and seed: cell_id, training_id, seed, status, reason, traceback, notes, autoencoder_id,
            not_comparable, code, numerics, data_digest, precision, machine, axis.*, parameters, metrics
    curves  cell_id, seed, curve, x, y
    images  cell_id, seed, metric → the value of each held-out image
    formulas  figure, series, x, y

All are put into one canonical order: rows by the axes' levels and seed; columns by kind and name. Names of metrics hold
a "/". Metrics that are the last point of a curve over training steps are left to the curves.

Rows of different versions are never mixed silently. `numerics` is raised whenever numbers at equal seed change, and
`data_digest` is of the images themselves: more than one of either is refused. `code` and `machine` may differ, and
`GridResults.codes` and `GridResults.machines` list them. All of these, and `precision`, are empty where not known.

`not_comparable` names kinds of metrics for which a finished run has no value that could be compared with others'. If
the source has values of these kinds, they are dropped here, so that nobody has to remember.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.csv_files import numbers, parse_csv, plain_texts, read_csv, whole_numbers
from analysis.curves import check_curves, read_curves
from analysis.errors import InputError
from analysis.folders import COMMITTED, names_in, no_grid
from analysis.grid_json import Axis, Meta, kind_of, parse_meta
from analysis.links import Tracking, read_tracking
from analysis.read.images import check_means, no_images, ordered_images, parse_images
from analysis.read.search import Search, of_trials, search_in
from analysis.read.view import Basis, as_of_round, of_round
from analysis.schema import (
    AMOUNTS,
    CURVES,
    FIXED,
    FORMULAS,
    LATENT,
    MACHINE,
    METADATA,
    NOT_COMPARABLE,
    NOTES,
    OVER_STEPS,
    SEVERAL,
    STATUSES,
    TRACEBACK,
    VERSIONS,
)

FORMULA_COLUMNS = ("figure", "series", "x", "y")
"""The columns of formulas.csv, curves that follow from formulas alone; `series` names a line, as readers write it."""


def no_formulas() -> pd.DataFrame:
    """The empty frame of formulas, for a folder without their file."""
    return _parse_formulas(f"{','.join(FORMULA_COLUMNS)}\n".encode(), "")


@dataclass(frozen=True, eq=False, repr=False)
class GridResults:
    """The results of a grid, as tidy frames. Curves, images and formulas are read when first asked for. If a command
    works in rounds, everything is as of the last round, with its `basis`.

    `samples` is the folder of sample sheets, `strips` that of forward and reverse processes, `reconstructions` that of
    test images after an autoencoder. `tracking` is None if the grid was delivered to no store. `search` is the search
    whose winners the grid confirms, if any.
    """

    meta: Meta
    runs: pd.DataFrame
    samples: Path | None
    load_curves: Callable[[], pd.DataFrame]
    load_images: Callable[[], pd.DataFrame] = no_images
    tracking: Tracking | None = None
    strips: Path | None = None
    load_formulas: Callable[[], pd.DataFrame] = no_formulas
    reconstructions: Path | None = None
    search: Search | None = None
    basis: Basis | None = None

    def __repr__(self) -> str:
        """One line: the grid, its runs by status, its axes and its metrics."""
        ended = ", ".join(f"{count} {status}" for status, count in Counter(self.runs["status"]).items())
        axes = ", ".join(axis.name for axis in self.meta.axes) or "none"
        metrics = ", ".join(metric.label for metric in self.meta.metrics)
        cells = self.runs["cell_id"].nunique()
        return f"<results of {self.meta.name}: {cells} cells, runs {ended}; axes: {axes}; metrics: {metrics}>"

    def _repr_html_(self) -> str:
        """The line of `__repr__` above a table of the runs' axes, seeds and metrics, for notebooks."""
        shown = [f"axis.{axis.name}" for axis in self.meta.axes] + ["seed", "status"]
        shown += [metric.name for metric in self.meta.metrics if metric.name in self.runs]
        return f"<p>{escape(repr(self)[1:-1])}</p>{self.runs[shown].to_html(index=False, max_rows=20)}"

    @cached_property
    def curves(self) -> pd.DataFrame:
        """The curves, (cell_id, seed, curve, x, y), in the order of the runs."""
        return ordered_curves(self.load_curves(), self.runs)

    @cached_property
    def images(self) -> pd.DataFrame:
        """Bits/dim of each held-out image, float64 [rows, N] by (cell_id, seed, metric), in the order of the runs.

        No rows where nothing is known per image.
        """
        return ordered_images(self.load_images(), self.runs)

    @cached_property
    def formulas(self) -> pd.DataFrame:
        """The curves of formulas, (figure, series, x, y), in the order of the file; no rows where there is none."""
        return self.load_formulas()

    @property
    def codes(self) -> list[tuple[str, int]]:
        """Each known version of the code, with the number of runs that it trained or scored, in order of the runs."""
        return self._named("code")

    @property
    def machines(self) -> list[tuple[str, int]]:
        """Each known kind of machine, with the number of runs that it computed any part of, in order of the runs."""
        return self._named(MACHINE)

    def _named(self, column: str) -> list[tuple[str, int]]:
        """The names in a column that may hold several, each with the number of its runs."""
        return list(Counter(name for names in self.runs[column] for name in names.split(SEVERAL) if name).items())


def read_folder(path: Path | str) -> GridResults:
    """The grid of `results/<grid>/`; InputError where it is missing or corrupt."""
    folder = Path(path)
    head = folder / "grid.json"
    if not head.is_file():
        committed = [f"{COMMITTED}/{name}" for name in names_in(folder.parent / COMMITTED)]
        raise no_grid(folder, [*names_in(folder.parent), *committed])
    meta = parse_meta(head.read_bytes(), str(head))
    check_curves(folder, meta.command)
    source = folder / "runs.csv"
    texts = read_csv(source, FIXED)
    search = search_in(folder, texts)
    if search is not None and not meta.cells:
        raise InputError(f"{folder} holds a search that has confirmed nothing, so it has no table: see its report.html")
    texts = texts[~of_trials(texts)]
    _check_whole(texts, of_round(meta), str(source))
    runs = tidy_runs(texts, meta, str(source))
    view = as_of_round(meta, runs, lambda: read_curves(folder))
    return GridResults(
        view.meta,
        view.runs,
        None if meta.at_rungs else _subfolder(folder / "samples"),
        view.load_curves,
        no_images if meta.at_rungs else lambda: _read_images(folder / "images.csv", runs),
        read_tracking(folder / "tracking.json"),
        None if meta.at_rungs else _subfolder(folder / "strips"),
        lambda: _read_formulas(folder / FORMULAS),
        None if meta.at_rungs else _subfolder(folder / "reconstructions"),
        search,
        view.basis,
    )


def tidy_runs(texts: pd.DataFrame, meta: Meta, source: str) -> pd.DataFrame:
    """The runs from their texts, in canonical order; InputError where a row cannot be of this grid."""
    texts = plain_texts(texts)
    texts = texts.assign(**{name: "" for name in (TRACEBACK, NOTES, *LATENT, *VERSIONS) if name not in texts})
    texts = _comparable(texts)
    names = [column for column in texts.columns if column not in METADATA]
    axes = [f"axis.{axis.name}" for axis in meta.axes]
    for column in axes:
        if column not in names:
            raise InputError(f"{source} lacks the column {column!r} of the axis in grid.json: run the grid again")
    filled = [name for name in names if (texts[name] != "").any()]
    metrics = sorted(name for name in filled if "/" in name and not name.startswith(OVER_STEPS))
    parameters = sorted(name for name in filled if "/" not in name and not name.startswith("axis."))
    runs = texts[[*METADATA, *axes, *parameters, *metrics]].copy()
    runs["seed"] = whole_numbers(runs["seed"], "seed", source)
    for name in metrics:
        runs[name] = numbers(runs[name], name, source)
    _check(runs, axes, source)
    _check_levels(runs, meta.axes, source)
    _check_amounts(runs, source)
    _check_versions(runs, source)
    return _sorted(runs, meta.axes)


def _comparable(texts: pd.DataFrame) -> pd.DataFrame:
    """The texts without the values that their own rows call not comparable."""
    kinds = [text.split(SEVERAL) for text in texts[NOT_COMPARABLE]]
    named = {kind for of_row in kinds for kind in of_row if kind}
    metrics = [str(name) for name in texts if "/" in str(name) and kind_of(str(name)) in named]
    apart = {name: np.array([kind_of(name) in of_row for of_row in kinds]) for name in metrics}
    return texts.assign(**{name: texts[name].mask(apart[name], "") for name in metrics})


def ordered_curves(curves: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """Curves of these runs in their order, each by x."""
    order = {key: i for i, key in enumerate(zip(runs["cell_id"], runs["seed"], strict=True))}
    position = [order.get(key, -1) for key in zip(curves["cell_id"], curves["seed"], strict=True)]
    placed = curves.assign(position=position)
    placed = placed[placed["position"] >= 0].sort_values(["position", "curve", "x"], kind="stable")
    return placed[list(CURVES)].reset_index(drop=True)


def _sorted(runs: pd.DataFrame, axes: Sequence[Axis]) -> pd.DataFrame:
    keys = {str(i): runs[f"axis.{axis.name}"].map(axis.position) for i, axis in enumerate(axes)}
    order = pd.DataFrame({**keys, "cell_id": runs["cell_id"], "seed": runs["seed"]})
    return runs.loc[order.sort_values(list(order.columns), kind="stable").index].reset_index(drop=True)


def _check(runs: pd.DataFrame, axes: list[str], source: str) -> None:
    """InputError where a status is unknown, or a place in the grid has two rows at a seed."""
    strange = sorted(set(runs["status"]) - set(STATUSES))
    if strange:
        raise InputError(f"{source} holds the status {strange[0]!r}: expected one of {', '.join(STATUSES)}")
    twice = runs[runs.duplicated([*axes, "seed"], keep=False)]
    if len(twice):
        ids = sorted(set(twice["cell_id"]))
        place = ", ".join(f"{axis.removeprefix('axis.')}={twice.iloc[0][axis]}" for axis in axes) or "the cell"
        raise InputError(
            f"{source} holds {place} at seed {twice.iloc[0]['seed']} more than once (cell_id {', '.join(ids)}): "
            "runs of different choices or versions are not mixed; keep one and remove the other"
        )


def _check_levels(runs: pd.DataFrame, axes: Sequence[Axis], source: str) -> None:
    """InputError where a row has a level that its axis lacks."""
    for axis in axes:
        names = [level.name for level in axis.levels]
        strange = sorted(set(runs[f"axis.{axis.name}"]) - set(names))
        if strange:
            raise InputError(
                f"{source} holds {axis.name}={strange[0]}, which grid.json does not list: expected one of "
                f"{', '.join(names)}; run the grid again, its finished stages are not repeated"
            )


def _check_amounts(runs: pd.DataFrame, source: str) -> None:
    """InputError where an amount is not a whole number above 0; it may be empty."""
    for name in (name for name in AMOUNTS if name in runs):
        strange = [text for text in runs[name].unique() if text and not (text.isdecimal() and int(text))]
        if strange:
            raise InputError(f"{source}: the column {name!r} holds {strange[0]!r} where a whole number above 0 is due")


def _check_whole(texts: pd.DataFrame, meta: Meta, source: str) -> None:
    """InputError where a cell lacks a row at a seed that it was run at: every run has a row, however it ended."""
    there = set(zip(texts["cell_id"], texts["seed"], strict=True))
    missing = [(cell, seed) for cell in meta.cells for seed in meta.seeds_of(cell) if (cell, str(seed)) not in there]
    if missing:
        cell, seed = missing[0]
        raise InputError(
            f"{source} lacks {len(missing)} of the rows that grid.json lists (cell_id {cell} at seed {seed}, …): "
            "run the grid again, its finished stages are not repeated"
        )


def _check_versions(runs: pd.DataFrame, source: str) -> None:
    """InputError where rows cannot be compared: several numerics, or several data sets behind one value of `data`."""
    _check_one_known(runs, "numerics", source)
    for data, rows in runs.groupby("data", sort=True) if "data" in runs else [("", runs)]:
        _check_one_known(rows, "data_digest", f"{source} (data={data})")


def _check_one_known(rows: pd.DataFrame, name: str, source: str) -> None:
    versions = sorted({version for version in rows[name] if version})
    if len(versions) > 1:
        raise InputError(
            f"{source} holds rows of more than one {name} ({', '.join(versions)}), whose numbers are not compared: "
            "keep the rows of one and remove the others, or run the grid again under a name=… of its own"
        )


def _read_images(path: Path, runs: pd.DataFrame) -> pd.DataFrame:
    images = parse_images(path.read_bytes(), str(path)) if path.is_file() else no_images()
    check_means(images, runs, str(path))
    return images


def _read_formulas(path: Path) -> pd.DataFrame:
    return _parse_formulas(path.read_bytes(), str(path)) if path.is_file() else no_formulas()


def _parse_formulas(content: bytes, source: str) -> pd.DataFrame:
    """The curves of formulas, series and points in the order in which they are drawn; InputError where damaged."""
    texts = parse_csv(content, FORMULA_COLUMNS, source)
    points = {name: numbers(texts[name], name, source) for name in ("x", "y")}
    return texts.assign(**points)[list(FORMULA_COLUMNS)]


def _subfolder(path: Path) -> Path | None:
    return path if path.is_dir() else None
