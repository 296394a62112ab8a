"""The English of a grid's findings: a sentence per row of a frame, and the legend that explains them all.

`row` is a row of `Analysis.comparisons`, a Series or a dict. On a log scale a difference is a factor, exp(a − b).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from analysis.answers import AS_GOOD, BEST, MAY_BE_BEST, NOT_TESTED, Analysis
from analysis.claims import TOLD_APART
from analysis.grid_json import MetricInfo
from analysis.labels import Rounding, cell_name, duration, listed, listed_names, probability

Row = Mapping[Any, Any] | pd.Series

UNIFORM = "uniform code"
"""The label of the code that knows nothing of the data."""
LEGEND = {
    "better, worse": "the cells differ: a paired t-test over seeds, adjusted for all comparisons and claims about the "
    "metric, gives p ≤ 0.05. Where nothing differs, at most 5 % of grids say so of anything in a metric.",
    "equal": "the difference is shown to be smaller than the least one that matters.",
    "cannot tell": "neither is shown; more seeds, of which a rough number is given, may tell the cells apart.",
    "bold": "the best mean of the cells that may be the best, and those shown to be worse by no more than matters.",
    "°": "may be the best too, as no cell is shown to be better, or much worse. In at least 95 % of grids the cell "
    "that truly is the best has one of the two marks.",
    "±": "half the width of the 95 % t-interval of a mean over seeds. Cells share their seeds, so the interval of a "
    "difference can be narrower than those of its cells. It holds for these held-out images alone.",
    "a factor of": "FID and its like are compared by logarithms: 1.30 (1.10 to 1.54) is a ratio and its 95 % interval.",
    "decided at, given up at": "seeds were added until a comparison was decided or had no prospect (`seeds=auto`); "
    "its interval holds for all looks at once.",
    "as published, contrary": "a paper's claim was tested like a comparison: it holds here, or its opposite does.",
    "exploratory": "declared after the first results, or at a time that is not recorded: an idea to test anew.",
}
"""The legend of all pages: term → meaning."""


def amount(metric: MetricInfo, mean: float, half: float = math.nan) -> str:
    """A value with its interval and unit, as a table rounds it: 2.49 ± 0.07 bits/dim."""
    text = Rounding.of(metric.decimals, [half]).measured(mean, half)
    return f"{text} {metric.unit}" if metric.unit else text


def size(metric: MetricInfo, difference: float, half: float = math.nan) -> str:
    """A difference on the metric's scale with its interval: in its unit, or a factor with both ends."""
    if metric.scale == "linear":
        return amount(metric, difference, half)
    for decimals in () if math.isnan(half) else (2, 3, 4, 5):
        low, middle, high = (_ratio(end, decimals) for end in (difference - half, difference, difference + half))
        if low != middle != high:
            return f"a factor of {middle} ({low} to {high})"
    return f"a factor of {_ratio(difference, 2)}"


def _ratio(log: float, decimals: int) -> str:
    return Rounding(decimals, decimals + 1).number(math.exp(min(log, 700.0)))


def margin(metric: MetricInfo) -> str:
    """The least difference that matters: 0.01 bits/dim, 5 %."""
    if metric.scale == "linear":
        return f"{metric.margin:g} {metric.unit}" if metric.unit else f"{metric.margin:g}"
    return f"{100 * math.expm1(metric.margin):.2g} %"


def as_good(metric: MetricInfo) -> str:
    """What cells have in common with the best one that are as good."""
    return "the same at every seed" if math.isnan(metric.margin) else f"worse by no more than {margin(metric)}"


def comparison_sentence(analysis: Analysis, row: Row, seed_seconds: float = 0.0) -> str:
    """The verdict on two cells with its numbers, and that it is exploratory if so."""
    metric, verdict = analysis.metric(row["metric"]), row["verdict"]
    a, b = (analysis.names[row[side]] for side in ("a", "b"))
    difference, apart = float(row["difference"]), size(metric, abs(row["difference"]), row["half_width"])
    start, end = f"{metric.label}: ", f"by {apart} ({evidence(row)})"
    if difference == row["half_width"] == 0:
        return f"{start}{a} and {b} have the same value at every seed."
    if verdict == "open":
        return f"{start}{a} is {'above' if difference > 0 else 'below'} {b} by {apart}."
    if row["n"] < 2:
        return f"{start}cannot tell {a} from {b}: fewer than two seeds finished both."
    if verdict == "equal":
        small = f"less than {margin(metric)} does not matter"
        return f"{start}{a} and {b} are equal for practical purposes: they differ {end}, and {small}."
    if verdict in TOLD_APART:
        return f"{start}{a} is {verdict} than {b} {end}."
    looks = "better" if metric.sign * difference > 0 else "worse"
    more = "; ".join(["", *seeds_needed(row, seed_seconds)])
    return f"{start}cannot tell {a} from {b} at this budget: the former looks {looks} {end}{more}."


