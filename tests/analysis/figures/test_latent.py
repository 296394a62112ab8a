"""Figures of a grid in latents: reconstructions, compute and bits against their data; and what the others leave out."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from analysis.figures import write_figures
from analysis.figures.bits import elbo_figure, split_figure, split_sentence
from analysis.figures.compute import compute_figure
from analysis.figures.curves import bound_figure, training_figure
from analysis.figures.differences import differences_figure
from analysis.figures.image_rows import reconstructions_figure
from analysis.figures.metrics import metrics_figure
from analysis.findings.answers import Answers
from analysis.read.runs import read_folder
from tests.analysis.conftest import NLL
from tests.analysis.figures.conftest import drawn, files_written
from tests.analysis.latent import CELLS, autoencoder_id, latent, rows


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return latent(tmp_path_factory.mktemp("figures") / "latent")


@pytest.fixture(scope="module")
def grid(folder):
    return read_folder(folder)


def texts(figure):
    return [text.get_text() for text in figure.texts] + [t.get_text() for axes in figure.axes for t in axes.texts]


def kept(grid, keep):
    """The grid with some of its runs."""
    runs = grid.runs[[keep(levels) for levels in zip(grid.runs["axis.space"], grid.runs["axis.run"], strict=True)]]
    return dataclasses.replace(grid, runs=runs)


# Reconstructions.


def test_a_row_per_autoencoder_of_the_first_seed_below_the_originals(grid):
    figure = drawn(reconstructions_figure, grid)
    assert len(figure.axes) == 5 * 8
    told, known = texts(figure), [(38.2, 0.4), (27.4, 3.1), (21.0, 14.0), (26.6, 3.9)]
    assert told[::2] == ["originals", "f = 1", "f = 2", "f = 4", "f = 2, VQ"]
    assert told[1::2] == ["", *(f"PSNR {psnr} dB\nrFID {rfid}" for psnr, rfid in known)]
    for place, name in ((0, "originals"), (2, autoencoder_id("f2", 0))):
        strip = np.asarray(Image.open(grid.reconstructions / f"{name}.png")) / 255
        shown = [axes.images[0] for axes in figure.axes[8 * place : 8 * place + 8]]
        np.testing.assert_allclose(np.hstack([image.get_array() for image in shown]), strip, atol=1e-6)
        assert {image.get_interpolation() for image in shown} == {"nearest"}


def test_an_autoencoder_alone_in_its_grid_is_called_by_its_space(grid):
    one = kept(grid, lambda levels: levels[0] in ("pixels", "f2"))
    assert texts(drawn(reconstructions_figure, one))[2:] == ["f = 2", "PSNR 27.4 dB\nrFID 3.1"]


def test_no_reconstructions_without_originals_or_what_was_made_of_them(grid, tmp_path):
    assert drawn(reconstructions_figure, dataclasses.replace(grid, reconstructions=None)) is None
    there = dataclasses.replace(grid, reconstructions=tmp_path)
    Image.new("L", (64, 8)).save(tmp_path / f"{autoencoder_id('f1', 0)}.png")
    assert drawn(reconstructions_figure, there) is None
    Image.new("L", (64, 8)).save(tmp_path / "originals.png")
    assert len(drawn(reconstructions_figure, there).axes) == 16
    (tmp_path / f"{autoencoder_id('f1', 0)}.png").unlink()
    assert drawn(reconstructions_figure, there) is None


def test_of_many_images_the_first_are_shown_as_large_as_they_fit(grid, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32 * 16, 3), np.uint8)
    for name in ("originals", autoencoder_id("f1", 0)):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    figure = drawn(reconstructions_figure, dataclasses.replace(grid, reconstructions=tmp_path))
    first = figure.axes[: len(figure.axes) // 2]
    assert 8 <= len(first) < 16
    for i, axes in enumerate(first):
        np.testing.assert_allclose(axes.images[0].get_array(), pixels[:, 32 * i : 32 * i + 32] / 255, atol=1e-6)
    width = axes.get_position().width * figure.get_size_inches()[0]
    # 0.4 inches, less at most one dot per pixel.
    assert width > 0.4 - 32 / 300
    # A whole number of dots at 300 a printed inch.
    assert (width * 300 / 32) == pytest.approx(round(width * 300 / 32))
    assert figure.get_size_inches()[0] <= 7


# Compute.


def markers(axes, hollow):
    """Points of the mean markers that are filled or hollow, a list per line of the plot."""
    found = [line for line in axes.lines if line.get_marker() not in (".", "None")]
    lines = [line for line in found if (line.get_markerfacecolor() == "white") == hollow]
    return [list(zip(line.get_xdata(), line.get_ydata(), strict=True)) for line in lines]


def test_compute_joins_the_cells_of_a_space_and_sets_vaes_apart(grid):
    nll, fid = drawn(compute_figure, grid).axes
    f2 = [(1.3e12, 3.31), (3.45e12, 3.11)]
    np.testing.assert_allclose(
        np.concatenate(markers(nll, False)),
        # f = 1 and f = 4 at equal FLOPs: the mean of its two seeds.
        [(3.45e12, 3.761), (3.45e12, 3.36), (4.1e12, 3.41), *f2, (5.5e11, 3.81), (3.45e12, 3.70)],
    )
    assert [len(line) for line in markers(nll, False)] == [1, 2, 2, 2]
    np.testing.assert_allclose(np.concatenate(markers(nll, True)), [(6e11, 4.8), (4e11, 4.0), (3e11, 4.1)])
    assert len(markers(fid, False)) == 5
    assert markers(fid, False)[-1] == [pytest.approx((1.32e12, CELLS["vq", "steps"][0]))]
    assert (nll.get_xscale(), fid.get_xscale()) == ("log", "log")
    assert nll.figure._supxlabel.get_text() == "training, autoencoder included (FLOPs)"
    assert sorted(texts(nll.figure)) == sorted(
        [*("f = 1", "f = 2", "f = 2, VQ", "f = 4", "pixels"), "training, autoencoder included (FLOPs)"]
    )


def test_compute_shows_every_seed(grid):
    nll, _ = drawn(compute_figure, grid).axes
    seeds = [line for line in nll.lines if line.get_marker() == "."]
    # Ten cells, of which one is known at two seeds only.
    assert sorted(len(line.get_ydata()) for line in seeds) == [2, *[3] * 9]
    np.testing.assert_allclose(sorted(seeds[0].get_ydata()), [3.741, 3.761, 3.781])


def test_no_compute_where_the_space_is_one(grid, shared_folder):
    assert drawn(compute_figure, kept(grid, lambda levels: levels[0] == "f2")) is None
    assert drawn(compute_figure, kept(grid, lambda levels: levels[0] in ("f2", "vq"))) is None
    assert drawn(compute_figure, shared_folder) is None


def test_vaes_alone_are_all_hollow(grid):
    nll, _ = drawn(compute_figure, kept(grid, lambda levels: levels[1] == "vae")).axes
    assert markers(nll, False) == []
    assert [len(line) for line in markers(nll, True)] == [1, 1, 1]


# Bits.


def test_bars_are_as_long_as_the_bits_and_what_is_negative_lies_left_of_zero(grid):
    (axes,) = drawn(elbo_figure, grid).axes
    spans = [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in axes.patches]
    # From the top: pixels, of whose density L_0 is below 0, then f = 1.
    np.testing.assert_allclose(sorted(map(sorted, spans[:2])), [(-1.54, 0.0), (0.0, 5.301)], atol=1e-9)
    np.testing.assert_allclose(spans[2:4], [(0.0, 0.4), (0.4, 3.41)], atol=1e-9)
    said = texts(axes.figure)
    assert {"3.76", "3.41", "4.80"} <= set(said)
    assert "2.01 = −0.90 + 2.91" in said
    (total,) = [line for line in axes.lines if list(line.get_xdata()) == pytest.approx([3.761, 3.761])]
    assert len(total.get_ydata()) == 2
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert "Space f = 2, VQ" not in labels
    assert labels.count("VAE alone") == 3
    assert axes.get_legend().get_texts()[2].get_text() == "$L_{0}$"


def test_a_prior_below_zero_is_subtracted(tmp_path):
    terms = {f"{NLL}_entropy": 4.0, f"{NLL}_L0": -2.5, f"{NLL}_Lt": 0.5, f"{NLL}_LT": 0.0}
    table = [one | (terms if one["axis.space"] == "f4" and NLL in one else {}) for one in rows()]
    figure = drawn(elbo_figure, latent(tmp_path / "g", table))
    assert "2.00 = 4.00 − 2.00" in texts(figure)


def test_no_bits_without_latents(grid, shared_folder):
    assert drawn(elbo_figure, kept(grid, lambda levels: levels[0] in ("pixels", "vq"))) is None
    assert drawn(elbo_figure, shared_folder) is None


# The other figures.


def test_the_other_figures_leave_out_what_is_not_theirs(grid):
    bound, training = drawn(bound_figure, grid), drawn(training_figure, grid)
    # Bounds at two budgets lie within a line's width of each other, and all trainings are the same.
    assert texts(bound)[2:] == ["pixels", "f = 1", "f = 2", "f = 4"]
    assert texts(training) == ["training step", "training loss", "all cells"]
    # The first term of f = 1 is below 0, and the axis is logarithmic all the same.
    assert bound.axes[0].get_yscale() == "log"
    # Pixels alone have a bound to split.
    assert drawn(split_figure, grid) is None
    assert split_sentence(Answers.of(grid)).startswith("In every bound ")


@pytest.mark.parametrize("make", [metrics_figure, differences_figure])
def test_what_is_not_comparable_is_said_where_its_value_would_be(grid, make):
    nll, fid = drawn(make, grid).axes
    assert [text.get_text() for text in nll.texts].count("not comparable") == 1
    assert "not comparable" not in [text.get_text() for text in fid.texts]
    assert "none" not in texts(nll.figure)


@pytest.mark.thorough
def test_stale_files_go(tmp_path, quick):
    folder = latent(tmp_path / "latent")
    new = {f"{name}.{suffix}" for name in ("reconstructions", "compute", "elbo") for suffix in ("png", "pdf")}
    assert new <= {path.name for path in files_written(folder)}
    # Nothing of latents is left; a folder without reconstructions keeps their figure, as that of a store does.
    pixels = kept(read_folder(folder), lambda levels: levels[0] == "pixels")
    write_figures(Answers.of(dataclasses.replace(pixels, reconstructions=None)), folder / "figures")
    assert {path.name for path in (folder / "figures").iterdir()} & new == {
        "reconstructions.png",
        "reconstructions.pdf",
    }
    write_figures(Answers.of(pixels), folder / "figures")
    assert not {path.name for path in (folder / "figures").iterdir()} & new


def test_a_grid_of_vaes_alone_has_figures(tmp_path, quick):
    folder = latent(tmp_path / "g", rows(lambda space, run: run == "vae"), baseline={})
    names = {path.stem for path in files_written(folder)}
    assert {"metrics", "elbo", "compute", "cost", "reconstructions", "samples"} <= names
    assert not {"training", "bound", "split", "weights"} & names


def test_no_compute_with_more_lines_than_can_be_named(grid, monkeypatch):
    monkeypatch.setattr("analysis.figures.compute.MOST", 3)
    assert drawn(compute_figure, grid) is None
