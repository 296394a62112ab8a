"""Results folders made by hand, each written as the suite writes one: grid.json, runs.csv, curves.parquet.

    make_folder(path, {"a": [2.5, 2.6, 2.4], "b": {0: 2.4, 2: 2.3}})                 one axis, one metric, seeds 0, 1, 2
    make_folder(path, {("a", "x"): {0: {NLL: 2.5, FID: 40.0}}}, metrics=(NLL, FID))  two axes, two metrics

A cell's id is its levels, joined by "-". A value of None is a run that diverged; a seed that a cell lacks has no row.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

NLL, FID, IS, COUNT = "nll/test", "fid/train/digits-cnn", "is/digits-cnn", "modes/missed"
METRICS: dict[str, dict[str, Any]] = {
    NLL: {"label": "NLL", "unit": "bits/dim", "direction": "min", "decimals": 2, "decides": "likelihood"},
    FID: {"label": "FID", "direction": "min", "decimals": 1, "decides": "samples", "scale": "log", "least": 0.0},
    IS: {"label": "IS", "direction": "max", "decimals": 2},
    COUNT: {"label": "Modes missed", "direction": "min", "decides": "samples", "resolution": 1.0},
}
"""What grid.json says of a metric. None has a margin: `relevant={"nll": 0.01}` names one."""

Row = dict[str, Any]
Values = Mapping[Any, Mapping[int, Any] | Sequence[Any]]
"""Levels of a cell → seed → its value, or values by metric; a sequence has the seeds 0, 1, …"""


def make_folder(
    path: Path,
    values: Values,
    *,
    metrics: Sequence[str] | Mapping[str, Row] = (NLL,),
    change: Callable[[Row], Row | None] = dict,
    curves: Sequence[tuple[str, int, str, float, float]] = (),
    **meta: Any,
) -> Path:
    """A results folder of these values; a mapping of `metrics` says what else is known of them.

    `change` makes each row of runs.csv another, or None to leave it out; `meta` has further keys of grid.json, whose
    axes are called a, b, … if it names none.
    """
    cells = {levels if isinstance(levels, tuple) else (levels,): by_seed for levels, by_seed in values.items()}
    head = {**described(cells, metrics), **meta}
    names = [axis["name"] for axis in head["axes"]]
    made = [
        change(row_of(levels, seed, names, value, next(iter(metrics))))
        for levels, by_seed in cells.items()
        for seed, value in seeded(by_seed)
    ]
    path.mkdir(parents=True, exist_ok=True)
    (path / "grid.json").write_text(json.dumps(head, ensure_ascii=False), encoding="utf-8")
    write_runs(path, [row for row in made if row is not None])
    write_curves(path, curves)
    return path


def described(cells: Mapping[tuple[str, ...], Any], metrics: Sequence[str] | Mapping[str, Row]) -> dict[str, Any]:
    """The grid.json of these cells; the baseline is the first."""
    names = "abcdefgh"[: len(next(iter(cells)))]
    levels = [list(dict.fromkeys(cell[i] for cell in cells)) for i in range(len(names))]
    known = metrics if isinstance(metrics, Mapping) else {name: {} for name in metrics}
    seeds = sorted({seed for by_seed in cells.values() for seed, _ in seeded(by_seed)})
    return {
        "name": "made",
        "question": "Which is better?",
        "layout": "general",
        "data": "digits",
        "axes": [axis_of(name, name.upper(), own) for name, own in zip(names, levels, strict=True)],
        "metrics": [{"name": name, **METRICS.get(name, {}), **more} for name, more in known.items()],
        "seeds": seeds,
        "cells": {"-".join(cell): dict(zip(names, cell, strict=True)) for cell in cells},
        "baseline": dict(zip(names, next(iter(cells)), strict=True)),
    }


def axis_of(name: str, label: str, levels: Sequence[str] | Mapping[str, str]) -> dict[str, Any]:
    """An axis of grid.json, its levels called by their names, or as a mapping of these says."""
    called = levels if isinstance(levels, Mapping) else dict(zip(levels, levels, strict=True))
    return {"name": name, "label": label, "levels": [{"name": level, "label": text} for level, text in called.items()]}


def seeded(by_seed: Mapping[int, Any] | Sequence[Any]) -> list[tuple[int, Any]]:
    """The seeds of a cell with their values."""
    return list(by_seed.items() if isinstance(by_seed, Mapping) else enumerate(by_seed))


def row_of(levels: tuple[str, ...], seed: int, names: Sequence[str], value: Any, metric: str) -> Row:
    """A row of runs.csv, of a cell with a training of its own."""
    cell = "-".join(levels)
    row = {"cell_id": cell, "training_id": f"t-{cell}", "seed": seed, "status": "finished", "reason": ""}
    row |= {f"axis.{name}": level for name, level in zip(names, levels, strict=True)}
    if value is None:
        return row | {"status": "diverged", "reason": "the loss was not finite at step 120"}
    return row | (dict(value) if isinstance(value, Mapping) else {metric: value})


def write_runs(folder: Path, rows: Sequence[Row]) -> None:
    """The folder's runs.csv, a column for each key that any row has."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with (folder / "runs.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        table.writeheader()
        table.writerows({key: repr(v) if isinstance(v, float) else v for key, v in row.items()} for row in rows)


def write_curves(folder: Path, points: Sequence[tuple[str, int, str, float, float]]) -> None:
    """The folder's curves.parquet, of points (cell_id, seed, curve, x, y); −1 is the seed of a formula."""
    frame = pd.DataFrame(points, columns=["cell_id", "seed", "curve", "x", "y"])
    kinds = {"cell_id": str, "seed": "int64", "curve": str, "x": "float64", "y": "float64"}
    frame.astype(kinds).to_parquet(folder / "curves.parquet", index=False)
