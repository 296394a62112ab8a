"""The benchmark of pages: it times copies, in turns, and leaves the folders alone."""

from __future__ import annotations

from benchmarks.pages import main


def test_grids_take_turns_and_their_folders_stay(tmp_path, monkeypatch, capsys):
    folders = [tmp_path / name for name in ("a", "b")]
    for folder in folders:
        folder.mkdir()
        (folder / "grid.json").write_text(folder.name)
    written = []

    def write_pages(folder):
        written.append((folder / "grid.json").read_text())
        (folder / "report.html").touch()

    monkeypatch.setattr("analysis.pages.write_pages", write_pages)
    assert main([f"grids={tmp_path}/a,{tmp_path}/b", "rounds=2", f"out={tmp_path}/t.md"]) == 0
    # A round that is not counted, then two.
    assert written == ["a", "b"] * 3
    assert not list(tmp_path.rglob("report.html"))
    shown = capsys.readouterr().out
    assert (tmp_path / "t.md").read_text() == shown
    assert [line.split(" | ")[0] for line in shown.splitlines()[4:]] == ["| a", "| b"]


def test_a_folder_without_a_grid_is_refused_in_one_line(tmp_path, capsys):
    assert main([f"grids={tmp_path}"]) == 2
    assert "holds no finished grid" in capsys.readouterr().err
    assert main(["rounds=0"]) == 2
