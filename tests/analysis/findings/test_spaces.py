"""What cells in latents can have, and what is said of what they have not, on a grid of pixels, latents, VAEs and VQ."""

import dataclasses

import pytest

from analysis.findings.answers import Answers
from analysis.findings.factorial import factorial
from analysis.findings.family import Family
from analysis.findings.spaces import applies, autoencoder_axes, in_latents, is_vae
from analysis.findings.values import cells_of
from analysis.grid_json import Expectation, ShownMetric
from analysis.read.runs import read_folder
from analysis.report.answers import factorial_sentences
from analysis.words.cells import without_value
from analysis.words.claims import why
from analysis.words.verdicts import headline
from tests.analysis.conftest import FID, NLL, described
from tests.analysis.latent import PSNR, RFID, latent, rows


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    return read_folder(latent(tmp_path_factory.mktemp("spaces") / "latent"))


@pytest.fixture(scope="module")
def cells(grid):
    return {"-".join(cell.levels): cell for cell in cells_of(grid)}


def metric(name):
    return ShownMetric(**described({"name": name, "label": name, "direction": "none"}))


def test_which_cells_are_in_latents_and_which_are_vaes(cells):
    assert [name for name, cell in cells.items() if not in_latents(cell)] == ["pixels-steps"]
    assert [name for name, cell in cells.items() if is_vae(cell)] == ["f1-vae", "f2-vae", "f4-vae"]


def test_what_a_cell_can_have(cells):
    """In pixels, in latents, and as a VAE."""
    expected = {
        (False, True, True): [RFID, PSNR, "nll/test_reconstruction", "nll/test_entropy", "cost/autoencoder_flops"],
        (True, True, False): ["cost/train_seconds", "bound_variance/test"],
        (True, True, True): ["nll/test_Lt", "cost/total_flops", FID],
    }
    for has, names in expected.items():
        for name in names:
            own = tuple(applies(cells[cell], metric(name)) for cell in ("pixels-steps", "f2-steps", "f2-vae"))
            assert own == has, name


def test_why_there_is_no_value(cells):
    assert without_value(cells["vq-steps"], metric(NLL)).startswith("not comparable: a VQ code has no likelihood")
    assert without_value(cells["vq-steps"], metric("nll/test_L0")).startswith("not comparable")
    assert without_value(cells["pixels-steps"], metric(RFID)) == ""
    assert without_value(cells["f2-steps"], metric(RFID)) == "finished, but without this metric"
    assert not cells["vq-steps"].comparable(NLL)
    assert cells["vq-steps"].comparable(FID)


def test_a_run_that_did_not_finish_says_nothing_of_comparisons(tmp_path):
    lost = {"status": "diverged", "reason": "not finite"}
    table = [one | (lost if one["axis.space"] == "vq" else {}) for one in rows()]
    (vq,) = [cell for cell in cells_of(read_folder(latent(tmp_path / "g", table))) if cell.levels[0] == "vq"]
    assert vq.comparable(NLL)


def test_axes_that_change_the_space(grid):
    assert [axis.name for axis in Answers.of(grid).space_axes] == ["space"]
    # An axis that teaches the autoencoder otherwise is none of where the diffusion happens.
    weight = grid.runs["axis.run"].map({"steps": "0.3", "flops": "0.3", "vae": "1.0"})
    taught = dataclasses.replace(grid, runs=grid.runs.assign(**{"space.kl_weight": weight}))
    assert [axis.name for axis in Answers.of(taught).space_axes] == ["space"]
    first = grid.runs[(grid.runs["seed"] == 0) & (grid.runs["autoencoder_id"] != "")]
    assert [axis.name for axis in autoencoder_axes(grid.meta.axes, first)] == ["space"]


def test_an_axis_over_the_regularization_alone_does_not_change_the_space(grid):
    runs = grid.runs[grid.runs["axis.space"].isin(["f2", "vq"])]
    assert Answers.of(dataclasses.replace(grid, runs=runs)).space_axes == []


def test_a_cell_that_is_not_comparable_takes_part_in_no_comparison_of_that_metric(grid):
    nll, fid = Answers.of(grid).findings
    at = next(i for i, cell in enumerate(nll.cells) if cell.levels[0] == "vq")
    assert at not in nll.leading
    assert nll.estimates[at].values == {}
    assert not [pair for pair in nll.pairs if "vq" in (pair.a.levels[0], pair.b.levels[0])]
    assert [pair.a.levels for pair in fid.pairs if pair.a.levels[0] == "vq"] == [("vq", "steps")]
    assert "is the best of 10" in headline(nll)
    assert (nll.standing.beaten[at], len(fid.ranked)) == (None, 11)
    assert fid.standing.beaten[at] is not None


def claimed(grid, kind, better, than):
    claim = Expectation("it is better", "A paper", kind, {"space": better}, {"space": than})
    claiming = dataclasses.replace(grid, meta=dataclasses.replace(grid.meta, expects=(claim,)))
    (found,) = Answers.of(claiming).claims
    return found


@pytest.mark.parametrize(("better", "than"), [("vq", "pixels"), ("pixels", "vq")])
def test_a_claim_of_what_is_not_comparable_cannot_be_told(grid, better, than):
    found = claimed(grid, "nll", better, than)
    assert (found.fate, why(found)) == ("cannot tell", "a cell that it names has no NLL to compare")
    labels = {"vq": "“f = 2, VQ”", "pixels": "pixels"}
    sides = f"FID of {labels[better]} against {labels[than]} differs by"
    assert why(claimed(grid, "fid", better, than)).startswith(sides)


def test_effects_leave_out_what_is_not_comparable_and_say_so(grid):
    found = factorial(grid, grid.meta.metrics[0], cells_of(grid), Family())
    assert "Not compared, though finished: f = 2, VQ · equal steps." in factorial_sentences(found)
    # Spaces and runs depend on each other, and pixels have no VAE: there is no average to give.
    assert not [average for average in found.averages if average.axis.name == "space"]
    assert not [line for line in factorial_sentences(found) if "without this metric" in line]
    assert "Not compared" not in " ".join(
        factorial_sentences(factorial(grid, grid.meta.metrics[1], cells_of(grid), Family()))
    )
