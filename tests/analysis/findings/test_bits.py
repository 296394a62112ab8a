"""Where the bits of an image go, on cells whose terms are round numbers."""

import pytest

from analysis.findings.answers import Answers
from analysis.findings.spaces import bits_of, shares_of
from analysis.findings.values import cells_of
from analysis.read.runs import read_folder
from analysis.schema import BOUND
from tests.analysis.conftest import NLL, answers_of, axis_of, build, row_of, write_curves
from tests.analysis.latent import latent

AXIS = axis_of("schedule", "Schedule", "abc")
# L_0 of the curve, and nll/test_L0, which an offset of −4 makes another; L_t, L_T. Of b nothing is known per t.
TERMS = {"a": (2.0, -2.0, 5.0, 1.0), "b": (2.0, 2.0, 3.0, 0.0), "c": (1.0, 1.0, 3.0, 0.0)}


def with_terms(folder):
    """A results folder of cells with these terms."""
    table, lines = [], []
    for name, (start, first, middle, last) in TERMS.items():
        for seed, shift in ((0, -0.5), (1, 0.5)):
            terms = {"nll/test_L0": first + shift, "nll/test_Lt": middle - shift, "nll/test_LT": last}
            table.append(row_of(name, seed) | {"axis.schedule": name, "nll/test": sum(terms.values())} | terms)
            if name != "b":
                values = (start + shift, 0.4, 0.2)
                lines += [(name, seed, "bound_per_t", t, value) for t, value in enumerate(values, 1)]
    build(folder, table, axes=[AXIS], layout="general", seeds=[0, 1], baseline={})
    write_curves(folder, lines)
    return folder


def test_shares_are_those_of_the_values_the_network_sees(tmp_path):
    answers = answers_of(with_terms(tmp_path / "g"))
    known = list(zip(answers.cells, answers.curve(BOUND), strict=True))
    assert shares_of(*known[0]) == pytest.approx((2 / 8, 5 / 8, 1 / 8))
    assert shares_of(*known[1]) is None
    assert shares_of(*known[2]) == pytest.approx((1 / 4, 3 / 4, 0))


def test_shares_are_over_the_seeds_that_know_every_term(tmp_path):
    grid = read_folder(with_terms(tmp_path / "g"))
    grid.runs.loc[(grid.runs["cell_id"] == "a") & (grid.runs["seed"] == 1), "nll/test_LT"] = float("nan")
    # Seed 0 alone: 2 − 0.5, 5 + 0.5 and 1.
    assert Answers.of(grid).shares[0] == pytest.approx((1.5 / 8, 5.5 / 8, 1 / 8))


def test_bits_are_those_of_the_runs(tmp_path):
    cells = {"-".join(cell.levels): cell for cell in cells_of(read_folder(latent(tmp_path / "g")))}
    assert bits_of(cells["pixels-steps"]).parts == pytest.approx({"L_0": -1.54, "L_1 to L_T": 5.301})
    f2 = bits_of(cells["f2-steps"])
    assert f2.parts == pytest.approx({"reconstruction": 1.3, "rate of the latents": -0.9 + 0.3 + 2.6 + 0.01})
    assert f2.rate == pytest.approx((-0.9, 2.91))
    vae = bits_of(cells["f1-vae"])
    assert vae.parts["rate of the latents"] == pytest.approx(-1.1 + 4.9 + 0.6)
    assert bits_of(cells["vq-steps"]) is None
    for cell in cells.values():
        if (found := bits_of(cell)) is not None:
            assert found.total == pytest.approx(cell.estimate(NLL).mean)
