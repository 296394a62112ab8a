"""Trials of a search and cells in the same files: each writer leaves what is the other's."""

from __future__ import annotations

import json

import pytest

from ablations.results.folder import standing
from ablations.results.trials import Part, parts_of, write_parts
from analysis.errors import InputError

FIXED = {"training_id": "", "status": "finished", "reason": ""}


def row(cell, seed, trial="", **more):
    return {"cell_id": cell, **FIXED, "seed": str(seed), "trial": trial} | more


def point(cell, seed, curve="train/network"):
    return {"cell_id": cell, "seed": str(seed), "curve": curve, "x": "10", "y": "0.5"}


TRIALS = Part(
    {"search": {"seeds": [0, 1]}},
    [row("a", 0, "0", **{"nll/val": "2.5"}), row("b", 0, "1", **{"nll/val": "2.4"})],
    [point("a", 0), point("a", 1), point("b", 0, "rung/nll/val")],
)
CELLS = Part({"cells": {"a": {}, "b": {}}}, [row("a", 2, fid="3"), row("b", 2)], [point("a", 2), point("ae", 0)])


def test_both_are_read_back_and_written_the_same(tmp_path):
    write_parts(tmp_path, TRIALS, CELLS)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    trials, cells = parts_of(tmp_path, standing(tmp_path))
    assert [one["trial"] for one in trials.runs] == ["0", "1"]
    assert (trials.curves, cells.curves) == (TRIALS.curves, CELLS.curves)
    assert (trials.head, cells.head) == (TRIALS.head, CELLS.head)
    write_parts(tmp_path, trials, cells)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_what_failed_cells_said_leaves_no_column_once_they_are_mended(tmp_path):
    write_parts(tmp_path, TRIALS, CELLS)
    unbroken = (tmp_path / "runs.csv").read_text()
    failed = Part(CELLS.head, [row("a", 2, traceback="OSError", notes="a line"), *CELLS.runs[1:]], CELLS.curves)
    write_parts(tmp_path, TRIALS, failed)
    trials, cells = parts_of(tmp_path, standing(tmp_path))
    assert cells.runs[0]["traceback"] == "OSError"
    write_parts(tmp_path, trials, CELLS)
    assert (tmp_path / "runs.csv").read_text() == unbroken


def test_columns_are_there_before_any_row(tmp_path):
    columns = ("cell_id", "training_id", "seed", "status", "reason", "trial")
    write_parts(tmp_path, Part(TRIALS.head, columns=columns), Part({"cells": {}}))
    assert (tmp_path / "runs.csv").read_text() == f"{','.join(columns)}\n"
    assert parts_of(tmp_path, standing(tmp_path))[0].runs == []


def test_of_a_grid_without_a_search_nothing_is_read(tmp_path):
    (tmp_path / "runs.csv").write_text("torn")
    assert parts_of(tmp_path, None) == parts_of(tmp_path, {"cells": {}}) == (Part(), Part())
    write_parts(tmp_path, TRIALS, CELLS)
    assert json.loads((tmp_path / "grid.json").read_text()) == TRIALS.head | CELLS.head
    (tmp_path / "curves.csv").write_text("torn")
    with pytest.raises(InputError, match=r"curves\.csv is cut off"):
        parts_of(tmp_path, standing(tmp_path))
