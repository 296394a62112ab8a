"""The simulation of `seeds=auto`: cells stop as they do in a command, and few grids err."""

from __future__ import annotations

import math

import numpy as np

from evidence import looks

NONE = math.nan


def test_a_comparison_that_is_settled_or_hopeless_gets_no_more_seeds():
    rng = np.random.default_rng(0)
    values = np.zeros((4, 12)) + 1e-3 * rng.normal(size=(4, 12))
    values[1] += 100  # settled at the first look
    values[2, :3] = values[0, :3] + np.array([1.0, -1.0, 0.0])  # p = 1 there
    values[3] += 0.0005 + 0.0008 * rng.normal(size=12)
    found, seeds = looks.decided(values, NONE)
    assert seeds[:2] == [3, 3]
    assert (found[0].different, found[1].dropped) == (3, 3)
    assert seeds[2] in looks.LOOKS[1:]
    assert len(found[2].by_seed) == seeds[2]


def test_what_counts_as_a_false_claim_beside_the_list():
    rng = np.random.default_rng(1)
    truth = np.array([0.0, 5.0, 0.0, 5.0])
    values = truth[:, None] + 1e-3 * rng.normal(size=(4, 12))
    assert not looks.claimed(values, truth, NONE)
    assert looks.claimed(values, np.zeros(4), NONE)
    assert looks.claimed(0.2 * values, truth, 2.0), "equal within 2, where the truth is 5"


def test_few_grids_err_in_the_list_or_in_a_claim_beside_it(tmp_path, capsys):
    listed, either, seeds = looks.simulated("equal", "by 0", 3, 150)
    assert listed <= either <= 5 + 300 * math.sqrt(0.05 * 0.95 / 150)
    assert 3 <= seeds <= 12
    assert looks.main(["replicates=1", f"out={tmp_path}/t.md"]) == 0
    assert (tmp_path / "t.md").read_text() == capsys.readouterr().out
