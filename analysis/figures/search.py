"""The figures of a search, drawn by Optuna from a study that is rebuilt from the search's trials.

A search tries bad values too. Values far from the best would squash the interesting ones, so an axis shows only values
comparable with the best, and gives the number of trials beyond it.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.category import StrCategoryFormatter
from matplotlib.figure import Figure
from matplotlib.text import Text

from analysis.figures.drawing import COLORBLIND, WIDTH
from analysis.figures.windows import Window, best_window, show
from analysis.findings.search import default_trial, value_of
from analysis.grid_json import ShownMetric
from analysis.labels import counted, mathtext
from analysis.read.search import Search, SearchedParameter
from analysis.words.search import DEFAULT, names_of

if TYPE_CHECKING:
    import optuna

LETTERS = 7
"""The size of all text, in points."""
PANEL = 2.4
"""The height of a panel, and its width where there are few, in inches."""
ASLANT = 70
"""The angle in degrees of the names of choices, which would not have room side by side."""
FEWEST = 3
"""The fewest trials that are worth a panel."""
SETTLED = 0.25
"""The share of a training after which its values are compared; before it, they fall from far above."""

STATES = {"finished": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL", "running": "RUNNING"}
"""The statuses of trials in Optuna's words."""

WORDS = {
    "Objective Value": "trial",
    "Best Value": "best so far",
    "Trial": "trial",
    "Best Trial": "none is better in both",
}
"""Optuna's words in ours."""

Make = Callable[[Search], Figure | None]


def history_figure(search: Search, objective: int = 0) -> Figure | None:
    """Each trial's value in the order of trials, the best so far, and the default."""
    shown = _objective(search, objective)
    if shown is None:
        return None
    with _optuna() as plots:
        axes = plots.plot_optimization_history(study_of(search), **_shown_by(search, objective))
        default = value_of(search, default_trial(search), shown.name)
        if np.isfinite(default):
            axes.axhline(default, color="0.3", dashes=(4, 2), label=DEFAULT)
        axes.legend(loc="best", frameon=True)
        _view(axes, search, shown)
        return _finished(axes, WIDTH)


def slices_figure(search: Search, objective: int = 0) -> Figure | None:
    """Each trial's value against each parameter that is worth a panel, for the trials that have it."""
    shown = _objective(search, objective)
    if shown is None:
        return None
    with _optuna() as plots:
        panels = plots.plot_slice(study_of(search), params=_tried(search, shown), **_shown_by(search, objective))
        each = list(np.atleast_1d(panels))
        each[0].figure.suptitle("")
        _view(each[0], search, shown)
        for axes in each:
            if axes.get_xscale() == "log":
                low, high = axes.get_xlim()
                show(axes, "x", Window(low, high, True))
            elif isinstance(axes.xaxis.get_major_formatter(), StrCategoryFormatter):
                axes.tick_params(axis="x", rotation=ASLANT)
                axes.xaxis.set_major_formatter(partial(_unquoted, axes.xaxis.get_major_formatter()))
        return _finished(each[0], max(WIDTH, 1.5 * len(each)) if len(each) > 2 else PANEL * (1 + len(each)))


def pareto_figure(search: Search) -> Figure | None:
    """Two objectives against each other, and the trials that no other dominates."""
    first, second = _objective(search, 0), _objective(search, 1)
    if first is None or second is None:
        return None
    with _optuna() as plots:
        axes = plots.plot_pareto_front(study_of(search))
        _view(axes, search, second)
        show(axes, "x", _window(search, first), 5)
        axes.set_xlabel(mathtext(first.head))
        return _finished(axes, 0.8 * WIDTH)


def rungs_figure(search: Search) -> Figure | None:
    """The values of each trial that the pruner saw, over training steps; winners and the default are named."""
    if search.rungs.empty:
        return None
    with _optuna() as plots:
        axes = plots.plot_intermediate_values(study_of(search))
        names = {f"Trial{trial}": ", ".join(labels) for trial, labels in names_of(search).items()}
        named = [line for line in axes.lines if line.get_label() in names]
        for line in axes.lines:
            line.set(color="0.6", linewidth=0.7)
        for line, color in zip(named, COLORBLIND, strict=False):
            line.set(color=color, linewidth=2, zorder=3)
        if named:
            axes.legend(named, [names[str(line.get_label())] for line in named], loc="best", frameon=True)
        elif axes.get_legend() is not None:
            axes.get_legend().remove()
        steps, values = search.rungs["step"], search.rungs["value"]
        objective = search.head.objectives[0]
        show(axes, "y", best_window(values[steps >= SETTLED * steps.max()].tolist(), objective.sign), 5)
        axes.set(xlabel="training steps", ylabel=mathtext(f"{objective.head} on validation"), title="")
        return _finished(axes, 0.75 * WIDTH)


SEARCH_FIGURES: dict[str, Make] = {
    "history": history_figure,
    "history_second": partial(history_figure, objective=1),
    "slices": slices_figure,
    "slices_second": partial(slices_figure, objective=1),
    "pareto": pareto_figure,
    "rungs": rungs_figure,
}
"""The figures of a search, in the order in which they are read. Parallel coordinates are left to Optuna's dashboard."""


