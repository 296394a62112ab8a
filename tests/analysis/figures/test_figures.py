import json

import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.lines import Line2D
from PIL import Image

from analysis.figures.curves import weights_figure, weights_sentence
from analysis.figures.distinct import compared, distinct
from analysis.figures.drawing import COLORBLIND, cell_looks, ink, looks, moved_apart, new_figure, styled, wrapped
from analysis.figures.forest import Mark, beyond
from analysis.figures.images import first_images, tile
from analysis.figures.metrics import metrics_figure
from analysis.figures.samples import samples_figure
from analysis.figures.windows import Window, show
from analysis.findings.values import cells_of
from analysis.grid_json import Axis, Level
from analysis.labels import mathtext
from analysis.read.runs import read_folder
from tests.analysis.conftest import (
    AXES,
    NLL,
    answers_of,
    build,
    known,
    lost_rows,
    rows,
    without_samples,
    write_csv,
    write_curves,
)
from tests.analysis.figures.conftest import drawn, files_written
from tests.analysis.figures.layout import faults

NAMES = ("samples", "metrics", "differences", "training", "weights", "bound")
FILES = [f"{name}.{suffix}" for name in NAMES for suffix in ("png", "pdf")]


@pytest.fixture(scope="module")
def grid(shared_folder):
    return read_folder(shared_folder)


def test_a_grid_has_the_figures_that_it_has_data_for(folder, quick):
    assert sorted(path.name for path in files_written(folder)) == sorted(FILES)
    assert sorted(path.name for path in (folder / "figures").iterdir()) == sorted(FILES)


def test_figures_leave_no_global_state_behind():
    before = dict(matplotlib.rcParams)
    with styled():
        new_figure(1, 1)
    assert not pyplot.get_fignums()
    assert dict(matplotlib.rcParams) == before


def test_what_has_no_data_is_not_drawn(folder, quick):
    write_curves(without_samples(folder), [])
    (folder / "figures").mkdir()
    (folder / "figures" / "weights.png").write_bytes(b"stale")
    names = [path.name for path in files_written(folder)]
    assert names == ["metrics.png", "metrics.pdf", "differences.png", "differences.pdf"]
    assert not (folder / "figures" / "weights.png").exists()


def test_nothing_finished_draws_no_metrics(tmp_path):
    assert drawn(metrics_figure, build(tmp_path / "g", lost_rows("failed", "boom"))) is None


def texts(figure):
    found = [text.get_text() for axes in figure.axes for text in axes.texts]
    return found + [axes.get_title() for axes in figure.axes]


def test_metrics_show_every_seed_mean_and_interval(grid):
    axes = drawn(metrics_figure, grid).axes[0]
    assert axes.get_xlabel().startswith("NLL (bits/dim)")
    assert "diverged" in texts(axes.figure)
    half = 2.484138 * 0.02
    expected = np.sort([2.58 - half, 2.58, 2.58 + half, 2.58, 2.58, 2.56, 2.58, 2.60])
    # Heights: group head 0, cells 1, 2, 3, 4; cell 2 is (mu, vlb_fixed).
    row = [np.atleast_1d(line.get_xdata()) for line in axes.lines if set(np.atleast_1d(line.get_ydata())) <= {2.0, 2.3}]
    np.testing.assert_allclose(np.sort(np.concatenate(row)), expected, atol=1e-6)


def test_no_known_value_strikes_through_the_name_of_another(tmp_path):
    """Values so near to each other that names are longer than what is between them; at the left and at the right."""
    for values in ((2.40, 2.45, 2.50), (2.68, 2.71, 2.74)):
        codes = [known(f"a code of some name, {i}", value) for i, value in enumerate(values)]
        figure = drawn(metrics_figure, build(tmp_path / f"{values}", baselines={NLL: codes}))
        figure.draw_without_rendering()
        axes = figure.axes[0]
        dashed = [line.get_window_extent() for line in axes.lines if line.is_dashed()]
        names = [text.get_window_extent() for text in axes.texts if "a code" in text.get_text()]
        assert (len(dashed), len(names)) == (3, 3)
        crossed = [(line.x0, name) for line in dashed for name in names if name.y0 < line.y1 and name.y1 > line.y0]
        assert not [1 for x, name in crossed if name.x0 < x < name.x1]


