"""Figures of metrics' values: a row per cell or comparison, against a number, and against what cells cost.

Everywhere seeds are dots beside their mean and its 95 % interval. A number is a choice of the runs, since a level of an
axis may set several. Steps that are not given are T; steps of the sampler and of the bound that are set together are
one choice, and so are T and both where they equal T.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.answers import WORSE, Analysis
from analysis.figures.style import (
    GREY,
    MARKERS,
    Line,
    Panel,
    chosen,
    draw,
    merged,
    panels,
    parts,
    place_of,
    scale,
    varying,
    wrapped,
)
from analysis.grid_json import MetricInfo
from analysis.labels import Rounding, mathtext, power_of_ten
from analysis.results import Results
from analysis.schema import AUTOENCODER, LIKELIHOOD

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
    shown = [m for m in chosen(analysis) if _differ(m, analysis.values(m.name).loc[cells])]
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


def _differ(metric: MetricInfo, values: pd.DataFrame) -> bool:
    """True where these values [cell, seed] of several cells differ as a table writes them, or there is but one cell."""
    texts = values.dropna(how="all").map(Rounding(metric.decimals).number, na_action="ignore")
    return len(texts) == 1 or bool((texts.nunique() > 1).any())


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


SAMPLING, HORIZON, EVALUATION = "sampler.steps", "horizon", "evaluation.horizon"
NUMBERS = {
    SAMPLING: ("sampling steps", 5, ([SAMPLING, EVALUATION], [SAMPLING])),
    "sampler.skip": ("share of the reverse process skipped", math.inf, (["sampler.skip"],)),
    HORIZON: ("T", 5, ([HORIZON, SAMPLING, EVALUATION],)),
    EVALUATION: ("T in evaluation", 5, ([EVALUATION],)),
    "sampler.eta": ("η", 5, (["sampler.eta"],)),
    "guidance.scale": ("guidance scale w", 5, (["guidance.scale"],)),
}
"""The choices that are numbers: name, label, the ratio from which on their axis is logarithmic, and what the cells of a
line set together."""
FEWEST = 3
"""The fewest cells that make a line."""
_COSTS = {"flops": "training (FLOPs)", "train_seconds": "training (s)", "sample_seconds": "sampling (s per sample)"}
_LEAST = {"flops": 1.01, "train_seconds": 1.5, "sample_seconds": 1.5}
"""The ratio from which on cells differ: in seconds, by more than what else the machine did."""


def lines(analysis: Analysis) -> Figure | None:
    """Cells that differ in one number only: seeds (dots), their mean and 95 % interval."""
    rows = [[_panel(analysis, metric, key) for key in NUMBERS] for metric in chosen(analysis)]
    rows = [row for row in rows if any(row)]
    kept = [column for column in zip(*rows, strict=True) if any(column)]
    return draw([panel for row in zip(*kept, strict=True) for panel in row], len(kept), 2.0)


def _panel(results: Results, metric: MetricInfo, key: str) -> Panel | None:
    """The panel of a metric over a number; None where it changes along no line, or all are one, of shared stages."""
    values, (label, log, _) = results.values(metric.name), NUMBERS[key]
    own = [replace(line, table=values.loc[line.cells].set_axis(line.table.index)) for line in _over(results, key)]
    lines = merged(own)
    if len(own) > len(lines) == 1 or not any(_differ(metric, line.table) for line in own):
        return None
    return Panel("", label, metric.head, lines, (log, 10))


def _over(results: Results, key: str) -> list[Line]:
    """The lines over a number, whose table is empty as yet, in the order of the cells."""
    settings, places = _settings(results), list[pd.Series]()
    sets = NUMBERS[key][2] if key in settings else ()
    for free in dict.fromkeys(tuple(name for name in free if name in settings) for free in sets):
        alike = settings[settings[list(free)].nunique(axis=1) == 1]
        for _, group in alike.groupby([name for name in settings if name not in free], sort=False, dropna=False):
            at = pd.to_numeric(group[key], errors="coerce").dropna().drop_duplicates().sort_values()
            places += [at.astype(float)] if len(at) >= FEWEST else []
    every, made = varying(results, results.cell_ids), []
    for i, at in enumerate(places):
        along = varying(results, at.index)
        name = parts(results, [axis for axis in every if axis not in along], str(at.index[0]))
        made.append(Line(list(at.index), {name: i}, pd.DataFrame(index=at), "bars"))
    return made


def _settings(results: Results) -> pd.DataFrame:
    """The choices of the cells that could run, as texts; steps that are not given are T."""
    own = results.runs[~results.runs["status"].isin(["incompatible", "pruned"])]
    settings = own.drop_duplicates("cell_id").set_index("cell_id")[results.choices].astype(str)
    for name in {SAMPLING, EVALUATION} & set(settings):
        settings[name] = settings[name].mask(settings[name].isin(["", "null"]), settings.get(HORIZON, ""))
    return settings


def cost(analysis: Analysis) -> Figure | None:
    """Each cell's mean against the cost of its training and of its samples, where these differ between cells."""
    ratio = analysis.costs.max() / analysis.costs.min()
    training = "flops" if ratio["flops"] > _LEAST["flops"] else "train_seconds"
    asked = [(metric, training) for metric in analysis.deciding[:2]]
    asked += [(metric, "sample_seconds") for metric in analysis.deciding[:2] if metric.decides != LIKELIHOOD]
    own = [_against(analysis, m, of, joined=False) for m, of in asked if ratio[of] > _LEAST[of]]
    return draw(own, len(own), 2.6)


