"""No text of a figure lies on another or off the canvas, and no panel is there twice: of committed and random grids."""

from pathlib import Path

import pytest

from analysis import figures
from analysis.figures.drawing import new_figure, styled
from analysis.figures.windows import Window, show
from analysis.findings.answers import Answers
from tests.analysis.conftest import answers_of
from tests.analysis.figures.layout import faults
from tests.analysis.test_agreement import random_grid

COMMITTED = sorted(path.parent for path in Path(__file__).parents[3].glob("results/committed/*/grid.json"))
QUICK = [("precision", "differences"), ("coupling", "lines"), ("steps", "cost"), ("parameterization-long", "training")]
"""Figures of which each was broken in a way of its own: half a second each, so that all others are slow."""


def planted(plant):
    """The faults of a figure of two sound panels after this was done to it."""
    with styled():
        figure = new_figure(4.0, 2.0)
        left, right = figure.subplots(1, 2)
        left.plot([0, 1], [0, 1])
        right.plot([0, 1], [1, 0])
        plant(figure, left, right)
        return faults(figure)


def test_a_sound_figure_has_no_faults():
    assert planted(lambda figure, left, right: None) == []


@pytest.mark.parametrize(
    ("plant", "said"),
    [
        (
            lambda figure, left, right: [left.text(0.5, at, word) for at, word in ((0.5, "a"), (0.51, "b"))],
            "'a' and 'b'",
        ),
        (lambda figure, left, right: left.set_xticks([0.0, 0.01]), "lie on each other"),
        (lambda figure, left, right: figure.text(0.95, 0.5, "too long for this"), "'too long for this' is off"),
        (lambda figure, left, right: left.text(0.5, 20.0, "above").set_in_layout(False), "'above' is off"),
        (lambda figure, left, right: right.lines[0].set_ydata([0, 1]), "panels [0, 1] are the same"),
        (
            lambda figure, left, right: [left.plot(1.0, 0.5, ">", clip_on=False), left.text(0.99, 0.49, "on it")],
            "'on it' lies on an arrow",
        ),
    ],
)
def test_planted_faults_are_found(plant, said):
    found = planted(plant)
    assert [fault for fault in found if said in fault]


@pytest.mark.parametrize(("low", "high", "log"), [(0.94, 1.03, True), (7.0, 4e5, True), (-0.0061, 0.0042, False)])
def test_ticks_have_room_in_the_narrowest_panel(low, high, log):
    with styled():
        figure = new_figure(1.6, 1.2)
        axes = figure.subplots()
        show(axes, "x", Window(low, high, log), 6)
        assert len(axes.get_xticks()) > 1
        assert faults(figure) == []


def of(answers, names):
    """Name → the faults of each of these figures of a grid."""
    with styled():
        made = {name: figures.makers(answers)[name]() for name in names}
        return {name: found for name, figure in made.items() if figure is not None and (found := faults(figure))}


@pytest.mark.parametrize(("folder", "name"), QUICK)
def test_figures_that_were_broken_are_sound(folder, name):
    (path,) = [path for path in COMMITTED if path.name == folder]
    assert of(answers_of(path), [name]) == {}


@pytest.mark.slow  # It draws some 200 figures, at half a second each.
@pytest.mark.parametrize("folder", COMMITTED, ids=lambda path: path.name)
def test_figures_of_committed_grids_are_sound(folder):
    assert of(answers_of(folder), figures.FIGURES) == {}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(40))
def test_figures_of_random_grids_are_sound(seed):
    assert of(Answers.of(random_grid(seed)), figures.FIGURES) == {}
