"""Figures of formulas and of strips: what is drawn is what the files hold."""

import numpy as np
import pytest
from PIL import Image

from analysis.figures import FIGURES
from analysis.figures.deck import DECK
from analysis.figures.distinct import written
from analysis.figures.image_rows import strips_of
from analysis.read.runs import read_folder
from tests.analysis.conftest import axis_of, build, row_of, write_csv
from tests.analysis.figures.conftest import drawn as drawn_of
from tests.analysis.figures.conftest import texts

# figure → series → its points, each a formula that is known.
CURVES = {
    "alpha_bar": {"linear": [(0.5, 0.1), (1.0, 1e-4)], "log_snr_linear": [(0.5, 0.5), (1.0, 1e-3)]},
    "log_snr": {"linear": [(0.5, -2.2), (1.0, -9.2)], "log_snr_linear": [(0.5, 0.0), (1.0, -6.9)]},
    "prior": {"linear": [(0.5, 0.1), (1.0, 1e-5)], "cosine": [(0.5, 0.3), (1.0, 1e-6)]},
    "prior_end": {"1e-4 to 0.02": [(10, 2.0), (4000, 1e-6)], "1000/T times 1e-4 to 0.02": [(10, 1e-4), (4000, 1e-5)]},
    "beta_ratio": {"T = 10": [(0.1, 0.0), (1.0, 0.99)], "T = 100": [(0.01, 0.0), (1.0, 1.0)]},
    "eps_weight": {"simple": [(1, 1.0), (1000, 1.0)], "vlb": [(1, 50.0), (1000, 0.4)]},
    "reverse_kl": {"ᾱ_{t−1} = 0.9": [(1e-4, 1e-8), (0.5, 0.1)], "ᾱ_{t−1} = 0.5": [(1e-4, 1e-9), (0.5, 0.01)]},
    "gap": {"linear, β": [(10, 2.0), (1000, 0.02)], "linear, β̃": [(10, 9.0), (1000, 0.03)]},
}


def write(folder, curves=CURVES):
    lines = [(name, series, *point) for name, found in curves.items() for series in found for point in found[series]]
    write_csv(folder / "formulas.csv", ("figure", "series", "x", "y"), lines)
    return folder


def frames(name, n=3):
    """Images of 4 × 4 whose pixels are 10 · i + 100 · (name is cosine)."""
    return [np.full((4, 4), 10 * i + 100 * (name == "cosine"), np.uint8) for i in range(n)]


def write_strips(folder, *names, n=3):
    (folder / "strips").mkdir()
    for name in names:
        _, schedule = name.split("-")
        pixels = np.concatenate(frames(schedule, n=n), axis=1)
        Image.fromarray(pixels).save(folder / "strips" / f"{name}.png")
    return folder


@pytest.fixture
def drawn(folder):
    """Draws a figure of a grid with these curves, in the project's style."""
    return lambda name, curves=CURVES: drawn_of(FIGURES[name], write(folder, curves))


@pytest.mark.parametrize("name", DECK)
def test_every_panel_draws_every_point_of_its_curves(drawn, name):
    figure = drawn(name)
    assert len(figure.axes) == len(DECK[name])
    for axes, panel in zip(figure.axes, DECK[name], strict=True):
        assert {line.get_label(): np.stack(line.get_data(), axis=1).tolist() for line in axes.lines} == {
            series: [list(map(float, point)) for point in points] for series, points in CURVES[panel.figure].items()
        }
        assert len({line.get_color() for line in axes.lines}) == len({str(line._dash_pattern) for line in axes.lines})
        assert axes.get_xlabel()
        assert axes.get_ylabel()


def test_panels_of_the_same_series_name_them_once_at_the_right(drawn):
    left, right = drawn("noise").axes
    assert (texts(left), sorted(texts(right))) == ([], ["linear", "log-SNR linear"])
    assert [line.get_color() for line in left.lines] == [line.get_color() for line in right.lines]


def test_panels_of_their_own_series_name_each(drawn):
    left, right = drawn("forward").axes
    assert sorted(texts(left)) == ["cosine", "linear"]
    assert len(texts(right)) == 2
    assert (left.get_xscale(), left.get_yscale(), right.get_xscale(), right.get_yscale()) == ("linear", *["log"] * 3)


