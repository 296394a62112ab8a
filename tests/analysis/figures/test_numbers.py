"""Metrics over numbers and costs."""

import math

import numpy as np
import pytest

from tests.analysis.figures.drawing import drawn, labelled, legend_of
from tests.analysis.folders import FID, NLL, make_folder


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
