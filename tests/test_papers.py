"""The map from papers to code: every row of docs/papers.md names code, a test and a grid that there are."""

from __future__ import annotations

import ast
import pkgutil
import re
from functools import cache
from pathlib import Path

import pytest

from ablations.settings.grammar import options_of

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "papers.md").read_text(encoding="utf-8")
HEADS = ("| in the paper |", "| on the slides |", "|---")


def rows(page: str) -> list[list[str]]:
    """The cells of each row of the page's tables, heads left out."""
    lines = [line for line in page.splitlines() if line.startswith("|") and not line.startswith(HEADS)]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


@cache
def tests_of(file: str) -> set[str]:
    """The names of the tests of a file, which stands in tests/diffusion_core where no folder is named."""
    path = ROOT / file if "/" in file else ROOT / "tests" / "diffusion_core" / file
    return {node.name for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, ast.FunctionDef)}


def missing(row: list[str]) -> list[str]:
    """What a row names and there is not; or the row itself where it names nothing."""
    _, code, test, grid = row
    places = re.findall(r"`([\w.]+\.[\w.]+)`", code)
    tests = re.findall(r"`([\w/.]+\.py)::(\w+)`", test)
    grids = re.findall(r"\[(\w+)\]\(\.\./ablations/configs/grid/(\w+)\.yaml\)", grid)
    wrong = [] if places and tests and (grids or grid in ("–", "all")) else [" | ".join(row)]
    for place in places:
        try:
            pkgutil.resolve_name(place)
        except (ImportError, AttributeError):
            wrong.append(place)
    wrong += [name for file, name in tests if name not in tests_of(file)]
    return wrong + [shown for shown, name in grids if shown != name or name not in options_of("grid")]


def test_every_row_names_code_a_test_and_a_grid_that_there_are():
    assert [name for row in rows(PAGE) for name in missing(row)] == []


def test_every_grid_that_a_paper_is_tested_by_is_on_the_map():
    without = {"precision"}  # It asks of this code's own arithmetic.
    assert set(options_of("grid")) - without <= set(re.findall(r"configs/grid/(\w+)\.yaml", PAGE))


ROW = ["eq. 1", "`diffusion_core.forward.posterior`", "`test_forward.py::test_q_has_the_dtype_of_the_data`", "–"]


@pytest.mark.parametrize(
    ("place", "cell"),
    [
        (1, "`diffusion_core.forward.posterio`"),
        (1, "posterior"),
        (2, "`test_forward.py::test_q`"),
        (3, "[deck](../ablations/configs/grid/dekc.yaml)"),
        (3, ""),
    ],
)
def test_what_there_is_not_is_found(place, cell):
    assert missing(ROW) == []
    assert missing([*ROW[:place], cell, *ROW[place + 1 :]]) != []
