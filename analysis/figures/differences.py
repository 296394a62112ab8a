"""Every comparison that a verdict rests on: a row per pair, the difference of each seed, their mean and 95 % interval.

The verdict stands at the right in words, and is in shape and filling as well as in colour. It is of the Holm-adjusted
test, so that a verdict can be "cannot tell" though its own interval leaves 0 out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from analysis.figures.drawing import GREY, Look, panels, status_word
from analysis.figures.forest import dress, label_rows, row, rows, words
from analysis.figures.windows import Window, bulk_window
from analysis.findings.answers import Answers
from analysis.findings.cells import CellRuns, Estimate
from analysis.findings.comparisons import paired
from analysis.findings.verdicts import CellComparison, Findings
from analysis.notation import Rounding
from analysis.read.meta import Axis, ShownMetric
from analysis.read.runs import GridResults
from analysis.statistics.paired import Verdict

PairLevels = tuple[tuple[str, ...], tuple[str, ...]]
"""The levels of the two cells of a pair."""

LOOKS: dict[Verdict, Look] = {
    "better": Look(to_rgb("#0173B2"), (), "o"),
    "worse": Look(to_rgb("#C04A00"), (), "s"),
    "cannot tell": Look(to_rgb(GREY), (), "o"),
}


def differences_figure(answers: Answers) -> Figure | None:
    """The figure; None where no two cells have an interval between them."""
    shown = [found for found in answers.findings if any(pair.comparison.n > 1 for pair in found.pairs)]
    if not shown:
        return None
    base = _base(answers, shown)
    places, ticks = _against(answers.axes, answers.cells, base) if base else _every_pair(shown)
    height = 0.85 + 0.17 * (max(ticks) + 1)
    figure, subplots = panels(len(shown), height, alone=0.7, sharey=True)
    for axes, found in zip(subplots, shown, strict=True):
        axes.set_ylim(max(ticks) + 0.7, -1.3)
        _panel(axes, answers.grid, found, places, base, len(shown))
    label_rows(subplots[0], ticks)
    return figure


def _base(answers: Answers, shown: Sequence[Findings]) -> CellRuns | None:
    """The cell that every other is compared with; None where each is compared with each."""
    base = answers.baseline
    one = base is not None and all(pair.b.levels == base.levels for found in shown for pair in found.pairs)
    return base if one else None


def _against(
    axes: Sequence[Axis], cells: Sequence[CellRuns], base: CellRuns
) -> tuple[dict[float, tuple[CellRuns, CellRuns]], dict[float, tuple[str, bool]]]:
    """The pair at each height, and what is written there: every cell but the baseline, with or without results."""
    others = [cell for cell in cells if cell.levels != base.levels]
    heights, ticks = rows(axes, others)
    return {height: (cell, base) for height, cell in zip(heights, others, strict=True)}, ticks


def _every_pair(
    shown: Sequence[Findings],
) -> tuple[dict[float, tuple[CellRuns, CellRuns]], dict[float, tuple[str, bool]]]:
    """The pair at each height, and what is written there, where each is compared with each."""
    pairs: dict[PairLevels, CellComparison] = {_place(pair.a, pair.b): pair for found in shown for pair in found.pairs}
    places = {float(i): (pair.a, pair.b) for i, pair in enumerate(pairs.values())}
    return places, {height: (f"{a.name} − {b.name}", False) for height, (a, b) in places.items()}


def _place(a: CellRuns, b: CellRuns) -> PairLevels:
    return a.levels, b.levels


def _panel(
    axes: Axes,
    grid: GridResults,
    found: Findings,
    places: Mapping[float, tuple[CellRuns, CellRuns]],
    base: CellRuns | None,
    across: int,
) -> None:
    pairs = {_place(pair.a, pair.b): pair for pair in found.pairs}
    estimates = {place: _estimate(grid, pair) for place, pair in pairs.items()}
    view = _view([estimate for estimate in estimates.values() if estimate.values])
    dress(axes, view, _label(found.metric, base), across)
    axes.axvline(0.0, color="black", linewidth=0.8, zorder=1)
    _directions(axes, view, found.metric, base)
    rounding = Rounding.of(found.metric.decimals, [estimate.half_width for estimate in estimates.values()])
    for height, (a, b) in places.items():
        pair = pairs.get(_place(a, b))
        if pair is None:
            words(axes, status_word(a, found.metric.name), 0.0, height, "left", style="italic")
            continue
        estimate, verdict = estimates[_place(a, b)], pair.verdict
        look, told = LOOKS[verdict], verdict != "cannot tell"
        if estimate.values:
            row(axes, estimate, height, look, view, rounding.number(estimate.mean), filled=told)
        words(axes, verdict, 1.02, height, "left", color="black" if told else GREY)


def _estimate(grid: GridResults, pair: CellComparison) -> Estimate:
    """The difference with its interval, and that of each seed."""
    values = paired(grid, pair.metric.name, pair.a, pair.b)
    by_seed = values if values.ndim == 1 else values.mean(1)
    return Estimate(pair.comparison.difference, pair.comparison.half_width, dict(enumerate(by_seed.tolist())))


def _view(estimates: Sequence[Estimate]) -> Window:
    """The window of the bulk, and of 0 in any case: a difference is read against it."""
    view = bulk_window(estimates, [0.0], log=False)
    margin = 0.06 * (max(view.high, 0.0) - min(view.low, 0.0))
    low = view.low if view.low < 0 else -margin
    high = view.high if view.high > 0 else margin
    return Window(low, high, False)


def _label(metric: ShownMetric, base: CellRuns | None) -> str:
    unit = f" ({metric.unit})" if metric.unit else ""
    return f"{metric.label} minus that of {base.name}{unit}" if base else f"difference in {metric.label}{unit}"


def _directions(axes: Axes, view: Window, metric: ShownMetric, base: CellRuns | None) -> None:
    """The words above the rows: on which side of 0 which cell is the better one."""
    lower, higher = ("better", "worse") if metric.sign < 0 else ("worse", "better")
    if base is None:
        lower, higher = ("first is better", "second is better")[:: -metric.sign]
    zero, low = view.share(0.0), -0.75
    words(axes, f"◂ {lower}", zero - 0.015, low, "right", fontsize=6.5)
    words(axes, f"{higher} ▸", zero + 0.015, low, "left", fontsize=6.5)
