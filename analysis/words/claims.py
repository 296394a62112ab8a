"""The words for a claim that was written down before a grid was run: what became of it, and why."""

from __future__ import annotations

import math

from analysis.findings.expectations import ClaimOutcome
from analysis.format.notation import begun, probability
from analysis.words.verdicts import amount, factor


def claim_sentence(outcome: ClaimOutcome, *, first_look: bool) -> str:
    """The claim, what became of it, and its source; a `first_look` has fewer seeds than later ones."""
    claim, here = outcome.claim, "here, at the first look," if first_look else "here"
    return f"{begun(outcome.fate)}: {claim.claim} ({claim.source}; {here} {why(outcome)})."


def why(outcome: ClaimOutcome) -> str:
    """The numbers that decided, or what was in the way of a test."""
    test, metric = outcome.test, outcome.metric
    if metric is None:
        return f"{outcome.claim.metric} was not measured"
    if test is None and outcome.obstacle == "not comparable":
        return f"a cell that it names has no {metric.label} to compare"
    if test is None:
        return "fewer than two seeds finished the cells that it names"
    logs = metric.scale == "log"
    size = test.found.difference, test.found.half_width
    numbers = f"{metric.label} differs by {factor(*size) if logs else amount(metric, *size)}"
    if math.isnan(test.margin):
        return f"{numbers}, p {probability(test.p)}"
    allowed = factor(test.margin, math.nan) if logs else amount(metric, test.margin, math.nan)
    return f"{numbers}, the margin is {allowed}, p {probability(test.p)}"
