"""The report's section on the training budget, and on how the answer depends on it: the scores at rungs."""

from __future__ import annotations

import math
from collections.abc import Sequence

from analysis.findings.answers import Answers
from analysis.findings.budget import BRANCHED, RATE, ends_at_rungs
from analysis.findings.comparisons import Budget, Course, Rung
from analysis.findings.verdicts import Findings
from analysis.grid_json import ShownMetric
from analysis.labels import Rounding, listed, some
from analysis.report.page import Block, Fact, FactTable, Items, Section, Text
from analysis.words.verdicts import apart, size_of

RULE = (
    "Trainings were scored on their way too. A verdict is said to hold with twice the training steps if it would, "
    "should the difference change once more by as much as it has since the last of these scores. That is a caution, no "
    "forecast: it takes claims back and makes none (95 % intervals over seeds, not adjusted), and says nothing of "
    "longer trainings. The likelihood on the way is of validation data."
)
UNKNOWN = (
    "Not known: no training was scored before its end. `evaluation.rungs=2` scores them at a half and a quarter of "
    "their steps too, by the bound on validation data; `evaluation.judged_rungs=1` judges samples at the half too."
)
TOO_SHORT = (
    "Not known: no training was scored before its end. Rungs were asked for, but these trainings have none: a rung is "
    "a report at a half, a quarter, … of the steps, once the learning rate has risen."
)
UNFINISHED = (
    "Not known: the learning rate falls towards the end of the training, and has not fallen yet at a rung, so that a "
    "training of so many steps alone would have ended better. What was scored there is in curves.csv. With "
    "`training.rate=wsd` a rung is a finished training of its own."
)
BRANCHES = (
    "Where the rate is wsd, what was scored is a finished training of so many steps: it left the longer one before its "
    "cooldown, and has one of its own."
)
LEFT_OUT = "Cells whose learning rate has not fallen yet at a rung ({names}) are left out of it."
NAMED = 4
"""The most cells that are named among those left out."""
_TITLE = "Does it depend on the budget?"


def budget(answers: Answers, pictures: Sequence[Block]) -> Section | None:
    """The section on verdicts that would hold at twice the steps, and on verdicts that may turn; None where there are
    no comparisons, or no verdict is due."""
    if answers.preliminary:
        return None
    scored = [(answer, answer.budget) for answer in answers.findings if answer.budget is not None]
    compared = [answer for answer in answers.findings if any(pair.comparison.n > 1 for pair in answer.pairs)]
    if not scored and not compared:
        return None
    if not scored:
        return Section("budget", _TITLE, (Text(_unknown(answers)),), "not known")
    unscored = [answer.metric.label for answer in compared if answer.budget is None]
    sentences = [budget_sentence(*of_metric) for of_metric in scored]
    sentences += [f"{label}: not known, since it was not measured before the end at all seeds." for label in unscored]
    tables = [_leaders(*of_metric) for of_metric in scored]
    open_ones = [block for of_metric in scored for block in _open(*of_metric)]
    blocks = (
        *_rules(answers),
        Items("Would it hold with twice the training steps?", tuple(sentences)),
        *pictures,
        *tables,
        *open_ones,
    )
    gists = [f"{answer.metric.label}: {_holding(course)}" for answer, course in scored]
    gist = "; ".join([*gists, *(f"{label}: not known" for label in unscored)])
    return Section("budget", _TITLE, blocks, f"with twice the training steps, {gist}")


def _unknown(answers: Answers) -> str:
    """The reason why nothing was scored before the end of a training."""
    if not answers.meta.rungs:
        return UNKNOWN
    return UNFINISHED if answers.falls else TOO_SHORT


def _rules(answers: Answers) -> list[Text]:
    """Sentences on the assumptions of the section."""
    branched = [BRANCHES] if any(cell.parameter(RATE) == BRANCHED for cell in answers.cells) else []
    out = [cell.name for cell in answers.cells if not ends_at_rungs(cell)]
    left_out = [LEFT_OUT.format(names=some(out, NAMED))] if out else []
    return [Text(text) for text in (RULE, *branched, *left_out)]


