"""The simulation of error rates: what it counts, in grids whose verdicts are plain to see."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evidence import inference


def grid(*means, seeds=3):
    """Cells that differ from seed to seed alike, but for a little."""
    noise = np.array([[0.0, 0.01, -0.01], [0.01, 0.0, -0.01], [0.0, -0.01, 0.01], [0.01, -0.01, 0.0]])
    return np.array(means)[:, None] + noise[: len(means), :seeds] + 10 * np.arange(seeds)


def test_what_counts_as_a_false_claim():
    assert not inference.false_difference()(grid(1, 1, 1, 1))
    assert inference.false_difference()(grid(1, 1, 1, 9)), "as drawn, no cell differs"
    # The first of three is moved, and only what is claimed of the others is false.
    assert not inference.false_difference(5.0)(grid(1, 1, 1, 1))
    assert inference.false_difference(5.0)(grid(1, 1, 1, 9))
    # At the margin, equality is false of those moved, and true of the others.
    assert not inference.false_difference(1.0, 1.0)(grid(1, 1, 1, 1))
    assert inference.false_difference(1.0, 1.0)(grid(1, 0.5, 1, 1))
    assert inference.lost(grid(9, 1, 1))
    assert not inference.lost(grid(1, 1, 9))


def test_power_is_of_the_cell_that_was_moved():
    for holm in (False, True):
        assert inference.finds(5.0, holm=holm)(grid(1, 1, 1, 1))
        assert not inference.finds(0.0, holm=holm)(grid(1, 9, 1, 1))


@pytest.mark.parametrize("draw", [*inference.NOISES.values(), inference.alike, inference.counted(3.0)])
def test_cells_have_equal_means(draw):
    rng = np.random.default_rng(0)
    means = np.mean([draw(rng, 4, 3) for _ in range(4000)], axis=(0, 2))
    assert means == pytest.approx([means.mean()] * 4, abs=0.6)


def test_false_claims_stay_within_what_is_promised():
    found = inference.rate(inference.false_difference(), inference.NOISES["exp(1.2 z)"], 12, 3, 400)
    assert found <= 5 + 300 * math.sqrt(0.05 * 0.95 / 400)


def test_the_page_holds_every_table_and_marks_what_misses(tmp_path, capsys):
    assert inference.main(["replicates=2", f"out={tmp_path}/t.md"]) == 0
    assert (tmp_path / "t.md").read_text() == capsys.readouterr().out
    assert (tmp_path / "t.md").read_text().count("\n|---") == 5
    assert [inference.marked(rate) for rate in (5.5, 5.6)] == ["5.5", "5.6 ×"]
