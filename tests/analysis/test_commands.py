import pytest

from analysis import figures, tables
from tests.analysis.conftest import answers_of, build


@pytest.mark.parametrize("command", [tables, figures])
def test_help(command, capsys):
    assert command.main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert "python -m analysis." in shown
    assert "results/<grid>" in shown
    assert ("markdown | latex | csv (default markdown)" in shown) is (command is tables)


def test_tables_prints_what_it_writes(tmp_path, monkeypatch, capsys):
    folder = build(tmp_path / "results" / "parameterization")
    tables.write_tables(answers_of(folder), folder)
    monkeypatch.chdir(tmp_path)
    for form, suffix in (("markdown", "md"), ("latex", "tex"), ("csv", "csv")):
        assert tables.main(["grid=parameterization", f"format={form}"]) == 0
        assert capsys.readouterr().out == (folder / f"table.{suffix}").read_text(encoding="utf-8")
    assert tables.main([f"runs={folder}"]) == 0
    assert capsys.readouterr().out == (folder / "table.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "error: which grid? give grid=NAME; results/ holds parameterization"),
        (
            ["grid=parametrization"],
            "did you mean 'parameterization'? (results/parametrization/grid.json is missing; `python",
        ),
        (
            ["runs=sqlite:///x.db"],
            "error: runs=sqlite:///x.db is a tracking store, which holds many grids: give grid=NAME",
        ),
        (
            ["grid=a", "runs=sqlite:///x.db"],
            "error: the tracking store sqlite:///x.db does not exist: there is no file x.db",
        ),
    ],
)
def test_a_user_error_is_one_line_and_exit_code_2(arguments, message, tmp_path, monkeypatch, capsys):
    build(tmp_path / "results" / "parameterization")
    monkeypatch.chdir(tmp_path)
    assert tables.main(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert message in shown.err
    assert not (tmp_path / "x.db").exists()
