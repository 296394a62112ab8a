"""What is committed under results/committed/ is what its own files give."""

from pathlib import Path

import pytest

from analysis.tables import render
from evidence.freshness import committed
from evidence.promote import KEPT, shown_figures
from tests.sampling import sampled

COMMITTED = Path(__file__).parents[2] / "results" / "committed"
GRIDS = sorted(path.parent.name for path in COMMITTED.glob("*/grid.json"))


@pytest.mark.parametrize("name", sampled(GRIDS, 5, GRIDS))
def test_tables_are_rebuilt_byte_for_byte(name):
    stored = (COMMITTED / name / "table.md").read_text(encoding="utf-8")
    assert render(committed(name), "markdown") == stored


@pytest.mark.parametrize("name", GRIDS)
def test_a_folder_holds_what_is_kept_of_it(name):
    folder = COMMITTED / name
    assert {path.name for path in folder.iterdir()} <= set(KEPT)
    assert {path.name for path in (folder / "figures").glob("*")} == shown_figures(name)