def study_of(search: Search) -> optuna.Study:
    """The study of these trials, with the parameters' labels as their names."""
    import optuna
    from optuna.trial import TrialState, create_trial

    signs = [objective.sign for objective in search.head.objectives]
    study = optuna.create_study(directions=["maximize" if sign > 0 else "minimize" for sign in signs])
    columns = {parameter.column: parameter for parameter in search.head.parameters}
    names = {column: _name(search, parameter) for column, parameter in columns.items()}
    seen = search.rungs.groupby(["trial", "step"])["value"].mean()
    for trial in search.trials.to_dict("records"):
        has = [column for column in columns if _has(trial[column])]
        values = [float(trial[objective.name]) for objective in search.head.objectives]
        study.add_trial(
            create_trial(
                state=TrialState[STATES[str(trial["status"])]],
                values=values if trial["status"] == "finished" else None,
                params={names[column]: trial[column] for column in has},
                distributions={names[column]: _distribution(search, columns[column]) for column in has},
                intermediate_values=dict(seen.get(trial["trial"], {})),
            )
        )
    return study


def _has(value: object) -> bool:
    """True where a trial has a parameter, given the value in the parameter's column."""
    return value != "" and value == value  # nan is no value


def _distribution(search: Search, parameter: SearchedParameter) -> Any:
    """The tried range of a parameter, or its choices, so that no axis shows more."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if parameter.kind == "choice":
        return CategoricalDistribution(parameter.choices)
    tried = search.trials[parameter.column]
    return FloatDistribution(tried.min(), tried.max(), log=parameter.log and tried.min() > 0)


def _name(search: Search, parameter: SearchedParameter) -> str:
    """The name of a parameter's axis: its label if no other parameter has it, else its name."""
    labels = [other.label for other in search.head.parameters]
    return mathtext(parameter.label) if labels.count(parameter.label) == 1 else parameter.name


def _tried(search: Search, objective: ShownMetric) -> list[str]:
    """The parameters that at least `FEWEST` of the finished trials on the scale have; all that any has if none do."""
    finished = search.finished
    on_scale = finished[finished[objective.name].map(_window(search, objective).holds)]
    each = [(_name(search, of), on_scale[of.column].map(_has).sum()) for of in search.head.parameters]
    least = FEWEST if any(n >= FEWEST for _, n in each) else 1
    return [name for name, n in each if n >= least]


def _unquoted(formatter: StrCategoryFormatter, value: float, place: int) -> str:
    """The name of a choice, without the quotes in which Optuna puts it."""
    return str(formatter(value, place)).strip("'")


def _objective(search: Search, number: int) -> ShownMetric | None:
    """An objective of the search; None where there is none, or no trial that an axis can show."""
    if number >= len(search.head.objectives):
        return None
    objective = search.head.objectives[number]
    return objective if np.isfinite(search.finished[objective.name]).any() else None


def _window(search: Search, objective: ShownMetric) -> Window:
    """The values of an objective that can be compared with the best."""
    return best_window(search.finished[objective.name].tolist(), objective.sign)


def _view(axes: Axes, search: Search, objective: ShownMetric) -> None:
    """Give the vertical axis an objective's name and window; the title counts the trials beyond it."""
    view = _window(search, objective)
    show(axes, "y", view, 5)
    beyond = int((~search.finished[objective.name].map(view.holds)).sum())
    axes.set(ylabel=mathtext(objective.head), title=f"{counted(beyond, 'trial')} beyond the scale" if beyond else "")


def _shown_by(search: Search, objective: int) -> dict[str, Any]:
    """Optuna's arguments for the shown objective; none for a single one, or Optuna would draw no best so far."""
    if len(search.head.objectives) == 1:
        return {}
    return {"target": lambda trial: trial.values[objective], "target_name": search.head.objectives[objective].label}


@contextmanager
def _optuna() -> Iterator[Any]:
    """A context that gives Optuna's figures, whose style and warnings do not leave it."""
    if "matplotlib.pyplot" not in sys.modules:
        # Figures go to files, so no window is needed. If pyplot was imported before, its backend is kept.
        matplotlib.use("agg")
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with matplotlib.rc_context({"figure.constrained_layout.use": True}), warnings.catch_warnings():
        # Warnings that the figures are experimental, and that an axis has a single value.
        warnings.simplefilter("ignore")
        yield optuna.visualization.matplotlib


def _finished(axes: Axes, width: float) -> Figure:
    """The figure of these axes in the usual sizes, removed from matplotlib's global state."""
    from matplotlib import pyplot

    figure = axes.figure
    assert isinstance(figure, Figure), "Optuna draws no figures within figures"
    pyplot.close(figure)
    FigureCanvasAgg(figure)
    figure.set_layout_engine("constrained")
    figure.set_size_inches(width, PANEL)
    for text in figure.findobj(Text):
        text.set_fontsize(LETTERS)
        text.set_text(WORDS.get(text.get_text(), text.get_text()))
    for each in figure.axes:
        _restyle(each)
    return figure


def _restyle(axes: Axes) -> None:
    """Give axes that Optuna drew the white ground and thin lines of all other figures."""
    axes.set_facecolor("white")
    grid = [*axes.get_xgridlines(), *axes.get_ygridlines()]
    for line in grid:
        line.set(color="#e4e4e4", linewidth=0.5)
    # The scale of colours has no grid, and keeps its frame.
    shown = ("left", "bottom") if any(line.get_visible() for line in grid) else tuple(axes.spines)
    for side, spine in axes.spines.items():
        spine.set(visible=side in shown, edgecolor="#444444", linewidth=0.6)
    axes.tick_params(color="#444444", labelcolor="#222222", length=2.5, width=0.6)
    if (legend := axes.get_legend()) is not None:
        legend.get_frame().set(facecolor="white", edgecolor="none", alpha=0.8)
