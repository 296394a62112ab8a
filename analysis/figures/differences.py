"""Every comparison that a verdict rests on: a row per pair, with the differences of the seeds (on a log scale the
ratios), their mean and 95 % interval.

The verdict is written at the right; shape, filling and colour show it too. It is that of the adjusted test, so it can
be "cannot tell" although the own interval excludes 0, or a ratio of 1. Differences that do not matter lie in the grey
band. In a preliminary round there is no verdict, and the sides say which cell is above.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from analysis.figures.distinct import compared
from analysis.figures.drawing import GREY, Look, panels, status_word
from analysis.figures.forest import CHARS, dress, label_rows, more_than_a_line, row, rows, words
from analysis.figures.windows import Window, bulk_window
from analysis.findings.answers import Answers
from analysis.findings.cells import CellRuns, Estimate
from analysis.findings.comparisons import CellComparison
from analysis.findings.values import off_scale, paired
from analysis.findings.verdicts import Findings
from analysis.grid_json import Axis, ShownMetric
from analysis.labels import Rounding
from analysis.read.runs import GridResults
from analysis.statistics.families import Verdict

PairLevels = tuple[tuple[str, ...], tuple[str, ...]]
"""The levels of the two cells of a pair."""

_TALL = 30
"""The rows that a screen shows at once: a taller panel has its axis at the top."""
LOOKS: dict[Verdict, Look] = {
    "better": Look(to_rgb("#0173B2"), (), "o"),
    "worse": Look(to_rgb("#C04A00"), (), "s"),
    "equal": Look(to_rgb("#3B7D5B"), (), "D"),
    "cannot tell": Look(to_rgb(GREY), (), "o", filled=False),
    "open": Look(to_rgb(GREY), (), "o", filled=False),
}


def differences_figure(answers: Answers) -> Figure | None:
    """The figure; None where no two cells have an interval of their difference."""
    shown = [answer for answer in answers.findings if _says_something(answers.grid, answer)]
    if not shown:
        return None
    base = _base(answers, shown)
    places, ticks = _against(answers.axes, answers.cells, base) if base else _every_pair(shown)
    height = 0.85 + 0.17 * (max(ticks) + 1)
    figure, subplots = panels(len(shown), height, alone=0.7, sharey=True)
    for axes, answer in zip(subplots, shown, strict=True):
        axes.set_ylim(max(ticks) + 0.7, -1.3)
        _panel(axes, answers.grid, answer, places, base, len(shown))
        if max(ticks) > _TALL:
            _axis_on_top(axes)
    label_rows(subplots[0], ticks)
    return figure


def _axis_on_top(axes: Axes) -> None:
    """Move the panel's axis to the top, where one begins to read."""
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.spines["top"].set_visible(True)
    axes.spines["bottom"].set_visible(False)


def _says_something(grid: GridResults, answer: Findings) -> bool:
    """True where some pair has an interval, and some pair a difference; pairs that share a training have none."""
    estimates = [_estimate(grid, pair) for pair in answer.pairs]
    moves = any(value != _none(answer.metric) for estimate in estimates for value in estimate.values.values())
    return moves and any(pair.comparison.n > 1 for pair in answer.pairs)


def _base(answers: Answers, shown: Sequence[Findings]) -> CellRuns | None:
    """The cell that all others are compared with; None where every pair is compared."""
    base = answers.baseline
    alone = base is not None and all(pair.b.levels == base.levels for answer in shown for pair in answer.pairs)
    return base if alone else None


def _against(
    axes: Sequence[Axis], cells: Sequence[CellRuns], base: CellRuns
) -> tuple[dict[float, tuple[CellRuns, CellRuns]], dict[float, tuple[str, bool]]]:
    """The pair at each height, and its label, for comparisons with one cell; cells without results have a row too."""
    others = [cell for cell in cells if cell.levels != base.levels]
    heights, ticks = rows(axes, others)
    return {height: (cell, base) for height, cell in zip(heights, others, strict=True)}, ticks


def _every_pair(
    shown: Sequence[Findings],
) -> tuple[dict[float, tuple[CellRuns, CellRuns]], dict[float, tuple[str, bool]]]:
    """The pair at each height, and the label there, where every pair is compared."""
    pairs: dict[PairLevels, CellComparison] = {
        _place(pair.a, pair.b): pair for answer in shown for pair in answer.pairs
    }
    places, ticks, at = {}, {}, 0.0
    for pair in pairs.values():
        text = compared(pair.a, pair.b)
        text = text if len(text) <= CHARS else text.replace(" | ", " |\n")
        at += more_than_a_line(text) / 2
        places[at], ticks[at] = (pair.a, pair.b), (text, False)
        at += 1 + more_than_a_line(text) / 2
    return places, ticks


