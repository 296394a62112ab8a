"""The figures of a search. All values are of validation data, means over the search's seeds.

A search tries bad values too, which would squash the interesting ones: an axis shows those that can be compared with
the best, and the title counts the trials beyond.
"""

from __future__ import annotations

import math
import warnings
from typing import Any, Literal

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.style import GREY, legend, panels, scale, wrapped
from analysis.grid_json import MetricInfo
from analysis.labels import counted, mathtext
from analysis.schema import TRIAL
from analysis.search import Search, SearchedParameter

_REACH, _SHARE = 3.0, 0.85
"""An axis reaches so many times as far from the best as the median does, and at least to this share of the values."""


def history(search: Search) -> Figure | None:
    """Each trial's value in the order of trials, and the best so far, which is so partly by luck."""
    objectives, own = _objectives(search), search.finished.set_index(TRIAL)
    figure, subplots = panels(max(1, len(objectives)), 2.2, columns=1)
    for axes, of in zip(subplots, objectives, strict=False):
        best = own[of.name].cummin() if of.sign < 0 else own[of.name].cummax()
        axes.step(best.index, best, where="post", color=GREY, label="best so far")
        axes.plot(own.index, own[of.name], "o", mew=0, color="C0", label="trial")
        _view(axes, "y", of, own[of.name])
    return _named(figure, "trial") if objectives else None


def slices(search: Search) -> Figure | None:
    """Each trial's value against each parameter that it has, darker the later it was tried."""
    objectives, own = _objectives(search), search.finished
    tried = [(of, own[own[of.column].replace("", np.nan).notna()]) for of in search.head.parameters]
    asked = [(of, rows, to) for to in objectives for of, rows in tried if len(rows)]
    if not asked:
        return None
    figure, subplots = panels(len(asked), 2.3, columns=len(asked) // len(objectives))
    for i, (axes, (of, rows, to)) in enumerate(zip(subplots, asked, strict=True)):
        rows = rows.sort_values(of.column) if of.kind == "choice" else rows
        sns.scatterplot(rows, x=of.column, y=to.name, hue=TRIAL, palette="crest", s=20, ax=axes, legend=False)
        _view(axes, "y", to, own[to.name])
        if of.kind == "choice":
            axes.tick_params(axis="x", rotation=90)
        else:
            scale(axes, "x", rows[of.column], 1 if of.log else math.inf)
        axes.set_xlabel(wrapped(of.label, 24))
        if i % (len(asked) // len(objectives)):
            axes.set(ylabel="", title="")
    return figure


def pareto(search: Search) -> Figure | None:
    """The price of one objective in the other: no trial is better in both than one that has its number beside it."""
    if len(_objectives(search)) < 2:
        return None
    first, second = _objectives(search)
    figure, (axes,) = panels(1, 2.8)
    own = search.finished[[first.name, second.name]].dropna()
    x, y = first.sign * own[first.name], second.sign * own[second.name]
    front = [not ((x >= a) & (y >= b) & ((x > a) | (y > b))).any() for a, b in zip(x, y, strict=True)]
    for i, (name, rows) in enumerate({"trial": own, "none is better in both": own[front]}.items()):
        axes.plot(rows[first.name], rows[second.name], "os"[i], mew=0, color=f"C{i}", label=name)
    for number, *place in search.finished.loc[own[front].index, [TRIAL, first.name, second.name]].to_numpy().tolist():
        axes.annotate(f" {number:.0f}", (place[0], place[1]))
    _view(axes, "y", second, own[second.name])
    _view(axes, "x", first, own[first.name])
    return _named(figure, mathtext(first.head))


def parallel(search: Search) -> Figure | None:
    """Parameters beside the first objective, a line for each trial, the darker the better, by Optuna."""
    ranges = {of.label: _range(of, search.finished[of.column]) for of in search.head.parameters}
    if not _objectives(search) or None in ranges.values():
        return None
    import optuna
    from optuna.visualization.matplotlib import plot_parallel_coordinate

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    first = _objectives(search)[0]
    study = optuna.create_study(direction="minimize" if first.sign < 0 else "maximize")
    for _, row in search.finished.dropna(subset=first.name).iterrows():
        params = {of.label: row[of.column] for of in search.head.parameters if str(row[of.column]) not in ("", "nan")}
        own = {label: ranges[label] for label in params}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=own, value=row[first.name]))
    with warnings.catch_warnings(action="ignore", category=optuna.exceptions.ExperimentalWarning):
        axes: Any = plot_parallel_coordinate(study, target_name=mathtext(first.label))
    plt.close(axes.figure)
    axes.set_title("")
    figure: Figure = axes.figure
    return figure


def _range(of: SearchedParameter, tried: pd.Series[Any]) -> Any:
    """The distribution that a parameter's trials come from, as far as these show it; None where they show none."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    values = sorted(set(tried.replace("", np.nan).dropna()))
    if not values or of.kind == "choice":
        return CategoricalDistribution(values) if values else None
    if of.kind == "int":
        return IntDistribution(int(values[0]), int(values[-1]), log=of.log)
    return FloatDistribution(values[0], values[-1], log=of.log)


def _named(figure: Figure, label: str) -> Figure:
    """The figure with a name for its lowest axis, and a legend."""
    figure.axes[-1].set_xlabel(label)
    legend(figure, dict(zip(*reversed(figure.axes[0].get_legend_handles_labels()), strict=True)))
    return figure


def _objectives(search: Search) -> list[MetricInfo]:
    """The objectives of the search that a trial has a value of."""
    return [of for of in search.head.objectives if np.isfinite(search.finished[of.name]).any()]


def _view(axes: Axes, which: Literal["x", "y"], objective: MetricInfo, values: pd.Series[float]) -> None:
    """Name an axis, and give it the range of values that can be compared with the best; the title counts the others."""
    best = objective.sign * float((objective.sign * values).max())
    far = (best - values).abs().dropna()
    near = far <= max(_REACH * float(far.median()), float(far.quantile(_SHARE)))
    scale(axes, which, values[near.index[near]], math.inf)
    axes.set(**{f"{which}label": mathtext(objective.head)})
    if not near.all():
        axes.set_title(f"{counted(int((~near).sum()), 'trial')} beyond the scale")
