"""Figures of a row per cell or per comparison: the seeds as dots, their mean and its 95 % interval, by metric."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.answers import Analysis
from analysis.figures.style import GREY, MARKERS, chosen, panels, parts, place_of, scale, varying, wrapped
from analysis.grid_json import MetricInfo
from analysis.labels import Rounding, mathtext
from analysis.results import Results
from analysis.summary import WORSE

MOST_PAIRS = 24
"""The most comparisons that have a row each."""
_ROW, _CHARS = 0.185, 46
"""The inches of a row, and the letters in a line of its label."""
VERDICTS = {verdict: {"color": f"C{i}", "marker": MARKERS[i]} for i, verdict in enumerate(("better", "worse", "equal"))}
"""Verdict → its look; others are grey and hollow."""


def metrics(analysis: Analysis) -> Figure | None:
    """Each cell's seeds (dots), mean, 95 % interval; hollow: another is shown to be better; dashed: known values."""
    cells = analysis.cell_ids
    frame = analysis.cells.set_index(["metric", "cell_id"])
    shown = [metric for metric in chosen(analysis) if analysis.values(metric.name).loc[cells].notna().any(axis=None)]
    if not shown:
        return None
    axes_of = varying(analysis, cells)
    lines = {m: analysis.meta.known_values(m.name) for m in shown}
    places = [place_of(analysis, axes_of, cell) for cell in cells]
    labels = [parts(analysis, axes_of, cell) or analysis.names[cell] for cell in cells]
    figure, subplots, rows = _panels(labels, len(shown), max(map(len, lines.values())))
    for axes, metric in zip(subplots, shown, strict=True):
        values, own = analysis.values(metric.name).loc[cells], frame.loc[metric.name].loc[cells]
        half, least = own["half_width"], -math.inf if metric.least is None else metric.least
        ends = np.array([(own["mean"] - half).clip(lower=least), own["mean"], own["mean"] + half]).T
        lowest = float(np.nanmin(values))
        near = ends[(ends > 0.5 * lowest) | (lowest <= 0)]
        scale(axes, "x", [*values.to_numpy().ravel(), *near], 3 if metric.scale == "log" else 10)
        axes.set_xlabel(wrapped(metric.head, 96 // (len(shown) + 1)))
        for i, (label, value) in enumerate(lines[metric].items()):
            _known(axes, f"{label}: {Rounding(metric.decimals).number(value)}", value, -1.0 - i)
        for at, cell, place, of_cell in zip(rows, cells, places, ends, strict=True):
            if own.loc[cell, "n"]:
                filled = {} if own["place"][cell] != WORSE else {"mfc": "white"}
                look = {"color": f"C{place}", "marker": MARKERS[place % len(MARKERS)]} | filled
                _draw(axes, at, values.T[cell].dropna().tolist(), of_cell, look)
            else:
                _words(axes, "no value", 0.01, at, style="italic")
    return figure


def _panels(labels: Sequence[str], n: int, above: int) -> tuple[Figure, list[Axes], list[float]]:
    """n panels with rows of these labels and so many lines above them; and the rows' places."""
    texts = [wrapped(label, _CHARS) for label in labels]
    tall = np.array([1 + 0.72 * text.count("\n") for text in texts])
    rows = (np.cumsum(tall) - (tall + 1) / 2).tolist()
    figure, subplots = panels(n, 0.5 + _ROW * (rows[-1] + tall[-1] / 2 + 0.5 + above), share_y=True)
    for axes in subplots:
        axes.set(ylim=(rows[-1] + tall[-1] / 2 + 0.2, -0.6 - above), yticks=rows, yticklabels=texts)
        axes.grid(False, axis="y")
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
    return figure, subplots, rows


def _draw(axes: Axes, at: float, seeds: Sequence[float], ends: Sequence[float], look: dict[str, Any]) -> None:
    """Draw a mean on its interval, by its `ends` (low, mean, high), and the seeds below it."""
    axes.plot([ends[0], ends[2]], [at, at], color=look["color"], lw=1.3, solid_capstyle="butt")
    axes.plot(seeds, [at + 0.3] * len(seeds), "o", ms=2, mew=0, color=look["color"], alpha=0.6)
    axes.plot([ends[1]], [at], ls="none", ms=4.6, mew=1, zorder=4, **look)


def _known(axes: Axes, text: str, value: float, at: float) -> None:
    """Write a known value at the right, with a dashed line below; one out of view is an arrow."""
    low, high = axes.get_xlim()
    axes.axvline(value, color=GREY, lw=0.8, dashes=(4, 2), zorder=1)
    _words(axes, f"{text} ▸" if value > high else f"◂ {text}" if value < low else text, 1.0, at, ha="right")


def _words(axes: Axes, text: str, place: float, at: float, **style: Any) -> None:
    """Write text at a share of the width, on white so that no line runs through it."""
    white = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}
    own: dict[str, Any] = {"color": GREY, "va": "center", "bbox": white, "transform": axes.get_yaxis_transform()}
    axes.text(place, at, mathtext(text), **own | style)


def differences(analysis: Analysis) -> Figure | None:
    """The differences behind the verdicts: seeds (dots), mean, 95 % interval; in the grey band they do not matter."""
    listed = analysis.comparisons[analysis.comparisons["kind"] == "comparison"]
    listed = listed.sort_values("primary", ascending=False, kind="stable")
    moving = {name for name, own in listed.groupby("metric") if (own["n"] > 1).any() and own["difference"].any()}
    deciding = [metric for metric in analysis.deciding if metric.name in moving]
    if not deciding:
        return None
    pairs = list(dict.fromkeys(zip(listed["a"], listed["b"], strict=True)))
    kept = pairs[:MOST_PAIRS]
    labels = [_pair(analysis, a, b) for a, b in kept]
    figure, subplots, rows = _panels(labels, len(deciding), 1)
    for axes, metric in zip(subplots, deciding, strict=True):
        own = listed[listed["metric"] == metric.name].set_index(["a", "b"]).reindex(kept)
        _differences(axes, metric, own, rows)
        ratio, unit = metric.scale == "log", f" ({metric.unit})" if metric.unit else ""
        axes.set_xlabel(mathtext(f"ratio of {metric.label}" if ratio else f"difference in {metric.label}{unit}"))
        sides = ("lower", "higher") if analysis.meta.preliminary else ("better", "worse")[:: -metric.sign]
        for ha, words in (("right", f"◂ first is {sides[0]} "), ("left", f" first is {sides[1]} ▸")):
            _words(axes, words, float(ratio), -1.0, ha=ha, transform=axes.transData)
    if len(kept) < len(pairs):
        figure.suptitle(f"{len(kept)} of {len(pairs)} comparisons, declared ones first", x=0.005, ha="left", color=GREY)
    return figure


def _pair(results: Results, a: str, b: str) -> str:
    """Two cells by the levels in which they differ, after those that they share."""
    axes, differ = varying(results, results.cell_ids), varying(results, [a, b])
    common = parts(results, [axis for axis in axes if axis not in differ], a)
    text = f"{common}: " * bool(common) + f"{parts(results, differ, a)} | {parts(results, differ, b)}"
    return text if len(text) <= _CHARS else text.replace(" | ", "\xa0|\n")


def _differences(axes: Axes, metric: MetricInfo, own: pd.DataFrame, rows: Sequence[float]) -> None:
    """Draw a panel: a row per pair, as ratios where the metric is compared by its logarithm."""
    shape = np.exp if metric.scale == "log" else np.asarray
    none, band = shape(np.array([0.0]))[0], shape(np.array([-metric.margin, metric.margin]))
    ends = shape(own["difference"].to_numpy()[:, None] + own["half_width"].to_numpy()[:, None] * [-1.0, 0.0, 1.0])
    seeds = [shape(np.array(each)).tolist() if isinstance(each, list) else [] for each in own["by_seed"]]
    values = [*ends.ravel(), *chain.from_iterable(seeds), *band, none]
    scale(axes, "x", values, 2 if metric.scale == "log" else math.inf)
    axes.axvline(none, color="#333333", lw=0.8, zorder=1)
    if np.isfinite(band).all():
        axes.axvspan(*band, color=GREY, alpha=0.15, lw=0, zorder=0)
    for at, of, by_seed, verdict in zip(rows, ends, seeds, own["verdict"].fillna(""), strict=True):
        look = VERDICTS.get(verdict, {"color": GREY, "marker": "o", "mfc": "white"})
        if verdict:
            _draw(axes, at, by_seed, of, look)
            _words(axes, verdict if verdict != "open" else "", 1.03, at, color=look["color"])
        else:
            _words(axes, "not compared", 0.01, at, style="italic")
