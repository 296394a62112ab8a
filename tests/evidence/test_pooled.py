"""The simulation of borrowed variances: pooled ones are an analysis of variance, and moderated ones are limma's."""

import numpy as np
import pytest
from scipy import special, stats
from statsmodels.stats.multitest import multipletests

from evidence import pooled
from evidence.inference_grids import equal, one_other


def test_the_pooled_variance_is_the_residual_one_of_cells_and_seeds():
    """Of Friedman's layout by hand: a cell's and a seed's part are taken out of each value."""
    values = np.random.default_rng(0).normal(size=(1, 4, 5)) + np.array([0.0, 1.0, 2.0, 9.0])[:, None]
    design = np.zeros((20, 8))
    for row, (cell, seed) in enumerate(np.ndindex(4, 5)):
        design[row, 0] = 1
        design[row, cell] = 1
        design[row, 3 + seed if seed else 0] = 1
    _, (left,), rank, _ = np.linalg.lstsq(design, values[0].ravel(), rcond=None)
    error = np.sqrt(2 * left / (20 - rank) / 5)
    p = 2 * stats.t.sf(np.abs(values[0, 1:].mean(1) - values[0, 0].mean()) / error, 12)
    assert rank == 8
    assert pooled.pooled(values)[0].tolist() == multipletests(p, method="holm")[0].tolist()


@pytest.mark.parametrize(("free", "prior"), [(2, 4.0), (4, 10.0)])
def test_the_prior_of_variances_is_found_again(free, prior):
    """Variances that are drawn from it: s0² d0/χ²_d0 in truth, with s0² = 3."""
    rng = np.random.default_rng(free)
    true = 3 * prior / rng.chisquare(prior, size=(1, 40_000))
    found, towards = pooled.prior_of(true * rng.chisquare(free, size=true.shape) / free, free)
    assert found.item() == pytest.approx(prior, rel=0.1)
    assert towards.item() == pytest.approx(3, rel=0.05)


def test_variances_that_are_all_equal_are_wholly_shared():
    found, towards = pooled.prior_of(np.full((1, 6), 2.0), 2)
    assert np.isinf(found.item())
    assert towards.item() == pytest.approx(2 * np.exp(-special.digamma(1)))


def test_a_noisy_cell_breaks_them_and_equal_cells_do_not():
    for rule in (pooled.pooled, pooled.moderated):
        fair, broken = (pooled.false_claims(rule, draw, (2000, 12, 5)) for draw in (equal, one_other(1, 10.0)))
        assert fair < 8 < broken


def test_the_page_has_a_row_for_each_noise(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(pooled, "CELLS", (3,))
    assert pooled.main(["replicates=2", f"out={tmp_path}/p.md"]) == 0
    assert (tmp_path / "p.md").read_text() == capsys.readouterr().out
    assert (tmp_path / "p.md").read_text().count("\n| ") == 1 + len(pooled.DRAWN)