def test_a_value_out_of_view_stands_before_lines_that_lead_elsewhere():
    figure = new_figure(2, 2)
    axes = figure.subplots()
    beyond(axes, [Mark("0.07", 0.5, 2.0, looks([])[""])], Window(0.0, 1.0, False))
    (text,) = axes.texts
    assert text.get_bbox_patch().get_facecolor()[:3] == (1.0, 1.0, 1.0)
    assert text.get_zorder() > Line2D([], []).get_zorder()


def test_values_out_of_view_at_one_place_are_stacked():
    axes = new_figure(3, 3).subplots()
    marks = [Mark(text, x, 2.0, looks([])[""]) for text, x in (("746", 0.5), ("222", 0.5), ("62.2", 0.51), ("9", 0.1))]
    beyond(axes, marks, Window(0.0, 1.0, False))
    heights = {text.get_text(): text.xyann[1] for text in axes.texts}
    assert len({heights[name] for name in ("746", "222", "62.2")}) == 3
    assert heights["9"] == max(heights.values())


def test_a_value_out_of_view_is_not_written_on_the_arrow_of_another():
    figure = new_figure(3, 3)
    axes = figure.subplots()
    show(axes, "y", Window(0.0, 1.0, False), 5)
    axes.set_xlim(0, 1)
    marks = [Mark(text, x, 2.0, looks([])[""]) for text, x in (("107", 0.5), ("222", 0.53), ("9", 0.1))]
    beyond(axes, marks, Window(0.0, 1.0, False))
    assert faults(figure) == []
    heights = {text.get_text(): text.xyann[1] for text in axes.texts}
    assert heights["107"] < heights["222"] == heights["9"]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("linear, β̃, T = 250", ["linear, β̃,", "T = 250"]),
        ("it skipped 10 % of all", ["it skipped", "10 % of all"]),
        ("0.2 < σ ≤ 2", ["0.2 < σ ≤ 2"]),
    ],
)
def test_no_line_parts_a_number_from_its_sign(text, lines):
    assert wrapped(text, 12) == "\n".join(map(mathtext, lines))


@pytest.mark.parametrize("least", [None, 0.0])
def test_no_interval_is_drawn_where_there_can_be_no_value(tmp_path, least):
    """1, 2 and 3 at three seeds: 2 ± 2.48."""
    table = [{**row, NLL: 1.0 + row["seed"]} if NLL in row else row for row in rows()]
    metrics = [{"name": NLL, "label": "NLL", "direction": "min", "decimals": 2, "least": least}]
    axes = drawn(metrics_figure, build(tmp_path / "g", table, metrics=metrics, baselines={})).axes[0]
    lines = np.concatenate([np.atleast_1d(line.get_xdata()) for line in axes.lines])
    if least is None:
        assert max(axes.get_xlim()[0], lines.min()) < 0
    else:
        assert (axes.get_xlim()[0], lines.min()) == (0.0, 0.0)
        assert not [line for line in axes.lines if line.get_marker() == "<"]


def test_a_level_has_one_look_in_all_figures_whatever_the_order_of_their_lines():
    axis = Axis("schedule", "Schedule", tuple(Level(name, name) for name in "abc"))
    assert cell_looks([axis], [("c",), ("a",)]) == [looks([axis])["c"], looks([axis])["a"]]
    assert len({one.color for one in cell_looks([axis, axis], [("c", "a"), ("c", "b")])}) == 2


