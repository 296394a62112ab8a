"""The report's verdict: what to take for likelihood and for samples, in few sentences; other sentences are folded away.

If comparisons are within rows, the verdict is a small table of each row's best cells.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain, zip_longest

from analysis.findings.answers import Answers
from analysis.findings.cells import CellRuns
from analysis.findings.verdicts import Findings
from analysis.grid_json import Meta
from analysis.labels import begun, counted
from analysis.report.page import Answer, Block, Details, FactTable, Section, Text
from analysis.words.length import MOST, sentences_in
from analysis.words.rounds import banner
from analysis.words.rows import row_choices, row_headline, row_table
from analysis.words.search import optimism_sentence
from analysis.words.verdicts import amount, as_good, beside_codes, code_name, comparison_sentence, headline, led

_EXPLORATORY = "Exploratory: other seeds were asked for after results were there"
_ONE_SEED = "One seed: no verdict"


def verdict(answers: Answers) -> Section:
    """The section on the cells to take, per deciding metric; or on the cell that leads, if no verdict is due."""
    if not answers.findings:
        why_none = ("No cell has a likelihood, a FID or an energy distance, so there is nothing to decide by.",)
        return Section("verdict", "Verdict", (Answer("No verdict.", "", "", why_none),))
    blocks = [block for answer in answers.findings for block in _blocks(answers, answer)]
    # The best means are named before the tables of each row.
    blocks.sort(key=lambda block: not isinstance(block, Answer))
    flattered = [Text(optimism_sentence(gap)) for gap in answers.optimism or ()]
    title = "Who leads" if answers.preliminary else "Verdict"
    return Section("verdict", title, _in_short([*blocks, *flattered], MOST - sentences_in(banner(answers.grid))))


def _blocks(answers: Answers, answer: Findings) -> list[Block]:
    """The answer in a metric, over all cells or per row."""
    if not answer.rows:
        return [_leader(answer) if answers.preliminary else _answer(answer, answers.meta)]
    axes = answers.axes
    table, sentence, choices = row_table(answer, axes), row_headline(answer, axes), row_choices(answer, axes)
    if table is None:
        return [Answer(f"For {answer.metric.decides}: nothing to choose between.", "", "", (sentence,), _mark(answer))]
    take = Answer(f"For {answer.metric.decides}, by {table.head[0]}, the best mean:", choices, ".", ())
    lines = FactTable(table.caption, table.head, table.lines, numbers=False)
    return [take, lines, *([Text(sentence)] if sentence else [])]


def _in_short(blocks: Sequence[Block], most: int) -> tuple[Block, ...]:
    """The blocks with at most `most` sentences: the choices, then a first reason for each, a second, and notes; the
    others are folded away."""
    heads = [block for block in blocks if not isinstance(block, Text)]
    shown, hidden = heads[:most], heads[most:]
    reasons = [[Text(text) for text in block.why] if isinstance(block, Answer) else [] for block in shown]
    notes = [block for block in blocks if isinstance(block, Text)]
    ordered = [text for text in (*chain.from_iterable(zip_longest(*reasons)), *notes) if text is not None]
    kept: list[Text] = []
    for text in ordered:
        if len(shown) + sentences_in(*(each.text for each in (*kept, text))) <= most:
            kept.append(text)
    folded = [*hidden, *(text for text in ordered if text not in kept)]
    return (
        *(
            replace(block, why=tuple(text.text for text in of_block if text in kept))
            if isinstance(block, Answer)
            else block
            for block, of_block in zip(shown, reasons, strict=True)
        ),
        *(text for text in notes if text in kept),
        *([Details("More on the verdict", tuple(folded))] if folded else []),
    )


def _answer(answer: Findings, meta: Meta) -> Answer:
    """The cell to take, with the alternatives; without a recommendation if nothing is compared."""
    use = answer.metric.decides
    if answer.best is None or len(answer.ranked) < 2 or answer.same:
        return Answer(f"For {use}: nothing to choose between.", "", "", (headline(answer),), _mark(answer))
    best = answer.cells[answer.best]
    name = best.name
    reasons = (headline(answer), *_beyond_floor(answer, meta), *_by_how_much(answer, best), *_to_floor(answer, meta))
    if not answer.leading:
        return Answer(f"For {use} no verdict; best value:", name, ".", reasons, _mark(answer, _ONE_SEED))
    take = f"For {use}, at this budget, take" if answer.rivals else f"For {use} take"
    return Answer(take, name, f"{_as_good(answer)}{_open(answer)}{_rivals(answer)}.", reasons, _mark(answer))


def _leader(answer: Findings) -> Answer:
    """The cell that leads, and its lead."""
    mark = "Preliminary"
    if answer.best is None or answer.lead is None or len(answer.ranked) < 2 or answer.same:
        return Answer(f"For {answer.metric.decides}: nothing to choose between yet.", "", "", (headline(answer),), mark)
    rest = f" leads in {answer.metric.label}: {led(answer, answer.lead)}."
    codes = beside_codes(answer)
    return Answer("", answer.cells[answer.best].name, rest, (codes,) if codes else (), mark)


def _mark(answer: Findings, otherwise: str = "") -> str:
    """The limits of an answer, in words."""
    code = answer.unreached
    learnt = "" if code is None else f"Every cell is worse than {code_name(code)}"
    return ". ".join(text for text in (_EXPLORATORY if answer.exploratory else otherwise, learnt) if text)


def _as_good(answer: Findings) -> str:
    """The cells that may be taken instead, in words; "" if there are none."""
    names = [answer.cells[i].name for i in answer.as_good]
    if not names:
        return ""
    if len(names) == 1:
        return f", or {names[0]}, which is {as_good(answer.metric)}"
    return f", or any of {len(names)} others that are {as_good(answer.metric)}"


def _open(answer: Findings) -> str:
    """The number of other cells that may be the best, but are not known to be as good; "" if there are none."""
    n = len(answer.open)
    if not n:
        return ""
    return f"; {counted(n, 'other')} cannot be ruled out"


def _rivals(answer: Findings) -> str:
    """The number of cells that are no candidates now, but may be better with more training; "" if there are none."""
    n = len(answer.rivals)
    return f"; {n} that {'is' if n == 1 else 'are'} ruled out now may overtake it" if n else ""


def _by_how_much(answer: Findings, best: CellRuns) -> tuple[str, ...]:
    """The smallest difference of the best cell from those that it is compared with; empty if there is none."""
    measured = [pair for pair in answer.pairs if pair.comparison.n > 1 and not pair.same]
    its = [pair for pair in measured if best.levels in (pair.a.levels, pair.b.levels)]
    if not its:
        return ()
    nearest = min(its, key=lambda pair: abs(pair.comparison.difference))
    sentence = comparison_sentence(nearest).removeprefix(f"{answer.metric.label}: ")
    return (begun(sentence) if nearest.verdict == "cannot tell" else f"By how much: {sentence}",)


def _to_floor(answer: Findings, meta: Meta) -> tuple[str, ...]:
    """The score of real data, if the best cell has not reached it."""
    floor = meta.floors.get(answer.metric.name)
    if floor is None or answer.best is None or _beyond_floor(answer, meta):
        return ()
    return (f"For comparison: {floor.label}, score {amount(answer.metric, floor.value, math.nan)}.",)


def _beyond_floor(answer: Findings, meta: Meta) -> tuple[str, ...]:
    """A caution if the best cell scores better than real data, as samples resemble what they are compared with."""
    metric, floor = answer.metric, meta.floors.get(answer.metric.name)
    if floor is None or answer.best is None:
        return ()
    value = amount(metric, floor.value, math.nan)
    if metric.sign * (answer.estimates[answer.best].mean - floor.value) <= 0:
        return ()
    against = "test" if "/test" in metric.name else "training"
    return (
        f"That is beyond the {value} of {floor.label}, which does not mean better than real: samples resemble the "
        f"{against} {meta.examples} that they are compared with.",
    )
