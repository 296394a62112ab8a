"""What a grid declares beforehand: its comparisons, the differences that matter, the seeds of each cell."""

from __future__ import annotations

import math

import pytest

from analysis.errors import InputError
from analysis.grid_json import Meta, MetricInfo, parse_meta
from analysis.schema import Primary

NLL = MetricInfo("nll/test", "NLL", "min", relevant=0.01)
FID = MetricInfo("fid/train/x", "FID", "min", scale="log", relevant=0.05)


def grid(**changes) -> Meta:
    """Two axes of two levels each: aa, ab, ba, bb."""
    cells = {f"{x}{y}": {"x": x, "y": y} for x in "ab" for y in "ab"}
    of = {"axes": (), "metrics": (NLL, FID), "seeds": (4, 5, 6, 7, 8), "cells": cells, "baseline": {"x": "a", "y": "b"}}
    return Meta("tiny", "?", "general", "digits", **{**of, **changes})


B, ALL = {"x": "b"}, [("aa", "ab"), ("ba", "ab"), ("bb", "ab")]
BOTH = Primary(B, at={"y": ("a", "b")})


@pytest.mark.parametrize(
    ("primary", "changes", "declared", "rows"),
    [
        pytest.param((), {}, ALL, (), id="all-with-the-baseline"),
        pytest.param((), {"baseline": B}, [("aa", "ba"), ("ab", "bb")], ("y",), id="of-its-row"),
        pytest.param((), {"baseline": {"x": "z"}}, [("ba", "aa"), ("bb", "ab")], ("y",), id="of-one-that-is-gone"),
        pytest.param((Primary(B),), {}, [("bb", "ab")], (), id="the-baselines-level-where-it-names-none"),
        pytest.param((Primary(B, {"y": "a"}),), {}, [("bb", "aa")], (), id="named"),
        pytest.param((Primary(B),), {"baseline": {"x": "a"}}, [("ba", "aa"), ("bb", "ab")], ("y",), id="every-level"),
        pytest.param((Primary(B, at={"y": ("a",)}),), {}, [("ba", "aa")], (), id="at-a-level"),
        pytest.param((Primary(B, at={"y": ("b", "c")}),), {}, [("bb", "ab")], (), id="at-one-that-is-gone"),
        pytest.param((Primary({"x": "c"}),), {}, ALL, (), id="of-a-cell-that-lacks"),
        pytest.param((BOTH,), {}, [("ba", "aa"), ("bb", "ab")], ("y",), id="within"),
        pytest.param((BOTH, Primary({"y": "a"})), {}, [("ba", "aa"), ("bb", "ab"), ("aa", "ab")], (), id="across-too"),
    ],
)
def test_what_is_declared_and_the_rows_along_which_nothing_declared_goes(primary, changes, declared, rows):
    known = grid(primary=primary, **changes)
    assert (known.declared, known.rows) == (declared, rows)


def test_the_margin_is_on_the_scale_of_the_metric():
    assert (NLL.margin, FID.margin) == (0.01, pytest.approx(math.log(1.05)))
    assert math.isnan(MetricInfo("is/x", "IS", "max").margin)


def test_a_file_of_brackets_alone_is_no_grid():
    with pytest.raises(InputError, match=r"^grid\.json is not the description of a grid: the file: Invalid JSON"):
        parse_meta("[" * 100_000, "grid.json")
