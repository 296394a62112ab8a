"""The map from papers to code: every row of docs/papers.md names code, a test and a grid that there are."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "papers.md").read_text(encoding="utf-8")
GRIDS = {path.stem for path in (ROOT / "ablations" / "configs" / "grid").glob("*.yaml")}
HEADS = ("| in the paper |", "| on the slides |", "|---")


def rows(page: str) -> list[list[str]]:
    """The cells of each row of the page's tables, heads left out."""
    lines = [line for line in page.splitlines() if line.startswith("|") and not line.startswith(HEADS)]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


@cache
def defined(path: Path) -> set[str]:
    """The names of a file's functions and classes; none where there is no such file."""
    body = ast.parse(path.read_text(encoding="utf-8")).body if path.is_file() else []
    return {node.name for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)}


def is_code(dotted: str) -> bool:
    """True for a module of the core, the metrics or the lecture, or a function or class of one; nothing is imported."""
    package = {"metrics": "ablations", "lecture": "examples"}.get(dotted.partition(".")[0], "diffusion_core")
    path = ROOT / package / dotted.replace(".", "/")
    return path.with_suffix(".py").is_file() or path.name in defined(path.parent.with_suffix(".py"))


@pytest.mark.parametrize(("claim", "code", "test", "grid"), rows(PAGE))
def test_every_row_names_code_a_test_and_a_grid_that_there_are(claim, code, test, grid):
    places = re.findall(r"`(\w+(?:\.\w+)*)`", code.partition(" (")[0])
    tests = re.findall(r"\]\(\.\./(tests/[\w/]+\.py)\)", test)
    assert places, claim
    assert tests, claim
    assert [place for place in places if not is_code(place)] == []
    assert [file for file in tests if not (ROOT / file).is_file()] == []
    assert grid in ("–", "all") or {*re.findall(r"`(\w+)`", grid)} <= GRIDS


def test_every_grid_that_a_paper_is_tested_by_is_on_the_map():
    without = {"precision"}  # It asks of this code's own arithmetic.
    assert without | {grid for *_, cell in rows(PAGE) for grid in re.findall(r"`(\w+)`", cell)} == GRIDS