def _place(a: CellRuns, b: CellRuns) -> PairLevels:
    return a.levels, b.levels


def _panel(
    axes: Axes,
    grid: GridResults,
    answer: Findings,
    places: Mapping[float, tuple[CellRuns, CellRuns]],
    base: CellRuns | None,
    across: int,
) -> None:
    pairs = {_place(pair.a, pair.b): pair for pair in answer.pairs}
    estimates = {place: _estimate(grid, pair) for place, pair in pairs.items()}
    none = _none(answer.metric)
    moving = [estimate for estimate in estimates.values() if any(value != none for value in estimate.values.values())]
    view = _view(moving, log=answer.metric.scale == "log")
    dress(axes, view, _label(answer.metric, base), across)
    axes.axvline(none, color="black", linewidth=0.8, zorder=1)
    _band(axes, answer.metric)
    _directions(axes, view, _sides(answer, base), none)
    rounding = Rounding.of(answer.metric.decimals, [estimate.half_width for estimate in estimates.values()])
    for height, (a, b) in places.items():
        pair = pairs.get(_place(a, b))
        if pair is None:
            word = "not compared" if a.estimate(answer.metric.name).known else status_word(a, answer.metric.name)
            words(axes, word, 0.0, height, "left", style="italic")
            continue
        estimate, verdict = estimates[_place(a, b)], pair.verdict
        look = LOOKS[verdict]
        if estimate.values:
            row(axes, estimate, height, look, view, rounding.number(estimate.mean))
        if verdict != "open":
            words(axes, "same" if pair.same else verdict, 1.04, height, "left", color="black" if look.filled else GREY)


def _estimate(grid: GridResults, pair: CellComparison) -> Estimate:
    """The difference of a pair with its interval, and the difference at each seed."""
    values = paired(grid, pair.metric, pair.a, pair.b)
    by_seed = values if values.ndim == 1 else values.mean(1)
    return off_scale(pair.metric, pair.comparison.difference, pair.comparison.half_width, by_seed)


def _none(metric: ShownMetric) -> float:
    """The value of no difference: 0, or a ratio of 1."""
    return 1.0 if metric.scale == "log" else 0.0


def _band(axes: Axes, metric: ShownMetric) -> None:
    """Draw the band of differences that do not matter."""
    reach = metric.margin
    if not math.isnan(reach):
        ends = (math.exp(-reach), math.exp(reach)) if metric.scale == "log" else (-reach, reach)
        axes.axvspan(*ends, color="black", alpha=0.07, linewidth=0, zorder=0)


def _view(estimates: Sequence[Estimate], *, log: bool) -> Window:
    """The window of the bulk, which always includes no difference, since differences are read against it."""
    if log:
        view = bulk_window(estimates, [1.0], log=True)
        factor = (max(view.high, 1.0) / min(view.low, 1.0)) ** 0.06
        return Window(min(view.low, 1 / factor), max(view.high, factor), True)
    view = bulk_window(estimates, [0.0], log=False)
    margin = 0.06 * (max(view.high, 0.0) - min(view.low, 0.0))
    low = view.low if view.low < 0 else -margin
    high = view.high if view.high > 0 else margin
    return Window(low, high, False)


def _label(metric: ShownMetric, base: CellRuns | None) -> str:
    if metric.scale == "log":
        return f"{metric.label} as a multiple of that of {base.name}" if base else f"ratio of {metric.label}"
    unit = f" ({metric.unit})" if metric.unit else ""
    return f"{metric.label} minus that of {base.name}{unit}" if base else f"difference in {metric.label}{unit}"


def _sides(answer: Findings, base: CellRuns | None) -> tuple[str, str]:
    """The words for a difference below and above none: which cell is better or, in a preliminary round, above."""
    if answer.lead is not None:
        return ("below", "above") if base is not None else ("first is below", "first is above")
    if base is None:
        first, second = ("first is better", "second is better")[:: -answer.metric.sign]
        return first, second
    return ("better", "worse") if answer.metric.sign < 0 else ("worse", "better")


def _directions(axes: Axes, view: Window, sides: tuple[str, str], none: float) -> None:
    """Write the words above the rows, on either side of no difference."""
    (lower, higher), zero, low = sides, view.share(none), -0.75
    words(axes, f"◂ {lower}", zero - 0.015, low, "right", fontsize=6.5)
    words(axes, f"{higher} ▸", zero + 0.015, low, "left", fontsize=6.5)
