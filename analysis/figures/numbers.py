"""Figures of metrics against a number, and against what cells cost.

A number is a choice of the runs, since a level of an axis may set several. Steps that are not given are T; steps of the
sampler and of the bound that are set together are one choice, and so are T and both where they equal T.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import replace

import pandas as pd
from matplotlib.figure import Figure

from analysis.answers import Analysis
from analysis.figures.style import BARS, JOINED, POINTS, Line, Panel, chosen, draw, merged, parts, place_of, varying
from analysis.grid_json import MetricInfo
from analysis.labels import power_of_ten
from analysis.results import Results
from analysis.schema import AUTOENCODER, LIKELIHOOD

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
FEWEST, _SAME = 3, 1e-6
"""The fewest cells that make a line; the relative difference below which values are one, of a shared stage."""
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
    """The panel of a metric over a number; None where it does not change along any line, as it is of a shared stage."""
    values, (label, log, _) = results.values(metric.name), NUMBERS[key]
    own = [replace(line, table=values.loc[line.cells].set_axis(line.table.index)) for line in _over(results, key)]
    if not any((line.table.max() - line.table.min() > _SAME * line.table.abs().max()).any() for line in own):
        return None
    return Panel("", label, metric.head, merged(own), (log, 10))


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
        made.append(Line(list(at.index), {name: i}, pd.DataFrame(index=at), BARS))
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
    means, axes = analysis.values(metric.name).mean(axis=1).dropna(), varying(analysis, analysis.cell_ids)[:1]
    unit, groups = math.floor(math.log10(costs.max())), defaultdict[tuple[str, int, bool], list[str]](list)
    for cell in means.index.intersection(costs.index, sort=False):
        alone = joined and analysis.parameter(cell, HORIZON) == "0"
        name = parts(analysis, axes, cell) + ", no diffusion" * alone
        groups[name, place_of(analysis, axes, cell), alone].append(cell)
    lines, scaled = [], costs / 10.0**unit if column == "flops" else costs
    for (name, place, alone), cells in groups.items():
        table = pd.DataFrame({0: means[cells].to_numpy()}, index=scaled[cells]).sort_index(kind="stable")
        lines.append(Line(cells, {name: place}, table, POINTS if alone or not joined else JOINED))
    return Panel("", _COSTS[column].replace("FLOPs", f"{power_of_ten(unit)} FLOPs"), metric.head, lines, (3, 4))
