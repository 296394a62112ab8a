"""The words on a deciding metric: which cell to take and how sure that is, and which of two cells is better. Where no
verdict is due yet: which cell leads, and how two cells differ.

On a log scale a difference is a factor: the ratio of the larger value to the smaller one.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace

from analysis.findings.comparisons import CellComparison, Lead
from analysis.findings.verdicts import UNIFORM, Findings
from analysis.grid_json import KnownValue, ShownMetric
from analysis.labels import Rounding, listed_names, percent, probability
from analysis.statistics.paired import Comparison

FEW = 3
"""The most cells that a sentence names; more are counted."""
FACTOR_DECIMALS = (2, 3, 4, 5)
"""The decimals of a factor that are tried, until it differs from both ends of its interval."""
_PERCENT = 0.0095
"""The share from which on a whole number of percent is precise enough."""


def amount(metric: ShownMetric, value: float, half_width: float) -> str:
    """A value with its interval and unit, as the table rounds it."""
    text = Rounding.of(metric.decimals, [half_width]).measured(value, half_width)
    return f"{text} {metric.unit}" if metric.unit else text


def span(metric: ShownMetric, value: float, half_width: float) -> str:
    """A value with the ends of its interval, cut off at the least value that there can be, and its unit."""
    rounding = Rounding.of(metric.decimals, [half_width])
    least = -math.inf if metric.least is None else metric.least
    low, high = (rounding.number(end) for end in (max(value - half_width, least), value + half_width))
    text = rounding.number(value) if math.isnan(half_width) else f"{rounding.number(value)} ({low} to {high})"
    return f"{text} {metric.unit}" if metric.unit else text


def apart(metric: ShownMetric, comparison: Comparison) -> str:
    """The size of a difference with its interval: in the metric's unit, or as a factor."""
    return size_of(metric, abs(comparison.difference), comparison.half_width)


def size_of(metric: ShownMetric, difference: float, half_width: float) -> str:
    """A difference on the metric's scale with its interval: in its unit, or as a factor."""
    return factor(difference, half_width) if metric.scale == "log" else amount(metric, difference, half_width)


def factor(log: float, half_width: float) -> str:
    """A factor with its interval, from its log and half-width; the factor alone without an interval of its own."""
    for decimals in () if math.isnan(half_width) else FACTOR_DECIMALS:
        middle, low, high = (_ratio(end, decimals) for end in (log, log - half_width, log + half_width))
        if low != middle != high:
            return f"a factor of {middle} ({low} to {high})"
    return f"a factor of {_ratio(log)}"


def _ratio(log: float, decimals: int = FACTOR_DECIMALS[0]) -> str:
    return Rounding(decimals, decimals + 1).number(math.exp(min(log, 700.0)))


def margin(metric: ShownMetric) -> str:
    """The smallest difference that matters."""
    if metric.scale == "log":
        share = math.expm1(metric.margin)
        return percent(share) if share >= _PERCENT else f"{100 * share:.2g} %"
    return f"{metric.margin:g} {metric.unit}" if metric.unit else f"{metric.margin:g}"


def as_good(metric: ShownMetric) -> str:
    """The words for how close "as good" is: the relevant difference or, in a metric without one, the very same
    values."""
    return "the same at every seed" if math.isnan(metric.margin) else f"worse by no more than {margin(metric)}"


def confirmation(pair: CellComparison) -> str:
    """The number of fresh seeds that it would take to show a difference, where it is known."""
    return f"about {pair.fresh_seeds} fresh seeds of this grid would probably show a difference"


def comparison_sentence(pair: CellComparison) -> str:
    """The verdict on two cells with its numbers."""
    label, comparison = pair.metric.label, pair.comparison
    if pair.verdict == "open" and not pair.same:
        return f"{label}: {pair.a.name} is {side(pair)} {pair.b.name} by {open_size(pair)}."
    if math.isnan(comparison.p):
        return f"{label}: cannot tell {pair.a.name} from {pair.b.name}: fewer than two seeds finished both."
    if pair.shared:
        return f"{label}: {pair.a.name} and {pair.b.name} share all that {label} reads."
    if pair.same:
        return f"{label}: {pair.a.name} and {pair.b.name} have the same value at every seed."
    numbers = f"{apart(pair.metric, comparison)} ({evidence(pair)})"
    if pair.verdict == "equal":
        return (
            f"{label}: {pair.a.name} and {pair.b.name} are equal for practical purposes: they differ by {numbers}, "
            f"and less than {margin(pair.metric)} does not matter."
        )
    if pair.verdict != "cannot tell":
        return f"{label}: {pair.a.name} is {pair.verdict} than {pair.b.name} by {numbers}."
    more = f"; {confirmation(pair)}" if pair.fresh_seeds else ""
    start = f"{label}: cannot tell {pair.a.name} from {pair.b.name} at this budget"
    return f"{start}: the former looks {leaning(pair)} ({evidence(pair)}){more}."


