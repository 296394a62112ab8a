"""Metrics in rows, over numbers and costs, worked out by hand; Student's 97.5 % point is 4.302653 at two degrees of
freedom.
"""

import math

import numpy as np
import pytest

from tests.analysis.figures.drawing import drawn, labelled, legend_of, texts
from tests.analysis.folders import FID, NLL, make_folder

HALF = 4.302653 * 0.1 / math.sqrt(3)
"""The half-width of 2.4, 2.5, 2.6."""


def lines(axes, at):
    """The x values of each line of a row: the interval, the seeds below it, the mean."""
    own = [line for line in axes.lines if set(np.round(line.get_ydata(), 6)) in ({at}, {round(at + 0.3, 6)})]
    return [np.asarray(line.get_xdata(), dtype=float).tolist() for line in own]


@pytest.fixture
def grid(tmp_path):
    """Three cells: b is much worse, and a seed of c diverged as all of d did."""
    values = {"a": [2.4, 2.5, 2.6], "b": [9.1, 9.2, 9.3], "c": [2.45, 2.5, None], "d": [None, None, None]}
    known = {NLL: [{"label": "a code", "value": 3.0}, {"label": "far", "value": 99.0}]}
    return make_folder(tmp_path / "g", values, metrics={NLL: {"relevant": 0.5}}, baselines=known)


def test_metrics_show_seeds_mean_interval_place_and_known_values(grid):
    (axes,) = drawn("metrics", grid).axes
    interval, seeds, mean = lines(axes, 0.0)
    assert interval == pytest.approx([2.5 - HALF, 2.5 + HALF], abs=1e-6)
    assert (seeds, mean) == ([2.4, 2.5, 2.6], [2.5])
    assert [text.get_text() for text in axes.get_yticklabels()] == ["a", "b", "c", "d"]
    faces = {line.get_ydata()[0]: line.get_markerfacecolor() for line in axes.lines if line.get_zorder() == 4}
    assert {at for at, face in faces.items() if face == "white"} == {1.0}
    assert "no value" in texts(axes)
    assert {line.get_xdata()[0] for line in axes.lines if line.is_dashed()} == {3.0, 99.0}
    assert {"a code: 3.00", "far: 99.0 ▸"} <= set(texts(axes))


def test_differences_show_seeds_interval_margin_and_verdict(grid):
    (axes,) = drawn("differences", grid).axes
    assert [text.get_text() for text in axes.get_yticklabels()][:2] == ["a | b", "a | c"]
    interval, seeds, mean = lines(axes, 0.0)
    assert [*seeds, *mean, *interval] == pytest.approx([-6.7] * 6, abs=1e-6)
    (band,) = [patch for patch in axes.patches if patch.get_width()]
    assert (band.get_x(), band.get_width()) == (-0.5, 1.0)
    assert {"better", "◂ first is better", "first is worse ▸"} <= set(texts(axes))


def test_declared_comparisons_come_first(tmp_path):
    values = {(a, b): [2.0 + i + s / 10 for s in range(3)] for i, (a, b) in enumerate(("px", "py", "qx", "qy"))}
    primary = [{"compare": {"a": "q"}, "to": {"a": "p"}, "at": {"b": ["y"]}}]
    (axes,) = drawn("differences", make_folder(tmp_path / "g", values, primary=primary)).axes
    labels = [text.get_text() for text in axes.get_yticklabels()]
    assert (labels[0], len(labels)) == ("y: q | p", 4)


def test_many_comparisons_are_cut_to_the_declared_and_first_ones(tmp_path):
    values = {f"cell {i}": [2.0 + i / 10, 2.1 + i / 10, 2.3 + i / 10] for i in range(30)}
    figure = drawn("differences", make_folder(tmp_path / "g", values))
    assert len(figure.axes[0].get_yticklabels()) == 24
    assert figure.get_suptitle() == "24 of 29 comparisons, declared ones first"


def test_without_values_or_differences_there_is_no_figure(tmp_path):
    assert drawn("metrics", make_folder(tmp_path / "g", {"a": [None], "b": [None]})) is None
    assert drawn("differences", make_folder(tmp_path / "h", {"a": [2.0, 2.1], "b": [2.0, 2.1]})) is None


