"""Looks: the parts of a command that end in verdicts, and the decision between two of them.

    seeds=N       one look, at all seeds
    seeds=auto    at each look, which of the comparisons that the grid declares (`Meta.declared`) are over; a comparison
                  that is over stays so, and cells that no open comparison needs stop

A decision is read from files like those of the grid's results (`analysis.interim`), and depends only on the journal: so
a command that is given again decides the same, and so does whoever reads its results.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ablations.driver.plan import Plan
from ablations.engine.journal import Journal
from ablations.results.folder import write_frames
from ablations.results.grid_json import head_of
from ablations.results.records import record
from analysis.errors import InputError
from analysis.grid_json import Meta, parse_meta
from analysis.interim import Progress, progress
from analysis.labels import some

NAMED = 8
"""The number of cells that a line names by their levels."""


@dataclass(frozen=True)
class Look:
    """All cells at the seeds that they have at a look, of at most `most`; `details` are added to grid.json."""

    plan: Plan
    most: int
    details: dict[str, Any]

    @property
    def seeds(self) -> int:
        """The number of its seeds."""
        return len(self.plan.grid.seeds)


def fixed(plan: Plan) -> Iterator[Look]:
    """The one look of a fixed number of seeds."""
    yield Look(plan, len(plan.grid.seeds), {"seeds": plan.grid.seeds})


@dataclass(frozen=True)
class LookState:
    """The state of a grid after a look: the progress of each comparison, by the ids of its two cells, and the number of
    seeds that each cell has, or is to have at the next look, by its id."""

    seeds: dict[str, int]
    progress: dict[tuple[str, str], Progress]

    @property
    def open(self) -> list[tuple[str, str]]:
        """The comparisons that need more seeds."""
        return [pair for pair, now in self.progress.items() if now == "open"]

    @property
    def going(self) -> list[str]:
        """The cells of open comparisons."""
        return list(dict.fromkeys(cell for pair in self.open for cell in pair))

    def at(self, n: int) -> LookState:
        """The same with n seeds for each cell that goes on."""
        return LookState(self.seeds | dict.fromkeys(self.going, n), self.progress)


@dataclass(frozen=True, eq=False)
class Looks:
    """The declarations before the first look: the looks, and the pairs of cells by their ids, none of which makes no
    sense."""

    plan: Plan
    looks: tuple[int, ...]
    meta: Meta
    pairs: list[tuple[str, str]]

    @staticmethod
    def of(plan: Plan) -> Looks:
        """The declarations of a grid; InputError where there is nothing to decide."""
        assert plan.grid.looks is not None, "its seeds are not added by looks"
        head = head_of(plan.grid, plan.runs, plan.here.data, None, {})
        meta = parse_meta(json.dumps(head), f"grid {plan.grid.name}")
        refused = {item.cell_id: f" ({item.refusal})" for item in plan.runs if item.refusal is not None}
        pairs = [pair for pair in meta.declared if not refused.keys() & set(pair)]
        lacking = "" if any(metric.deciding for metric in meta.metrics) else "a metric that decides"
        if not pairs:
            lacking = f"two cells that can be compared{next(iter(refused.values()), '')}"
        if lacking:
            raise InputError(f"seeds=auto adds seeds until comparisons are settled, and needs {lacking}: give seeds=N")
        return Looks(plan, plan.grid.looks, meta, pairs)

    def begin(self) -> LookState:
        """All comparisons before the first look."""
        return LookState(dict.fromkeys(self.meta.cells, self.looks[0]), dict.fromkeys(self.pairs, "open"))

    def least(self) -> Plan:
        """The plan up to the first look."""
        return self.plan.first(self.begin().seeds)

    def most(self) -> Plan:
        """The plan if no comparison ever ended."""
        return self.plan.first(self.begin().at(self.looks[-1]).seeds)

    def take(self, journal: Journal) -> Iterator[Look]:
        """Look after look, until nothing is open, or at the most seeds; each is to be run before the next is asked
        for, and decides with a few lines."""
        state = self.begin()
        for n in self.looks:
            part = self.plan.first(state.seeds)
            yield Look(part, self.looks[-1], looks_so_far(part))
            earlier, state = state, self.after(state, n, journal)
            print("\n".join(self.described(earlier, state, n)), flush=True)
            if not state.open:
                return

    def after(self, before: LookState, n: int, journal: Journal) -> LookState:
        """The state after the look at n seeds, at which the cells had the seeds that `before` says."""
        part = self.plan.first(before.seeds)
        with TemporaryDirectory() as place:
            head = head_of(part.grid, part.runs, part.here.data, None, looks_so_far(part))
            write_frames(Path(place), head, [record(item, journal) for item in part.runs], journal)
            now = progress(Path(place))
        over = {pair for pair in self.pairs if pair not in before.open and now[pair] == "open"}
        after = LookState(before.seeds, {pair: "over" if pair in over else now[pair] for pair in self.pairs})
        return after.at(next((seeds for seeds in self.looks if seeds > n), n))

    def described(self, before: LookState, after: LookState, n: int) -> list[str]:
        """Lines for a terminal about the look at n seeds."""
        count = Counter(after.progress.values())
        counts = f"{count['settled']} of {len(self.pairs)} comparisons settled, {count['over']} over without a verdict"
        lines = [f"{n} seeds: {counts}, {count['open']} open"]
        if going := after.going:
            sensible = {item.cell_id for item in self.plan.runs if item.refusal is None}
            stopping = [cell for cell in before.seeds if before.seeds[cell] == n and cell in sensible.difference(going)]
            on = f"go on to {after.seeds[going[0]]} seeds" if n < self.looks[-1] else f"open at seeds.max={n}"
            told = {"stop here": stopping, on: going}
            lines += [f"  {what}: {self._named(cells)}" for what, cells in told.items() if cells]
        return lines

    def _named(self, cells: list[str]) -> str:
        return some([self.plan.grid.file.cell_name(self.meta.cells[cell]) for cell in cells], NAMED)


def looks_so_far(part: Plan) -> dict[str, Any]:
    """The fields of grid.json about the looks, and the seeds so far."""
    assert part.grid.looks is not None, "its seeds are not added by looks"
    stopped = Counter(item.cell_id for item in part.runs if item.refusal is None)
    auto = {"looks": list(part.grid.looks), "most": part.grid.looks[-1], "stopped": dict(stopped)}
    return {"seeds": part.grid.seeds, "auto": auto}
