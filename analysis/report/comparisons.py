"""The report's list of comparisons: decided, undecided, and not measured."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import get_args

from analysis.findings.answers import Answers
from analysis.findings.best import MOST_ROWS, best
from analysis.findings.cells import CellRuns
from analysis.findings.comparisons import CellComparison
from analysis.findings.family import unmeasured
from analysis.findings.verdicts import Findings
from analysis.labels import begun, counted, percent
from analysis.report.page import Block, Details, Items, Section, Text
from analysis.statistics.families import Verdict
from analysis.statistics.prospects import POWER
from analysis.words.cells import shortfall, without_value
from analysis.words.declared import exploratory_comparisons
from analysis.words.verdicts import (
    apart,
    comparison_sentence,
    confirmation,
    evidence,
    leaning,
    left_out_sentence,
    margin,
    open_size,
    side,
)

MOST_OPEN = 12
"""The most comparisons of a metric that are shown unfolded if all of them count as declared."""
_FRESH = (
    "“n fresh seeds” at the end of a line: n new seeds of this grid, without those that were used here, would show a "
    f"difference with a probability of about {percent(POWER)}, and less often where most differences are small."
)


def comparisons(answers: Answers) -> Section | None:
    """The section that lists comparisons by metric and verdict: declared ones, and all others folded away; None where
    no two cells share two seeds."""
    compared = [answer for answer in answers.findings if any(pair.comparison.n > 1 for pair in answer.pairs)]
    cut = best(answers, MOST_ROWS)
    shown = {id(pair) for answer in cut.findings for pair in answer.pairs}
    left_out = cut.left_out("answers.json")
    blocks = [
        block for answer in compared for block in (*_of_metric(answer, shown, left_out), *_unmeasured(answers, answer))
    ]
    if not blocks:
        return None
    title = "How cells differ so far" if answers.preliminary else "Which differences are real"
    gist = f"decided: {'; '.join(map(_decided, compared))}"
    content = (*blocks, *map(Text, exploratory_comparisons(answers)))
    return Section("comparisons", title, content, "" if answers.preliminary else gist)


def _decided(answer: Findings) -> str:
    decided = sum(pair.same or pair.verdict not in ("cannot tell", "open") for pair in answer.pairs)
    return f"{answer.metric.label} {decided} of {len(answer.pairs)}"


def _of_metric(answer: Findings, shown: Collection[int], cut: str) -> list[Block]:
    """The lists of declared comparisons and of the others, which are folded away; so are declared ones if all are and
    many."""
    first = [pair for pair in answer.pairs if pair.primary]
    rest = [pair for pair in answer.pairs if not pair.primary]
    first_blocks, others = (_told(answer, pairs, shown, cut) for pairs in (first, rest))
    if not rest and len(first) > MOST_OPEN:
        return [Details(f"{answer.metric.label}: {counted(len(first), 'comparison')}", tuple(first_blocks))]
    title = f"{answer.metric.label}: {counted(len(rest), 'other comparison')}"
    return [*first_blocks, *([Details(title, tuple(others))] if rest else [])]


def _told(answer: Findings, told: Sequence[CellComparison], shown: Collection[int], cut: str) -> list[Items]:
    """A list per verdict, of the pairs that are `shown`; `cut` says which these are, if they are not all.

    If all pairs have the same second cell, the titles name it, and the lines do not.
    """
    bases = {pair.b.name for pair in told}
    base = bases.pop() if len(bases) == 1 and len(told) > 1 else None
    lists, alike = [], [pair for pair in told if _alike(pair)]
    for word in get_args(Verdict):
        pairs = [pair for pair in told if pair.verdict == word and not _alike(pair)]
        here = [pair for pair in pairs if id(pair) in shown]
        lines = tuple(_line(pair, answer) if base is None else _against(pair, answer) for pair in here)
        count = f"({len(pairs)})" if word == "open" else f"({len(pairs)} of {len(told)})"
        untold = word == "cannot tell"
        fresh = _FRESH if untold and base is not None and any(pair.fresh_seeds for pair in pairs) else ""
        about = untold and any(pair.primary for pair in pairs)
        out = [_without_metric(left_out_sentence(part), answer) for part in answer.parts if about]
        notes = " ".join(text for text in (*out, fresh, cut) if text)
        lists += [Items(f"{answer.metric.label}: {_title(word, base)} {count}", lines, notes)] if pairs else []
    same = tuple(_line(pair, answer) for pair in alike if id(pair) in shown)
    title = f"{answer.metric.label}: the same at every seed ({len(alike)} of {len(told)})"
    return [*lists, *([Items(title, same, cut)] if alike else [])]


def _alike(pair: CellComparison) -> bool:
    """True of a pair with the same value at every seed, which further seeds would not tell apart either."""
    return pair.same and pair.verdict == "cannot tell"


def _unmeasured(answers: Answers, answer: Findings) -> list[Items]:
    """The declared comparisons without values, each with the reason."""
    pairs = unmeasured(answers.grid, answer.metric, answers.cells)
    lines = [f"{a.name} against {b.name}: {_lacking(answer, a, b)}." for a, b in pairs]
    title = f"{answer.metric.label}: declared, and not measured ({len(lines)})"
    return [Items(title, tuple(lines))] if lines else []


def _lacking(answer: Findings, *cells: CellRuns) -> str:
    """The reason why these cells have no values in common."""
    without = [cell for cell in cells if not cell.estimate(answer.metric.name).known]
    reasons = [f"{cell.name} {shortfall([cell]) or without_value(cell, answer.metric)}" for cell in without]
    return "; ".join(reasons) or "no seed finished both"


def _title(word: Verdict, base: str | None) -> str:
    if word == "open":
        return "differences" if base is None else f"beside {base}"
    if word == "cannot tell":
        return "cannot tell at this budget" if base is None else f"cannot tell at this budget, against {base}"
    if word == "equal":
        return "equal for practical purposes" if base is None else f"equal to {base} for practical purposes"
    return f"the first is {word}" if base is None else f"{word} than {base}"


def _line(pair: CellComparison, answer: Findings) -> str:
    """The sentence on a comparison, without its metric, which the title names."""
    text = _without_metric(comparison_sentence(pair), answer)
    asked = answer.exploratory and pair.verdict != "cannot tell" and pair.fresh_seeds
    sentence = begun(text) if text.startswith("cannot tell") else text
    return sentence + (f" Exploratory; {confirmation(pair)}." if asked else "")


def _without_metric(text: str, answer: Findings) -> str:
    return text.removeprefix(f"{answer.metric.label}: ")


def _against(pair: CellComparison, answer: Findings) -> str:
    """The line on a comparison whose second cell is in the title: the first cell, the size, the seeds to confirm."""
    if pair.same or (math.isnan(pair.comparison.p) and pair.verdict != "open"):
        return _line(pair, answer)
    if pair.verdict == "open":
        return f"{pair.a.name}: {side(pair)} by {open_size(pair)}."
    size = apart(pair.metric, pair.comparison)
    n, sure = pair.fresh_seeds, evidence(pair)
    if pair.verdict == "cannot tell":
        return f"{pair.a.name}: looks {leaning(pair)} ({sure})" + (f"; {n} fresh seeds." if n else ".")
    if pair.verdict == "equal":
        return f"{pair.a.name}: differs by {size} ({sure}); less than {margin(pair.metric)} does not matter."
    confirm = f"; {confirmation(pair)}" if answer.exploratory and n else ""
    return f"{pair.a.name}: by {size} ({sure}){confirm}."
