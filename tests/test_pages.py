"""README, docs and the small print: what they name is there, what they quote says what it is short of."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from ablations.__main__ import READING
from analysis.schema import NUMERICS
from evidence.freshness import COMMITTED, marks_of
from tests.evidence.test_findings import QUOTED

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
GRIDS = {path.parent.name for path in COMMITTED.glob("*/grid.json")}
BY_SENTENCE = {"## What it found so far": set(QUOTED)}
"""The grids that a section of README quotes without a link to them."""


def quotes() -> dict[str, tuple[str, set[str]]]:
    """Page and heading → the section in one line, and the committed grids that it leads to, but for pictures."""
    found = {}
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for part in re.split(r"^(?=## )", page.read_text(encoding="utf-8"), flags=re.MULTILINE):
            heading, text = part.partition("\n")[0], " ".join(part.split())
            named = re.findall(r"results/committed/([\w-]+)", re.sub(r"!\[[^]]*\]\([^)]*\)", "", text))
            found[f"{page.name} {heading}"] = text, BY_SENTENCE.get(heading, set()) | (set(named) & GRIDS)
    return found


@pytest.mark.parametrize("place", quotes())
def test_a_quote_says_what_its_grid_is_short_of(place):
    """Of other digits than this code's, or another budget than the grid's own; and no mark stands without need."""
    text, grids = quotes()[place]
    said = text + "".join(f" {steps} steps" for steps in re.findall(r"training\.steps=(\d+)", text))
    needed = {mark for name in grids for mark in marks_of(name)}
    assert [mark for mark in needed if mark not in said] == []
    assert set(re.findall(r"numerics (?:\d+|not recorded)", text)) <= needed


@pytest.mark.parametrize("module", ["ablations", "ablations.run", *(f"analysis.{name}" for name in READING)])
def test_every_command_tells_the_version_before_anything_heavy(module):
    code = f"import runpy, sys; sys.argv[1:] = ['--version']\ntry: runpy.run_module({module!r}, run_name='__main__')\n"
    code += "except SystemExit as end: assert end.code == 0 and 'torch' not in sys.modules"
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert told.split()[0] == PROJECT["name"]


def test_citation_changes_and_llms_txt_are_of_this_package():
    told = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert (told["version"], told["license"]) == (PROJECT["version"], PROJECT["license"])
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert {int(number) for number in re.findall(r"Numerics (\d+)", changes)} == set(range(1, NUMERICS + 1))
    title, _, summary = (ROOT / "llms.txt").read_text(encoding="utf-8").splitlines()[:3]
    assert (title, summary.startswith(f"> {PROJECT['description']}")) == (f"# {PROJECT['name']}", True)
