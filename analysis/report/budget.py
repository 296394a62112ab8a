"""The report's answer to whether the answer depends on the budget: what trainings scored on their way."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.findings.answers import Answers
from analysis.findings.comparisons import Budget, Rung
from analysis.findings.verdicts import Findings
from analysis.format.notation import Rounding
from analysis.report.page import Block, Fact, FactTable, Items, Section, Text
from analysis.words.budget import RULE, UNKNOWN, budget_sentence, course_line, steps_of

_TITLE = "Does it depend on the budget?"


def budget(answers: Answers, pictures: Sequence[Block]) -> Section | None:
    """The section that says whether the order has settled, and what may turn; None where there is none, or no verdict
    is due."""
    if answers.preliminary:
        return None
    known = [(found, found.budget) for found in answers.findings if found.budget is not None]
    if not known and not any(pair.comparison.n > 1 for found in answers.findings for pair in found.pairs):
        return None
    if not known:
        return Section("budget", _TITLE, (Text(UNKNOWN),))
    told = tuple(budget_sentence(*one) for one in known)
    tables = [_leaders(*one) for one in known]
    open_ones = [block for one in known for block in _open(*one)]
    blocks = (Text(RULE), Items("Has the order settled?", told), *pictures, *tables, *open_ones)
    return Section("budget", _TITLE, blocks)


def _leaders(found: Findings, known: Budget) -> FactTable:
    """A row per rung: the cell to take there, its mean, and how many may be the best."""
    rounding = Rounding(decimals=found.metric.decimals)
    rows = [row for rung in known.rungs if (row := _leader(found, rung, rounding))]
    caption = f"{found.metric.label} on the way: the best mean of the cells that may be the best there."
    return FactTable(
        caption, ("Training steps", "Cell", found.metric.head, "May be the best"), tuple(rows), numbers=False
    )


def _leader(found: Findings, rung: Rung, rounding: Rounding) -> tuple[Fact, ...]:
    best = rung.best(found.metric.sign)
    if best is None:
        return ()
    compared = sum(bool(values) for values in rung.values)
    mean = rounding.number(rung.mean(best))
    return steps_of(rung), found.cells[best].name, mean, f"{len(rung.leading)} of {compared}"


def _open(found: Findings, known: Budget) -> list[Items]:
    """The verdicts that may turn."""
    open_ones = [one for one in known.courses if one.told and not one.settled]
    if not open_ones:
        return []
    title = f"{found.metric.label}: may turn with more training ({len(open_ones)})"
    return [Items(title, tuple(course_line(one) for one in open_ones))]
