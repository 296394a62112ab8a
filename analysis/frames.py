"""The files of results folders as frames; an error names the file and the fault in one line.

curves.parquet has the curves that pages or a tracking store read: cell_id, seed, curve, x, y. What a formula gives a
cell is there once, without a seed.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pandas as pd

from analysis.errors import InputError
from analysis.files import replace_file
from analysis.schema import BOUND, BY_SET, CURVES, CURVES_FILE, FORMULA_CURVES, OVER_STEPS

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


def check_curves(folder: Path, command: str | None) -> None:
    """InputError where a results folder, which `command` made, has no curves.parquet."""
    if not (folder / CURVES_FILE).is_file():
        again = f"run {f'`{command}`' if command else 'its command'} again, which repeats no finished stage"
        raise InputError(f"{folder} is of an earlier version, without {CURVES_FILE}: {again}")


def read_curves(folder: Path, *names: str) -> pd.DataFrame:
    """The curves of a results folder, all or of these names, −1 for the seed of a formula; InputError where the file is
    damaged."""
    path, chosen = folder / CURVES_FILE, [("curve", "in", names)] if names else None
    try:
        curves = pd.read_parquet(path, columns=list(CURVES), filters=chosen, page_checksum_verification=True)
    except (OSError, ValueError, LookupError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path} cannot be read ({reason}): run the grid again, what has finished stays") from error
    return curves.assign(seed=curves["seed"].fillna(-1).astype("int64"))


def read_csv(path: Path, needed: Sequence[str]) -> pd.DataFrame:
    """A CSV file as text; InputError where it is missing, cut off, or lacks columns."""
    if not path.is_file():
        raise InputError(f"{path} is missing: {AGAIN}")
    content = path.read_bytes()
    try:
        # The copy has its columns in one block, which is read faster.
        texts = pd.read_csv(io.BytesIO(content), dtype=object, keep_default_na=False, index_col=False).copy()
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a CSV file ({' '.join(str(error).split())}): {AGAIN}") from error
    if not content.endswith(b"\n"):
        raise InputError(f"{path} is cut off in its last line: {AGAIN}")
    missing = [name for name in needed if name not in texts]
    if missing:
        raise InputError(f"{path} lacks the column(s) {', '.join(missing)}: {AGAIN}")
    return texts


def numbers(texts: pd.Series, name: str, source: Path) -> pd.Series:
    """A column as float64, empty as nan; InputError where one is no number."""
    try:
        return pd.Series([float(text or "nan") for text in texts], texts.index, dtype="float64")
    except ValueError as error:
        raise InputError(f"{source}: the column {name!r} holds a text where a number is due ({error})") from error