def _leaders(answer: Findings, of_metric: Budget) -> FactTable:
    """A table with a row per rung: the best cell there, its mean, and the number of cells that may be the best."""
    rounding = Rounding(decimals=answer.metric.decimals)
    rows = [row for rung in of_metric.rungs if (row := _leader(answer, rung, rounding))]
    caption = f"{answer.metric.label} on the way: of the cells that may be the best there, the one with the best mean."
    return FactTable(
        caption, ("Training steps", "Cell", answer.metric.head, "May be the best"), tuple(rows), numbers=False
    )


def _leader(answer: Findings, rung: Rung, rounding: Rounding) -> tuple[Fact, ...]:
    best = rung.best(answer.metric.sign)
    if best is None:
        return ()
    compared = sum(bool(values) for values in rung.values)
    mean = rounding.number(rung.mean(best))
    return rung.label, answer.cells[best].name, mean, f"{len(rung.leading)} of {compared}"


def _open(answer: Findings, of_metric: Budget) -> list[Items]:
    """The verdicts that may turn, and the verdicts about which nothing is known."""
    open_ones = [course for course in of_metric.courses if course.told_apart and not course.settled]
    turning = [course for course in open_ones if course.change is not None]
    unknown = [course for course in open_ones if course.change is None]
    titles = {
        f"may turn with more training ({len(turning)})": turning,
        f"not known, since fewer than two of their seeds were scored on the way ({len(unknown)})": unknown,
    }
    return [
        Items(f"{answer.metric.label}: {title}", tuple(course_line(course) for course in courses))
        for title, courses in titles.items()
        if courses
    ]


def budget_sentence(answer: Findings, budget: Budget) -> str:
    """A sentence on a metric's verdicts that would hold at twice the steps, and on cells that may overtake the best."""
    turned = [course for course in budget.courses if course.told_apart and course.turned]
    more = f"{_overtaking(answer)}{_first_places(answer, budget)}{_turned(turned)}"
    return f"{answer.metric.label}: {_holding(budget)}{more}."


def _holding(budget: Budget) -> str:
    """The number of differences that would hold at twice the steps, in words."""
    sure = [course for course in budget.courses if course.told_apart]
    settled = sum(course.settled for course in sure)
    unknown = sum(course.change is None for course in sure)
    if not sure:
        return "no difference is shown at the end"
    if len(sure) == settled:
        return f"{'the difference' if settled == 1 else f'all {settled} differences'} that it shows would hold"
    if len(sure) == unknown:
        return "not known of the differences that it shows"
    if len(sure) == 1:
        return "the difference that it shows may not hold"
    rest = f" ({unknown} not known)" if unknown else ""
    return f"{settled} of the {len(sure)} differences that it shows would hold{rest}"


def _overtaking(answer: Findings) -> str:
    """The cells that are shown to be worse than the best, but may be better at twice the steps."""
    if not answer.rivals or answer.best is None:
        return ""
    names = some([answer.cells[i].name for i in answer.rivals], len(answer.rivals))
    return f"; {answer.cells[answer.best].name} may be overtaken by {names}"


def _first_places(answer: Findings, budget: Budget) -> str:
    """The cells that had the best value in turn, if that changed."""
    leaders = [(rung, rung.best(answer.metric.sign)) for rung in budget.rungs]
    changes = [
        leader for before, leader in zip([(None, None), *leaders], leaders, strict=False) if before[1] != leader[1]
    ]
    if len(changes) < 2:
        return ""
    places = [f"that of {answer.cells[i].name} from {rung.label} steps on" for rung, i in changes if i is not None]
    return f"; of those that may be the best, the best mean was {listed(places, 'and')}"


def _turned(turned: list[Course]) -> str:
    if not turned:
        return ""
    names = [f"{course.pair.a.name} against {course.pair.b.name}" for course in turned]
    return f"; the contrary of the end was shown earlier of {listed(names)}"


def course_line(course: Course) -> str:
    """A verdict that may turn, with the difference now and at the last rung before."""
    pair, change = course.pair, course.change
    start = f"{pair.a.name}, {pair.verdict} than {pair.b.name} by {apart(pair.metric, pair.comparison)}"
    if change is None:
        return f"{start}."
    return f"{start}: at {change.steps} steps {_at_rung(pair.metric, change.before)}."


def _at_rung(metric: ShownMetric, difference: float) -> str:
    """The value of a − b at a rung, in the metric's unit or as a factor."""
    word = "better" if metric.sign * difference > 0 else "worse"
    return f"{word} by {size_of(metric, abs(difference), math.nan)}"
