"""What is said of a metric that decides: which cell to take and how sure that is, and which of two is better."""

from __future__ import annotations

import math

from analysis.findings.verdicts import CellComparison, Findings
from analysis.notation import Rounding, listed, probability
from analysis.read.meta import ShownMetric

FEW = 3
"""Cells that a sentence names; more are counted."""


def amount(metric: ShownMetric, value: float, half_width: float) -> str:
    """A value with its interval and unit, as the table rounds it."""
    text = Rounding.of(metric.decimals, [half_width]).measured(value, half_width)
    return f"{text} {metric.unit}" if metric.unit else text


def confirmation(pair: CellComparison) -> str:
    """How many fresh seeds it would take to confirm a difference, where their number is known."""
    return f"if it is what it looks like, about {pair.fresh_seeds} fresh seeds would confirm it"


def comparison_sentence(pair: CellComparison) -> str:
    """The verdict on two cells with its numbers."""
    label, found = pair.metric.label, pair.comparison
    if math.isnan(found.p):
        return f"{label}: cannot tell {pair.a.name} from {pair.b.name}: fewer than two seeds finished both."
    if pair.shared:
        return f"{label}: {pair.a.name} and {pair.b.name} share all that it reads."
    if pair.equal:
        return f"{label}: {pair.a.name} and {pair.b.name} have the same value at every seed."
    size = amount(pair.metric, abs(found.difference), found.half_width)
    numbers = f"{size} (p {probability(pair.adjusted)})"
    if pair.verdict != "cannot tell":
        return f"{label}: {pair.a.name} is {pair.verdict} than {pair.b.name} by {numbers}."
    more = f"; {confirmation(pair)}" if pair.fresh_seeds else ""
    return f"{label}: cannot tell {pair.a.name} from {pair.b.name} at this budget: the difference is {numbers}{more}."


def headline(found: Findings) -> str:
    """Which cell to take, and how sure that is."""
    label = found.metric.label
    if found.best is None:
        return f"{label}: no cell finished."
    cell, estimate = found.cells[found.best], found.estimates[found.best]
    value = amount(found.metric, estimate.mean, estimate.half_width)
    start = "Exploratory, since seeds were added after a first look. " if found.exploratory else ""
    if len(found.ranked) < 2:
        return f"{start}{label} of {cell.name}: {value}."
    if found.shared:
        return f"{start}{label}: {value} of all {len(found.ranked)} cells, which share what it reads."
    if found.equal:
        return f"{start}{label}: {value} of all {len(found.ranked)} cells, the same at every seed."
    if len(estimate.values) < 2:
        return f"{start}{label}: {cell.name} has the best value, {value}, of one seed: no verdict."
    others = [found.cells[i].name for i in sorted(found.leading - {found.best})]
    if not others:
        return f"{start}{label}: {cell.name} is the best of {len(found.ranked)}, {value}."
    return (
        f"{start}{label}: {cell.name} has the best mean, {value}; at this budget it cannot be told from "
        f"{_rivals(others, len(found.ranked) - 1)}."
    )


def _rivals(names: list[str], rest: int) -> str:
    """The cells that cannot be told from the best, of so many others: by name where they are few."""
    if len(names) <= FEW:
        return listed(names, "or", "; ")
    return f"any of the other {rest} cells" if len(names) == rest else f"{len(names)} of the other {rest} cells"
