"""The figure of the schedules, on fabricated curves that are straight lines, so that every point is known."""

import numpy as np
import pytest

from analysis.figures.distinct import name
from analysis.figures.schedules import distinct, learned_of, schedules_figure
from analysis.findings.values import cells_of
from analysis.read.runs import read_folder
from tests.analysis.conftest import answers_of, axis_of, build, row_of, write_curves
from tests.analysis.figures.conftest import drawn, texts

STEPS = (100, 200, 300)


def axis(title, *levels):
    return axis_of(title, title, {level: level.upper() for level in levels})


SCHEDULE, PREDICTS = axis("schedule", "linear", "cosine", "learned"), axis("predicts", "epsilon", "v")


def straight(first, last, horizon):
    """log-SNR that falls from first, at t = 1, to last, at t = T."""
    return list(zip(range(1, horizon + 1), np.linspace(first, last, horizon), strict=True))


def gammas(shift=0.0):
    """γ at u is −10 + 16 u + shift at the last step, and 1 less at each step before."""
    return {
        f"schedule/gamma_{q}": [(step, -10 + 0.16 * q + shift - (2 - i)) for i, step in enumerate(STEPS)]
        for q in (0, 25, 50, 75, 100)
    }


def fabricated(folder, axes, cells, seeds=(0,)):
    """`cells`: levels → (seed → curve → points)."""
    table, lines = [], []
    for levels, curves in cells.items():
        cell = "-".join(levels) or "lone"
        for seed in seeds:
            row = row_of(cell, seed, training_id="t", parameterization="epsilon") | {"nll/test": 2.5}
            row |= {f"axis.{one['name']}": level for one, level in zip(axes, levels, strict=True)}
            table.append(row)
            for curve, points in curves(seed).items():
                lines += [(cell, seed, curve, x, y) for x, y in points]
    build(folder, table, axes=axes, layout="general", seeds=list(seeds))
    write_curves(folder, lines)
    return folder


def fixed(first, last, horizon=5):
    return lambda seed: {"log_snr": straight(first, last, horizon)}


def learned(first=10.0, last=-6.0, apart=0.0, shift=0.0):
    """Seed k lies `apart` k higher."""
    return lambda seed: {
        "log_snr": straight(first + apart * seed, last + apart * seed, 5),
        **gammas(shift - apart * seed),
    }


@pytest.fixture
def three(tmp_path):
    cells = {("linear",): fixed(7, -9), ("cosine",): fixed(7, -15), ("learned",): learned(apart=1.0)}
    return fabricated(tmp_path / "g", [SCHEDULE], cells, seeds=(0, 1, 2))


def test_log_snr_at_the_left_and_what_was_learned_at_the_right(three):
    left, right = drawn(schedules_figure, three).axes
    assert texts(left) == ["LINEAR", "COSINE", "LEARNED"]
    assert texts(right) == ["u = 0", "u = 0.25", "u = 0.5", "u = 0.75", "u = 1"]
    assert (left.get_xlabel(), left.get_ylabel(), right.get_xlabel()) == ("t/T", "log-SNR(t)", "training step")
    # Three seeds of the learned one, thin, and three means.
    assert len(left.lines) == 3 + 3
    mean = left.lines[-1]
    np.testing.assert_allclose(mean.get_xdata(), [0.2, 0.4, 0.6, 0.8, 1.0])
    np.testing.assert_allclose(mean.get_ydata(), [11, 7, 3, -1, -5])
    assert len(right.lines) == 5 * (3 + 1)
    middle = right.lines[2 * 4 + 3]
    np.testing.assert_allclose(middle.get_xdata(), STEPS)
    # −10 + 8, less a mean apart of 1, and 2, 1, 0 below.
    np.testing.assert_allclose(middle.get_ydata(), [-5, -4, -3])
    assert {line.get_color() for line in right.lines} == {mean.get_color()}


