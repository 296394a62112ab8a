"""What is committed under results/committed/ is what its own files give."""

import shutil
from pathlib import Path

import pytest
from PIL import Image

from analysis.figures import FIGURES, shown
from analysis.figures.digest import KEY, digest_of
from analysis.figures.drawing import styled
from analysis.tables import table_of, write_tables
from evidence.promote import KEPT, shown_figures
from tests.analysis.conftest import answers_of
from tests.sampling import sampled

ROOT = Path(__file__).parents[2]
COMMITTED = sorted(path.parent.name for path in ROOT.glob("results/committed/*/grid.json"))


@pytest.mark.parametrize("name", sampled(COMMITTED, 5, COMMITTED))
def test_tables_are_rebuilt_byte_for_byte(name, tmp_path):
    committed = ROOT / "results" / "committed" / name
    folder = tmp_path / "results" / name
    shutil.copytree(committed, folder, ignore=shutil.ignore_patterns("table.md"))
    write_tables(answers_of(folder), folder)
    assert (folder / "table.md").read_bytes() == (committed / "table.md").read_bytes()


def test_a_table_says_what_the_looks_decided_of_what_was_declared():
    answers = answers_of(ROOT / "results" / "committed" / "parameterization")
    said = table_of(answers).verdict
    listed = [outcome for outcome in answers.claims if outcome.is_listed]
    decided = [one for one in said if ("decided at" in one or "given up at" in one) and "in the list" not in one]
    assert len(decided) == 2 * len(answers.meta.primary)
    assert len([one for one in said if "seeds in the list" in one]) == len(listed) == 4
    assert len([one for one in said if "here, at the first look," in one]) == len(answers.claims) - len(listed)


@pytest.mark.parametrize(("name", "beforehand"), [("variance", True), ("steps", False)])
def test_a_caption_says_that_all_was_declared_beforehand_where_it_was(name, beforehand):
    answers = answers_of(ROOT / "results" / "committed" / name)
    said = "Comparisons and papers' claims were declared before their first results."
    assert (said in table_of(answers).caption) == beforehand
    assert ({*answers.declared_pairs, *answers.declared_claims} == {"beforehand"}) == beforehand


def test_committed_folders_hold_what_is_kept_of_them():
    for folder in (ROOT / "results" / "committed" / name for name in COMMITTED):
        assert {path.name for path in folder.iterdir()} <= set(KEPT)
        drawn = {path.name for path in (folder / "figures").glob("*")}
        assert drawn == shown_figures(folder.name)


@pytest.mark.parametrize("name", sampled([name for name in COMMITTED if shown_figures(name)], 4))
def test_committed_figures_show_what_is_drawn_of_their_data_today(name):
    folder = ROOT / "results" / "committed" / name
    answers = shown(answers_of(folder))
    stored = {path.stem: Image.open(path).text.get(KEY) for path in (folder / "figures").iterdir()}
    with styled():
        assert {figure: digest_of(FIGURES[figure](answers)) for figure in stored} == stored
