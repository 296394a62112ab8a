"""The files of figures, the command, the style; and every figure of every committed grid."""

from pathlib import Path

import matplotlib
import matplotlib.style
import pytest

from analysis.answers import read
from analysis.figures import FIGURES, write_figures
from analysis.figures.style import STYLE, scale
from tests.analysis.figures.drawing import drawn, faults
from tests.analysis.folders import make_folder

COMMITTED = sorted(path.parent for path in Path(__file__).parents[3].glob("results/committed/*/grid.json"))


def test_what_there_is_to_show_is_written_in_any_style_and_the_rest_removed(tmp_path):
    grid, pages = read(make_folder(tmp_path / "made", {"a": [2.0, 2.1], "b": [2.5, 2.7]})), tmp_path / "pages"
    pages.mkdir()
    for name in ("training.png", "training.pdf", "metrics.png", "my-own.png"):
        (pages / name).write_bytes(b"stale")
    before, names = dict(matplotlib.rcParams), ["metrics", "differences"]
    assert write_figures(grid, pages) == {name: pages / f"{name}.png" for name in names}
    assert dict(matplotlib.rcParams) == before
    written = [f"{name}.{suffix}" for name in names for suffix in ("png", "pdf")]
    assert {path.name for path in pages.iterdir()} == {*written, "my-own.png"}
    with matplotlib.style.context("dark_background"):
        write_figures(grid, tmp_path / "again")
    assert all((pages / name).read_bytes() == (tmp_path / "again" / name).read_bytes() for name in written)
    assert b"CreationDate" not in (pages / "metrics.pdf").read_bytes()


@pytest.mark.parametrize(
    ("values", "ratio", "ticks"),
    [
        ([2.0, 9.0], 3, ["2", "3", "5"]),
        ([0.02, 900.0], 3, ["0.1"]),
        ([0.8, 1.2], 3, ["0.8", "0.9", "1.0", "1.1", "1.2"]),
        ([-1.0, 900.0], 3, ["0", "200", "400", "600", "800"]),
    ],
)
def test_ticks_are_round_numbers_that_can_be_read(values, ratio, ticks):
    with matplotlib.style.context(STYLE):
        axes = matplotlib.figure.Figure((3, 3)).subplots()
        scale(axes, "y", values, ratio)
        axes.figure.draw_without_rendering()
        low, high = axes.get_ylim()
        marks = zip(axes.get_yticks(), axes.get_yticklabels(), strict=True)
        shown = [text.get_text() for value, text in marks if low <= value <= high]
    assert shown[: len(ticks)] == ticks


@pytest.mark.slow  # It draws some 350 figures.
@pytest.mark.parametrize("folder", COMMITTED, ids=lambda path: path.name)
def test_figures_of_committed_grids_are_sound(folder):
    analysis = read(folder)
    subjects = {name: analysis.search if module == "search" else analysis for name, module in FIGURES.items()}
    figures = [drawn(name, of) for name, of in subjects.items() if of is not None]
    assert [fault for figure in figures if figure is not None for fault in faults(figure)] == []
