"""Figures of curves over training steps and over t, a line per cell: its seeds' mean, on the band of their range.

Axes along which no curve changes are left out.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.answers import Analysis
from analysis.figures.style import LINEAR, LOG, WIDE, Line, Panel, coincide, draw, merged, parts, place_of, varying
from analysis.grid_json import Axis
from analysis.labels import some
from analysis.results import Results
from analysis.schema import RUNG

MOST_PANELS, SAME_SNR, SAME_WEIGHT = 9, 0.05, 0.01
"""The most panels of a curve; the share below which SNRs at every t are one line to the eye, and weights of t."""
Tables = Mapping[str, pd.DataFrame]
"""A curve of cells by their ids, as [x, seed]."""


def _figure(
    results: Results, curves: Mapping[str, Tables], x: str, log: tuple[float, float], share: float = 1e-6
) -> Figure | None:
    """The figure of curves by the name of their vertical axis: a row each, which is broken if it is too long, over the
    axes that change them; without a row whose lines tell no cell from another."""
    changing = {name: telling_axes(results, tables, partial(coincide, share=share)) for name, tables in curves.items()}
    kept = {name: tables for name, tables in curves.items() if changing[name] or len(tables) == 1}
    axes = [axis for axis in results.meta.axes if any(axis in changing[name] for name in kept)]
    along = _line_axis(results, axes, {cell for tables in kept.values() for cell in tables})
    rows = list[list[Panel | None]]()
    for name, tables in kept.items():
        own = changing[name] or axes
        across = [axis for axis in own if axis not in along]
        groups = _grouped(results, across, tables) if set(along) <= set(own) else []
        lines = [merged(_lines(results, along, {cell: tables[cell] for cell in group}), share) for group in groups]
        titles = [parts(results, across, group[0]) for group in groups]
        rows.append([Panel(titles[i], x, "" if i else name, each, log) for i, each in enumerate(lines)])
    most = max(map(len, rows), default=0)
    columns = max(1, most if most <= 4 else min((4, 3), key=lambda columns: -most % columns))
    places = [place for row in rows for place in row + [None] * (-len(row) % columns)]
    return draw(places, columns if most > 1 else len(places))


def _lines(results: Results, along: Sequence[Axis], tables: Tables) -> list[Line]:
    """The line of the first cell at each combination of levels of these axes, in the look of its level on the first."""
    firsts = [group[0] for group in _grouped(results, along, tables)]
    return [Line([c], {parts(results, along, c): place_of(results, along, c)}, tables[c]) for c in firsts]


def _grouped(results: Results, axes: Iterable[Axis], cells: Iterable[str]) -> list[list[str]]:
    """The cells by their levels on these axes."""
    groups: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for cell in cells:
        levels = results.levels(cell)
        groups[tuple(levels[axis.name] for axis in axes)].append(cell)
    return list(groups.values())


def _line_axis(results: Results, axes: Sequence[Axis], cells: Iterable[str]) -> list[Axis]:
    """The first axis that as the lines leaves few panels, or the one that leaves fewest."""
    panels = {axis.name: len(_grouped(results, [other for other in axes if other is not axis], cells)) for axis in axes}
    return [min(axes, key=lambda axis: max(MOST_PANELS, panels[axis.name]))] if axes else []


def telling_axes(results: Results, things: Mapping[str, Any], same: Callable[[Any, Any], bool]) -> list[Axis]:
    """The axes along which things of cells change, as few as tell all different ones apart."""
    kept = varying(results, things)
    for axis in reversed(kept.copy()):
        fewer = [other for other in kept if other is not axis]
        groups = _grouped(results, fewer, things)
        if all(same(things[group[0]], things[other]) for group in groups for other in group[1:]):
            kept = fewer
    return kept


def training(analysis: Analysis) -> Figure | None:
    """The loss over training steps, mean and range of the seeds; scales of different objectives do not compare."""
    tables = analysis.curve("train/network")
    ends = [table.index.max() for table in tables.values()] or [1]
    log = LOG if max(ends) > 4 * min(ends) else LINEAR
    return _figure(analysis, {"training loss": tables}, "training step", (log, WIDE))


def bound(analysis: Analysis) -> Figure | None:
    """The bits that each t adds to the bound on test data; a first term of latents below 0 has no place on the axis."""
    tables = analysis.curve("bound_per_t")
    own = {cell: table for cell, table in tables.items() if analysis.comparable(cell, "nll/test")}
    return _figure(analysis, {"bits/dim per t": _over_t(own)}, "t/T", (LOG, WIDE))


def weights(analysis: Analysis) -> Figure | None:
    """The weight of each t in training, relative to its mean: lines that part show cells that differ in it."""
    tables = analysis.curve("expected_weight")
    own = _over_t({cell: table / table.mean() for cell, table in tables.items()})
    if all(np.nanmax(table) < (1 + SAME_WEIGHT) * np.nanmin(table) for table in own.values()):
        return None
    curves = {"ε-weight × density of t,\nrelative to its mean": own}
    return _figure(analysis, curves, "t/T", (LINEAR, WIDE), SAME_WEIGHT)


def _over_t(tables: Tables) -> Tables:
    """The positive part of curves over t, over t/T."""
    positive = {cell: table.where(table > 0).dropna(how="all") for cell, table in tables.items()}
    return {cell: table.set_index(table.index / table.index.max()) for cell, table in positive.items()}


def budget(analysis: Analysis) -> Figure | None:
    """The metrics of trainings on their way and at their end: where lines meet, more steps may turn the answer."""
    curves = {}
    for metric in analysis.deciding:
        column = re.sub(r"/test$", "/val", metric.name)
        tables = {cell: _whole(analysis, cell, column, table) for cell, table in analysis.curve(RUNG + column).items()}
        curves[metric.head + " on validation" * (column != metric.name)] = tables
    return _figure(analysis, curves, "training step", (LINEAR, WIDE))


def _whole(results: Results, cell: str, column: str, table: pd.DataFrame) -> pd.DataFrame:
    """A metric at a cell's rungs, as [training step, seed], and at its end."""
    end = results.values(column).T[cell].dropna().groupby(level="seed").first()
    steps = results.parameter(cell, "training.steps")
    return pd.concat([table, pd.DataFrame({float(steps): end}).T]) if steps else table


