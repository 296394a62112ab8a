"""The digest of a figure changes with what it shows, and with nothing else."""

import io

import matplotlib
import numpy as np
import pytest
from PIL import Image

from analysis.figures import FIGURES, shown
from analysis.figures.digest import KEY, digest_of
from analysis.figures.drawing import as_png, new_figure, styled
from tests.analysis.conftest import answers_of


def made(change=lambda figure, axes: None):
    """The digest of a small figure of all kinds of artists, after this change."""
    figure = new_figure(3.0, 2.0)
    axes = figure.subplots()
    axes.plot([1.0, 2.0], [3.0, 4.0], label="a")
    axes.bar([1.0], [2.0])
    axes.fill_between([0.0, 1.0], [0.0, 1.0], [1.0, 2.0])
    axes.scatter([0.5], [0.5])
    axes.imshow(np.eye(3))
    axes.text(0.1, 0.1, "said")
    axes.set_yticks([1.0, 2.0], ["low", "high"])
    change(figure, axes)
    return digest_of(figure)


def test_a_rounding_at_a_power_of_ten_changes_nothing():
    heights = (1.0, 1.0 - 1e-12, 1.0 + 1e-12)
    digests = {made(lambda figure, axes, height=height: axes.patches[0].set_height(height)) for height in heights}
    assert len(digests) == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda figure, axes: axes.lines[0].set_ydata([3.0, 4.001]),
        lambda figure, axes: axes.lines[0].set_ydata([3.0, np.nan]),
        lambda figure, axes: axes.patches[0].set_height(2.1),
        lambda figure, axes: axes.collections[1].set_offsets([[0.5, 0.6]]),
        lambda figure, axes: axes.collections[0].get_paths()[0].vertices.__setitem__((0, 1), 0.3),
        lambda figure, axes: axes.images[0].set_data(np.ones((3, 3))),
        lambda figure, axes: axes.texts[0].set_text("unsaid"),
        lambda figure, axes: axes.set_yticks([1.0, 2.0], ["low", "top"]),
        lambda figure, axes: axes.set_xlabel("x"),
        lambda figure, axes: axes.set_yscale("symlog"),
        lambda figure, axes: axes.set_title("of", loc="left"),
        lambda figure, axes: axes.legend(),
        lambda figure, axes: figure.text(0.5, 0.5, "above"),
        lambda figure, axes: figure.supxlabel("below"),
        lambda figure, axes: figure.add_axes((0.8, 0.8, 0.1, 0.1)),
    ],
)
def test_it_changes_with_numbers_and_texts(change):
    assert made(change) != made()


@pytest.mark.parametrize(
    "change",
    [
        lambda figure, axes: axes.lines[0].set_ydata([3.0, 4.0 * (1 + 1e-9)]),
        lambda figure, axes: axes.lines[0].set_color("red"),
        lambda figure, axes: axes.texts[0].set_position((0.4, 0.2)),
        lambda figure, axes: figure.set_size_inches(5.0, 4.0),
        lambda figure, axes: figure.draw_without_rendering(),
    ],
)
def test_it_does_not_change_with_looks_and_roundings(change):
    assert made(change) == made()


def test_a_line_to_where_a_label_found_room_is_not_of_it():
    def with_line_to(height):
        return made(lambda figure, axes: axes.plot([1.0, 1.02], [0.5, height], transform=axes.transAxes))

    assert with_line_to(0.5) == with_line_to(0.7)


def test_fonts_change_no_digest_and_the_png_holds_it(shared_folder):
    answers = shown(answers_of(shared_folder))
    digests = []
    for settings in ({}, {"font.size": 12.0, "font.family": "serif", "figure.dpi": 50}):
        with styled(), matplotlib.rc_context(settings):
            figures = {name: figure for name, make in FIGURES.items() if (figure := make(answers)) is not None}
            digests.append({name: digest_of(figure) for name, figure in figures.items()})
            png = as_png(figures["metrics"]).png
            assert Image.open(io.BytesIO(png)).text == {KEY: digests[-1]["metrics"]}
    assert digests[0] == digests[1]
