"""The page and the terminal's table of a grid of more cells than anybody reads through."""

import csv
import re
from pathlib import Path

import pytest

from analysis.report import report
from analysis.report.files import Files
from analysis.tables import MOST_ROWS, read_through, render, terminal_table
from tests.analysis.conftest import answers_of, pipe
from tests.analysis.many import many
from tests.analysis.report.pages import Page

pytestmark = pytest.mark.slow

CELLS = MOST_ROWS + 20
WORDS = f"Shown are the {MOST_ROWS} best of {CELLS} cells by NLL and the baseline"
LAST, LEFT_OUT = f"level {CELLS - 1:03}", f"level {CELLS - 2:03}"


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    return answers_of(many(tmp_path_factory.mktemp("many") / "grid", CELLS))


@pytest.fixture(scope="module")
def page(answers):
    return Page(report(answers, {}, read_through(answers), Files(Path())))


def test_the_pages_table_says_what_it_leaves_out_and_where_that_is(answers, page):
    table = page.section("table")
    assert f"{WORDS}; table.csv has all." in table
    assert LAST in table
    assert LEFT_OUT not in table
    rows = csv.DictReader(render(answers, "csv").splitlines())
    assert len({row["level"] for row in rows if row["row"] == "cell"}) == CELLS
    assert LEFT_OUT in render(answers, "markdown")


def test_comparisons_are_counted_in_full_and_listed_in_part(page):
    told = page.section("comparisons")
    # The last but one differs by 0.01 bits/dim, which does not matter.
    assert f"NLL: better than {LAST} ({CELLS - 2} of {CELLS - 1}) {WORDS}; answers.json has all." in told
    assert told.count("level 000: ") == 2
    assert LEFT_OUT not in told


def test_runs_are_listed_in_part(page):
    ids = page.section("provenance")
    assert f"Every run: the first {MOST_ROWS} of {3 * CELLS}, runs.csv has all" in ids
    assert len(re.findall(r"level \d+ \d", ids)) == 0
    assert len(set(re.findall(r"level \d{3}", ids))) == -(-MOST_ROWS // 3)


def test_a_terminal_shows_as_many_and_the_verdict_of_all(answers):
    text = terminal_table(answers, pipe())
    assert " ".join(f"{WORDS}; table.csv has all.".split()) in " ".join(text.split())
    assert f"is the best of {CELLS}" in text or f"of the other {CELLS - 1} cells" in text
    assert LEFT_OUT not in text
