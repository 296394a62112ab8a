"""The table of a grid in latents: what cannot be compared, what a cell cannot have, and costs of many magnitudes."""

import csv
import io
import re
from xml.etree import ElementTree

import pytest

from analysis.tables import render, table_of
from analysis.tables.latex import latex_table
from analysis.tables.terminal import terminal_text
from analysis.tables.writers import html_table, markdown
from tests.analysis.conftest import FID, NLL, answers_of, pipe
from tests.analysis.latent import AXES, CELLS, METRICS, PSNR, latent, rows

WHY = (
    "not comparable: a VQ code has no likelihood, since its encoder is no density, and a number would not be one of "
    "bits of the image"
)


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    return answers_of(latent(tmp_path_factory.mktemp("table") / "latent"))


@pytest.fixture(scope="module")
def table(answers):
    return table_of(answers)


def by_cell(table):
    """Row → head of column → entry."""
    heads = [column.label for column in table.columns]
    return {row.stub: dict(zip(heads, row.entries, strict=True)) for row in table.rows if row.kind == "cell"}


def test_ldm_has_a_row_per_cell_and_costs_in_the_order_of_the_grid(table):
    assert [column.label for column in table.stub] == ["Space", "Run"]
    measured = ["NLL (bits/dim) ↓", "FID ↓", "rFID ↓", "PSNR (dB) ↑"]
    costs = ["Training FLOPs", "of it autoencoder", "FLOPs per sample", "Training seconds"]
    assert [column.label for column in table.columns] == [*measured, *costs, "Model", "R-FID", "PSNR"]
    assert len(by_cell(table)) == len(CELLS)


@pytest.mark.parametrize("layout", ["ldm", "general", "ddpm_table_2"])
def test_what_is_not_comparable_is_told_in_words_in_every_layout(answers, layout):
    table = table_of(answers, layout)
    (mark,) = [chr(ord("a") + i) for i, note in enumerate(table.footnotes) if note == WHY]
    found = [entry for row in table.rows for entry in row.entries if entry.text == "not comparable"]
    assert [(entry.mark, entry.bold) for entry in found] == [(mark, False)]
    assert not [note for note in table.footnotes if "without this metric" in note]


def test_every_writer_says_the_words_and_why(answers, table):
    page = "".join(ElementTree.fromstring(f"<div>{html_table(table)}</div>").itertext())
    shown = " ".join(terminal_text(table, pipe()).split())
    for text in (markdown(table), latex_table(table), page, shown):
        # In its place, and in the footnote.
        assert text.count("not comparable") == 2
        assert WHY in text
    (line,) = [line for line in csv.DictReader(io.StringIO(render(answers, "csv"))) if line["space"] == "vq"]
    assert [line[f"{NLL} {part}"] for part in ("mean", "half_width", "n", "standing")] == [
        "not comparable",
        "",
        "0",
        "",
    ]
    assert line["note"] == WHY
    assert float(line[f"{FID} mean"]) == 26.0


def test_what_a_cell_cannot_have_is_a_dash_without_a_word(table):
    found = by_cell(table)
    pixels, vae = found["pixels", "equal steps"], found["f = 2", "VAE alone"]
    for entry in (pixels["rFID ↓"], pixels["of it autoencoder"], vae["Training seconds"]):
        assert (entry.text, entry.mark) == ("–", "")
    assert vae["rFID ↓"].text == "3.10 ± 0.05"


def test_a_cell_in_latents_without_a_psnr_fell_short_of_it(tmp_path):
    table = [{k: v for k, v in one.items() if k != PSNR or one["axis.space"] != "f2"} for one in rows()]
    found = table_of(answers_of(latent(tmp_path / "g", table)))
    entry = by_cell(found)["f = 2", "equal steps"]["PSNR (dB) ↑"]
    assert entry.text == "–"
    assert found.footnotes[ord(entry.mark) - ord("a")] == "finished, but without this metric"


def test_costs_are_rounded_and_have_no_interval_where_seeds_agree(table):
    found = by_cell(table)
    assert found["pixels", "equal steps"]["Training FLOPs"].text == "3.45·10¹²"
    assert found["f = 2", "equal steps"]["Training FLOPs"].text == "1.30·10¹²"
    assert found["f = 4", "VAE alone"]["FLOPs per sample"].text == "2.00·10⁶"
    # 2.484138 × 1 s.
    assert found["f = 2", "equal steps"]["Training seconds"].text == "90.0 ± 2.5"
    assert r"3.45$\cdot$10$^{12}$" in latex_table(table)
    assert "3.45·10¹²" in markdown(table)
    # No number of a table has more than four digits in a row, but for seeds, ids and n.
    bodies = [line for line in markdown(table).splitlines() if line.startswith("| ")]
    assert not re.search(r"\d{5}|e[+−-]\d", "".join(bodies))


def test_costs_of_seeds_that_differ_have_an_interval_in_their_own_power(tmp_path):
    table = [one | {"cost/total_flops": 3e8 + 2e6 * one["seed"]} for one in rows()]
    found = by_cell(table_of(answers_of(latent(tmp_path / "g", table))))
    # 3.02e8 ± 2.484138 × 2e6
    assert found["pixels", "equal steps"]["Training FLOPs"].text == "(3.02 ± 0.05)·10⁸"


def test_published_numbers_stand_beside_the_same_autoencoder_alone(table):
    found = by_cell(table)
    beside = {stub: entries["R-FID"].text for stub, entries in found.items()}
    assert beside["pixels", "equal steps"] == beside["f = 1", "equal steps"] == ""
    assert beside["f = 2", "equal steps"] == "0.086"
    assert beside["f = 4", "VAE alone"] == "0.27"
    assert beside["f = 2, VQ", "equal steps"] == "0.16"
    assert {column.group for column in table.columns} == {"ours, digits", "ImageNet 256×256, LDM (Rombach 2022)"}


def test_ldm_fits_a_grid_over_regularizations(tmp_path):
    table = rows(lambda space, run: space in ("f2", "vq") and run == "steps")
    axis = AXES[0] | {"name": "regularization", "label": "Regularization"}
    table = [{k.replace("axis.space", "axis.regularization"): v for k, v in one.items()} for one in table]
    found = table_of(answers_of(latent(tmp_path / "g", table, axes=[axis], baseline={})), "ldm")
    assert [column.label for column in found.stub] == ["Regularization"]
    assert found.rows[1].entries[0].text == "not comparable"


def test_the_caption_says_what_the_metrics_of_latents_are_of(table, tmp_path):
    caption = table.caption
    assert (
        "In latents, NLL is the bound of the autoencoder and its diffusion together, in bits of the image." in caption
    )
    assert "rFID and PSNR are of its reconstructions of test images." in caption
    assert "Training FLOPs include the autoencoder's." in caption
    pixels = rows(lambda space, run: space == "pixels")
    alone = answers_of(latent(tmp_path / "g", pixels, axes=[], baseline={}, metrics=METRICS[:2]))
    assert "latents" not in table_of(alone).caption.split("Data:")[1]
