"""The report's answers: papers' claims and their fates, axes that matter, and the noise of values."""

from __future__ import annotations

import math
from typing import get_args

from analysis.findings.answers import Answers
from analysis.findings.cells import CellRuns, Estimate
from analysis.findings.expectations import Fate
from analysis.findings.factorial import Factorial, shown
from analysis.findings.spending import MANY, Spending, spending
from analysis.findings.values import ImageShare
from analysis.findings.verdicts import Findings
from analysis.labels import Rounding, begun, counted, duration, listed, percent, probability, some, two_digits
from analysis.report.another_seed import one_more_seed
from analysis.report.page import Block, Fact, FactTable, Items, Section, Text
from analysis.schema import LIKELIHOOD
from analysis.statistics.effects import Effect
from analysis.words.claims import why
from analysis.words.declared import exploratory_claims

_ONE_FAMILY = (
    "Claims about a metric are one family with its comparisons: a claim about two cells of the list below has "
    "its verdict. A claim that fails here is not called contrary but too early to say where more training still "
    "brings what it says nearer, or where none of its cells has learnt enough to refute it."
)
_FIRST_LOOK = "These are of the seeds of the first look, which all cells have whatever is found."
_REST_AT_FIRST = f"Claims about other cells are a family of their own. {_FIRST_LOOK}"

UNMEASURED = "not measured"
"""The word for claims of a metric that the grid does not have, in place of "cannot tell"."""


def published(answers: Answers) -> Section | None:
    """The fate of each finding of a paper that the grid's file states."""
    claims = answers.claims
    lines: dict[str, list[str]] = {word: [] for word in (*get_args(Fate), UNMEASURED)}
    for outcome in claims:
        word = UNMEASURED if outcome.metric is None else outcome.fate
        lines[word].append(f"{outcome.claim.claim} ({outcome.claim.source}): {why(outcome)}.")
    lists = [Items(f"{begun(word)} ({len(of)} of {len(claims)})", tuple(of)) for word, of in lines.items() if of]
    counts = ", ".join(f"{len(of)} {word}" for word, of in lines.items() if of)
    gist = f"of {counted(len(claims), 'claim')} {counts}"
    note = _ONE_FAMILY if answers.meta.auto is None else f"{_ONE_FAMILY} {_REST_AT_FIRST}"
    texts = map(Text, (*exploratory_claims(answers), note))
    return Section("published", "Against the papers", (*lists, *texts), gist) if lists else None


def axes(answers: Answers) -> Section | None:
    """The section on axes that matter or depend on each other, in a grid with several axes."""
    blocks: list[Block] = [block for factorial in answers.effects for block in _effects(factorial)]
    if not blocks:
        return None
    first = [] if answers.meta.auto is None else [Text(f"Tests and averages. {_FIRST_LOOK}")]
    gist = "; ".join(f"{factorial.metric.label}: {_mattering(factorial)}" for factorial in answers.effects)
    return Section("axes", "Which axes matter", (*first, *blocks), gist)


def _mattering(factorial: Factorial) -> str:
    """The axes that are shown to matter, and the axes that are shown to depend on each other."""
    names = [" × ".join(effect.factors) for effect in factorial.ranked if effect.F and factorial.matters(effect)]
    return listed(names) or "none is shown to"


def _effects(factorial: Factorial) -> list[Block]:
    start = f"{factorial.metric.label}: "
    return [
        Items(factorial.metric.label, tuple(text.removeprefix(start) for text in factorial_sentences(factorial))),
        *_averages(factorial),
    ]


def factorial_sentences(factorial: Factorial) -> list[str]:
    """Sentences on the effects and their tests, and on what the tests leave out."""
    sentences = [_effect_sentence(factorial, effect) for effect in factorial.ranked]
    return [*sentences, *factorial.tests.notes, *_cautions(factorial)]


def _effect_sentence(factorial: Factorial, effect: Effect) -> str:
    """A sentence on one effect with its test. It says so if an axis matters between two cells but not on average."""
    if not effect.F:
        return f"{factorial.metric.label}: {_no_effect(effect)}."
    labels, label = effect.factors, factorial.metric.label
    test = f"F({effect.df}, {effect.df_error:g}) = {Rounding().number(effect.F)}"
    among = "comparisons and claims" if labels in factorial.elsewhere else "effects"
    sure = f"p {probability(effect.adjusted)}, adjusted for the number of {among}"
    numbers = f"({test}, {sure}; {100 * effect.share:.0f} % of the variance among the cells of a seed)"
    if factorial.is_small(effect) and not factorial.matters(effect):
        verb = "makes" if len(labels) == 1 else "together make"
        return f"{label}: {' and '.join(labels)} {verb} less of a difference than matters {numbers}."
    if len(labels) > 1:
        if factorial.matters(effect) and not shown(effect):
            first, second = factorial.told_apart[frozenset(labels)]
            start = f"{labels[0]} and {labels[1]} depend on each other, as a claim shows of {first} and {second}"
            return f"{label}: {start}; by all of their levels they are not shown to {numbers}."
        verdict = "depend on each other" if factorial.matters(effect) else "are not shown to depend on each other"
        return f"{label}: {labels[0]} and {labels[1]} {verdict} {numbers}."
    if factorial.matters(effect) and not shown(effect):
        first, second = factorial.told_apart[frozenset(labels)]
        return (
            f"{label}: {labels[0]} matters between {first} and {second}; on average over the other axes it is not "
            f"shown to {numbers}."
        )
    verdict = "matters" if factorial.matters(effect) else "is not shown to matter"
    return f"{label}: {labels[0]} {verdict} {numbers}."


