"""Two grids A and B side by side: the cells that both have, whether what a cell gains is another in B, and the page.

    effect      d_s = a_s − b_s at each seed of one grid, on the metric's scale, of a comparison that both grids declare
    change      D = mean d in B − mean d in A, by Welch's test: the grids count as independent (`Estimate.less`)

With `seeds=auto` effects are over the seeds of the first look, whose number no result has chosen. The changes in a
metric are one family: by Holm's procedure at ¾ of α they differ from 0, and at ¼ they are smaller than the margin.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from markupsafe import Markup

from analysis import words
from analysis.answers import Analysis
from analysis.claims import contrast
from analysis.errors import InputError
from analysis.grid_json import MetricInfo
from analysis.labels import cell_name, counted, listed, probability
from analysis.report.page import Part, prose, render, scrolled
from analysis.sheet import Entry, Head, Line, Table
from analysis.statistics import ALPHA, EQUAL, Estimate, Paired, mean_interval, settle
from analysis.writers import html

LARGER, SMALLER, REVERSED, SAME, UNKNOWN = "larger", "smaller", "reversed", "the same", "cannot tell"
Metrics = tuple[MetricInfo, MetricInfo]
"""A metric in A and in B."""
Grids = tuple[Analysis, Analysis]
METHOD = (
    "An effect is the difference of two cells at the same seeds (a ratio where logarithms are compared) with its 95 % "
    "interval. It is larger where it is farther from none, the same where it changes by less than what matters. The "
    "verdicts on {} are adjusted within each metric (Holm, 5 %); they are exploratory, ideas to test anew."
)


@dataclass(frozen=True, eq=False)
class Effect:
    """What a cell gains over another in A and in B, on the scale of the `metric`, with its `change`; ids are those in
    A. `p` is that of the verdict, adjusted for the other changes in the metric."""

    metric: MetricInfo
    cell: str
    reference: str
    own: tuple[Paired, Paired]
    change: Estimate
    p: float = math.nan
    verdict: str = UNKNOWN


Effects = dict[Metrics, list[Effect]]


def shared_cells(a: Analysis, b: Analysis) -> dict[str, str]:
    """The cells of A that B has too, each with B's: those at the same levels, by name, of the axes that vary in both.
    InputError where there are none."""
    axes = [axis for axis in _varying(a) if axis in _varying(b)]
    ours, theirs = (
        {tuple(of.levels(cell)[axis] for axis in axes): cell for cell in of.at(axes_of_one(of, other))}
        for of, other in ((a, b), (b, a))
    )
    if not axes or not ours.keys() & theirs.keys():
        varied = (f"{of.meta.name} varies {', '.join(_varying(of)) or 'nothing'}" for of in (a, b))
        raise InputError(f"the two grids share no cell: {', '.join(varied)}: take two that vary the same axis")
    return {cell: theirs[levels] for levels, cell in ours.items() if levels in theirs}


def axes_of_one(of: Analysis, other: Analysis) -> dict[str, str]:
    """The axes that vary in this grid only, each with the level at which its cells are taken: the baseline's or, if it
    has none, the first."""
    axes = [axis for axis in of.meta.axes if axis.name in set(_varying(of)) - set(_varying(other))]
    return {axis.name: of.meta.baseline.get(axis.name, axis.levels[0].name) for axis in axes}


def _varying(of: Analysis) -> list[str]:
    return [str(axis) for axis, n in of.level_names.nunique().items() if n > 1]


def metrics_of(a: Analysis, b: Analysis) -> list[Metrics]:
    """The deciding metrics that both grids have: nll on test, fid against train, by whatever network."""
    pairs = [(ours, theirs) for ours in a.deciding for theirs in b.deciding]
    return [(ours, theirs) for ours, theirs in pairs if ours.name.split("/")[:2] == theirs.name.split("/")[:2]]


def effects_of(a: Analysis, b: Analysis, metrics: Metrics) -> list[Effect]:
    """The effects in a metric of the comparisons that both grids declare. Where only one of them compares it by
    logarithms, it is compared as it is."""
    cells, common, effects = shared_cells(a, b), min(metrics, key=lambda metric: metric.scale == "log"), []
    for pair in a.declared:
        twin = (cells.get(pair[0], ""), cells.get(pair[1], ""))
        if twin in b.declared:
            first, second = _own(a, metrics[0], common, pair), _own(b, metrics[1], common, twin)
            effects.append(Effect(common, *pair, (first, second), second.less(first)))
    return _judged(effects)


def _own(of: Analysis, metric: MetricInfo, common: MetricInfo, pair: tuple[str, str]) -> Paired:
    """The effect of the first cell instead of the second in one grid."""
    terms = ((1.0, pair[0]), (-1.0, pair[1]))
    return Paired.of(contrast(of, replace(metric, scale=common.scale), terms, of.meta.first_look), metric.resolution)


def _judged(effects: list[Effect]) -> list[Effect]:
    """The effects with their verdicts. What changes at no seed is not tested."""
    p, judged = np.full((2, len(effects)), math.nan), []
    moved = [bool(effect.change.mean or effect.change.variance) for effect in effects]
    for i in np.flatnonzero(moved):
        p[:, i] = effects[i].change.p(), effects[i].change.equal(effects[i].metric.margin)
    rates = (1.0 if np.isnan(p[1]).all() else 1 - EQUAL, EQUAL)
    adjusted = np.array([np.minimum(settle(of, np.ones(len(of))) / rate, 1) for of, rate in zip(p, rates, strict=True)])
    for effect, moves, (apart, near) in zip(effects, moved, adjusted.T.tolist(), strict=True):
        same = near <= ALPHA or not moves
        verdict = SAME if same else _size(*effect.own) if apart <= ALPHA else UNKNOWN
        judged.append(replace(effect, p=near if same else apart, verdict=verdict))
    return judged


def _size(a: Paired, b: Paired) -> str:
    """The verdict on effects that differ: reversed where each is shown to be on its own side of 0."""
    if a.mean * b.mean < 0 and max(a.p(), b.p()) <= ALPHA:
        return REVERSED
    return LARGER if abs(b.mean) > abs(a.mean) else SMALLER


def found(grids: Grids) -> tuple[list[list[str]], Table, list[str]]:
    """What is found of two grids: a list of sentences per metric, the table, and notes on how they are compared.
    InputError where one has no verdicts yet."""
    for of in grids:
        if of.meta.preliminary:
            raise InputError(f"{of.meta.name} is preliminary, and has no verdict yet: run it to its end")
    effects = {metrics: effects_of(*grids, metrics) for metrics in metrics_of(*grids)}
    return _sentences(grids, effects), _table(grids, effects), _notes(grids, effects)


def report(grids: Grids, told: list[list[str]], table: Table, notes: list[str]) -> str:
    """The page of two grids."""
    screen = [[Markup('<p class="answer">{}</p>').format(prose(text)) for text in of] for of in told]
    parts = [Part("table", "Table", [scrolled(html(table))], opened=True), Part("legend", "Notes", notes, opened=True)]
    lead = [f"`{grid.meta.name}`: {grid.meta.question} {words.setting(grid)}" for grid in grids]
    title = " beside ".join(grid.meta.name for grid in grids)
    return render(title, lead, [], screen, parts)


def _table(grids: Grids, effects: Effects) -> Table:
    """A row for each shared cell and each of its comparisons, metric by metric."""
    a, b = grids
    heads = [Head("Cell"), Head("Comparison"), *(Head(of, g.meta.name) for g in grids for of in ("mean", "effect"))]
    heads += [Head(of, f"effect in {b.meta.name}") for of in ("changes by", "p", "is")]
    lines = []
    for (ours, theirs), judged in effects.items():
        for cell, twin in shared_cells(a, b).items():
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
    names, paragraphs = grids[0].names, []
    for (metric, _), judged in effects.items():
        paragraph = [f"{metric.label}: both grids declare no comparison of cells that they share."] * (not judged)
        for verdict in dict.fromkeys(effect.verdict for effect in judged):
            pairs = [f"{names[of.cell]} instead of {names[of.reference]}" for of in judged if of.verdict == verdict]
            what = "cannot tell whether the effect is another" if verdict == UNKNOWN else f"the effect is {verdict}"
            paragraph.append(f"{metric.label}: {what} in {grids[1].meta.name}: {'; '.join(pairs)}.")
        paragraphs.append(paragraph)
    return paragraphs


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
        held, seeds = axes_of_one(of, other), of.meta.first_look
        at = cell_name((axis.label, axis.label_of(held[axis.name])) for axis in of.meta.axes if axis.name in held)
        notes += [f"Cells of {of.meta.name} are those at {at}."] * bool(held)
        notes += [f"Effects in {of.meta.name} are over its first {len(seeds)} seeds."] if seeds else []
    return notes
