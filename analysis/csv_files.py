"""CSV files as text, and their columns as numbers. An error names the file and the fault in one line."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.allowed import first_twice
from analysis.errors import InputError
from analysis.guarded import APOSTROPHE, is_number, read_back
from analysis.labels import counted
from analysis.plain import plain


def read_csv(path: Path, needed: Sequence[str]) -> pd.DataFrame:
    """A CSV file as text; InputError where it is missing, unreadable, or lacks columns."""
    if not path.is_file():
        raise InputError(f"{path} is missing: run the grid again, its finished stages are not repeated")
    return parse_csv(path.read_bytes(), needed, str(path))


def parse_csv(content: bytes, needed: Sequence[str], source: str) -> pd.DataFrame:
    """The content of a CSV file as text; errors call it `source`."""
    try:
        texts = pd.read_csv(io.BytesIO(content), dtype=str, keep_default_na=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{source} is not a CSV file ({reason}): run the grid again") from error
    check_whole(content, source)
    _check_fields(content, source)
    if APOSTROPHE in content:
        texts = texts.rename(columns=read_back).map(read_back)
    _check_ids(texts, source)
    check_columns(texts, needed, source)
    return texts


def check_columns(texts: pd.DataFrame, needed: Sequence[str], source: str) -> None:
    """InputError where some of these columns are not there."""
    missing = [name for name in needed if name not in texts.columns]
    if missing:
        raise InputError(f"{source} lacks the column(s) {', '.join(missing)}: expected at least {', '.join(needed)}")


IDS = ("cell_id", "training_id", "autoencoder_id", "seed")
"""The columns whose texts are names of files and folders."""


def plain_texts(texts: pd.DataFrame) -> pd.DataFrame:
    """The texts made safe to show: every character is visible in heads, and in columns that are no metrics."""
    shown = texts.rename(columns=plain)
    return shown.assign(**{name: shown[name].map(plain) for name in shown.columns if "/" not in name})


def _check_fields(content: bytes, source: str) -> None:
    """InputError where two columns have one name, or a row has another length: pandas would rename or fill up."""
    try:
        heads, *rows = (row for row in csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")) if row)
    except (ValueError, csv.Error) as error:
        raise InputError(f"{source} is not a CSV file ({error}): run the grid again") from error
    twice = first_twice(heads)
    if twice is not None:
        raise InputError(f"{source} has several columns {twice!r}: keep one and remove the others")
    torn = next(((i, row) for i, row in enumerate(rows, start=1) if len(row) != len(heads)), None)
    if torn is not None:
        i, row = torn
        reason = f"row {i} below the heads has {counted(len(row), 'field')} for {counted(len(heads), 'column')}"
        raise InputError(
            f"{source} is not a CSV file ({reason}): run the grid again, what has finished is not repeated"
        )


def _check_ids(texts: pd.DataFrame, source: str) -> None:
    """InputError where an id, which names files and folders, could lead to another folder."""
    for name in (name for name in IDS if name in texts.columns):
        for text in texts[name].unique():
            if text and re.fullmatch(r"\w[\w. -]*", text) is None and not is_number(text):
                raise InputError(
                    f"{source}: the column {name!r} holds {text!r}, which is no id: letters and digits alone"
                )


def check_whole(content: bytes, source: str) -> None:
    """InputError where the last line of a file does not end: a reader would take a part for the whole."""
    if content and not content.endswith(b"\n"):
        raise InputError(f"{source} is cut off in its last line: run the grid again, what has finished is not repeated")


def numbers(values: pd.Series[Any], name: str, source: str) -> pd.Series[Any]:
    """A column as float64, empty as nan; InputError where one is no number."""
    return pd.Series(floats([text or "nan" for text in values.tolist()], name, source), index=values.index)


def floats(texts: Iterable[str], name: str, source: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Texts as float64 [N]. Python's float() reads back exactly what was written; pandas' fast parser may not."""
    try:
        return np.fromiter(map(float, texts), np.float64)
    except ValueError as error:
        raise InputError(f"{source}: the column {name!r} holds {_given(error)} where a number is due") from error


def whole_numbers(values: pd.Series[Any], name: str, source: str) -> pd.Series[Any]:
    """A column as int64; InputError where one is no whole number."""
    try:
        return pd.Series([int(value) for value in values.tolist()], index=values.index, dtype="int64")
    except ValueError as error:
        raise InputError(f"{source}: the column {name!r} holds {_given(error)} where a whole number is due") from error


def _given(error: ValueError) -> str:
    """The text that could not be converted, in quotes."""
    return str(error).split(": ")[-1]
