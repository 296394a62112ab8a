"""What made a row is never mixed without a word: numerics and data are refused, codes are counted."""

import re

import pytest

from analysis.errors import InputError
from analysis.findings.weights import changed
from analysis.read.runs import read_folder
from analysis.schema import METADATA
from analysis.tables import table_of
from tests.analysis.conftest import answers_of, build, rows


def made_by(*parts):
    """The rows with these columns over them, in turn."""
    return [row | parts[i % len(parts)] for i, row in enumerate(rows())]


def test_versions_that_no_file_tells_are_empty(shared_folder):
    grid = read_folder(shared_folder)
    assert all(set(grid.runs[name]) == {""} for name in ("code", "numerics", "data_digest"))
    assert grid.codes == []


def test_codes_are_counted_in_order_and_those_of_one_run_each(tmp_path):
    table = made_by({"code": "2+b"}, {"code": "1+a, 2+b"}, {"code": ""})
    assert read_folder(build(tmp_path / "g", table)).codes == [("2+b", 22), ("1+a", 11)]


def test_machines_are_counted_and_several_are_told_in_the_caption(tmp_path):
    one, two = "EPYC · AVX512 · torch 2.13", "Xeon · AVX512 bf16 AMX · torch 2.13"
    mixed = build(tmp_path / "mixed", made_by({"machine": one}, {"machine": f"{one}, {two}"}, {"machine": ""}))
    assert read_folder(mixed).machines == [(one, 22), (two, 11)]
    told = f"several kinds of machine, which round otherwise, .*: {one} \\(22 runs\\); {two} \\(11 runs\\)\\."
    assert re.search(told, table_of(answers_of(mixed)).caption)
    alike = build(tmp_path / "alike", made_by({"machine": one}, {"machine": ""}))
    assert "kinds of machine" not in table_of(answers_of(alike)).caption


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([{"numerics": "1"}, {"numerics": "2"}], r"runs.csv holds rows of more than one numerics \(1, 2\)"),
        (
            [{"data_digest": digest} for digest in ("aa", "bb", "")],
            r"runs.csv \(data=digits\) holds rows of more than one data_digest \(aa, bb\), .*: keep the rows of one",
        ),
    ],
)
def test_rows_that_cannot_be_compared_are_refused(tmp_path, parts, message):
    with pytest.raises(InputError, match=message) as error:
        read_folder(build(tmp_path / "g", made_by(*parts)))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "parts",
    [
        [{"numerics": "1", "data_digest": "aa"}, {"numerics": "", "data_digest": ""}],
        [{"data": "digits", "data_digest": "aa"}, {"data": "patches", "data_digest": "bb"}],
    ],
)
def test_what_is_not_known_and_what_is_of_other_data_stands_beside_it(tmp_path, parts):
    assert len(read_folder(build(tmp_path / "g", made_by(*parts))).runs) == 33


def test_versions_are_no_choices(tmp_path):
    plain = read_folder(build(tmp_path / "plain")).runs
    table = [row | {"code": f"1+{row['cell_id']}"} for row in rows()]
    runs = read_folder(build(tmp_path / "g", table)).runs
    assert list(runs.columns[: len(METADATA)]) == list(METADATA)
    axes = ["axis.parameterization", "axis.loss"]
    for axis in axes:
        assert changed(runs, axes, axis) == changed(plain, axes, axis)
        assert not changed(runs, axes, axis) & set(METADATA)