def schedules(analysis: Analysis) -> Figure | None:
    """The log-SNR and ᾱ of each schedule over t/T, and how γ of a learned one moved, at five quantiles u of time."""
    curves = analysis.curve("log_snr")
    over = {cell: table.mean(axis=1).set_axis(table.index / table.index.max()) for cell, table in curves.items()}
    places = np.linspace(max((mean.index.min() for mean in over.values()), default=1.0), 1.0, 100)
    snr = {cell: np.exp(np.interp(places, mean.index, mean)) for cell, mean in over.items()}
    tables = {cell: pd.DataFrame({0: values}, index=places) for cell, values in snr.items()}
    axes = telling_axes(analysis, tables, partial(coincide, share=SAME_SNR))
    if not axes and len(tables) != 1:
        return None
    every = enumerate(merged(_lines(analysis, axes, tables), SAME_SNR))
    lines = [replace(line, names={some(list(line.names), 3): i}) for i, line in every]
    gammas = [analysis.curve(name) for name in sorted(set(analysis.curves["curve"])) if "/gamma_" in name]
    moved = [replace(line, table=of[cell]) for of in gammas for line in lines for cell in line.cells[:1] if cell in of]
    own = [Panel("", "t/T", "log-SNR", [replace(line, table=line.table.map(math.log)) for line in lines])]
    own += [Panel("", "t/T", "ᾱ", [replace(line, table=line.table / (1 + line.table)) for line in lines])]
    own += [Panel("", "training step", "γ(u) of the learned schedule", moved)] if moved else []
    return draw(own, len(own), 2.3)
