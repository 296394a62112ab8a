"""One's own run of a grid becomes the committed one by one command, whole or not at all; nothing else touches those."""

from __future__ import annotations

import json
import shutil

import pytest
from PIL import Image

from ablations.results.csv_text import csv_text
from analysis import pages
from evidence import promote
from tests.ablations.conftest import rows
from tests.ablations.settings.test_grammar import one_line_error
from tests.analysis.folders import make_folder

VALUES = {"a": [2.5, 2.6, 2.4], "b": [2.4, 2.5, 2.3]}


@pytest.fixture
def results(tmp_path, monkeypatch):
    """Where a run called steps stands, with what a run leaves beside its frames; pages are a line of text, or a pixel.
    README shows one of its figures."""

    def write_pages(folder):
        for name in ("report.html", "table.md", "table.tex", "cells.csv"):
            (folder / name).write_text(f"of {(folder / 'grid.json').read_text()}")
        (folder / "figures").mkdir(exist_ok=True)
        for name in ("lines.png", "lines.pdf", "cost.png"):
            Image.new("RGBA", (1, 1)).save(folder / "figures" / name, "png", dpi=(300, 300))

    monkeypatch.setattr(pages, "write_pages", write_pages)
    monkeypatch.setattr(promote, "ROOT", tmp_path)
    (tmp_path / "README.md").write_text("![lines](results/committed/steps/figures/lines.png)")
    monkeypatch.chdir(tmp_path)
    folder = make_folder(tmp_path / "results" / "steps", VALUES)
    (folder / "samples").mkdir()
    for seed in range(3):
        Image.new("L", (1, 1)).save(folder / "samples" / f"a-{seed}.png")
    for name in ("report.html", "tracking.json", "clock.csv", "table.md", ".grid.json.abcdefgh"):
        (folder / name).write_text("left")
    return tmp_path / "results"


def change(folder, **changes):
    head = json.loads((folder / "grid.json").read_text())
    (folder / "grid.json").write_text(json.dumps(head | changes))


def names(folder):
    return {path.name for path in folder.iterdir()}


def test_a_run_is_recorded_whole_and_so_is_what_takes_its_place(results, capsys):
    place = results / "committed" / "steps"
    for question in ("first", "second"):
        change(results / "steps", question=question, round={"number": 3, "of": 3, "seeds": 3, "preliminary": False})
        assert promote.main(["grid=steps"]) == 0
        assert "results/committed/steps: drawn anew from results/steps" in capsys.readouterr().out
        assert names(place) == {"grid.json", "runs.csv", "curves.parquet", "samples", "figures", "table.md"}
        assert names(place / "figures") == {"lines.png"}
        assert {path.stem[-2:] for path in (place / "samples").iterdir()} == {"-0"}
        assert question in (place / "table.md").read_text()
        assert names(place.parent) == {"steps"}
    assert (results / "steps" / "table.md").read_text() == "left"


def test_pages_of_what_is_committed_are_drawn_anew_whatever_stands_in_results(results, capsys):
    assert promote.main(["grid=steps"]) == 0
    (results / "committed" / "steps" / "table.md").write_text("of older code")
    change(results / "steps", question="of another run")
    shutil.copytree(results / "committed" / "steps", results / "committed" / "again")
    capsys.readouterr()
    assert promote.main(["redraw=true", "grid=steps"]) == 0
    assert (results / "committed" / "again" / "table.md").read_text() == "of older code"
    assert promote.main(["redraw=true"]) == 0
    places = [f"results/committed/{name}" for name in ("steps", "again", "steps")]
    assert capsys.readouterr().out.splitlines() == [f"{place}: drawn anew from {place}" for place in places]
    for name in ("steps", "again"):
        text = (results / "committed" / name / "table.md").read_text()
        assert text.startswith("of {")
        assert "of another run" not in text


ROUND = {"number": 1, "of": 3, "seeds": 3, "rung": True, "preliminary": True}


@pytest.mark.parametrize(
    ("changes", "words", "message"),
    [
        ({}, [], "which grid? give grid=NAME; results/ holds steps"),
        ({}, ["grid=stepz"], "no grid in results called 'stepz': there are steps; did you mean 'steps'?"),
        ({}, ["grid=committed/steps"], "no grid in results/committed called 'steps': there are steps"),
        ({}, ["grid=../steps"], "which leads to no other place"),
        ({}, ["redraw=true"], "results/committed/ holds none yet"),
        ({"round": ROUND}, ["grid=steps"], "is at round 1 of 3 of its plan: give its command again"),
        ({"round": ROUND | {"number": 0}}, ["grid=steps"], "is at round 0 of 3"),
    ],
)
def test_what_is_no_run_that_is_over_is_refused_in_a_line(changes, words, message, results, capsys):
    change(results / "steps", **changes)
    assert message in one_line_error(promote.main, words, capsys)
    assert not (results / "committed").exists()


@pytest.mark.parametrize("status", ["failed", "interrupted"])
def test_a_run_that_is_not_whole_is_refused_in_a_line(status, results, capsys):
    found = rows(results / "steps")
    found[0]["status"] = found[4]["status"] = status
    (results / "steps" / "runs.csv").write_text(csv_text(found[0], found), encoding="utf-8")
    line = one_line_error(promote.main, ["grid=steps"], capsys)
    assert "results/steps is not whole (runs: " in line
    assert status in line


def test_pages_that_cannot_be_drawn_leave_what_is_committed_as_it_was(results, monkeypatch, capsys):
    assert promote.main(["grid=steps"]) == 0
    before = (results / "committed" / "steps" / "table.md").read_text()

    def broken(folder):
        raise OSError("no space left")

    monkeypatch.setattr(pages, "write_pages", broken)
    change(results / "steps", question="another")
    assert promote.main(["grid=steps"]) == 1
    assert (results / "committed" / "steps" / "table.md").read_text() == before
    assert names(results / "committed") == {"steps"}
