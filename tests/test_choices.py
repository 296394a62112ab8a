"""docs/choices.md names every choice of every axis, and every metric, by the line that `--help` prints."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from ablations.metrics.registry import DEFAULT, metric_of, names
from ablations.settings.cell import AXES, WORDS
from ablations.settings.grammar import options_of

PAGE = (Path(__file__).parents[1] / "docs" / "choices.md").read_text(encoding="utf-8")
SECTIONS = dict(part.split("\n", 1) for part in PAGE.split("\n## ")[1:])


def rows(section: str) -> list[list[str]]:
    """The cells of each row of a section's table, its head left out."""
    lines = [line for line in SECTIONS[section].splitlines() if line.startswith("|")][2:]
    return [[cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


@pytest.mark.parametrize("axis", AXES)
def test_every_choice_of_an_axis_is_on_the_page(axis):
    named = {f"`{name}`": line for name, line in options_of(axis).items() if "/" not in name}
    assert {name: line for name, line in rows(axis) if name != "`saved/NAME`"} == named


@pytest.mark.parametrize("key", WORDS)
def test_every_word_of_a_key_is_on_the_page(key):
    assert dict(rows(key)) == {f"`{word}`": line for word, line in WORDS[key].items()}


def test_every_metric_is_on_the_page():
    assert [name for name, *_ in rows("metrics")] == [f"`{name}`" for name in names()]
    for name, line, data, direction, measured in rows("metrics"):
        metric = metric_of(name.strip("`"))
        assert inspect.getdoc(metric).startswith(line)
        assert (data, direction) == (" and ".join(metric.info.of), metric.info.direction)
        assert (measured == "always measured") == (metric in DEFAULT)
