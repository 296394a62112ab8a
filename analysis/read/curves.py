"""curves.csv: what each run reported over its steps, its schedule, its bound per t."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from analysis.format.csv_files import numbers, read_csv, whole_numbers
from analysis.format.names import CURVES


def read_curves(path: Path) -> pd.DataFrame:
    """The points (cell_id, seed, curve, x, y) of a file; InputError where it is missing or one is no number."""
    texts = read_csv(path, CURVES)
    points = {name: numbers(texts[name], name, str(path)) for name in ("x", "y")}
    return texts.assign(seed=whole_numbers(texts["seed"], "seed", str(path)), **points)[list(CURVES)]
