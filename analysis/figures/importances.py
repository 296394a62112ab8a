"""How much of the variation among a search's trials goes with each parameter (fANOVA): bars, a panel per objective.

It is no ablation, and a line below the bars says so: trials were drawn where the search looked, and in a range that
somebody chose.
"""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.drawing import GREY, WIDTH, distinct_looks, new_figure, wrapped
from analysis.notation import mathtext
from analysis.read.search import Search


def importances_figure(search: Search) -> Figure | None:
    """The figure; None where there were too few trials to tell."""
    known = [o for o in search.head.objectives if search.head.importances.get(o.name)]
    if not known:
        return None
    tall = max(len(search.head.importances[objective.name]) for objective in known)
    figure = new_figure(WIDTH if len(known) > 1 else 0.65 * WIDTH, 1.0 + 0.24 * tall)
    panels = list(figure.subplots(1, len(known), squeeze=False).flat)
    for axes, objective in zip(panels, known, strict=True):
        _panel(axes, search, search.head.importances[objective.name])
        axes.set_title(mathtext(objective.label), loc="left", pad=4)
    n = search.head.importance_trials or len(search.complete)
    caveat = (
        f"Share of the variation among these {n} trials, by fANOVA. They were drawn where the search looked, in the "
        "ranges that it was given: no ablation."
    )
    left_out = any(parameter.when for parameter in search.head.parameters)
    caveat += " Parameters that not all trials have are left out." if left_out else ""
    figure.supxlabel(wrapped(caveat, 110 if len(known) > 1 else 72), fontsize=6.5, color=GREY, x=0.01, ha="left")
    return figure


def _panel(axes: Axes, search: Search, shares: dict[str, float]) -> None:
    """Bars from the largest, each with its share."""
    color = distinct_looks(1)[0].color
    ordered = sorted(shares.items(), key=lambda item: -item[1])
    for i, (_, share) in enumerate(ordered):
        axes.barh(i, share, height=0.6, color=color, alpha=0.85)
        axes.annotate(f"{100 * share:.0f} %", (share, i), (3, 0), textcoords="offset points", va="center", fontsize=6.8)
    labels = [parameter.label if (parameter := search.parameter(name)) else name for name, _ in ordered]
    axes.set_yticks(range(len(labels)), [wrapped(label, 24) for label in labels])
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.set_xlim(0, 1.12 * max(max(shares.values()), 1e-3))
    axes.set_xticks([])
    axes.grid(False)
    axes.tick_params(axis="y", length=0)
    axes.spines["bottom"].set_visible(False)
