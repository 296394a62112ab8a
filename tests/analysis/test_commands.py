import shutil
from pathlib import Path

import pytest

from analysis import figures, tables
from analysis.figures.metrics import metrics_figure
from analysis.report.__main__ import main as report_command
from tests.analysis.conftest import AXES, answers_of, build
from tests.sampling import sampled

COMMANDS = [tables.main, figures.main, report_command]


@pytest.mark.parametrize("main", COMMANDS)
def test_help(main, capsys):
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert "python -m analysis." in shown
    assert "results/<grid>" in shown
    assert ("markdown | latex | csv (default markdown)" in shown) is (main is tables.main)


@pytest.mark.parametrize("main", COMMANDS)
def test_a_word_that_is_none_is_refused_in_a_line(main, capsys):
    assert main(["colour=red"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: no option called 'colour': there are ")
    assert error.count("\n") == 1


def test_tables_prints_what_it_writes(tmp_path, monkeypatch, capsys):
    folder = build(tmp_path / "results" / "parameterization")
    tables.write_tables(answers_of(folder), folder)
    monkeypatch.chdir(tmp_path)
    for form, suffix in (("markdown", "md"), ("latex", "tex"), ("csv", "csv")):
        assert tables.main(["grid=parameterization", f"format={form}"]) == 0
        assert capsys.readouterr().out == (folder / f"table.{suffix}").read_text(encoding="utf-8")
    assert tables.main([f"runs={folder}"]) == 0
    assert capsys.readouterr().out == (folder / "table.md").read_text(encoding="utf-8")


def test_ones_own_run_is_read_if_there_is_one_and_else_the_committed_one(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    build(tmp_path / "results" / "committed" / "steps", axes=[AXES[0] | {"label": "committed"}, AXES[1]])
    (tmp_path / "results" / "steps" / "figures").mkdir(parents=True)
    for whose, said in (
        ("committed", "reading results/committed/steps, the committed run: results/ holds none of your own\n"),
        ("my own", "reading results/steps, your own run\n"),
    ):
        assert tables.main(["grid=steps"]) == 0
        shown = capsys.readouterr()
        assert whose in shown.out
        assert shown.err == said
        shutil.rmtree(tmp_path / "results" / "steps")
        build(tmp_path / "results" / "steps", axes=[AXES[0] | {"label": "my own"}, AXES[1]])


@pytest.mark.parametrize("word", sampled(["grid=steps", "runs=results/committed/steps"], 2))
def test_pages_of_a_committed_grid_go_beside_it(word, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(figures, "FIGURES", {"metrics": metrics_figure})
    folder = build(tmp_path / "results" / "committed" / "steps")
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert figures.main([word]) == 0
    assert report_command([word]) == 0
    pages, place = ["figures/metrics.png", "figures/metrics.pdf", "report.html"], Path("results/.committed/steps")
    assert capsys.readouterr().out.splitlines() == [f"{place / page}" for page in pages]
    assert all((place / page).is_file() for page in (*pages, "table.md", "table.tex", "table.csv", "answers.json"))
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "which grid? give grid=NAME; results/ holds parameterization; results/committed/ holds steps"),
        (
            ["grid=parametrization"],
            "there are parameterization, steps; did you mean 'parameterization'? (results/parametrization/grid.json is",
        ),
        (["runs=results/step"], "there are committed/steps, parameterization (results/step/grid.json is missing"),
    ],
)
def test_a_user_error_is_one_line_and_exit_code_2(arguments, message, tmp_path, monkeypatch, capsys):
    build(tmp_path / "results" / "parameterization")
    build(tmp_path / "results" / "committed" / "steps")
    monkeypatch.chdir(tmp_path)
    assert tables.main(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert message in shown.err