_NOTHING = re.compile(r"(a factor of )?(1\.00+|0\.00+)\b")
"""A size that rounds to no difference."""


def leaning(pair: CellComparison) -> str:
    """The words for how far a cell's mean is better or worse than another's; neither if that rounds to nothing."""
    size = apart(pair.metric, pair.comparison)
    toward = "better" if pair.metric.sign * pair.comparison.difference > 0 else "worse"
    return f"about the same: {size}" if _NOTHING.match(size) else f"{toward} by {size}"


def side(pair: CellComparison) -> str:
    """The side, above or below, on which the values of cell a lie, as seen from cell b."""
    return "above" if pair.comparison.difference > 0 else "below"


def open_size(pair: CellComparison) -> str:
    """The size of a difference on which there is no verdict."""
    return f"{apart(pair.metric, pair.comparison)}{_of_one_seed(pair.comparison)}"


def _of_one_seed(comparison: Comparison) -> str:
    return " (one seed)" if comparison.n < 2 else ""


def evidence(pair: CellComparison) -> str:
    """The evidence for the verdict on a pair: its adjusted p, or the look that decided."""
    looked = pair.sequential
    if looked is None:
        return f"p {probability(pair.adjusted)}"
    if looked.settled:
        return f"decided at {looked.equal if pair.verdict == 'equal' else looked.different} seeds"
    return f"given up at {looked.dropped} seeds" if looked.dropped else f"undecided at {looked.found.n} seeds"


def headline(answer: Findings) -> str:
    """The cell to take, how sure that is, and whether a code without a network is better than any cell; or which cell
    leads, if no verdict is due."""
    return " ".join(text for text in (_taken(answer), told_apart(answer), beside_codes(answer)) if text)


def told_apart(answer: Findings) -> str:
    """A warning that likelihoods with and without labels measure different things; "" if all cells are of one kind."""
    kinds = {answer.cells[i].parameter("conditioning") == "class" for i in answer.ranked}
    if len(kinds) < 2 or not answer.metric.kind.startswith("nll"):
        return ""
    return (
        f"{answer.metric.label} of cells that are told labels is of p(x|y), of the others of p(x): a part of what is "
        "between these is what a label tells of an image, whichever model is better."
    )


def beside_codes(answer: Findings) -> str:
    """A sentence on how many cells, or that every cell, are worse than a uniform code or a histogram; "" if none is."""
    code = answer.unreached
    if code is None:
        return "" if answer.lead is not None else _some_beside_codes(answer)
    who = "It" if len(answer.ranked) == 1 else "Every cell"
    name = code_name(code)
    value = amount(answer.metric, code.value, math.nan)
    if answer.lead is not None:
        return f"{'It does not reach' if who == 'It' else 'No cell reaches'} {name} ({value}) yet."
    start = f"{who} is worse than {name} ({value})"
    if code.label != UNIFORM:
        return f"{start}, which needs no network."
    return f"{start}: it was trained too little, or the bound was taken in too few steps."


def _some_beside_codes(answer: Findings) -> str:
    """The number of cells that are worse than the best code; "" where none is."""
    sign = answer.metric.sign
    code = max(answer.plain_codes, key=lambda code: sign * code.value, default=None)
    if code is None or not answer.leading:
        return ""
    worse = sum(sign * (answer.estimates[i].mean - code.value) < 0 for i in answer.ranked)
    if not worse:
        return ""
    have, value = "has" if worse == 1 else "have", amount(answer.metric, code.value, math.nan)
    who = f"{worse} of {len(answer.ranked)} cells {have} a worse mean"
    return f"{who} than {code_name(code)} ({value}), which needs no network."


def code_name(code: KnownValue) -> str:
    """The code with its article."""
    return code.label if code.label.startswith("one ") else f"a {code.label}"