def _no_effect(effect: Effect) -> str:
    """The words for an effect that is 0 at every seed, as of an axis that the metric does not read."""
    if len(effect.factors) == 1:
        return f"{effect.factors[0]} changes nothing: values are the same at all of its levels"
    one_another = "do not depend on each other: what one changes is the same at all levels of the other"
    return f"{listed(effect.factors)} {one_another}"


def _cautions(factorial: Factorial) -> list[str]:
    """The cells that the tests leave out."""
    names = [cell.name for cell in factorial.apart]
    return [f"Not compared, though finished: {some(names, len(names))}."] if names else []


def _averages(factorial: Factorial) -> list[FactTable]:
    """A table with a row per level, averaged over all other axes."""
    if not factorial.averages:
        return []
    notes = dict.fromkeys(f"{average.axis.label} {average.note}" for average in factorial.averages if average.note)
    what = "geometric mean (95 % interval)" if factorial.metric.scale == "log" else "mean ± 95 % interval"
    start = f"{factorial.metric.label} averaged over the other axes: {what} over seeds."
    caption = f"{start} {'; '.join(notes)}." if notes else start
    rounding = Rounding.of(factorial.metric.decimals, [average.estimate.half_width for average in factorial.averages])
    rows: list[tuple[Fact, ...]] = [
        (f"{average.axis.label}: {average.level}", _measured(rounding, average.estimate))
        for average in factorial.averages
    ]
    return [FactTable(caption, ("Level", factorial.metric.head), tuple(rows))]


def _measured(rounding: Rounding, estimate: Estimate) -> str:
    """A mean with its interval; for a factor, with the ends of it."""
    if not estimate.factor:
        return rounding.measured(estimate.mean, estimate.half_width)
    low, mean, high = (rounding.number(value) for value in (estimate.low, estimate.mean, estimate.high))
    return f"{mean} ({low} to {high})"


def noise(answers: Answers) -> Section | None:
    """The section on the sources of noise: seeds, drawing samples, the held-out images."""
    by_image, what = not answers.grid.images.empty, answers.meta.example
    per_metric = [
        (_between_seeds(answer), _images(answer, what, known=by_image), _by_image(answer, what, share) if share else "")
        for answer, share in zip(answers.findings, answers.image_shares, strict=True)
    ]
    lines = [line for of_metric in per_metric for line in of_metric if line]
    if not lines:
        return None
    gist, more = ("", []) if answers.preliminary else one_more_seed(answers)
    asked = [Items("What would one more seed do?", tuple(more))] if more else []
    return Section("noise", "Noise", (*asked, *map(Text, lines)), gist)


def _between_seeds(answer: Findings) -> str:
    seeds, drawn = answer.noise()
    if math.isnan(seeds):
        return ""
    start = f"{answer.metric.label}: between seeds a cell's value has a standard deviation of {_size(answer, seeds)}"
    if math.isnan(drawn):
        return f"{start} (typical of the cells)."
    return (
        f"{start}, and drawing other samples from the same networks alone gives {_size(answer, drawn)} (typical of the "
        f"cells).{_spent(spending(answer))}"
    )


def _spent(best_use: Spending | None) -> str:
    """The best use of the next minute; "" where it is not known."""
    if best_use is None:
        return ""
    start = (
        f" Here each seed is judged by {counted(best_use.sets, 'generated set')}. Drawing samples causes at most "
        f"{percent(best_use.share)} of the variance that the difference of two cells has between seeds."
    )
    cost = f"a seed of a cell takes {duration(best_use.seed_seconds)}, a generated set {duration(best_use.set_seconds)}"
    if math.isinf(best_use.best):
        return f"{start} If it causes all of it, more generated sets are worth more than more seeds ({cost})."
    best, enough = max(1, round(best_use.best)), max(1, math.ceil(best_use.enough))
    little = f"with {enough} or more, drawing adds less" if enough <= MANY else f"even with {MANY}, drawing adds more"
    return (
        f"{start} In a given time, differences are known best with about {counted(best, 'set')} a seed ({cost}); "
        f"{little} than a tenth to the variance between seeds."
    )


def _images(answer: Findings, what: str, *, known: bool) -> str:
    """A sentence on the part of a difference's error that comes from the choice of held-out images or points, or on
    values per image not being known."""
    compared = [pair.comparison for pair in answer.pairs if pair.comparison.n > 1]
    if answer.metric.decides != LIKELIHOOD or not compared:
        return ""
    if not known:
        return (
            f"{answer.metric.label}: values per {what} are not known, so the intervals hold for these held-out {what}s "
            "and do not say what others would show."
        )
    of_images = sum(comparison.image_error**2 for comparison in compared)
    total = of_images + sum(comparison.seed_sd**2 / comparison.n for comparison in compared)
    share = of_images / total if total else 0.0
    return (
        f"{answer.metric.label}: {percent(share)} of the variance of a difference (over the {len(compared)} compared) "
        f"is the choice of held-out {what}s, which more seeds do not lessen."
    )


def _by_image(answer: Findings, what: str, share_of: tuple[CellRuns, CellRuns, ImageShare]) -> str:
    """A sentence on the share of images or points on which the best cell is better than another."""
    best, other, share = share_of
    ends = [f"{100 * end:.0f}" for end in (share.low, share.high)]
    # Where nearly all images agree, resampling them adds nothing.
    interval = f" (95 % interval {ends[0]} to {ends[1]} %, bootstrapped over {what}s)" if ends[0] != ends[1] else ""
    return (
        f"{answer.metric.label}: {best.name} is better than {other.name} on {percent(share.mean)} of the {share.n} "
        f"held-out {what}s{interval}."
    )


def _size(answer: Findings, sd: float) -> str:
    """A standard deviation by two digits, with the metric's unit."""
    return f"{two_digits(sd)} {answer.metric.unit}" if answer.metric.unit else two_digits(sd)
