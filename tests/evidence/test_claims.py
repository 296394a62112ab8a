"""The page of claims is that of the committed answers, and counts what they hold."""

from __future__ import annotations

import re
from pathlib import Path

from evidence.answers import answers_of
from evidence.claims import document

ROOT = Path(__file__).parents[2]


def test_the_page_of_claims_is_that_of_the_committed_grids():
    assert (ROOT / "docs" / "claims.md").read_text(encoding="utf-8") == document(), (
        "run python -m evidence.claims > docs/claims.md"
    )


def test_every_claim_that_was_tested_has_a_row_with_its_fate():
    page = document()
    counted = 0
    for path in (ROOT / "results" / "committed").glob("*/grid.json"):
        for claim in answers_of(path.parent.name)["claims"]:
            if not claim["obstacle"]:
                row = re.search(
                    rf"^\| {re.escape(claim['claim'])} \|.*\| {claim['fate']}(, exploratory)? \|$", page, re.M
                )
                assert row, claim["claim"]
                counted += 1
    assert page.count(f"{counted} claims were tested") == 1


def test_the_example_that_the_page_reads_is_one_of_its_rows():
    page = document()
    beginning = page.partition("\n## ")[0]
    claim, source, numbers = re.findall("“(.*?)”[,:.]", beginning)
    (fate,) = re.findall(r"So its verdict is \*(.*)\*", beginning)
    assert f"| {claim} | {source} | {numbers} | {fate} |" in page