def compute(analysis: Analysis) -> Figure | None:
    """The gain of training in pixels and in latents, autoencoder included: the better space depends on the budget."""
    several = (analysis.runs[AUTOENCODER] == "").nunique() > 1 and analysis.costs["flops"].notna().sum() > 1
    own = [_against(analysis, metric, "flops", joined=True) for metric in analysis.deciding] if several else []
    return draw(own, len(own), 2.6)


def _against(analysis: Analysis, metric: MetricInfo, column: str, *, joined: bool) -> Panel:
    """The panel of a metric against a cost: cells in the look of their level on the first axis; if `joined`, with lines
    through those that have a diffusion of their own."""
    costs = analysis.costs[column].dropna()
    means, varied = analysis.values(metric.name).mean(axis=1).dropna(), varying(analysis, analysis.cell_ids)
    unit, groups = math.floor(math.log10(costs.max())), defaultdict[tuple[str, int, bool], list[str]](list)
    for cell in means.index.intersection(costs.index, sort=False):
        alone = joined and analysis.parameter(cell, HORIZON) == "0"
        name = parts(analysis, varied[:1], cell) + ", no diffusion" * alone
        groups[name, place_of(analysis, varied[:1], cell), alone].append(cell)
    lines, scaled = [], costs / 10.0**unit if column == "flops" else costs
    halves = analysis.cells[analysis.cells["metric"] == metric.name].set_index("cell_id")["half_width"]
    label = _COSTS[column].replace("FLOPs", f"{power_of_ten(unit)} FLOPs")
    for (name, place, alone), group in groups.items():
        cells = sorted(group, key=scaled.__getitem__)
        table, points = pd.DataFrame({0: means[cells].to_numpy()}, index=scaled[cells]), []
        for cell in cells:
            value = Rounding.of(metric.decimals, [halves[cell]]).measured(means[cell], halves[cell])
            names = [name, *(parts(analysis, [axis], cell) for axis in varied)]
            points.append(
                {"names": names, "text": f"{analysis.names[cell]}: {value}; {label}: {Rounding().number(scaled[cell])}"}
            )
        lines.append(Line(cells, {name: place}, table, "points" if alone or not joined else "joined", points))
    return Panel("", label, metric.head, lines, (3, 4))