def test_samples_place_every_cell_and_say_who_diverged(grid):
    figure = drawn(samples_figure, grid)
    assert len(figure.axes) == 11
    assert texts(figure).count("diverged") == 1
    titles = {axes.get_title() for axes in figure.axes} - {""}
    assert titles == {
        r"L (learned diagonal $\Sigma$)",
        r"L (fixed isotropic $\Sigma$)",
        "unweighted MSE",
        r"MSE at $\varepsilon$-weight 1",
    }
    image = next(axes for axes in figure.axes if axes.images).images[0]
    sheet = np.asarray(Image.open(grid.samples / "mu-vlb_learned-0.png")) / 255
    high, wide = image.get_array().shape
    # Whole images of 8 × 8 with white lines around them, the first ones, and fewer than there are.
    assert (high % 9, wide % 9) == (1, 1)
    assert 1 < wide // 9 < 8
    np.testing.assert_allclose(image.get_array(), sheet[:high, :wide], atol=1e-6)
    assert image.get_interpolation() == "nearest"


def test_samples_fall_back_to_a_seed_that_has_them(folder):
    (folder / "samples" / "epsilon-simple-0.png").unlink()
    assert "seed 1" in texts(drawn(samples_figure, folder))


def test_samples_of_points(tmp_path):
    table = [row for row in rows() if row["parameterization"] == "x0"]
    folder = without_samples(build(tmp_path / "g", table, axes=AXES[1:]))
    points = np.random.default_rng(0).normal(size=(50, 2))
    write_csv(folder / "samples" / "x0-simple-0.csv", ("x0", "x1"), points)
    figure = drawn(samples_figure, folder)
    panel = next(axes for axes in figure.axes if axes.lines)
    np.testing.assert_allclose(np.stack(panel.lines[0].get_data(), axis=1), points)
    assert texts(figure)[:3] == ["diverged", "none", "none"]


def test_points_are_shown_where_held_out_ones_lie_and_those_outside_are_counted(tmp_path):
    """Two cells on a circle of radius 1; one has three points far away."""
    folder = without_samples(build(tmp_path / "g"))
    angle = np.linspace(0, 2 * np.pi, 41)[:40]
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    far = np.concatenate([circle[3:], [[30.0, 0.0], [0.0, -20.0], [500.0, 500.0]]])
    for name, points in (("held-out", circle), ("x0-simple-0", circle), ("x0-weighted-0", far)):
        write_csv(folder / "samples" / f"{name}.csv", ("x0", "x1"), points)
    figure = drawn(samples_figure, folder)
    first, *cells = (axes for axes in figure.axes if axes.lines)
    assert (figure.axes[0] is first, first.get_title(), len(figure.axes)) == (True, "held-out points", 12)
    np.testing.assert_allclose(np.stack(first.lines[0].get_data(), axis=1), circle)
    for axes in (first, *cells):
        np.testing.assert_allclose([*axes.get_xlim(), *axes.get_ylim()], [-1.2, 1.2, -1.2, 1.2], atol=1e-9)
        assert len(axes.get_xticks()) > 1
    assert [[text.get_text() for text in axes.texts] for axes in cells] == [[], ["3 of 40 outside"]]


def test_a_cell_far_off_does_not_squash_the_others_where_no_data_are_kept(tmp_path):
    folder = without_samples(build(tmp_path / "g"))
    points = np.random.default_rng(0).uniform(-1, 1, size=(200, 2))
    for name, scale in (("x0-simple-0", 1), ("x0-weighted-0", 1000)):
        write_csv(folder / "samples" / f"{name}.csv", ("x0", "x1"), scale * points)
    panels = [axes for axes in drawn(samples_figure, folder).axes if axes.lines]
    assert all(1 < axes.get_xlim()[1] < 1.2 for axes in panels)


def test_weights_share_a_line_where_they_agree(grid):
    figure = drawn(weights_figure, grid)
    assert len(figure.axes[0].lines) == 4
    for line in figure.axes[0].lines:
        assert np.mean(line.get_ydata()) == pytest.approx(1.0)


