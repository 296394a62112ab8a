"""The deciding metrics side by side: a row per cell with its seeds, their mean and 95 % interval.

Known values (histogram codes, held-out images) are dashed lines.
"""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.drawing import GREY, first_level, looks, panels, status_word
from analysis.figures.forest import dress, label_rows, out_of_view, row, rows, words
from analysis.figures.windows import Window, bulk_window
from analysis.findings.answers import Answers
from analysis.findings.summary import chosen, known_values, range_of_means, spans_much
from analysis.grid_json import ShownMetric


def metrics_figure(answers: Answers) -> Figure | None:
    """The figure of the deciding metrics; None where no cell finished."""
    return _figure(answers, chosen(answers.metrics))


def estimate_figure(answers: Answers) -> Figure | None:
    """The noise of the bound's estimate; None where it is not known, or is shown beside NLL already.

    Of cells that share a training and its value, because they differ in sampling alone, the first stands for all.
    """
    metrics = answers.metrics
    asked = [m for m in metrics if m.name.startswith("bound_variance/") and m not in chosen(metrics)]
    return _figure(answers.once_a_training(asked[0].name), asked) if asked else None


def _figure(answers: Answers, asked: Sequence[ShownMetric]) -> Figure | None:
    estimates = answers.summary.estimates
    metrics = [m for m in asked if any(estimate.values for estimate in estimates[m.name])]
    if not metrics:
        return None
    heights, ticks = rows(answers.axes, answers.cells)
    references = {m.name: known_values(answers.meta, m) for m in metrics}
    above = max(len(lines) for lines in references.values())
    figure, subplots = panels(len(metrics), 0.6 + 0.17 * (max(ticks) + 1 + above), sharey=True)
    for axes, metric in zip(subplots, metrics, strict=True):
        axes.set_ylim(max(ticks) + 0.7, -0.9 - 0.9 * above)
        _panel(axes, answers, metric, heights, list(references[metric.name].items()))
    label_rows(subplots[0], ticks)
    return figure


def _panel(
    axes: Axes, answers: Answers, metric: ShownMetric, heights: list[float], references: list[tuple[str, float]]
) -> None:
    estimates, rounding = answers.summary.estimates[metric.name], answers.summary.rounding[metric.name]
    # A metric that is compared by its logarithm, because of its span, has a logarithmic axis too.
    wide = metric.scale == "log" and spans_much(*range_of_means(answers.grid, metric))
    view = bulk_window(estimates, [value for _, value in references], log=wide or None).bounded(metric.least)
    dress(axes, view, metric.head)
    styles = looks(answers.axes)
    for i, (label, value) in enumerate(sorted(references, key=lambda reference: _from_top(view, reference[1]))):
        _line(axes, f"{label}: {rounding.number(value)}", value, -0.9 - 0.9 * (len(references) - 1 - i), view)
    for cell, estimate, height in zip(answers.cells, estimates, heights, strict=True):
        if estimate.values:
            row(axes, estimate, height, styles[first_level(cell)], view, rounding.number(estimate.mean))
        else:
            words(axes, status_word(cell, metric.name), 0.0, height, "left", style="italic")


def _from_top(view: Window, value: float) -> tuple[int, float]:
    """A key that orders known values from the top so that no line crosses a name: first those out of view, which have
    no line, then those at the left, named to their right, then those at the right, named to their left."""
    if not view.holds(value):
        return 0, value
    place = view.share(value)
    return (2, -place) if place > 0.5 else (1, place)


def _line(axes: Axes, text: str, value: float, height: float, view: Window) -> None:
    """Draw a known value as a dashed line up to its name above the rows; one out of view as its name and an arrow."""
    if not view.holds(value):
        out_of_view(axes, text, value > view.high, height, fontsize=6.5)
        return
    ends = [axes.get_ylim()[0], height - 0.35]
    axes.plot([value, value], ends, color=GREY, linewidth=0.8, dashes=(4, 2), zorder=1)
    place = view.share(value)
    words(
        axes, text, place + (-0.015 if place > 0.5 else 0.015), height, "right" if place > 0.5 else "left", fontsize=6.5
    )
