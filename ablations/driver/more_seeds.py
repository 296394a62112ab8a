"""Decisions between the rounds of a command: which cells get more seeds, and how many sets of samples are drawn.

    seeds=auto             at each look, which of the comparisons that the grid declares (`Meta.declared`) are over; a
                           comparison that is over stays so, and cells that no open comparison needs stop
    evaluation.sets=auto   two sets for each cell and seed, then 4, 8, 16, for all cells alike, while drawing adds more
                           than a tenth to the variance of differences between seeds

Both are read from files like those of the grid's results (`analysis.interim`), and depend only on what was run before:
so a command that is given again decides the same, and so does whoever reads its results.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ablations.driver.plan import Plan
from ablations.engine.journal import Journal
from ablations.results.folder import write_frames
from ablations.results.grid_json import head_of
from ablations.results.records import record
from ablations.settings.evaluation import FEWEST_SETS, MOST_SETS
from analysis.errors import InputError
from analysis.grid_json import Meta, parse_meta
from analysis.interim import Enough, Progress, enough_sets, progress
from analysis.labels import some


@contextmanager
def so_far(plan: Plan, journal: Journal, details: dict[str, Any]) -> Iterator[Path]:
    """A temporary folder with the numbers that a plan's results have by now; `details` are added to its grid.json."""
    with TemporaryDirectory() as place:
        head = head_of(plan.grid, plan.planned, plan.here.data, None, details)
        write_frames(Path(place), head, [record(item, journal) for item in plan.planned], journal)
        yield Path(place)


@dataclass(frozen=True)
class State:
    """The state of a grid after a look: the progress of each comparison, by the ids of its two cells. `seeds` is the
    number of seeds that each cell has, or is to have at the next look, by its id."""

    seeds: dict[str, int]
    progress: dict[tuple[str, str], Progress]

    @property
    def open(self) -> list[tuple[str, str]]:
        """The comparisons that need more seeds."""
        return [pair for pair, now in self.progress.items() if now == "open"]


@dataclass(frozen=True, eq=False)
class Declared:
    """The declarations before the first look: the looks, and the pairs of cells by their ids. `refused` are the cells
    that make no sense; no pair has them."""

    plan: Plan
    looks: tuple[int, ...]
    meta: Meta
    pairs: list[tuple[str, str]]
    refused: set[str]

    @staticmethod
    def of(plan: Plan) -> Declared:
        """The declarations of a grid; InputError where there is nothing to decide."""
        assert plan.grid.looks is not None, "its seeds are not added by looks"
        head = head_of(plan.grid, plan.planned, plan.here.data, None, {})
        meta = parse_meta(json.dumps(head), f"grid {plan.grid.name}")
        refused = {item.cell_id for item in plan.planned if item.refusal is not None}
        pairs = [pair for pair in meta.declared if not refused & set(pair)]
        if not pairs or not any(metric.deciding for metric in meta.metrics):
            lacking = "two cells that can be compared" if not pairs else "a metric that decides"
            reason = next((f" ({item.refusal})" for item in plan.planned if item.refusal and not pairs), "")
            raise InputError(
                f"seeds=auto adds seeds until comparisons are settled, and needs {lacking}{reason}: give seeds=N"
            )
        return Declared(plan, plan.grid.looks, meta, pairs, refused)

    def begin(self) -> State:
        """All comparisons before the first look."""
        seeds = dict.fromkeys(self.meta.cells, self.looks[0])
        return State(seeds, dict.fromkeys(self.pairs, "open"))

    def all_open(self) -> dict[str, int]:
        """The seeds of each cell if no comparison ever ended."""
        return self._seeds(self.begin(), self.looks[-1]).seeds

    def after(self, before: State, n: int, journal: Journal) -> State:
        """The state after the look at n seeds, at which the cells had the seeds that `before` says."""
        part = self.plan.first(before.seeds)
        with so_far(part, journal, looks_so_far(part)) as folder:
            now = progress(folder)
        over = {pair for pair in self.pairs if pair not in before.open and now[pair] == "open"}
        after = State(before.seeds, {pair: "over" if pair in over else now[pair] for pair in self.pairs})
        later = [seeds for seeds in self.looks if seeds > n]
        return self._seeds(after, later[0]) if later else after

    def _seeds(self, state: State, n: int) -> State:
        """The same state with n seeds for each cell of an open comparison."""
        needed = {cell for pair in state.open for cell in pair}
        return State(state.seeds | dict.fromkeys(needed, n), state.progress)

    def said(self, before: State, after: State, n: int) -> list[str]:
        """Lines for a terminal about the look at n seeds."""
        count = Counter(after.progress.values())
        counts = f"{count['settled']} of {len(self.pairs)} comparisons settled, {count['over']} over without a verdict"
        going = list(dict.fromkeys(cell for pair in after.open for cell in pair))
        stopping = [cell for cell, seeds in before.seeds.items() if seeds == n and cell not in {*going, *self.refused}]
        on = f"go on to {after.seeds[going[0]]} seeds" if going and n < self.looks[-1] else f"open at seeds.max={n}"
        return [
            f"{n} seeds: {counts}, {count['open']} open",
            *([f"  stop here: {self._named(stopping)}"] if stopping and going else []),
            *([f"  {on}: {self._named(going)}"] if going else []),
        ]

    def _named(self, cells: list[str]) -> str:
        return some([self.plan.grid.file.cell_name(self.meta.cells[cell]) for cell in cells], NAMED)


NAMED = 8
"""The number of cells that a line names by their levels."""


def looks_so_far(part: Plan) -> dict[str, Any]:
    """The fields of grid.json about the looks, and the seeds so far."""
    assert part.grid.looks is not None, "its seeds are not added by looks"
    stopped = Counter(item.cell_id for item in part.planned if item.refusal is None)
    auto = {"looks": list(part.grid.looks), "most": part.grid.looks[-1], "stopped": dict(stopped)}
    return {"seeds": part.grid.seeds, "auto": auto}


def doubled(plan: Plan, journal: Journal) -> Iterator[tuple[Plan, int]]:
    """Yields the plan with 4 sets, then 8, …, and their number, until there are enough; the plan given has its first
    sets drawn. Each plan is to be run before the next is asked for."""
    first, sets = plan, FEWEST_SETS
    if not any(item.cell.evaluation.sets == "auto" for item in plan.planned):
        return
    while sets < MOST_SETS:
        enough = enough_for(plan, journal)
        if enough is None or enough.sets <= sets:
            return
        sets *= 2
        print(f"{enough.reason}: {sets} sets a cell and seed", flush=True)
        plan = first.with_sets(sets)
        yield plan, sets
    if (enough := enough_for(plan, journal)) is not None and enough.sets > sets:
        print(f"{enough.reason}: more than {MOST_SETS} are not drawn", flush=True)


def enough_for(plan: Plan, journal: Journal) -> Enough | None:
    """The number of sets that a plan would need by what the journal holds; None where nothing tells."""
    with so_far(plan, journal, {}) as folder:
        return enough_sets(folder)
