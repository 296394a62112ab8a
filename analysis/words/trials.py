"""The trials of a search as readers call them, and their parameters as readers write them."""

from __future__ import annotations

import math
from collections.abc import Mapping

from analysis.findings.trials import default_trial
from analysis.format.notation import power_of_ten
from analysis.read.search import Search, SearchedParameter

DEFAULT = "paper's default"
DIGITS = 3
"""Significant digits of a parameter's value."""


def value_text(parameter: SearchedParameter, value: float | str) -> str:
    """A value as readers write it; "–" where the trial has not this parameter. A default may be no number."""
    if parameter.kind == "choice" or value == "":
        return str(value) or "–"
    try:
        number = float(value)
    except ValueError:
        return str(value)
    if math.isnan(number):
        return "–"
    if parameter.kind == "int":
        return f"{number:.0f}".replace("-", "−")
    if abs(number) >= 10.0**DIGITS and abs(number) < 1e6:
        return f"{number:.0f}".replace("-", "−")
    text = f"{number:.{DIGITS}g}"
    if "e" not in text:
        return text.replace("-", "−")
    factor, exponent = text.split("e")
    scale = power_of_ten(int(exponent))
    return scale if factor == "1" else f"{factor}·{scale}".replace("-", "−")


def assignment(search: Search, values: Mapping[str, str]) -> str:
    """β_1 = 0.000212, β_T = 0.031: the parameters that these values have, in the order of the search."""
    named = [parameter for parameter in search.head.parameters if values.get(parameter.name, "") != ""]
    return ", ".join(f"{parameter.label} = {value_text(parameter, values[parameter.name])}" for parameter in named)


def names_of(search: Search) -> dict[int, list[str]]:
    """Trial → what it is called: a winner's label, the paper's default."""
    named: dict[int, list[str]] = {}
    for winner in search.head.winners:
        named.setdefault(winner.trial, []).append(winner.label)
    default = default_trial(search)
    if default is not None:
        # No search has to be thanked for a default that nothing has beaten.
        alone = len(search.head.objectives) == 1
        named[default] = [*([] if alone else named.get(default, [])), DEFAULT]
    return named
