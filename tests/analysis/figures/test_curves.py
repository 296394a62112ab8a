"""Curves: each panel has each of its cells, equal ones as one line there, and there only."""

import numpy as np
import pytest

from tests.analysis.figures.drawing import drawn, labelled, legend_of, panels_of
from tests.analysis.folders import FID, NLL, make_folder


def curve(cell, name, values, seed=0, xs=(10, 20, 30)):
    """The points of a curve of one run."""
    return [(cell, seed, name, float(x), float(y)) for x, y in zip(xs, values, strict=True)]


def crossed(folder, heights):
    """A grid whose cells have a flat curve each, at a height of their own: levels → height."""
    points = [point for cell, y in heights.items() for point in curve("-".join(cell), "train/network", [y] * 3)]
    return make_folder(folder, {cell: [2.5, 2.6] for cell in heights}, curves=points)


def test_a_line_is_the_mean_of_the_seeds_on_the_band_of_their_range(tmp_path):
    points = [*curve("a", "train/network", [4, 2, 1]), *curve("a", "train/network", [8, 4, 3], seed=1)]
    points += [*curve("b", "train/network", [1, 1, 1]), *curve("b", "train/network", [1, 1, 1], seed=1)]
    (axes,) = drawn("training", make_folder(tmp_path / "g", {"a": [2.0, 2.1], "b": [2.0, 2.1]}, curves=points)).axes
    np.testing.assert_allclose(labelled(axes)["a"], [[10, 6], [20, 3], [30, 2]])
    corners = {tuple(corner) for corner in axes.collections[0].get_paths()[0].vertices}
    assert {(10.0, 4.0), (10.0, 8.0), (30.0, 1.0), (30.0, 3.0)} <= corners


def test_each_panel_has_each_of_its_cells_and_merges_only_its_own(tmp_path):
    """μ at y equals ε at x, in another panel; at z, both are one line."""
    heights = {("mu", "x"): 1, ("eps", "x"): 2, ("mu", "y"): 2, ("eps", "y"): 3, ("mu", "z"): 5, ("eps", "z"): 5}
    figure = drawn("training", crossed(tmp_path / "g", heights))
    every = panels_of(figure).items()
    found = {title: {name: points[0, 1] for name, points in lines.items()} for title, lines in every}
    assert found == {"x": {"mu": 1, "eps": 2}, "y": {"mu": 2, "eps": 3}, "z\none line: mu, eps": {"mu, eps": 5}}
    assert legend_of(figure) == ["mu", "eps"]
    figure.draw_without_rendering()
    assert all(figure.legends[0].get_window_extent().x0 >= axes.get_window_extent().x1 for axes in figure.axes)


def test_axes_that_change_no_curve_are_left_out(tmp_path):
    heights = {(a, b): 1 + "pq".index(a) for a in "pq" for b in "xyz"}
    assert panels_of(drawn("training", crossed(tmp_path / "g", heights))).keys() == {""}
    assert drawn("training", crossed(tmp_path / "h", {("p",): 1, ("q",): 1})) is None
    assert drawn("training", make_folder(tmp_path / "i", {"a": [2.0]})) is None


def test_the_bound_leaves_out_cells_that_are_not_comparable_and_terms_below_0(tmp_path):
    heights = {"a": [-1, 2, 1], "b": [3, 2, 2], "c": [9, 9, 9]}
    points = [point for cell, ys in heights.items() for point in curve(cell, "bound_per_t", ys)]

    def change(row):
        return row | {"not_comparable": "nll" if row["cell_id"] == "c" else ""}

    folder = make_folder(tmp_path / "g", {cell: [2.0] for cell in heights}, curves=points, change=change)
    (axes,) = drawn("bound", folder).axes
    np.testing.assert_allclose(labelled(axes)["a"], [[2 / 3, 2], [1, 1]])
    assert (sorted(labelled(axes)), axes.get_xscale()) == (["a", "b"], "log")


def test_scores_over_steps_end_at_the_end_of_training(tmp_path):
    values = {c: {0: {NLL: 1.0, "nll/val": 3.0 + i, FID: 8.0 + i}} for i, c in enumerate("ab")}
    points = [(c, 0, f"rung/{name}", 100.0, 9.0 + i) for i, c in enumerate("ab") for name in ("nll/val", FID)]
    trained = {"change": lambda row: row | {"training.steps": "200"}, "curves": points}
    folder = make_folder(tmp_path / "g", values, metrics=(NLL, FID), **trained)
    nll, fid = drawn("budget", folder).axes
    np.testing.assert_allclose(labelled(nll)["b"], [[100, 10], [200, 4]])
    np.testing.assert_allclose(labelled(fid)["a"], [[100, 9], [200, 8]])
    assert ["validation" in axes.get_ylabel() for axes in (nll, fid)] == [True, False]


@pytest.mark.parametrize(("axis", "titles"), [(0, ["", "x", "y"]), (1, ["x", "y"])])
def test_a_score_has_panels_along_what_changes_it_and_none_where_all_lines_are_one(axis, titles, tmp_path):
    values = {(a, b): {0: {NLL: 1, FID: ord(a) + 2 * ord(b), "nll/val": ord((a, b)[axis])}} for a in "pq" for b in "xy"}
    runs = [("-".join(cell), name, value) for cell, of in values.items() for name, value in of[0].items()]
    points = [(cell, 0, f"rung/{name}", step, value) for cell, name, value in runs for step in (10.0, 20.0)]
    assert [*panels_of(drawn("budget", make_folder(tmp_path, values, metrics=(NLL, FID), curves=points)))] == titles


def test_schedules_show_log_snr_alpha_bar_and_what_learned(tmp_path):
    points = [*curve("a", "log_snr", [2, 0, -2], -1), *curve("b", "log_snr", [6, 0, -6], -1)]
    points += curve("c", "log_snr", [2.01, 0, -2], -1) + curve("b", "schedule/gamma_50", [1, 2, 3])
    snr, alpha, gamma = drawn("schedules", make_folder(tmp_path / "g", {c: [2.0] for c in "abc"}, curves=points)).axes
    assert labelled(snr).keys() == labelled(alpha).keys() == {"a, c", "b"}
    assert labelled(snr)["b"][-1] == pytest.approx([1.0, -6.0])
    assert labelled(alpha)["b"][0] == pytest.approx([1 / 3, 1 / (1 + np.exp(-6.0))])
    np.testing.assert_allclose(labelled(gamma)["b"], [[10, 1], [20, 2], [30, 3]])
