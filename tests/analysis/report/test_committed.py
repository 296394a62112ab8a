"""The pages of committed grids: they are whole, short, and load nothing."""

import shutil
from pathlib import Path

import pytest

from tests.analysis.report.pages import page_of

COMMITTED = Path(__file__).parents[3] / "results" / "committed"


LONG = [pytest.param(grid, marks=pytest.mark.thorough) for grid in ("factorial", "steps")]


@pytest.mark.parametrize("grid", ["parameterization", "search-pareto", *LONG])
def test_a_committed_grid_has_a_whole_page_that_is_short_and_loads_nothing(grid, tmp_path):
    page = page_of(shutil.copytree(COMMITTED / grid, tmp_path / grid), drawn=True)
    assert {"verdict", "table", "seeds", "comparisons", "curves", "cost", "provenance", "further"} <= set(page.parts)
    assert all(take.startswith(("For likelihood, ", "For samples, ")) for take in page.takes)
    assert page.texts("figcaption")[2] == "Real images, held out."
    assert all(image["src"].startswith("data:") for image in page.all("img"))
    # Tables with their footnotes are the page's data, but for the legend.
    prose = [text for tag in ("h1", "p", "nav", "summary", "figcaption") for text in page.texts(tag)]
    assert len(" ".join([page.parts["legend"], *prose]).split()) <= 900
