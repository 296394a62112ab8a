"""NLL and FID side by side: a row per cell with its seeds, their mean and 95 % interval.

Known values (histogram codes, held-out images) are dashed lines.
"""

from __future__ import annotations

from dataclasses import replace

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.drawing import GREY, first_level, looks, panels, status_word
from analysis.figures.forest import dress, label_rows, out_of_view, row, rows, words
from analysis.figures.windows import Window, bulk_window
from analysis.findings.summary import Summary, metrics_present, references
from analysis.read.meta import Metric
from analysis.read.runs import GridResults

SHOWN = ("nll", "fid")
"""The kinds of metrics that figures show, where there are these."""


def metrics_figure(grid: GridResults) -> Figure | None:
    """The figure of the metrics that decide; None where no cell finished."""
    return _figure(grid, chosen(metrics_present(grid)))


def estimate_figure(grid: GridResults) -> Figure | None:
    """How noisy the bound's estimate is; None where it is not known, or stands beside NLL already.

    Cells that share a training and its value, since they differ in how they are sampled, stand as the first of them.
    """
    known = metrics_present(grid)
    asked = [m for m in known if m.name.startswith("bound_variance/") and m not in chosen(known)]
    if not asked:
        return None
    runs = grid.runs[grid.runs[asked[0].name].notna()]
    return _figure(replace(grid, runs=runs.drop_duplicates(["training_id", "seed", asked[0].name])), asked)


def _figure(grid: GridResults, asked: list[Metric]) -> Figure | None:
    summary = Summary.of(grid, asked)
    metrics = [m for m in summary.metrics if any(estimate.values for estimate in summary.estimates[m.name])]
    if not metrics:
        return None
    heights, ticks = rows(grid, summary.cells)
    known = {m.name: [(label, values[m.name]) for label, values in references(grid, [m]).items()] for m in metrics}
    above = max(len(lines) for lines in known.values())
    figure, subplots = panels(len(metrics), 0.6 + 0.17 * (len(ticks) + above), sharey=True)
    for axes, metric in zip(subplots, metrics, strict=True):
        axes.set_ylim(max(ticks) + 0.7, -0.9 - 0.9 * above)
        _panel(axes, grid, summary, metric, heights, known[metric.name])
    label_rows(subplots[0], ticks)
    return figure


def chosen(metrics: list[Metric]) -> list[Metric]:
    """NLL and FID, or the first two that there are."""
    found = [metric for kind in SHOWN for metric in metrics if metric.kind == kind][:2]
    return found if len(found) == 2 else metrics[:2]


def _panel(
    axes: Axes,
    grid: GridResults,
    summary: Summary,
    metric: Metric,
    heights: list[float],
    known: list[tuple[str, float]],
) -> None:
    estimates, rounding = summary.estimates[metric.name], summary.rounding[metric.name]
    view = bulk_window(estimates, [value for _, value in known])
    dress(axes, view, metric.head)
    styles = looks(grid)
    for i, (label, value) in enumerate(known):
        _line(axes, f"{label}: {rounding.number(value)}", value, -0.9 - 0.9 * (len(known) - 1 - i), view)
    for cell, estimate, height in zip(summary.cells, estimates, heights, strict=True):
        if estimate.values:
            row(axes, estimate, height, styles[first_level(cell)], view, rounding.number(estimate.mean))
        else:
            words(axes, status_word(cell, metric.name), 0.0, height, "left", style="italic")


def _line(axes: Axes, text: str, value: float, height: float, view: Window) -> None:
    """A known value as a dashed line, named above the rows; one out of view by its name and an arrow."""
    if not view.holds(value):
        out_of_view(axes, text, value > view.high, height, fontsize=6.5)
        return
    axes.axvline(value, color=GREY, linewidth=0.8, dashes=(4, 2), zorder=1)
    place = view.share(value)
    words(
        axes, text, place + (-0.015 if place > 0.5 else 0.015), height, "right" if place > 0.5 else "left", fontsize=6.5
    )