def evidence(row: Row) -> str:
    """The evidence for a verdict, its adjusted p or the look that decided; and whether it is exploratory."""
    p = float(row["p_equal"] if row["verdict"] == "equal" else row["p_adjusted"])
    how = f"p {probability(p)}"
    if math.isnan(p):
        ended = "given up" if row["verdict"] == "cannot tell" else "decided"
        how = f"undecided at {row['n']} seeds" if pd.isna(row["seeds"]) else f"{ended} at {row['seeds']} seeds"
    return how if row.get("declared", "beforehand") == "beforehand" else f"{how}, exploratory"


def seeds_needed(row: Row, seed_seconds: float = 0.0) -> list[str]:
    """The rough number of seeds that would show a difference of this size in 80 % of cases, by the textbook:
    (2.8 SD/δ)², with the price of those that are missing. None where that is not more than there are."""
    if not row["difference"] or not row["sd"] > 0:
        return []
    needed = math.ceil((2.8 * row["sd"] / row["difference"]) ** 2)
    number = f"roughly {needed}" if needed <= 1000 else "more than 1000"
    more = duration((needed - row["n"]) * seed_seconds)
    price = f" ({more} more of computing)" if seed_seconds and needed <= 1000 else ""
    return [f"{number} seeds would show a difference of this size{price}"] if needed > row["n"] else []


def claimed_difference(analysis: Analysis, row: Row) -> str:
    """The difference that a claim is about and its evidence, or why there is none."""
    if row["untested"]:
        return str(row["untested"])
    metric = analysis.metric(row["metric"])
    if row["difference"] == row["half_width"] == 0:
        return f"{metric.label} has the same value at every seed"
    within = analysis.meta.expects[row["claim"]].within
    limit = f", margin {size(metric, row['margin'])}" if within is not None else ""
    return f"{metric.label} differs by {size(metric, row['difference'], row['half_width'])}{limit}, {evidence(row)}"


def answers(analysis: Analysis) -> list[str]:
    """The answers in all deciding metrics; where comparisons are within rows, one for each row that has a choice."""
    sentences: list[str] = []
    for metric in analysis.deciding:
        rows = _measured(analysis, metric).groupby("row", sort=False)
        choices = [str(row) for row, cells in rows if row and not _alike(analysis, metric, cells)]
        sentences += filter(None, (headline(analysis, metric, row) for row in [*choices, ""]))
    return sentences


def headline(analysis: Analysis, metric: MetricInfo, row: str = "") -> str:
    """The cell to take in a metric and how sure that is, within a `row` if one is named; and, of the whole grid, how
    many cells are worse than a code that needs no network."""
    own, rows = _measured(analysis, metric), analysis.meta.rows
    codes = "" if row else "".join(beside_codes(analysis, metric))
    if rows and not row:
        same = all(_alike(analysis, metric, cells) for _, cells in own.groupby("row"))
        named = listed(analysis.meta.row_labels)
        parts = [f"cells of the same {named} have the same value at every seed."] * same + [codes] * bool(codes)
        return f"{metric.label}: {' '.join(parts)}" if parts else ""
    own = own[own["row"] == row]
    label = f"{metric.label} at {name_in_row(analysis, own['cell_id'].iloc[0], inside=False)}" if row else metric.label
    start = "Exploratory, since seeds were added after results were there. " if analysis.meta.continued else ""
    return f"{start}{_choice(analysis, metric, label, own)} {codes}".rstrip()


def _choice(analysis: Analysis, metric: MetricInfo, label: str, own: pd.DataFrame) -> str:
    """The best of these cells, and the others that are as good or may be better."""
    if own.empty:
        return f"{label}: no cell finished."
    names = {place: [name_in_row(analysis, cell) for cell in cells["cell_id"]] for place, cells in own.groupby("place")}
    best, n = own[own["place"] == BEST].iloc[0], len(own)
    name, value = names[BEST][0], amount(metric, best["mean"], best["half_width"])
    if n == 1:
        return f"{label} of {name}: {value}."
    if _alike(analysis, metric, own):
        return f"{label}: {value} of all {n} cells, the same at every seed."
    if analysis.meta.preliminary:
        return f"{name} leads in {label}: {value}."
    if best["beaten_by"] is None:
        return f"{label}: {name} has the best value, {value}, of one seed: no verdict."
    alone = sum(beaten == () for beaten in own["beaten_by"]) == 1
    ahead = f"is the best of {n - len(names.get(NOT_TESTED, []))}" if alone else "has the best mean"
    starts = {
        AS_GOOD: f"equal to it for practical purposes ({as_good(metric)}): ",
        MAY_BE_BEST: "not known to be better, at this budget, than ",
        NOT_TESTED: "of fewer than two seeds, and so not compared: ",
    }
    for place, own_names in names.items():
        many = f"{'any' if len(own_names) == n - 1 else len(own_names)} of the other {n - 1} cells"
        names[place] = [many if len(own_names) > 3 else listed_names(own_names, "or")]
    others = [start + names[place][0] for place, start in starts.items() if place in names]
    return f"{label}: {'; '.join([f'{name} {ahead}, {value}', *others])}."


