"""Where README and docs quote a committed grid whose digits this code no longer gives, or of another budget than the
grid's own, they say so in the same section, by the marks of `evidence.freshness`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from analysis.schema import NUMERICS
from evidence.freshness import COMMITTED, budget_of, marks_of, numerics_of
from tests.evidence.test_findings import QUOTED

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
GRIDS = {path.parent.name for path in COMMITTED.glob("*/grid.json")}
BY_SENTENCE = {("README.md", "## What it found so far"): {name + end for name in QUOTED for end in ("", "-fashion")}}
"""The grids that a section quotes without a link to them."""


def sections(page: Path) -> list[tuple[str, str]]:
    """The sections of a page in one line each, with their headings."""
    parts = re.split(r"^(?=## )", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return [(part.splitlines()[0], " ".join(part.split())) for part in parts if part.strip()]


def quoted(page: Path, heading: str, text: str) -> set[str]:
    """The grids that a section leads to, but for pictures and what a program reads."""
    named = re.findall(r"results/committed/([\w-]+)(?!\S*answers\.json)", re.sub(r"!\[[^]]*\]\([^)]*\)", "", text))
    return BY_SENTENCE.get((page.name, heading), set()) | (set(named) & GRIDS)


def says(text: str, mark: str) -> bool:
    """True where a section has a mark; a number of steps may stand in its command."""
    number = re.fullmatch(r"(\d+) steps", mark)
    return mark in text or (number is not None and f"training.steps={number[1]}" in text)


QUOTES = [
    pytest.param(text, quoted(page, heading, text), id=f"{page.name} {heading}")
    for page in PAGES
    for heading, text in sections(page)
]


@pytest.mark.parametrize(("text", "grids"), QUOTES)
def test_a_quote_says_what_its_grid_is_short_of(text, grids):
    missing = {name: mark for name in grids for mark in marks_of(name) if not says(text, mark)}
    assert missing == {}


@pytest.mark.parametrize(("text", "grids"), QUOTES)
def test_a_mark_goes_with_what_it_marks(text, grids):
    needed = {mark for name in grids for mark in marks_of(name)}
    assert set(re.findall(r"numerics (?:\d+|not recorded)", text)) <= needed


def test_quotes_are_found():
    assert {(page.name, heading) for page in PAGES for heading, _ in sections(page)} >= BY_SENTENCE.keys()
    assert len({name for quote in QUOTES for name in quote.values[1]}) > 10


@pytest.mark.parametrize(
    ("numerics", "marks"), [(str(NUMERICS), []), ("2", ["numerics 2"]), ("", ["numerics not recorded"])]
)
def test_rows_of_other_numerics_need_a_mark(numerics, marks):
    assert numerics_of([{"numerics": numerics}] * 2) == marks


def test_a_grid_of_other_steps_than_its_own_needs_a_mark():
    assert budget_of("steps", [{"training.steps": "750"}] * 2) == ["750 of 1500 steps"]
    assert "4000 steps" in marks_of("parameterization-long")
    assert not [mark for mark in marks_of("steps") if "steps" in mark]
