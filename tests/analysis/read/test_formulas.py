"""Curves of formulas: in the order of the file, as numbers, and what is said of a file that is none."""

import pytest

from analysis.errors import InputError
from analysis.read.runs import read_folder
from tests.analysis.conftest import write_csv

HEAD = ("figure", "series", "x", "y")
ROWS = [
    ("prior", "sigmoid", 0.5, 1e-6),
    ("alpha_bar", "linear, β̃", 1, 0.1234567),
    ("alpha_bar", "ᾱ = 0.9", 0.001, -3.5),
]


def test_formulas_come_in_the_order_of_the_file_without_columns_that_are_not_known(folder):
    write_csv(folder / "formulas.csv", (*HEAD, "later"), [(*row, "x") for row in ROWS])
    grid = read_folder(folder)
    assert list(grid.formulas.columns) == list(HEAD)
    assert [tuple(row) for row in grid.formulas.to_numpy()] == ROWS
    assert [str(dtype) for dtype in grid.formulas.dtypes[["x", "y"]]] == ["float64", "float64"]
    assert grid.formulas is grid.formulas


def test_a_grid_without_the_file_has_none(shared_folder):
    found = read_folder(shared_folder).formulas
    assert found.empty
    assert list(found.columns) == list(HEAD)
    assert [str(dtype) for dtype in found.dtypes[["x", "y"]]] == ["float64", "float64"]


def test_a_damaged_file_is_read_when_asked_for_and_named(folder):
    write_csv(folder / "formulas.csv", HEAD, [("prior", "linear", "one", 2)])
    grid = read_folder(folder)
    with pytest.raises(InputError, match=r"formulas.csv: the column 'x' holds 'one' where a number is due"):
        _ = grid.formulas
    write_csv(folder / "formulas.csv", HEAD[:3], [])
    with pytest.raises(InputError, match=r"formulas.csv lacks the column\(s\) y: expected"):
        _ = read_folder(folder).formulas


def test_strips_folder(folder):
    assert read_folder(folder).strips is None
    (folder / "strips").mkdir()
    assert read_folder(folder).strips == folder / "strips"