def _measured(analysis: Analysis, metric: MetricInfo) -> pd.DataFrame:
    """The rows of `Analysis.cells` with a value of this metric."""
    return analysis.cells[(analysis.cells["metric"] == metric.name) & (analysis.cells["rank"] >= 0)]


def _alike(analysis: Analysis, metric: MetricInfo, cells: pd.DataFrame) -> bool:
    """True where several cells have the same value at every seed, so that there is nothing to choose."""
    return len({analysis.keys(metric.name)[cell] for cell in cells["cell_id"]}) == 1


def name_in_row(analysis: Analysis, cell: str, *, inside: bool = True) -> str:
    """The name of a cell by the axes on which the cells of its row differ or, not `inside`, by those that name it."""
    axes, rows = zip(analysis.meta.axes, analysis.labels(cell), strict=True), analysis.meta.rows
    return cell_name((axis.label, label) for axis, label in axes if (axis.name not in rows) is inside)


def beside_codes(analysis: Analysis, metric: MetricInfo) -> tuple[str, str]:
    """The two parts of a sentence on cells that are worse than a uniform code or a histogram, "" where none is: how
    many are worse than which code, and its value."""
    own = _measured(analysis, metric)
    baselines = analysis.meta.baselines.get(metric.name, ())
    codes = [code for code in baselines if code.label == UNIFORM or "histogram" in code.label]
    worse = {code: int((metric.sign * (own["mean"] - code.value) < 0).sum()) for code in codes}
    every = [code for code in codes if worse[code] == len(own) > 0]
    unlearnt = [code for code in every if code.label == UNIFORM]
    code = next(iter(unlearnt), max(every or codes, key=lambda code: metric.sign * code.value, default=None))
    if code is None or not worse[code]:
        return "", ""
    who = f"{worse[code]} of {len(own)} cells {'has' if worse[code] == 1 else 'have'} a worse mean"
    who = ("Every cell is worse" if len(own) > 1 else "It is worse") if every else who
    cause = "it knows other data" if analysis.trained_elsewhere else "it was trained too little"
    why = f": {cause}, or the bound was taken in too few steps." if unlearnt else None
    article = "" if code.label.startswith("one ") else "a "
    return f"{who} than {article}{code.label}", f" ({amount(metric, code.value)}){why or ', which needs no network.'}"


def setting(analysis: Analysis) -> str:
    """The data, the budget of a cell, and the seeds behind ±, in short."""
    meta, runs = analysis.meta, analysis.runs

    def span(column: str) -> str:
        values = pd.to_numeric(runs.get(column, pd.Series(dtype=float)), errors="coerce")
        return "–".join(dict.fromkeys(f"{end:g}" for end in (values[values > 0].min(), values.max()) if end > 0))

    shape = f"{meta.shape[1]}×{meta.shape[2]} {'grey ' if meta.shape[0] == 1 else 'colour '}" if meta.shape[1:] else ""
    number = f"{meta.trained_on:,} {shape}training {meta.examples}" if meta.trained_on else shape.strip()
    chain = f"T = {span('horizon') or meta.horizon}" if meta.horizon else ""
    steps = f"{span('training.steps')} training steps of batch {span('training.batch')}"
    steps = "a network that others trained" if analysis.trained_elsewhere else steps
    data = ", ".join(text for text in (meta.data, number, chain, steps) if text)
    seeds = sorted(set(meta.auto.stopped.values()) if meta.auto else {len(meta.seeds)})
    if seeds[-1] == 1:
        return f"{data}. One seed, so no interval is known and none is marked."
    over = " to ".join(dict.fromkeys(map(str, (seeds[0], seeds[-1]))))
    return f"{data}. Mean ± half-width of the 95 % interval over {over} paired seeds."


def banner(analysis: Analysis) -> str:
    """A sentence on what a preliminary page rests on; "" for a page with verdicts."""
    now, planned = len(analysis.meta.seeds), analysis.planned
    return f"Preliminary: {now} of {planned} seeds; no verdict yet." * analysis.meta.preliminary
