"""What is committed under results/committed/ is what its own files give; pages are whole, short, and load nothing."""

import shutil

import pytest

from analysis.tables import render
from evidence.freshness import COMMITTED, committed
from evidence.promote import KEPT, shown_figures
from tests.analysis.report.pages import page_of
from tests.sampling import sampled

GRIDS = sorted(path.parent.name for path in COMMITTED.glob("*/grid.json"))
LONG = [pytest.param(grid, marks=pytest.mark.thorough) for grid in ("factorial", "steps")]


@pytest.mark.parametrize("name", sampled(GRIDS, 5, GRIDS))
def test_tables_are_rebuilt_byte_for_byte(name):
    assert render(committed(name), "markdown") == (COMMITTED / name / "table.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", GRIDS)
def test_a_folder_holds_what_is_kept_of_it(name):
    folder = COMMITTED / name
    assert {path.name for path in folder.iterdir()} <= set(KEPT)
    assert {path.name for path in (folder / "figures").glob("*")} == shown_figures(name)


@pytest.mark.parametrize("grid", ["ddpm_table_2", "search-pareto", *LONG])
def test_a_page_is_whole_and_short_and_loads_nothing(grid, tmp_path):
    page = page_of(shutil.copytree(COMMITTED / grid, tmp_path / grid))
    assert {"verdict", "table", "comparisons", "cost", "provenance", "further"} <= set(page.parts)
    assert all(take.startswith(("For likelihood, ", "For samples, ")) for take in page.takes)
    assert "Real images, held out." in page.texts("figcaption")
    assert all(image["src"].startswith("data:") for image in page.all("img"))
    # Tables with their footnotes are the page's data, but for the legend.
    prose = [text for tag in ("h1", "p", "nav", "summary", "figcaption") for text in page.texts(tag)]
    assert len(" ".join([page.parts["legend"], *prose]).split()) <= 900