def test_two_cells_are_called_by_what_they_share_and_by_what_they_do_not(grid):
    cells = {cell.levels: cell for cell in cells_of(grid)}
    mu = cells["mu", "simple"]
    assert compared(mu, cells["x0", "simple"]) == "unweighted MSE: μ̃ | x₀"
    assert compared(mu, cells["mu", "weighted"]) == "μ̃: unweighted MSE | MSE at ε-weight 1"
    assert compared(mu, cells["x0", "weighted"]) == "μ̃ · unweighted MSE | x₀ · MSE at ε-weight 1"


def test_what_cells_share_is_drawn_once_and_called_by_the_axes_that_tell(grid):
    """Each prediction has a thing of its own, whatever the objective."""
    cells = cells_of(grid)
    axes, things = distinct(grid.meta.axes, [(cell, cell.levels[0]) for cell in cells], str.__eq__)
    assert [axis.name for axis in axes] == ["parameterization"]
    assert [(one.thing, one.name, len(one.cells)) for one in things] == [
        ("mu", "μ̃", 1),
        ("epsilon", "ε", 1),
        ("x0", "x₀", 1),
    ]
    axes, (one,) = distinct(grid.meta.axes, [(cell, 0) for cell in cells], int.__eq__)
    assert (axes, one.name) == ([], "all cells")
    axes, things = distinct(grid.meta.axes, [(cell, cell.levels) for cell in cells], tuple.__eq__)
    assert [one.first.levels for one in things] == [cell.levels for cell in cells]


def test_a_weight_that_all_cells_share_is_a_sentence(tmp_path):
    table = [row for row in rows() if row["cell_id"] == "epsilon-simple"]
    folder = build(tmp_path / "g", table, axes=[], layout="general")
    assert drawn(weights_figure, folder) is None
    assert weights_sentence(answers_of(folder)) == "All cells give ‖ε − ε̂‖² one constant weight in training."


@pytest.mark.parametrize("color", [*COLORBLIND, "#ffff00", "#ffffff"])
def test_names_can_be_read_on_white(color):
    """By the definition of WCAG 2.1, with 18 % grey as its known value: a contrast of 4.5 is a luminance of 0.183."""
    linear = [((part + 0.055) / 1.055) ** 2.4 if part > 0.04045 else part / 12.92 for part in ink(color)]
    assert np.dot(linear, [0.2126, 0.7152, 0.0722]) <= 0.1834


def test_images_of_a_sheet_are_those_between_its_white_lines():
    sheet = np.ones((4 * 9 + 1, 8 * 9 + 1))
    for i, j in np.ndindex(4, 8):
        sheet[9 * i + 1 : 9 * i + 9, 9 * j + 1 : 9 * j + 9] = (i + j) / 20
    assert tile(sheet) == (9, 9)
    np.testing.assert_array_equal(first_images(sheet, 3, 2), sheet[:19, :28])
    assert first_images(np.zeros((10, 12)), 3, 2).shape == (10, 12)


@pytest.mark.parametrize(
    ("places", "sizes", "expected"),
    [
        ([0.2, 0.8], [0.1, 0.1], [0.2, 0.8]),
        ([0.5, 0.5], [0.1, 0.1], [0.45, 0.55]),
        ([0.52, 0.5, 0.9], [0.2, 0.2, 0.1], [0.61, 0.41, 0.9]),
        ([0.0, 1.0], [0.2, 0.2], [0.1, 0.9]),
    ],
)
def test_labels_are_moved_apart(places, sizes, expected):
    np.testing.assert_allclose(moved_apart(places, sizes), expected)


def test_one_cell_without_axes_has_figures(tmp_path, quick):
    table = [row for row in rows() if row["cell_id"] == "epsilon-simple"]
    folder = build(tmp_path / "g", table, axes=[], layout="general")
    assert len(files_written(folder)) == 8
    assert json.loads((folder / "grid.json").read_text())["axes"] == []