@pytest.mark.parametrize(
    ("axes", "cells", "first"),
    [
        ([SCHEDULE], {("linear",): fixed(7, -9), ("cosine",): fixed(7, -15)}, ["LINEAR", "COSINE"]),
        ([], {(): learned()}, ["u = 0", "u = 0.25"]),
    ],
    ids=["never-learn", "one-that-learns"],
)
def test_schedules_that_never_learn_and_one_that_learns_have_one_panel(tmp_path, axes, cells, first):
    (panel,) = drawn(schedules_figure, fabricated(tmp_path / "g", axes, cells)).axes
    assert texts(panel)[:2] == first


def test_one_schedule_is_not_drawn(tmp_path, shared_folder):
    assert drawn(schedules_figure, shared_folder) is None
    cells = {("epsilon",): fixed(7, -9), ("v",): fixed(7.04, -8.96)}
    assert drawn(schedules_figure, fabricated(tmp_path / "g", [PREDICTS], cells)) is None


def test_cells_are_named_by_what_tells_them_apart(tmp_path):
    cells = {
        (schedule, target): curves
        for schedule, both in (
            ("linear", [fixed(7, -9)] * 2),
            ("cosine", [fixed(7, -15)] * 2),
            ("learned", [learned(), learned(last=-5.0, shift=1.0)]),
        )
        for target, curves in zip(("epsilon", "v"), both, strict=True)
    }
    left, right = drawn(schedules_figure, fabricated(tmp_path / "g", [SCHEDULE, PREDICTS], cells)).axes
    assert texts(left) == ["LINEAR", "COSINE", "LEARNED, EPSILON", "LEARNED, V"]
    assert len(set(map(str, (line.get_color() for line in right.lines)))) == 2
    # A quantile's name stands in the middle between −10 and −9: once, however many schedules learn.
    assert len(texts(right)) == 5


def test_name_takes_every_axis_that_is_needed(tmp_path):
    cells = {("linear", "epsilon"): fixed(1, 0), ("linear", "v"): fixed(2, 0), ("cosine", "v"): fixed(3, 0)}
    found = cells_of(read_folder(fabricated(tmp_path / "g", [SCHEDULE, PREDICTS], cells)))
    assert [cell.levels for cell in found] == list(cells)
    assert name(found[2:], found) == "COSINE"
    assert name(found[1:2], found) == "LINEAR, V"
    assert name(found[:1], found) == "EPSILON"
    assert name(found[1:], found) == "V"
    assert name([found[0], found[2]], found) == "LINEAR, EPSILON\nCOSINE, V"


def test_many_cells_are_named_by_the_first_of_them(tmp_path):
    levels = [("linear", "epsilon"), ("linear", "v"), ("cosine", "epsilon"), ("learned", "v"), ("cosine", "v")]
    cells = {pair: fixed(i, 0) for i, pair in enumerate(levels, start=1)}
    found = cells_of(read_folder(fabricated(tmp_path / "g", [SCHEDULE, PREDICTS], cells)))
    four = [cell for cell in found if cell.levels != ("cosine", "v")]
    assert name(four, found) == "LINEAR, EPSILON\nLINEAR, V\nand 2 more"
    assert name(four[:3], found).count("\n") == 2


def test_schedules_agree_over_t_by_t(tmp_path):
    """−16 t/T at T = 4, but for its first point, and at T = 8 is one schedule."""
    axes = [axis("horizon", "4", "8", "9")]
    thinned = {"log_snr": straight(-4, -16, 4)[1:]}
    cells = {("4",): lambda seed: thinned, ("8",): fixed(-2, -16, 8), ("9",): fixed(-1, -16, 9)}
    found = distinct(answers_of(fabricated(tmp_path / "g", axes, cells)))
    assert [[cell.levels[0] for cell in cells] for _, cells in found] == [["4", "8"], ["9"]]


def test_quantiles_come_in_order_and_points_that_are_not_finite_are_left_out(tmp_path):
    def curves(seed):
        return {"schedule/gamma_100": [(1, 5.0), (2, float("nan"))], "schedule/gamma_0": [(1, float("nan"))]} | {
            "schedule/gamma_50": [(1, 0.5)],
            "schedule/gamma_end": [(1, 1.0)],
        }

    found = learned_of(answers_of(fabricated(tmp_path / "g", [], {(): curves})))
    assert [(one.u, one.table.to_numpy().tolist()) for one in found] == [(0.5, [[0.5]]), (1.0, [[5.0]])]
