"""The words for the budget: who led at each rung, which verdicts have settled, and which may turn."""

from __future__ import annotations

import math

from analysis.findings.comparisons import Budget, Course, Rung
from analysis.findings.verdicts import Findings
from analysis.format.notation import Rounding, counted, listed
from analysis.words.verdicts import apart

RULE = (
    "Trainings were scored on their way too. A verdict of the end has settled if it would hold at twice the steps too, "
    "should the difference go on changing by as much as it did since the last of these scores (95 % intervals over "
    "seeds, not adjusted: they take claims back and make none). The likelihood there is of validation data."
)
UNKNOWN = (
    "Not known: no training was scored before its end. `evaluation.rungs=2` scores them at a half and a quarter of "
    "their steps too, by the bound on validation data; `evaluation.judged_rungs=1` judges samples at the half too."
)


def steps_of(rung: Rung) -> str:
    """The steps of a rung, from the fewest to the most."""
    low, high = rung.steps
    return f"{low}" if low == high else f"{low} to {high}"


def budget_sentence(answer: Findings, budget: Budget) -> str:
    """A sentence that says whether the order of a metric has settled."""
    label, apart_now = answer.metric.label, [course for course in budget.courses if course.told]
    settled = sum(course.settled for course in apart_now)
    if not apart_now:
        verdicts = "nothing is told apart at the end"
    elif len(apart_now) == settled:
        verdicts = "the verdict has settled" if settled == 1 else f"all {settled} verdicts have settled"
    else:
        verdicts = f"{settled} of {counted(len(apart_now), 'verdict')} {'has' if settled == 1 else 'have'} settled"
    turned = [course for course in apart_now if course.turned]
    return f"{label}: {verdicts}{_first_places(answer, budget)}{_turned(turned)}."


def _first_places(answer: Findings, budget: Budget) -> str:
    """The cells that had the best value in turn, where that changed."""
    leaders = [(rung, rung.best(answer.metric.sign)) for rung in budget.rungs]
    changes = [
        leader for before, leader in zip([(None, None), *leaders], leaders, strict=False) if before[1] != leader[1]
    ]
    if len(changes) < 2:
        return ""
    places = [f"{answer.cells[i].name} from {steps_of(rung)} steps on" for rung, i in changes if i is not None]
    return f"; the best mean of those that may be the best had {listed(places, 'and')}"


def _turned(turned: list[Course]) -> str:
    if not turned:
        return ""
    names = [f"{course.pair.a.name} against {course.pair.b.name}" for course in turned]
    return f"; the contrary of the end was shown earlier of {listed(names)}"


def course_line(course: Course) -> str:
    """A verdict that may turn, with what it is now and what twice the steps may make of it."""
    pair, ahead = course.pair, course.ahead
    start = f"{pair.a.name}, {pair.verdict} than {pair.b.name} by {apart(pair.metric, pair.comparison)}"
    if ahead is None:
        return f"{start}: too few seeds were scored on their way."
    low, high = (ahead.difference - ahead.half_width, ahead.difference + ahead.half_width)
    sign = pair.metric.sign
    worst, best = sorted((sign * low, sign * high))
    return f"{start}: at twice the steps {_end(course, worst)} to {_end(course, best)}."


def _end(course: Course, value: float) -> str:
    """An end of what twice the steps may leave, of a − b with better values above 0."""
    word, size = ("better" if value > 0 else "worse"), abs(value)
    metric = course.pair.metric
    if metric.scale == "log":
        return f"{word} by a factor of {Rounding(decimals=2).number(math.exp(min(size, 700.0)))}"
    text = Rounding.of(metric.decimals, [size]).number(size)
    return f"{word} by {text}{f' {metric.unit}' if metric.unit else ''}"
