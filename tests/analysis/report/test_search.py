"""The report's section of a search, its page without a confirmation, and the terminal's text."""

import pytest
from rich.text import Text

from analysis.labels import width
from analysis.read.search import read_search
from analysis.tables.search import terminal_search
from tests.analysis.conftest import answers_of, terminal
from tests.analysis.report.pages import PICTURE, Page, laid_out, page_of
from tests.analysis.searches import (
    BETAS,
    confirmation,
    few,
    head,
    joint,
    one_objective,
    trial,
    two_objectives,
    write_search,
)

OPTIMISTIC = "Found by search: NLL at 3 fresh seeds 2.33 ± 0.07 bits/dim on validation, 2.30 in the search"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return one_objective(confirmation(tmp_path_factory.mktemp("r") / "s"))


@pytest.fixture(scope="module")
def page(folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PICTURE, laid_out)
        return Page(page_of(folder).read_text(encoding="utf-8"))


def test_the_search_stands_after_verdict_and_table(page):
    names = [section["id"] for section in page.all("section")]
    assert names[:5] == ["verdict", "table", "search", "comparisons", "budget"]
    ids = [element["id"] for element in page.elements if "id" in element]
    assert len(ids) == len(set(ids))


def test_the_optimism_stands_near_the_head(page):
    assert OPTIMISTIC in page.section("verdict")
    assert OPTIMISTIC in page.section("search")


def test_the_section_holds_sentences_best_trials_and_figures(page):
    told = page.section("search")
    assert "Pruning (median) saved 9 % of the training steps." in told
    assert "38 (found by search)" in told
    assert "0 (default)" in told
    assert "in NLL β_1 30 to 80 %, β_T 20 to 70 %. It is no ablation" in told
    assert "optuna-dashboard sqlite:///results/optuna.db" in told
    figures = [figure["id"] for figure in page.all("figure")]
    own = [f"figure-{name}" for name in ("history", "slices", "rungs")]
    assert [name for name in figures if name in own] == own


def test_a_search_without_a_confirmation_has_a_page(tmp_path, quick):
    page = Page(page_of(two_objectives(tmp_path / "s", 8)).read_text(encoding="utf-8"))
    assert page.texts("h1") == ["Which weight and learning rate for likelihood, and which for samples?"]
    assert [section["id"] for section in page.all("section")][:2] == ["search", "provenance"]
    assert "Not confirmed at fresh seeds yet" in page.section("search")
    assert page.texts("a", href="runs.csv") == ["runs.csv"]
    (tmp_path / "s" / "figures").mkdir()
    (tmp_path / "s" / "figures" / "history.pdf").touch()
    drawn = Page(page_of(tmp_path / "s").read_text(encoding="utf-8"))
    assert drawn.texts("a", href="figures/history.pdf") == ["PDF"]


def test_what_users_write_is_escaped(tmp_path, quick):
    evil = "<b>β</b>"
    parameters = [BETAS[0] | {"label": evil}]
    folder = write_search(tmp_path / "s", head(parameters, question=evil), [trial(0, {}, {"nll/val": 2.0})])
    page = Page(page_of(folder).read_text(encoding="utf-8"))
    assert not page.all("b")
    assert page.texts("h1") == [evil]


def test_the_terminal_shows_table_and_sentences(folder):
    told = terminal_search(read_search(folder), answers_of(folder).optimism)
    lines = told.splitlines()
    assert lines[0].startswith("The best 5 trials and the default")
    assert any(line.startswith("38 (found by search)") for line in lines)
    assert OPTIMISTIC in told
    assert "\n\n\n" not in told


@pytest.mark.parametrize("build", [one_objective, joint, two_objectives])
def test_the_terminal_keeps_its_width(tmp_path, build):
    search = read_search(build(tmp_path / "s"))
    shown = Text.from_ansi(terminal_search(search, None, terminal(70))).plain
    assert max(width(line) for line in shown.splitlines()) <= 70


def test_the_terminal_without_a_complete_trial(tmp_path):
    told = terminal_search(read_search(few(tmp_path / "s", "failed")), None)
    assert told.splitlines()[0] == "Which β_1 and β_T suit the linear schedule?"
    assert "No trial has finished, so nothing was found." in told
    assert "─" not in told
