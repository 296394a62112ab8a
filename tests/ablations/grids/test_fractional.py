"""D-optimal fractions: enough rank for every effect, and better than chance."""

from itertools import product

import numpy as np
import pytest

from ablations.grids.fractional import d_optimal, log_det, model_matrix
from tests.sampling import sampled


def crossings(*sizes):
    names = [[f"level{i}" for i in range(size)] for size in sizes]
    return [{f"axis{i}": level for i, level in enumerate(levels)} for levels in product(*names)]


def test_the_model_has_a_column_per_effect():
    # 1 + (2 + 2 + 2 + 1) + (4 + 4 + 2 + 4 + 2 + 2)
    x = model_matrix(crossings(3, 3, 3, 2))
    assert x.shape == (54, 26)
    assert np.linalg.matrix_rank(x) == 26
    # Sum-to-zero coding makes every other column orthogonal to the mean in the whole factorial.
    np.testing.assert_allclose(x[:, 1:].sum(0), 0, atol=1e-12)


@pytest.mark.parametrize("keep", sampled([23, 0], 2))
def test_a_half_tells_all_effects_apart_and_beats_any_random_half(keep):
    cells = crossings(3, 3, 3, 2)
    chosen = d_optimal(cells, 27, keep)
    x = model_matrix(cells)
    assert len(set(chosen)) == 27
    assert chosen == sorted(chosen)
    assert keep in chosen
    assert np.linalg.matrix_rank(x[chosen]) == 26
    rng = np.random.default_rng(0)
    assert log_det(x[chosen]) > max(log_det(x[rng.permutation(54)[:27]]) for _ in range(300))
    assert d_optimal(cells, 27, keep) == chosen


def test_the_best_half_of_two_to_the_three_is_the_known_one():
    # The regular fraction I = ABC is D-optimal for the mean and three main effects; with interactions none has full
    # rank, and all that can be asked is that no cell is chosen twice.
    cells = crossings(2, 2, 2)
    main = model_matrix(cells)[:, :4]
    halves = [rows for rows in product([False, True], repeat=8) if sum(rows) == 4]
    best = max(log_det(main[list(rows)]) for rows in halves)
    assert best == pytest.approx(4 * np.log(4), abs=1e-5)
    assert len(d_optimal(cells, 4, 0)) == 4