def steps(folder, values):
    """A grid of samplers and steps: (sampler, steps) → NLL at two seeds."""

    def change(row):
        return row | {"sampler": row["axis.a"], "sampler.steps": row["axis.b"], "horizon": "100"}

    return make_folder(folder, values, change=change)


def test_a_line_has_the_mean_of_each_number_its_seeds_and_its_interval(tmp_path):
    means = {"p5": 5, "p10": 4, "pnull": 3, "q5": 9, "q10": 8, "qnull": 7}
    values = {(name[0], name[1:]): [mean - 0.1, mean + 0.1] for name, mean in means.items()}
    figure = drawn("lines", steps(tmp_path / "g", values))
    (axes,) = figure.axes
    np.testing.assert_allclose(labelled(axes)["p"], [[5, 5], [10, 4], [100, 3]])
    assert axes.get_xlabel() == "sampling steps"
    assert legend_of(figure) == ["p", "q"]
    seeds = [y for line in axes.lines if line.get_marker() == "." for y in line.get_ydata() if y < 6]
    assert sorted(seeds) == pytest.approx([2.9, 3.1, 3.9, 4.1, 4.9, 5.1])
    # Two seeds that are 0.2 apart: SD 0.1 √2, and Student's 97.5 % point 12.7062 at one degree of freedom.
    bars = [path.vertices[:, 1] for bar in axes.collections for path in bar.get_paths()]
    half = 12.7062 * 0.1 * math.sqrt(2) / math.sqrt(2)
    assert any(np.allclose(bar, [5 - half, 5 + half], atol=1e-4) for bar in bars)


def test_a_number_that_moves_nothing_or_has_two_values_is_no_figure(tmp_path):
    assert drawn("lines", steps(tmp_path / "g", {("p", n): [2.0, 2.1] for n in ("5", "10", "20")})) is None
    assert drawn("lines", steps(tmp_path / "h", {("p", n): [float(n), 2.1] for n in ("5", "10")})) is None


def costing(folder, flops):
    """Cells a, b with these FLOPs of training, and half as many seconds a sample."""
    values = {}
    for i, x in enumerate(flops):
        costs = {"cost/total_flops": x, "cost/sample_seconds": x / 2}
        values["ab"[i]] = {s: {NLL: 2.0 + i + s, FID: 9.0 + i + s} | costs for s in (0, 1)}
    return make_folder(folder, values, metrics=(NLL, FID))


def test_costs_are_those_of_training_and_for_samples_of_sampling(tmp_path):
    panels = drawn("cost", costing(tmp_path / "g", (2e6, 6e6))).axes
    assert [axes.get_xlabel() for axes in panels] == ["training (10$^{6}$ FLOPs)"] * 2 + ["sampling (s per sample)"]
    assert labelled(panels[0])["b"].tolist() == [[6.0, 3.5]]
    assert labelled(panels[2])["a"].tolist() == [[1e6, 9.5]]
    assert drawn("cost", costing(tmp_path / "h", (2e6, 2e6))) is None


def test_compute_joins_the_cells_of_a_space_but_for_autoencoders_alone(tmp_path):
    cells = {("pixels", "s"): 1e6, ("pixels", "l"): 4e6, ("f2", "s"): 2e6, ("f2", "l"): 3e6, ("f2", "vae"): 5e5}
    values = {cell: {0: {NLL: flops / 1e6, "cost/total_flops": flops}} for cell, flops in cells.items()}

    def change(row):
        coder = "" if row["axis.a"] == "pixels" else "z"
        return row | {"horizon": "0" if row["axis.b"] == "vae" else "9", "autoencoder_id": coder}

    (axes,) = drawn("compute", make_folder(tmp_path / "g", values, change=change)).axes
    assert labelled(axes)["pixels"].tolist() == [[1, 1], [4, 4]]
    assert labelled(axes)["f2, no diffusion"].tolist() == [[0.5, 0.5]]
    styles = {line.get_label(): line.get_linestyle() for line in axes.lines}
    assert [name for name, dashes in styles.items() if dashes == "None"] == ["f2, no diffusion"]
