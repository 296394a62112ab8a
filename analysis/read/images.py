"""The cost of each held-out image in each run: the frame behind intervals that pair images.

    (cell_id, seed, metric)  →  0, 1, …, N − 1    bits/dim of the test split's images, in the order of the split

Every run is scored on the same images with the same noise, so a column is the same image in every row, and the
difference of two rows is paired by image. The mean over a row is the metric of that name in `runs`.

A file has a column per image, hundreds of them, which pandas reads far slower than Python's own csv.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.csv_files import check_whole, floats
from analysis.errors import InputError
from analysis.guarded import read_back
from analysis.schema import KEYS

ImageValues = np.ndarray[tuple[int], np.dtype[np.float64]]
Scored = tuple[str, int, str, ImageValues]
"""cell_id, seed, metric, and the value of each image."""

_ROUNDING = 1e-5
"""The share of a row's largest value by which the row's mean may differ from the metric, since both were rounded."""


def no_images() -> pd.DataFrame:
    """The empty frame, for runs without values per image."""
    return _frame([], "")


def parse_images(content: bytes, source: str) -> pd.DataFrame:
    """The frame of a file's content, in its order; InputError where it is damaged."""
    return _frame(_scored(content, source), source)


def ordered_images(images: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """The images of these runs, in the order of the runs; the metrics of one run are ordered by name."""
    order = {key: i for i, key in enumerate(zip(runs["cell_id"], runs["seed"], strict=True))}
    places = [
        (order[cell_id, seed], metric, row)
        for row, (cell_id, seed, metric) in enumerate(images.index)
        if (cell_id, seed) in order
    ]
    return images.iloc[[row for *_, row in sorted(places)]] if places else no_images()


def check_means(images: pd.DataFrame, runs: pd.DataFrame, source: str) -> None:
    """InputError where the mean over a run's images differs from its metric by more than rounding."""
    keys = list(zip(runs["cell_id"], runs["seed"], strict=True))
    for metric, rows in images.groupby(level="metric"):
        if metric in runs:
            metrics = dict(zip(keys, runs[metric], strict=True))
            stated = np.array([metrics.get((cell_id, seed), math.nan) for cell_id, seed, _ in rows.index])
            apart = np.abs(rows.mean(axis="columns").to_numpy() - stated)
            wrong = apart > _ROUNDING * np.abs(rows.to_numpy()).max(axis=1, initial=0.0)
            if wrong.any():
                cell_id, seed, _ = rows.index[int(wrong.argmax())]
                raise InputError(
                    f"{source}: the mean of {metric} over the images of cell_id {cell_id} at seed {seed} is not the "
                    f"{stated[wrong.argmax()]:g} of runs.csv: run the grid again, its finished stages are not repeated"
                )


def _scored(content: bytes, source: str) -> list[Scored]:
    """Each line of the file; InputError where the columns are not cell_id, seed, metric and 0, 1, …"""
    try:
        head, *lines = csv.reader(io.StringIO(content.decode("utf-8")))
    except (UnicodeDecodeError, csv.Error, ValueError) as error:
        raise InputError(f"{source} is not a CSV file ({error}): run the grid again") from error
    check_whole(content, source)
    k = len(KEYS)
    whole = [*KEYS, *(str(i) for i in range(len(head) - k))]
    if head != whole or any(len(line) != len(head) for line in lines):
        raise InputError(f"{source} is damaged: its columns are not {', '.join(KEYS)}, 0, 1, …: run the grid again")
    for _, seed, *_ in lines:
        if not seed.isdecimal():
            raise InputError(f"{source}: the column 'seed' holds {seed!r} where a whole number is due")
    return [
        (cell_id, int(seed), read_back(metric), floats(values, "0, 1, …", source))
        for cell_id, seed, metric, *values in lines
    ]


def _frame(rows: Sequence[Scored], source: str) -> pd.DataFrame:
    """The values, float64 [rows, N], by (cell_id, seed, metric); InputError where a row comes twice."""
    keys: list[pd.Series[Any]] = [
        pd.Series([cell_id for cell_id, *_ in rows], dtype="str"),
        pd.Series([seed for _, seed, *_ in rows], dtype="int64"),
        pd.Series([metric for *_, metric, _ in rows], dtype="str"),
    ]
    index = pd.MultiIndex.from_arrays(keys, names=KEYS)
    twice = index[index.duplicated()]
    if len(twice):
        raise InputError(f"{source} holds {' '.join(str(key) for key in twice[0])} more than once: run the grid again")
    table = np.array([values for *_, values in rows], np.float64).reshape(len(rows), len(rows[0][-1]) if rows else 0)
    return pd.DataFrame(table, index, pd.RangeIndex(table.shape[1]))