def test_lines_that_end_in_one_point_are_named_where_they_start(drawn):
    (axes,) = drawn("variances").axes
    named = {text.get_text(): tuple(text.xy) for text in axes.texts}
    assert named == {"T = 10": (0.1, 0.0), "T = 100": (0.01, 0.0)}


def test_what_a_logarithm_lacks_is_left_out(drawn):
    curves = {"eps_weight": {"vlb": [(1, 0.0), (2, 3.0), (3, float("nan")), (4, 2.0)], "none": [(1, 0.0)]}}
    (axes,) = drawn("objectives", curves).axes
    (line,) = axes.lines
    assert np.stack(line.get_data()).tolist() == [[2.0, 4.0], [3.0, 2.0]]


def test_a_panel_without_curves_is_left_out_and_so_is_a_figure(drawn):
    only = {"gap": CURVES["gap"]}
    (axes,) = drawn("reverse", only).axes
    assert axes.get_xlabel() == "T"
    assert drawn("noise", only) is None
    assert drawn("noise", {}) is None


def test_names_are_written_as_readers_write_them():
    assert written("log_snr_linear") == "log-SNR linear"
    assert written("ᾱ_{t−1} = 0.9") == "ᾱₜ₋₁ = 0.9"
    assert written("linear, β̃") == "linear, β̃"


def test_strips_come_by_direction_and_schedule(folder):
    write_strips(folder, "backward-linear", "forward-zigzag", "forward-cosine", "forward-linear")
    strips = strips_of(read_folder(folder))
    forward = [("forward", name) for name in ("linear", "cosine", "zigzag")]
    assert [(strip.direction, strip.label) for strip in strips] == [*forward, ("backward", "linear")]
    assert strips[0].times == [0.0, 0.5, 1.0]
    assert strips[3].times == [1.0, 0.5, 0.0]


def test_a_grid_orders_and_names_its_own_schedules(tmp_path):
    axes = [axis_of("schedule", "Schedule", {"cosine": "COSINE", "linear": "LINEAR"})]
    table = [row_of("a", 0) | {"axis.schedule": "linear"}]
    folder = build(tmp_path / "g", table, axes=axes, layout="general")
    grid = read_folder(write_strips(folder, "forward-linear", "forward-cosine"))
    assert [strip.label for strip in strips_of(grid)] == ["COSINE", "LINEAR"]


def test_every_image_is_drawn_below_its_time(folder):
    write_strips(folder, "forward-linear", "forward-cosine", "backward-cosine")
    figure = drawn_of(FIGURES["strips"], folder)
    shown = [axes.images[0].get_array() for axes in figure.axes]
    expected = [*frames("linear"), *frames("cosine"), *frames("cosine")]
    np.testing.assert_allclose(np.stack(shown), np.stack(expected) / 255, atol=1e-6)
    words = [text.get_text() for text in figure.texts]
    assert [word for word in words if word.replace(".", "").isdecimal()] == ["0", "0.5", "1", "1", "0.5", "0"]
    assert [word for word in words if word in ("linear", "cosine")] == ["linear", "cosine", "cosine"]
    dots = {round(axes.get_position().width * figure.get_figwidth() * 300, 3) for axes in figure.axes}
    assert all(dot % 4 == 0 for dot in dots)


def test_colour_stays(folder):
    (folder / "strips").mkdir()
    pixels = np.zeros((4, 8, 3), np.uint8)
    pixels[:, 4:, 0] = 255
    Image.fromarray(pixels).save(folder / "strips" / "forward-linear.png")
    (strip,) = strips_of(read_folder(folder))
    assert strip.frames.shape == (2, 4, 4, 3)
    assert strip.frames[1, 0, 0].tolist() == [1.0, 0.0, 0.0]


def test_no_strips_no_figure(folder):
    assert drawn_of(FIGURES["strips"], folder) is None
    assert drawn_of(FIGURES["strips"], write_strips(folder, "forward-linear", n=1)) is None
