"""What is committed under results/ is what its own files give."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from analysis.figures import draw
from analysis.read.runs import read_folder
from analysis.tables import write_tables

ROOT = Path(__file__).parents[2]
COMMITTED = re.findall(r"^!results/(.+)/$", (ROOT / ".gitignore").read_text(), re.MULTILINE)


@pytest.mark.parametrize("name", COMMITTED)
def test_tables_are_rebuilt_byte_for_byte(name, tmp_path):
    committed = ROOT / "results" / name
    folder = tmp_path / "results" / name
    shutil.copytree(committed, folder, ignore=shutil.ignore_patterns("table.*", "figures", "report.html"))
    write_tables(folder)
    for table in ("table.md", "table.tex", "table.csv"):
        assert (folder / table).read_bytes() == (committed / table).read_bytes(), table


def test_figures_drawn_twice_are_identical(tmp_path):
    grid = read_folder(ROOT / "results" / "parameterization")
    first, second = (draw(grid, tmp_path / name) for name in ("first", "second"))
    assert [path.name for path in first] == [path.name for path in second]
    assert all(a.read_bytes() == b.read_bytes() for a, b in zip(first, second, strict=True))
    drawn = {path.name for path in first}
    assert drawn == {path.name for path in (ROOT / "results" / "parameterization" / "figures").iterdir()}
