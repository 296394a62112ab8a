"""The simulation of `seeds=auto`: what it takes for a false claim, and that it takes the looks of the suite."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ablations.grids.grid import looks_of
from analysis.statistics.looks import Looks, begin, look
from evidence import looks


def test_a_simulated_grid_ends_as_the_looks_of_the_suite_do():
    rng = np.random.default_rng(0)
    truth = np.linspace(0, 4, 6)
    values = looks.differences(looks.NOISES[1], truth, 20, rng)
    found = looks.ended(values, truth, looks.MARGIN)
    for r in range(20):
        standings = begin(6)
        for n in looks_of():
            here = [of_j[:n] if one.open else None for of_j, one in zip(values[r], standings, strict=True)]
            standings = look(Looks(looks_of()), n, standings, here, margins=looks.MARGIN)
        assert found.different[r].tolist() == [one.different is not None for one in standings]
        assert found.equal[r].tolist() == [one.equal is not None for one in standings]
        assert found.seeds[r].tolist() == [one.found.n for one in standings]


@pytest.mark.parametrize("noise", looks.NOISES, ids=lambda noise: noise.name)
def test_differences_are_in_their_own_standard_deviations(noise):
    values = looks.differences(noise, np.array([0.0, 2.0]), 4000, np.random.default_rng(1), 4)
    assert values.std((0, 2)) == pytest.approx(1, abs=0.05)
    assert values.mean((0, 2)) == pytest.approx([0, 2], abs=0.05)


@pytest.mark.parametrize("noise", looks.NOISES, ids=lambda noise: noise.name)
def test_false_claims_stay_below_five_percent(noise):
    plain, mixed, held = looks.row(noise, 1000).split("|")[2:5]
    limit = 5 + 300 * math.sqrt(0.05 * 0.95 / 1000)
    assert all(float(rate) <= limit for rate in (*plain.split(","), *mixed.split(",")))
    assert all(float(rate) >= 100 - limit for rate in held.split(","))


def test_the_share_of_a_fixed_design_by_hand():
    rising = np.linspace(0.1, 0.9, len(looks.FIXED))
    assert looks.beside(0.1, rising, 3.0) == "1.00"
    assert looks.beside(rising[5], rising, 5.0) == "0.50"
    assert looks.beside(0.05, rising, 3.0) == "more than 1.00"
    assert looks.beside(0.95, rising, 5.0) == "less than 0.25"


def test_all_tables_are_written(tmp_path, capsys):
    assert looks.main(["repeats=20", f"out={tmp_path / 'looks.md'}"]) == 0
    text = (tmp_path / "looks.md").read_text()
    assert text == capsys.readouterr().out
    assert text.count("\n| ") == 2 + len(looks.NOISES) + 2 * len(looks.COUNTS) * len(looks.SHAPES)
