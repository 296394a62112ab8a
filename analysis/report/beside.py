"""The page of two grids side by side: what is found in words, the table, and how they are compared."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from markupsafe import Markup

from analysis import words
from analysis.answers import Analysis
from analysis.beside import (
    UNKNOWN,
    Effect,
    Metrics,
    alone,
    effects_of,
    metrics_of,
    shared,
)
from analysis.errors import InputError
from analysis.grid_json import MetricInfo
from analysis.labels import cell_name, counted, listed, probability
from analysis.report.page import Part, prose, render, scrolled
from analysis.sheet import Entry, Head, Line, Table
from analysis.statistics import mean_interval
from analysis.writers import html

Grids = tuple[Analysis, Analysis]
Effects = dict[Metrics, list[Effect]]
METHOD = (
    "An effect is the difference of two cells at the same seeds (a ratio where logarithms are compared) with its 95 % "
    "interval. It is larger where it is farther from none, the same where it changes by less than what matters. The "
    "verdicts on {} are adjusted within each metric (Holm, 5 %); they are exploratory, ideas to test anew."
)


@dataclass(frozen=True)
class Found:
    """What is found of two grids: a list of sentences per metric, the table, and notes on how they are compared."""

    told: list[list[str]]
    table: Table
    notes: list[str]


def found(grids: Grids) -> Found:
    """What is found of two grids. InputError where one has no verdicts yet."""
    for of in grids:
        if of.meta.preliminary:
            raise InputError(f"{of.meta.name} is preliminary, and has no verdict yet: run it to its end")
    effects = {metrics: effects_of(*grids, metrics) for metrics in metrics_of(*grids)}
    return Found(_sentences(grids, effects), _table(grids, effects), _notes(grids, effects))


def report(grids: Grids, of: Found) -> str:
    """The page of two grids."""
    screen = [[Markup('<p class="answer">{}</p>').format(prose(text)) for text in told] for told in of.told]
    table = Part("table", "Table", [scrolled(html(of.table))], opened=True)
    lead = [f"`{grid.meta.name}`: {grid.meta.question} {words.setting(grid)}" for grid in grids]
    title = " beside ".join(grid.meta.name for grid in grids)
    return render(title, lead, [], screen, [table, Part("legend", "Notes", of.notes, opened=True)])


def _table(grids: Grids, effects: Effects) -> Table:
    """A row for each shared cell and each of its comparisons, metric by metric."""
    a, b = grids
    heads = [Head("Cell"), Head("Comparison"), *(Head(of, g.meta.name) for g in grids for of in ("mean", "effect"))]
    heads += [Head(of, f"effect in {b.meta.name}") for of in ("changes by", "p", "is")]
    lines = []
    for (ours, theirs), judged in effects.items():
        for cell, twin in shared(a, b).items():
            means = [_mean(a, ours, cell), _mean(b, theirs, twin)]
            own: list[Effect | None] = [effect for effect in judged if effect.cell == cell]
            for effect in own or [None]:
                first, second, *change = _sizes(effect) if effect else [""] * 5
                instead = f"instead of {a.names[effect.reference]}" if effect else ""
                row = [a.names[cell], instead, means[0], first, means[1], second, *change]
                lines.append(Line(tuple(map(Entry, row)), Entry(ours.head)))
    return Table(2, tuple(heads), tuple(lines))


def _mean(of: Analysis, metric: MetricInfo, cell: str) -> str:
    values = of.values(metric.name).loc[[cell]].to_numpy(dtype=np.float64)
    return words.amount(replace(metric, unit=None), *mean_interval(values[np.isfinite(values)]))


def _sizes(effect: Effect) -> list[str]:
    """The effect in A, in B, and its change, on a log scale as ratios; the p and the verdict."""
    metric = replace(effect.metric, unit=None)
    sizes = [words.size(metric, float(of.mean), float(of.half_width())) for of in (*effect.own, effect.change)]
    p = probability(effect.p).removeprefix("= ") if effect.p >= 0 else "–"
    return [*(size.removeprefix("a factor of ") for size in sizes), p, effect.verdict]


def _sentences(grids: Grids, effects: Effects) -> list[list[str]]:
    """What is found in each metric, a sentence for each verdict."""
    names, told = grids[0].names, []
    for (metric, _), judged in effects.items():
        said = [f"{metric.label}: both grids declare no comparison of cells that they share."] * (not judged)
        for verdict in dict.fromkeys(effect.verdict for effect in judged):
            pairs = [f"{names[of.cell]} instead of {names[of.reference]}" for of in judged if of.verdict == verdict]
            what = "cannot tell whether the effect is another" if verdict == UNKNOWN else f"the effect is {verdict}"
            said.append(f"{metric.label}: {what} in {grids[1].meta.name}: {'; '.join(pairs)}.")
        told.append(said)
    return told


def _notes(grids: Grids, effects: Effects) -> list[str]:
    """How the two grids are compared."""
    a, b = (of.meta for of in grids)
    common = len(set(a.seeds) & set(b.seeds)) if a.data == b.data else 0
    which = f"share {a.data} and {counted(common, 'seed')}, but count as" if common else "are"
    sizes = [f"{counted(len(judged), 'change')} in {metric.label}" for (metric, _), judged in effects.items()]
    notes = [f"The two grids {which} independent trainings, whose effects Welch's test compares."]
    notes.append(METHOD.format(listed(sizes)))
    for ours, theirs in effects:
        if ours.name != theirs.name:
            notes.append(
                f"{ours.label} is {ours.name} in {a.name}, {theirs.name} in {b.name}: its values do not compare."
            )
    for of, other in (grids, grids[::-1]):
        held, seeds = alone(of, other), of.meta.first_look
        at = cell_name((axis.label, axis.label_of(held[axis.name])) for axis in of.meta.axes if axis.name in held)
        notes += [f"Cells of {of.meta.name} are those at {at}."] * bool(held)
        notes += [f"Effects in {of.meta.name} are over its first {len(seeds)} seeds."] if seeds else []
    return notes
