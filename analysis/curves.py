"""curves.parquet of a results folder: cell_id, seed, curve, x, y; the curves that pages or a tracking store read.

What a formula gives a cell is there once, without a seed, and is read as a curve of each of the cell's seeds.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pandas as pd

from analysis.errors import InputError
from analysis.files import replace_file
from analysis.schema import BOUND, CURVES, CURVES_FILE, FORMULA_CURVES, OVER_STEPS

TYPES = {"cell_id": "str", "seed": "Int64", "curve": "str", "x": "float64", "y": "float64"}
PACKED = {"compression": "zstd", "use_dictionary": list(CURVES[:-1]), "use_byte_stream_split": ["y"]}
"""Parquet's options: values of y seldom repeat."""


def is_kept(curve: str) -> bool:
    """True for the name of a curve that the file holds."""
    return curve in (BOUND, *FORMULA_CURVES) or curve.startswith(OVER_STEPS)


def write_curves(folder: Path, curves: pd.DataFrame) -> None:
    """Write curves.parquet of a results folder; a seed may be missing."""
    typed = curves[list(CURVES)].astype(TYPES)
    replace_file(folder / CURVES_FILE, partial(typed.to_parquet, index=False, write_page_checksum=True, **PACKED))
    # An earlier version's, which nothing reads.
    (folder / "curves.csv").unlink(missing_ok=True)


def check_curves(folder: Path, command: str | None) -> None:
    """InputError where a results folder, which `command` made, has no curves.parquet."""
    if not (folder / CURVES_FILE).is_file():
        old = (folder / "curves.csv").is_file()
        reason = f"is of an earlier version, with curves.csv for {CURVES_FILE}" if old else f"lacks {CURVES_FILE}"
        again = f"`{command}`" if command else "its command"
        raise InputError(f"{folder} {reason}: run {again} again, which repeats no finished stage")


def read_curves(folder: Path) -> pd.DataFrame:
    """The curves of a results folder, each with a seed; InputError where the file is damaged."""
    path = folder / CURVES_FILE
    try:
        curves = pd.read_parquet(path, columns=list(CURVES), page_checksum_verification=True)[list(CURVES)]
    except (OSError, ValueError, LookupError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path} cannot be read ({reason}): run the grid again, what has finished stays") from error
    by_formula = curves["seed"].isna()
    seeds = curves.loc[~by_formula, ["cell_id", "seed"]].drop_duplicates()
    formulas = curves[by_formula].drop(columns="seed").merge(seeds, on="cell_id")
    return pd.concat([curves[~by_formula], formulas], ignore_index=True).astype({"seed": "int64"})
