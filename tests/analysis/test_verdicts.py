"""The verdicts of all committed grids are those of the engine before this one, but for what a named rule changed."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from evidence.freshness import committed

ROOT = Path(__file__).parents[2]
BEFORE = pd.read_csv(Path(__file__).with_name("verdicts.csv"), dtype=str)
"""Verdict by grid, metric and cells; of a claim, a is "claim" and b its number."""
RENAMED = {
    "contrary to the paper": "contrary",
    "too early to say": "contrary",  # It was contrary, and more training might have turned it: nothing is forecast now.
    "no difference that matters": "cannot tell",  # Of a claim of a difference, equality is not asked any more.
}
SPLIT = {
    ("fid/train/digits-cnn", "b2afa5298d67", "181129529dc9"),
    *(("fid/train/digits-cnn", "claim", number) for number in "127"),
}
"""Of parameterization-long: beside claims that no look follows, looks have four fifths of α, and claims a fifth."""


def told(grid):
    """The verdicts of a committed grid by metric and cells."""
    rows = list(committed(grid).comparisons.itertuples())
    keys = [("claim", str(row.claim)) if row.kind == "claim" else (row.a, row.b) for row in rows]
    return {(row.metric, *key): row.outcome or row.verdict for row, key in zip(rows, keys, strict=True)}


@pytest.mark.parametrize("grid", BEFORE["grid"].unique())
def test_the_verdicts_of_a_committed_grid(grid):
    rows = BEFORE[BEFORE["grid"] == grid].drop(columns="grid").itertuples(index=False)
    expected = {tuple(row)[:3]: RENAMED.get(row.verdict, row.verdict) for row in rows}
    if grid == "parameterization-long":
        expected |= dict.fromkeys(SPLIT, "cannot tell")
    assert told(grid) == expected
