"""Sizes of differences as pages write them, rounded by hand."""

from __future__ import annotations

import math

import pytest

from evidence.committed_grid import CommittedGrid, size


@pytest.mark.parametrize(
    ("difference", "half", "said"),
    [
        (-0.6412, 0.0121, "0.64 ± 0.01"),
        (0.2143, 0.0042, "0.214 ± 0.004"),
        (-0.0134, 0.0081, "0.013 ± 0.008"),
        (0.007, 0.033, "0.01 ± 0.03"),
    ],
)
def test_a_small_difference_has_another_decimal_where_its_interval_is_small_too(difference, half, said):
    assert size({"difference": difference, "half_width": half, "scale": "linear"}) == said


def test_a_difference_of_logarithms_is_a_factor_above_1():
    pair = {"difference": -math.log(2), "half_width": math.log(1.25), "scale": "log"}
    assert size(pair) == "a factor of 2.00 (1.60 to 2.50)"


def test_a_published_difference_is_that_of_the_two_numbers_in_the_paper():
    """Improved DDPM, Table 2: 3.17 and 3.26 with the cosine schedule; here 1.9772 and 2.0217."""
    told = CommittedGrid("improved_ddpm")
    assert told.published("L_hybrid improves the NLL under the cosine") == "−0.09"
    assert math.isclose(told.of_published("L_hybrid improves the NLL under the cosine"), 0.0445 / 0.09, abs_tol=0.01)


def test_the_values_of_seeds_have_the_mean_of_the_answers():
    told = CommittedGrid("spacing")
    values = told.by_seed("nll", "uniform 10")
    assert len(set(values)) == len(values) == told.seeds
    assert math.isclose(sum(values) / len(values), told.value("nll", "uniform 10"), rel_tol=1e-6)