def _taken(answer: Findings) -> str:
    """The cell to take, and how sure that is."""
    label = answer.metric.label
    if answer.best is None:
        return f"{label}: no cell finished." if answer.lead is None else f"{label}: no cell has a value yet."
    cell, estimate = answer.cells[answer.best], answer.estimates[answer.best]
    value = amount(answer.metric, estimate.mean, estimate.half_width)
    if answer.lead is not None and len(answer.ranked) > 1 and not answer.same:
        return f"{cell.name} leads in {label}: {led(answer, answer.lead)}."
    start = "Exploratory, since other seeds were asked for after results were there. " if answer.exploratory else ""
    if len(answer.ranked) < 2:
        return f"{start}{label} of {cell.name}: {value}."
    if answer.shared:
        return f"{start}{label}: {value} of all {len(answer.ranked)} cells, which share what {label} reads."
    if answer.same:
        return f"{start}{label}: {value} of all {len(answer.ranked)} cells, the same at every seed."
    if not answer.leading:
        return f"{start}{label}: {cell.name} has the best value, {value}, of one seed: no verdict."
    return f"{start}{label}: {cell.name} {_standing(answer, value)}{_untested(answer)}."


def led(answer: Findings, lead: Lead) -> str:
    """The value of the cell that leads, and by how much it is ahead of the next; both with their intervals."""
    assert answer.best is not None, "no cell leads"
    metric, estimate = answer.metric, answer.estimates[answer.best]
    value = span(metric, estimate.mean, estimate.half_width)
    if lead.second is None or lead.ahead is None:
        return value if lead.second is None else f"{value}; next {lead.second.name}"
    size = lead.ahead.difference, lead.ahead.half_width
    by = factor(*size) if metric.scale == "log" else span(replace(metric, least=None), *size)
    return f"{value}; next {lead.second.name}, by {by}{_of_one_seed(lead.ahead)}"


def _standing(answer: Findings, value: str) -> str:
    """The standing of the best cell among those tested, and the others that are as good, may be better, or may overtake
    it."""
    tested = len(answer.ranked) - len(answer.untested)
    alone = len(answer.leading) == 1
    ahead = f"is ahead of the other {tested - 1} at this budget" if answer.rivals else f"is the best of {tested}"
    parts = [f"{ahead}, {value}" if alone else f"has the best mean, {value}"]
    if answer.as_good:
        names = _named(answer, answer.as_good, tested - 1)
        parts.append(f"equal to it for practical purposes ({as_good(answer.metric)}): {names}")
    if answer.open:
        parts.append(f"not known to be better, at this budget, than {_named(answer, answer.open, tested - 1)}")
    if answer.rivals:
        overtaking = _named(answer, answer.rivals, tested - 1)
        parts.append(
            f"with twice the training steps, {overtaking} may be better if gaps go on closing at the same rate"
        )
    return "; ".join(parts)


def _untested(answer: Findings) -> str:
    """The cells that have too few seeds for a verdict; "" if there are none."""
    if not answer.untested:
        return ""
    return f"; of fewer than two seeds, and so not compared: {_named(answer, answer.untested, len(answer.ranked))}"


def left_out_sentence(answer: Findings) -> str:
    """A sentence on cells that a listed comparison cannot tell from the best, but that are beaten by all comparisons
    together; "" if there are none."""
    out = answer.out_untold
    if answer.best is None or not out:
        return ""
    rest = len(answer.ranked) - len(answer.untested)
    single, best = len(out) == 1, answer.cells[answer.best].name
    better = sorted(answer.standing.beaten[out[0]] or ()) if single else []
    names = _all_named(answer, better)
    by_these = f"{names} {'is' if len(better) == 1 else 'are'} better than it" if single else "each has a better one"
    are = "is" if single else "are"
    return (
        f"{answer.metric.label}: {_all_named(answer, out)} {are} not known to differ from {best} by their comparison "
        f"alone, and yet {are} not among the cells that may be the best. These are worked out from all comparisons "
        f"together, those that are listed and one-sided tests of each of the {rest} cells against all others, and by "
        f"them {by_these}."
    )


def _all_named(answer: Findings, which: list[int]) -> str:
    """Cells by name where they are few."""
    names = [answer.cells[i].name for i in sorted(which)]
    return listed_names(names, "and") if len(names) <= FEW else f"{len(names)} cells"


def _named(answer: Findings, which: list[int], rest: int) -> str:
    """The names of these cells if they are few, else their number among the `rest` other cells."""
    names = [answer.cells[i].name for i in sorted(which)]
    if len(names) <= FEW:
        return listed_names(names, "or")
    return f"any of the other {rest} cells" if len(names) == rest else f"{len(names)} of the other {rest} cells"
