"""The commands of analysis: --help, wrong words, whose run is read, and where pages go."""

import shutil
from pathlib import Path

import pytest

from analysis import tables
from analysis.report import __main__ as report
from tests.analysis.folders import make_folder

VALUES = {"a": [2.5, 2.6, 2.4], "b": [2.4, 2.5, 2.3]}


def test_ones_own_run_is_read_if_there_is_one_and_else_the_committed_one(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    make_folder(tmp_path / "results" / "committed" / "steps", VALUES, question="committed?")
    (tmp_path / "results" / "steps" / "figures").mkdir(parents=True)
    for whose, said in (
        ("committed?", "reading results/committed/steps, the committed run: results/ holds none of your own\n"),
        ("mine?", "reading results/steps, your own run\n"),
    ):
        assert tables.main(["grid=steps"]) == 0
        shown = capsys.readouterr()
        assert shown.out.startswith(whose)
        assert shown.err == said
        shutil.rmtree(tmp_path / "results" / "steps")
        make_folder(tmp_path / "results" / "steps", VALUES, question="mine?")


def test_pages_of_a_committed_grid_go_beside_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = make_folder(tmp_path / "results" / "committed" / "steps", VALUES)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert report.main(["grid=steps"]) == 0
    pages = ("report.html", "table.md", "table.tex", "table.csv", "comparisons.csv", "cells.csv", "figures/metrics.png")
    assert all((Path("results/.committed/steps") / page).is_file() for page in pages)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "which grid? give grid=NAME; results/ holds mine; results/committed/ holds steps"),
        (["grid=min"], "there are mine, steps; did you mean 'mine'? (results/min/grid.json is"),
        (["runs=results/step"], "there are mine, steps; did you mean 'steps'? (results/step/grid.json is missing"),
    ],
)
def test_a_user_error_is_one_line_and_exit_code_2(arguments, message, tmp_path, monkeypatch, capsys):
    make_folder(tmp_path / "results" / "mine", VALUES)
    make_folder(tmp_path / "results" / "committed" / "steps", VALUES)
    monkeypatch.chdir(tmp_path)
    assert tables.main(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert message in shown.err
