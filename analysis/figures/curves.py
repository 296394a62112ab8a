"""Figures over training steps and over t: training loss, the weight of each t, the bound per t.

The weight of each t is defined in `weights`. A curve that cells share is drawn once: a training, or a weight or bound
that looks the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.figures.distinct import Distinct, distinct, name, parts_of, written
from analysis.figures.drawing import (
    WIDTH,
    cell_looks,
    first_level,
    label_ends,
    looks,
    mean_line,
    new_figure,
    panels,
    room_for,
    wrapped,
)
from analysis.figures.windows import fit_axis
from analysis.findings.answers import Answers
from analysis.findings.cells import CellRuns
from analysis.findings.spaces import in_latents
from analysis.findings.values import TRAINING, shared
from analysis.findings.weights import SAME, relative
from analysis.grid_json import Axis
from analysis.labels import mathtext
from analysis.schema import BOUND

_COLUMNS = 4
_CHARS, _WIDE = 14, 32
"""The letters in a line of a name beside small panels, and beside a wide one."""
_ALIKE = 0.01
"""The share of a logarithmic axis within which bounds count as one line, about the width of a line."""


def training_figure(answers: Answers) -> Figure | None:
    """The loss over training steps: a panel per objective, since their scales differ."""
    tables = [(cell, table) for cell, table in zip(answers.cells, answers.curve(TRAINING), strict=True) if len(table)]
    return _panels(answers, tables, _one_training, ("training step", "training loss"), log_x=False)


def _one_training(a: pd.DataFrame, b: pd.DataFrame) -> bool:
    """True where two cells have the same curve at every common seed."""
    seeds = a.columns.intersection(b.columns)
    return len(seeds) > 0 and a[seeds].dropna(how="all").equals(b[seeds].dropna(how="all"))


def bound_figure(answers: Answers) -> Figure | None:
    """The bits that each t adds to the bound on test data, where these are comparable.

    The first term of latents is of a density and can be below 0; a logarithmic axis cannot show it then.
    """
    tables = zip(answers.cells, answers.curve(BOUND), strict=True)
    comparable = [(cell, shown) for cell, table in tables if len(shown := _comparable(cell, table))]
    values = np.concatenate([table.to_numpy().ravel() for _, table in comparable] or [np.ones(1)])
    values = values[values > 0]
    reach = _ALIKE * float(np.log(values.max() / values.min())) if len(values) else 0.0

    def alike(a: pd.DataFrame, b: pd.DataFrame) -> bool:
        """True where two bounds would lie on each other."""
        if not a.index.equals(b.index):
            return False
        apart = np.abs(np.log((a.mean(axis=1) / b.mean(axis=1)).to_numpy(dtype="float64")))
        return bool((apart[np.isfinite(apart)] <= reach).all())

    return _panels(answers, comparable, alike, ("t", "bits/dim per t"), log_x=True, share_y=True)


def _comparable(cell: CellRuns, table: pd.DataFrame) -> pd.DataFrame:
    """The part of a bound that can be shown on a logarithmic axis beside those of other cells."""
    if not cell.comparable("nll"):
        return table.iloc[:0]
    return table.where(table > 0).dropna(how="all") if in_latents(cell) else table


def _panels(
    answers: Answers,
    known: list[tuple[CellRuns, pd.DataFrame]],
    agree: Callable[[pd.DataFrame, pd.DataFrame], bool],
    labels: tuple[str, str],
    *,
    log_x: bool,
    share_y: bool = False,
) -> Figure | None:
    """Small multiples over the axes that tell the curves apart; the levels of one of these axes are the lines."""
    if not known:
        return None
    axes, lines = distinct(answers.axes, known, agree)
    if axes and (lead := _lead(axes, lines)) != axes[0]:
        axes, lines = distinct(*_led_by(lead, answers.axes, known), agree)
    titled = _by_panel(axes, lines)
    styles = looks(axes)
    columns = min(_COLUMNS, len(titled))
    tall = max(1.8, *(room_for([line.name for line in of_panel], _CHARS) for of_panel in titled.values()))
    size = len(titled), 0.3 + tall * -(-len(titled) // columns)
    figure, subplots = panels(*size, columns=columns, alone=0.65, sharex=True, sharey=share_y)
    for place, (title, of_panel) in zip(subplots, titled.items(), strict=True):
        place.set_title(wrapped(title, 26), loc="left")
        fit_axis(place, "x", [line.thing.index.to_numpy(dtype="float64") for line in lines], log=log_x)
        fit_axis(place, "y", [line.thing.to_numpy() for line in (lines if share_y else of_panel)], log=True)
        own = [(line, styles[first_level(line.first)]) for line in of_panel]
        label_ends(place, [(mean_line(place, line.thing, look), line.name, look.color) for line, look in own], _CHARS)
    figure.supxlabel(labels[0], fontsize=7.5)
    figure.supylabel(labels[1], fontsize=7.5)
    return figure


def _lead(axes: Sequence[Axis], lines: Sequence[Distinct[pd.DataFrame]]) -> Axis:
    """The axis whose levels are the lines: the first or, where most panels would then hold one line, the axis that
    leaves the fewest panels."""

    def sizes(lead: int) -> Counter[tuple[str, ...]]:
        return Counter((*line.first.levels[:lead], *line.first.levels[lead + 1 :]) for line in lines)

    each = sizes(0)
    if 2 * sum(size == 1 for size in each.values()) <= len(each):
        return axes[0]
    return axes[min(range(len(axes)), key=lambda lead: len(sizes(lead)))]


def _led_by(
    lead: Axis, axes: Sequence[Axis], known: Sequence[tuple[CellRuns, pd.DataFrame]]
) -> tuple[list[Axis], list[tuple[CellRuns, pd.DataFrame]]]:
    """The same axes and cells, with this axis as the first."""
    order = sorted(range(len(axes)), key=lambda i: axes[i] != lead)

    def turned(cell: CellRuns) -> CellRuns:
        levels, labels, parts = ([of[i] for i in order] for of in (cell.levels, cell.labels, parts_of(cell)))
        return replace(cell, levels=tuple(levels), labels=tuple(labels), name=" · ".join(parts))

    return [axes[i] for i in order], [(turned(cell), table) for cell, table in known]


def _by_panel(axes: list[Axis], lines: list[Distinct[pd.DataFrame]]) -> dict[str, list[Distinct[pd.DataFrame]]]:
    """Panel title → its lines; panels follow the order of the axes' levels, or the objective if one axis tells them
    apart."""
    rest = axes[1:]
    ordered = sorted(
        lines, key=lambda line: [axis.position(level) for axis, level in zip(rest, line.first.levels[1:], strict=True)]
    )
    objectives = {line.first.parameter("objective") for line in lines}
    titled: dict[str, list[Distinct[pd.DataFrame]]] = {}
    for line in ordered:
        alone = f"loss: {written(str(line.first.parameter('objective')))}" if len(objectives) > 1 else ""
        titled.setdefault(", ".join(parts_of(line.first)[1:]) if rest else alone, []).append(line)
    return titled


def weights_figure(answers: Answers) -> Figure | None:
    """The weight of each t in training, a line per distinct weight; None where cells do not differ in it."""
    weights = _weights(answers)
    if len(weights) < 2 or all(_flat(weight) for weight, _ in weights):
        return None
    names = [name(cells, answers.cells) for _, cells in weights]
    figure = new_figure(WIDTH, max(3.0, room_for(names, _WIDE)))
    axes = figure.subplots()
    fit_axis(axes, "x", [weight.index.to_numpy(dtype="float64") for weight, _ in weights], log=False)
    fit_axis(axes, "y", [weight.to_numpy() for weight, _ in weights], log=True)
    ends = []
    styles = cell_looks(answers.axes, [cells[0].levels for _, cells in weights])
    for (weight, _), text, look in zip(weights, names, styles, strict=True):
        axes.plot(weight.index, weight, **look.line)
        ends.append(((float(weight.index[-1]), float(weight.iloc[-1])), text, look.color))
    label_ends(axes, ends, _WIDE)
    axes.set(xlabel="t", ylabel=mathtext("ε-weight × density of t,\nrelative to its mean"))
    return figure


def weights_sentence(answers: Answers) -> str:
    """The sentence in place of the figure of weights if all cells have the same; "" if they differ or are unknown."""
    weights = _weights(answers)
    if weights and all(_flat(weight) for weight, _ in weights):
        return "All cells give ‖ε − ε̂‖² one constant weight in training."
    return "All cells give ‖ε − ε̂‖² the same weights in training, which vary with t." if len(weights) == 1 else ""


def _flat(weight: pd.Series[float]) -> bool:
    """True where a weight does not vary with t."""
    return float(weight.max() / weight.min()) < 1 + SAME


def _weights(answers: Answers) -> list[tuple[pd.Series[float], list[CellRuns]]]:
    """The distinct weights over t, each with the cells that train by it."""
    runs = answers.weights
    weights = []
    for cell in answers.cells:
        keys = zip(cell.runs["cell_id"], cell.runs["seed"], strict=True)
        seeds = [runs[key] for key in keys if key in runs]
        if seeds:
            weight = relative(pd.concat(seeds, axis=1).mean(axis=1)).dropna()
            weights.append((cell, weight[weight > 0]))
    return shared(weights, _agree)


def _agree(a: pd.Series[float], b: pd.Series[float]) -> bool:
    return a.index.equals(b.index) and float(np.abs(np.log(a / b)).max()) < SAME
