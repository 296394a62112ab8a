"""The sentence on the fate of a paper's claim, with the reason for it."""

from __future__ import annotations

import math

from analysis.findings.expectations import FAR, ClaimOutcome
from analysis.findings.verdicts import is_plain
from analysis.grid_json import ShownMetric
from analysis.labels import begun, probability
from analysis.words.verdicts import amount, code_name, evidence, size_of


def claim_sentence(outcome: ClaimOutcome, *, first_look: bool) -> str:
    """A sentence with the claim, its fate, its source and the reason. At a `first_look`, it says so of unlisted
    claims."""
    at_first = first_look and outcome.listed is None
    claim, here = outcome.claim, "here, at the first look," if at_first else "here"
    return f"{begun(outcome.fate)}: {claim.claim} ({claim.source}; {here} {why(outcome)})."


def why(outcome: ClaimOutcome) -> str:
    """The numbers that decided the claim's fate, or the obstacle to a test."""
    test, metric = outcome.test, outcome.metric
    if metric is None:
        return f"{outcome.claim.metric} was not measured"
    if test is None and outcome.obstacle == "not comparable":
        return f"a cell that it names has no {metric.label} to compare"
    if test is None:
        return "fewer than two seeds finished the cells that it names"
    if test.comparison.difference == test.comparison.half_width == 0:
        return f"{metric.label} has the same value at every seed"
    size = size_of(metric, test.comparison.difference, test.comparison.half_width)
    of_sides = " of {} against {}".format(*map(_whole, outcome.sides)) if outcome.sides else ""
    numbers = [f"{metric.label}{of_sides} differs by {size}"]
    numbers += _in_the_paper(outcome, metric)
    if not math.isnan(test.margin):
        numbers.append(f"the margin is {size_of(metric, test.margin, math.nan)}")
    listed = outcome.listed
    if listed is not None and (math.isnan(test.margin) or listed.sequential is not None):
        numbers.append(f"{evidence(listed)} in the list")
    else:
        numbers.append(f"p {probability(test.p)}")
    return ", ".join(numbers) + _too_early(outcome, metric)


def _whole(name: str) -> str:
    """A name as one word of a sentence: in quotes where it has a comma."""
    return f"“{name}”" if "," in name else name


def _too_early(outcome: ClaimOutcome, metric: ShownMetric) -> str:
    """The reason for a fate of "too early to say"; "" for other fates."""
    if outcome.moved is not None:
        return (
            f"; at {outcome.moved.steps} steps by {size_of(metric, outcome.moved.before, math.nan)}, so it still moves"
        )
    if outcome.reach is None:
        return ""
    value = amount(metric, outcome.reach.value, math.nan)
    if is_plain(outcome.reach):
        return f"; even the better end is worse than {code_name(outcome.reach)} ({value})"
    return f"; even the better end is above {FAR:g} times what {outcome.reach.label}, score ({value})"


def _in_the_paper(outcome: ClaimOutcome, metric: ShownMetric) -> list[str]:
    """The size of the same difference in the paper, if the claim gives its published values."""
    if outcome.claim.published is None:
        return []
    better, than = outcome.claim.published
    size = math.log(better / than) if metric.scale == "log" else better - than
    return [f"in the paper by {size_of(metric, size, math.nan)}"]
