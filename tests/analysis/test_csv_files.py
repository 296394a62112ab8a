"""Rows that are torn, and columns of one name: refused in a line that says where."""

import pytest

from analysis.csv_files import parse_csv
from analysis.errors import InputError
from analysis.read.runs import read_folder


@pytest.mark.parametrize("row", [1, 7, 33])
def test_a_row_that_was_cut_is_refused(folder, row):
    path = folder / "runs.csv"
    lines = path.read_text().splitlines(keepends=True)
    lines[row] = ",".join(lines[row].split(",")[:5]) + "\n"
    path.write_text("".join(lines))
    with pytest.raises(InputError, match=rf"runs\.csv is not a CSV file \(row {row} below the heads has 5 fields for"):
        read_folder(folder)


@pytest.mark.parametrize("rows", ["1\n", "1,2\n3\n", "1,2,3\n4,5,6\n", "1,2,\n", "1,2\n3,4,5\n"])
def test_every_row_has_a_field_of_each_column(rows):
    with pytest.raises(InputError, match=r"^x\.csv is not a CSV file \([^\n]*\): run the grid again"):
        parse_csv(f"a,b\n{rows}".encode(), ["a"], "x.csv")


def test_fields_that_are_empty_or_hold_lines_are_no_tear():
    texts = parse_csv(b'a,b\n,\n\n"one\ntwo, three",""\n', ["a"], "x.csv")
    assert texts.to_numpy().tolist() == [["", ""], ["one\ntwo, three", ""]]


def test_columns_of_one_name_are_refused():
    with pytest.raises(InputError, match=r"x\.csv has several columns 'b': keep one and remove the others"):
        parse_csv(b"a,b,b\n1,2,3\n", ["a"], "x.csv")
