"""What docs/findings.md and README.md say of committed grids is what the grids hold."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import pytest

from evidence.claims import size
from evidence.findings import PAGE, TABLE, table
from evidence.freshness import COMMITTED, committed

README = Path(__file__).parents[2] / "README.md"
QUOTED = [
    *("target-long", "variance", "schedule", "objective"),
    *("target-fashion", "variance-fashion", "schedule-fashion"),
    *("variance-fashion-long", "schedule-fashion-long", "objective-fashion-long"),
]
SIZE = re.compile(r"×N \(N–N\)|N ± N".replace("N", r"\d+(?:\.\d+)?"))
NUMBER = re.compile(r"\d+\.\d+|\d+ %")
ON_GPU_PAGE = "precision"
NEAR = 70
"""The characters after an undecided difference within which the page has to call it so."""


def sections() -> Iterator[object]:
    """The remarks of each section in one line, without code and links, with the grids of its table."""
    for part in re.split(r"^(?=## )", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        text = re.sub(r"`[^`]*`|\]\([^)]*\)", "", TABLE.sub("", part))
        yield pytest.param(" ".join(text.split()), tuple(", ".join(TABLE.findall(part)).split(", ")), id=part[3:30])


def readme() -> str:
    """What README found, in the signs of the page."""
    text = README.read_text(encoding="utf-8").split("## What it found so far\n")[1].split("\n## ")[0]
    return re.sub(r"a factor of ([\d.]+) \(([\d.]+) to ([\d.]+)\)", r"×\1 (\2–\3)", " ".join(text.split()))


@cache
def facts(name: str) -> tuple[set[str], set[str], set[str]]:
    """The differences that a grid decides, those that it does not, and its other numbers, as a page may write them."""
    grid = committed(name)
    sizes = {True: set(), False: set()}
    for row in grid.comparisons[grid.comparisons["n"] > 0].to_dict("records"):
        text = size(grid.metric(row["metric"]), abs(row["difference"]), row["half_width"])
        sizes[row["verdict"] in ("better", "worse", "equal")].add(text)
    known = [*grid.meta.floors.values(), *(code for codes in grid.meta.baselines.values() for code in codes)]
    values = [*grid.cells["mean"].dropna(), *(one.value for one in known)]
    shares = [*grid.effects["share"], *(value for value in values if 0 <= value <= 1)]
    numbers = {f"{value:.{n}f}" for value in values for n in (1, 2, 3)} | {f"{100 * share:.0f} %" for share in shares}
    labels = " ".join(level.label for axis in grid.meta.axes for level in axis.levels)
    return sizes[True], sizes[False], numbers | set(NUMBER.findall(labels))


def untrue(text: str, names: Sequence[str]) -> list[str]:
    """The numbers of a text that none of these grids has, and undecided differences that are not called so."""
    told, untold, numbers = (set().union(*(facts(name)[i] for name in names)) for i in range(3))
    found = [(match[0], text[match.end() : match.end() + NEAR]) for match in SIZE.finditer(text)]
    wrong = [one for one, after in found if one not in told and not (one in untold and "undecided" in after)]
    return wrong + [number for number in NUMBER.findall(SIZE.sub("", text)) if number not in numbers]


def test_the_tables_are_those_of_the_committed_grids():
    page = PAGE.read_text(encoding="utf-8")
    assert TABLE.sub(table, page) == page, "run python -m evidence.findings"
    named = [name for names in TABLE.findall(page) for name in names.split(", ")]
    assert sorted([*named, ON_GPU_PAGE]) == sorted(path.name for path in COMMITTED.iterdir())


@pytest.mark.parametrize(("text", "names"), sections())
def test_the_numbers_of_remarks_are_those_of_the_grids(text, names):
    assert untrue(text, names if names[0] else ()) == []


def test_the_numbers_of_readme_are_those_of_the_grids():
    assert untrue(readme(), QUOTED) == []
    fates = Counter(
        fate for path in COMMITTED.iterdir() for fate in committed(path.name).comparisons["outcome"] if fate
    )
    counts = f"of {fates.total()} claims tested, {fates['as published']} came out as published"
    assert f"{counts} and {fates['contrary']} contrary" in readme()


def test_a_number_that_no_grid_has_is_found():
    assert untrue("better by 0.31 ± 0.01, worse by ×1.37 (1.22–1.55), at 2.05", ["schedule"]) == []
    assert untrue("×1.12 (0.93–1.36) is undecided", ["schedule"]) == []
    assert untrue("×1.12 (0.93–1.36), 0.32 ± 0.01, 7.77", ["schedule"]) == ["×1.12 (0.93–1.36)", "0.32 ± 0.01", "7.77"]
