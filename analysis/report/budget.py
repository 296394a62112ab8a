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
    scored = [(answer, answer.budget) for answer in answers.findings if answer.budget is not None]
    if not scored and not any(pair.comparison.n > 1 for answer in answers.findings for pair in answer.pairs):
        return None
    if not scored:
        return Section("budget", _TITLE, (Text(UNKNOWN),))
    sentences = tuple(budget_sentence(*of_metric) for of_metric in scored)
    tables = [_leaders(*of_metric) for of_metric in scored]
    open_ones = [block for of_metric in scored for block in _open(*of_metric)]
    blocks = (Text(RULE), Items("Has the order settled?", sentences), *pictures, *tables, *open_ones)
    return Section("budget", _TITLE, blocks)


def _leaders(answer: Findings, of_metric: Budget) -> FactTable:
    """A row per rung: the cell to take there, its mean, and how many may be the best."""
    rounding = Rounding(decimals=answer.metric.decimals)
    rows = [row for rung in of_metric.rungs if (row := _leader(answer, rung, rounding))]
    caption = f"{answer.metric.label} on the way: the best mean of the cells that may be the best there."
    return FactTable(
        caption, ("Training steps", "Cell", answer.metric.head, "May be the best"), tuple(rows), numbers=False
    )


def _leader(answer: Findings, rung: Rung, rounding: Rounding) -> tuple[Fact, ...]:
    best = rung.best(answer.metric.sign)
    if best is None:
        return ()
    compared = sum(bool(values) for values in rung.values)
    mean = rounding.number(rung.mean(best))
    return steps_of(rung), answer.cells[best].name, mean, f"{len(rung.leading)} of {compared}"


def _open(answer: Findings, of_metric: Budget) -> list[Items]:
    """The verdicts that may turn."""
    open_ones = [course for course in of_metric.courses if course.told and not course.settled]
    if not open_ones:
        return []
    title = f"{answer.metric.label}: may turn with more training ({len(open_ones)})"
    return [Items(title, tuple(course_line(course) for course in open_ones))]
