"""What folders of results are called: as it was written, and never as the suite's own files are."""

from __future__ import annotations

import pytest

from ablations.settings.arguments import parse_run, parse_search
from analysis.errors import InputError

DATABASES = ("mlflow.db", "MLflow.db", "optuna.db", "optuna.db-wal", "mlflow.db-journal")
PARSERS = pytest.mark.parametrize("parse", [parse_run, parse_search])


@PARSERS
@pytest.mark.parametrize("name", [*DATABASES, "committed", "Committed"])
def test_no_name_is_that_of_a_file_or_a_folder_of_the_suites_own(parse, name):
    with pytest.raises(InputError, match=f"none of what the suite itself keeps .*, got '{name}'"):
        parse([f"name={name}"])


@PARSERS
def test_no_run_goes_where_committed_results_are(parse):
    with pytest.raises(InputError, match=r"results/committed is where committed results are: give results=results,"):
        parse(["results=results/committed"])


@PARSERS
def test_a_name_has_an_end(parse):
    assert parse([f"name={'a' * 100}"]).title == "a" * 100
    with pytest.raises(InputError, match="name must have at most 100 characters, got 101"):
        parse([f"name={'a' * 101}"])


@PARSERS
@pytest.mark.parametrize("text", ["1.10", "2024_11_27", "1e5", "007", "'1.10'"])
def test_a_text_that_reads_like_a_number_stays_as_it_was_written(parse, text):
    assert parse([f"name={text}", f"results={text}"]).title == text.strip("'")
    assert parse([f"results={text}"]).results == text.strip("'")


def test_a_folder_and_a_grid_that_read_like_numbers_are_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "1_0" / "grid").mkdir(parents=True)
    (tmp_path / "1_0" / "grid" / "1_1.yaml").write_text("question: '?'\naxes: []\n", encoding="utf-8")
    asked = parse_run(["configs=1_0", "grid=1_1"])
    assert (asked.configs, asked.grid, asked.title) == ("1_0", "1_1", "1_1")
    with pytest.raises(InputError, match="configs=2_0 is no folder"):
        parse_run(["configs=2_0"])
    parse_run([])
