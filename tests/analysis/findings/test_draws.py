"""The own error of a metric: the largest of the runs that know it, and what the caption says of it."""

from __future__ import annotations

import math

import pytest

from analysis.findings.answers import Answers
from analysis.tables import table_of
from tests.analysis.conftest import NLL, answers_of, axis_of, build, row_of


def with_errors(folder, errors: dict[str, tuple[float, ...]]) -> Answers:
    """The answers of a grid whose cells have these own errors by seed, where they have any."""
    table = []
    for name in "abc":
        for seed in (0, 1):
            known = {f"{NLL}_draw_se": errors[name][seed]} if name in errors else {}
            table.append(row_of(name, seed) | {"axis.schedule": name, NLL: 2.0 + 0.1 * seed} | known)
    axis = axis_of("schedule", "Schedule", {"a": "A", "b": "B", "c": "C"})
    return answers_of(build(folder, table, axes=[axis], layout="general", seeds=[0, 1], baseline={}))


def test_the_largest_own_error_of_any_run_is_told_rounded_up(tmp_path):
    answers = with_errors(tmp_path / "g", {"a": (0.002, 0.0031), "b": (0.00412, 0.001), "c": (0.0025, 0.0025)})
    (error,) = answers.draw_errors
    assert (error.largest, error.cell.name, error.median) == (0.00412, "B", 0.0031)
    said = "NLL's own error, from its draws, is at most 0.0042 bits/dim. "
    assert said in table_of(answers).caption


def test_one_cell_far_above_the_others_is_named(tmp_path):
    answers = with_errors(tmp_path / "g", {"a": (1.29, 1.21), "b": (0.004, 0.001), "c": (0.0041, 0.0025)})
    said = "own error, from its draws, is at most 1.3 bits/dim (A), and 0.0041 bits/dim in the median cell. "
    assert said in table_of(answers).caption


@pytest.mark.parametrize("errors", [{}, {"a": (math.nan, math.nan)}])
def test_results_that_do_not_know_it_say_nothing(errors, tmp_path):
    answers = with_errors(tmp_path / "g", errors)
    assert answers.draw_errors == []
    assert "own error" not in table_of(answers).caption


def test_cells_without_an_own_error_do_not_count(tmp_path):
    (error,) = with_errors(tmp_path / "g", {"c": (0.002, math.nan)}).draw_errors
    assert (error.largest, error.cell.name, error.median) == (0.002, "C", 0.002)
