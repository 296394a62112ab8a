"""A metric that analysis has never heard of: what grid.json says of it brings it into every page."""

import csv
import io
from pathlib import Path

import pytest

from analysis.exports import answers_json
from analysis.figures.cost import cost_figure
from analysis.figures.metrics import metrics_figure
from analysis.report import report
from analysis.report.files import Files
from analysis.tables import read_through, render, table_of
from analysis.words.cells import without_value
from tests.analysis.conftest import FID, answers_of, build, meta, rows
from tests.analysis.figures.conftest import drawn
from tests.analysis.report.pages import Page

NAME = "wobble/train/digits-cnn"
WOBBLE = {"name": NAME, "label": "Wobble", "direction": "max", "decimals": 3, "decides": "samples", "part": None}
CLAIM = {"claim": "ε wobbles more than x̂₀", "source": "Nobody (1900)", "metric": "wobble"}
CLAIM |= {"better": {"parameterization": "epsilon", "loss": "simple"}, "than": {"parameterization": "x0"}}


def with_wobble(folder, layout="general", **changes):
    """The grid with a value that is the larger, the better its FID; the training of ε costs most."""
    table = rows()
    for row in table:
        if row["status"] == "finished":
            row |= {NAME: 1 / row[FID], "cost/train_flops": 2e9 if row["parameterization"] == "epsilon" else 1e9}
    metrics = [*meta()["metrics"], WOBBLE | changes]
    return answers_of(build(folder, table, layout=layout, metrics=metrics, expects=[CLAIM]))


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    return with_wobble(tmp_path_factory.mktemp("wobble") / "g")


@pytest.mark.parametrize("layout", ["general", "ddpm_table_1", "ddpm_table_2"])
def test_it_has_a_column_in_every_layout_of_rows(answers, layout):
    table = table_of(answers, layout)
    (i,) = [i for i, column in enumerate(table.columns) if column.label == "Wobble ↑"]
    bold = [row.stub for row in table.rows if row.kind == "cell" and row.entries[i].bold]
    assert bold
    assert "FID, IS, Wobble by the extractor digits-cnn" in table.caption
    (line, *_) = csv.DictReader(io.StringIO(render(answers, "csv", layout)))
    assert float(line[f"{NAME} mean"]) > 0


def test_it_is_given_verdicts_and_claims_are_tested_by_it(answers):
    found = {one.metric.name: one for one in answers.findings}
    assert list(found) == ["nll/test", FID, NAME]
    assert "-".join(found[NAME].cells[found[NAME].best].levels) == "epsilon-simple"
    assert {pair.verdict for pair in found[NAME].pairs} >= {"worse"}
    (claim,) = answers.claims
    assert (claim.metric.name, claim.fate) == (NAME, "as published")
    said = table_of(answers).sentences
    best = "Wobble: ε · unweighted MSE has the best mean, 0.050 ± 0.006; not known to be better, at this budget"
    assert any(line.startswith(best) for line in said)
    assert any(line.startswith("As published: ε wobbles more than x̂₀ (Nobody (1900); here Wobble") for line in said)


def test_it_has_a_front(answers):
    (bought,) = [one for one in answers.purchases if one.answer.metric.name == NAME]
    on = {cell.levels for cell, kept in zip(answers.cells, bought.front, strict=True) if kept}
    # The best of all is dear; of the cheap ones the best is the μ̃ with a FID of 25.
    assert {("epsilon", "simple"), ("mu", "weighted")} <= on


def test_figures_show_all_three_that_decide(answers):
    labels = [axes.get_xlabel() for axes in drawn(metrics_figure, answers).axes]
    assert labels == [r"NLL (bits/dim) $\downarrow$", r"FID $\downarrow$", r"Wobble $\uparrow$"]
    assert r"Wobble $\uparrow$" in [axes.get_ylabel() for axes in drawn(cost_figure, answers).axes]


def test_the_report_and_the_file_for_other_programs_have_it(answers):
    page = Page(report(answers, {}, read_through(answers), Files(Path())))
    assert "For samples take ε · unweighted MSE" in page.section("verdict")
    assert "Wobble" in page.section("comparisons")
    assert "Wobble against training" in page.section("cost")
    told = answers_json(answers)
    assert [one["metric"] for one in told["headlines"]] == ["nll/test", FID, NAME]


def test_without_a_purpose_it_supports_others(tmp_path):
    answers = with_wobble(tmp_path / "g", decides=None)
    assert [one.metric.name for one in answers.findings] == ["nll/test", FID]
    assert "Wobble ↑" in [column.label for column in table_of(answers).columns]


def test_a_part_that_a_cell_lacks_is_no_shortfall_of_it(tmp_path):
    answers = with_wobble(tmp_path / "g", part="autoencoder")
    (metric,) = [metric for metric in answers.metrics if metric.name == NAME]
    assert {without_value(cell, metric) for cell in answers.cells} == {""}
