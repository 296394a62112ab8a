"""Decisions at each look of `seeds=auto`: which comparisons are settled, which cells get more seeds.

The rule is that of `analysis.statistics.looks`, for each metric that decides. Its comparisons are those that the grid
declares (`Meta.declared`). One is over when it is settled, without a prospect or without values in each of them; cells
that no open comparison needs stop.

Values are those that `runs.csv` and `images.csv` hold, digit by digit, so that whoever reads these decides the same.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ablations.driver.plan import Plan
from ablations.engine.journal import Journal
from ablations.grids.footnotes import words
from ablations.results.csv_text import number, of_image
from ablations.results.folder import images_of
from ablations.results.grid_json import head_of
from ablations.results.records import Record, record
from analysis.format.errors import InputError
from analysis.format.grid_json import Meta, ShownMetric, kind_of, parse_meta
from analysis.statistics.looks import Looked, Looks, begin, look
from analysis.statistics.variances import Array


@dataclass(frozen=True, eq=False)
class Known:
    """A cell's values in a metric: by seed, on the metric's scale, its value, and that of each image."""

    values: dict[int, float]
    images: dict[int, Array]


@dataclass(frozen=True)
class State:
    """The state of a grid after a look: what each metric says of each comparison, and which of these go on.

    `seeds` is how many seeds each cell has, or is to have for the next look, by its id.
    """

    seeds: dict[str, int]
    standings: dict[str, list[Looked]]
    open: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Declared:
    """Declarations before the first look: the looks, the pairs of cells by their ids, and the metrics.

    `refused` are the cells that make no sense, which no pair has.
    """

    plan: Plan
    looks: Looks
    meta: Meta
    pairs: list[tuple[str, str]]
    metrics: list[ShownMetric]
    refused: set[str]

    @staticmethod
    def of(plan: Plan) -> Declared:
        """The declarations of a grid; InputError where there is nothing to decide."""
        assert plan.grid.looks is not None, "its seeds are not added by looks"
        head = head_of(plan.grid, plan.planned, plan.here.data, None, {})
        meta = parse_meta(json.dumps(head), f"grid {plan.grid.name}")
        refused = {item.cell_id for item in plan.planned if item.refusal is not None}
        pairs = [pair for pair in meta.declared if not refused & set(pair)]
        metrics = [meta.read_by(metric) for metric in meta.metrics if metric.deciding]
        if not pairs or not metrics:
            lacking = "two cells that can be compared" if not pairs else "a metric that decides"
            reason = next((f" ({item.refusal})" for item in plan.planned if item.refusal and not pairs), "")
            raise InputError(
                f"seeds=auto adds seeds until comparisons are settled, and needs {lacking}{reason}: give seeds=N"
            )
        return Declared(plan, plan.grid.looks, meta, pairs, metrics, refused)

    def begin(self) -> State:
        """All comparisons before the first look."""
        seeds = dict.fromkeys(self.meta.cells, self.looks.seeds[0])
        standings = {metric.name: begin(len(self.pairs)) for metric in self.metrics}
        return State(seeds, standings, tuple(range(len(self.pairs))))

    def all_open(self) -> dict[str, int]:
        """The seeds of each cell if no comparison were ever over."""
        return self._seeds(self.begin(), self.looks.most).seeds

    def after(self, before: State, n: int, journal: Journal) -> State:
        """The state after the look at n seeds, which the cells have as `before` says."""
        records = [record(item, journal) for item in self.plan.first(before.seeds).planned]
        standings, going = {}, set()
        for metric in self.metrics:
            cells = known(records, metric, journal)
            both = [tuple(cells.get(cell, NOTHING) for cell in pair) for pair in self.pairs]
            here = [all(before.seeds[cell] >= n for cell in pair) for pair in self.pairs]
            looked = look(
                self.looks,
                n,
                before.standings[metric.name],
                [differences(*pair) if there else None for pair, there in zip(both, here, strict=True)],
                margins=metric.margin,
                resolution=metric.resolution,
            )
            standings[metric.name] = looked
            going |= {j for j in before.open if looked[j].open and all(cell.values for cell in both[j])}
        after = State(before.seeds, standings, tuple(sorted(going)))
        later = [seeds for seeds in self.looks.seeds if seeds > n]
        return self._seeds(after, later[0]) if later else after

    def _seeds(self, state: State, n: int) -> State:
        """The same with n seeds for each cell of an open comparison."""
        needed = {cell for j in state.open for cell in self.pairs[j]}
        return State(state.seeds | dict.fromkeys(needed, n), state.standings, state.open)

    def said(self, before: State, after: State, n: int) -> list[str]:
        """Lines for a terminal about the look at n seeds."""
        over = [j for j in range(len(self.pairs)) if j not in after.open]
        settled = sum(_settled([of_metric[j] for of_metric in after.standings.values()]) for j in over)
        counts = f"{settled} of {len(self.pairs)} comparisons settled, {len(over) - settled} over without a verdict"
        going = list(dict.fromkeys(cell for j in after.open for cell in self.pairs[j]))
        stopping = [cell for cell, seeds in before.seeds.items() if seeds == n and cell not in {*going, *self.refused}]
        on = f"go on to {after.seeds[going[0]]} seeds" if going and n < self.looks.most else f"open at seeds.max={n}"
        return [
            f"{n} seeds: {counts}, {len(after.open)} open",
            *([f"  stop here: {self._named(stopping)}"] if stopping and going else []),
            *([f"  {on}: {self._named(going)}"] if going else []),
        ]

    def _named(self, cells: list[str]) -> str:
        named = [words(self.meta.cells[cell]) for cell in cells]
        return ", ".join(named[:NAMED]) + (f" and {len(named) - NAMED} more" if len(named) > NAMED else "")


def _settled(of_metrics: Sequence[Looked]) -> bool:
    """True where a comparison that is over is settled in each metric that has values of it."""
    judged = [looked for looked in of_metrics if looked.settled or looked.dropped is not None]
    return bool(judged) and all(looked.settled for looked in judged)


NAMED = 8
"""So many cells are called by their levels in a line."""
NOTHING = Known({}, {})


def known(records: Iterable[Record], metric: ShownMetric, journal: Journal) -> dict[str, Known]:
    """Values of cells in a metric, from the records that finished, by the id of the cell, as files hold them."""
    cells: dict[str, Known] = {}
    for item in records:
        value = scaled(float(number(item.metrics.get(metric.name, math.nan))), metric)
        if item.status != "finished" or item.not_comparable == kind_of(metric.name) or not math.isfinite(value):
            continue
        cell = cells.setdefault(item.planned.cell_id, Known({}, {}))
        cell.values[item.planned.cell.seed] = value
        images = np.array([float(of_image(bits)) for bits in images_of(item, journal).get(metric.name, [])])
        if metric.scale == "linear" and len(images) and np.isfinite(images).all():
            cell.images[item.planned.cell.seed] = images
    return cells


def scaled(value: float, metric: ShownMetric) -> float:
    """A value on the scale that it is compared on; nan where it has none."""
    if metric.scale == "linear":
        return value
    return math.log(value) if value > 0 else math.nan


def differences(a: Known, b: Known) -> Array:
    """a − b as [n] per common seed, or as [n, m] per common seed and held-out image where all of these are known."""
    seeds = sorted(a.values.keys() & b.values.keys())
    by_image = bool(seeds) and all(seed in cell.images for cell in (a, b) for seed in seeds)
    first, second = (cell.images if by_image else cell.values for cell in (a, b))
    return np.array([np.subtract(first[seed], second[seed]) for seed in seeds], dtype=np.float64)
