"""Looks: the parts of a command that end in verdicts, and the decision between two of them.

    seeds=N       one look, at all seeds
    seeds=auto    at each look, which of the comparisons that the grid declares (`Meta.declared`) are over; a comparison
                  that is over stays so, and cells that no open comparison needs stop

A decision is read from files like those of the grid's results (`analysis.looks`), and depends only on the journal:
so a command that is given again decides the same, and so does whoever reads its results.
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
from analysis.labels import some
from analysis.looks import Progress, progress


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

    def least(self) -> Plan:
        """The plan up to the first look."""
        return self.plan.first(dict.fromkeys(self.meta.cells, self.looks[0]))

    def take(self, journal: Journal) -> Iterator[Plan]:
        """Look after look: all cells at the seeds that they have, until nothing is open, or at the most seeds. Each is
        to be run before the next is asked for. A comparison that is over stays so."""
        seeds, left = dict.fromkeys(self.meta.cells, self.looks[0]), self.pairs
        for n, more in zip(self.looks, (*self.looks[1:], 0), strict=True):
            part = self.plan.first(seeds)
            yield part
            found = progress_of(part, journal)
            now = {pair: "over" if found[pair] == "open" and pair not in left else found[pair] for pair in self.pairs}
            left = [pair for pair in self.pairs if now[pair] == "open"]
            going = list(dict.fromkeys(cell for pair in left for cell in pair))
            print(self.described(n, more, Counter(now.values()), going), flush=True)
            if not left:
                return
            seeds |= dict.fromkeys(going, more)

    def described(self, n: int, more: int, count: Counter[Progress], going: list[str]) -> str:
        """Lines for a terminal about the look at n seeds, after which cells are `going` on to `more`, if to any."""
        counts = f"{count['settled']} of {len(self.pairs)} comparisons settled, {count['over']} over without a verdict"
        names = some([self.plan.grid.file.cell_name(self.meta.cells[cell]) for cell in going])
        on = f"\n  go on to {more} seeds: {names}" if more else f"\n  open at seeds.max={n}: {names}"
        return f"{n} seeds: {counts}, {count['open']} open{on if going else ''}"


def progress_of(part: Plan, journal: Journal) -> dict[tuple[str, str], Progress]:
    """The progress of each comparison at a look, by what a results folder of it would hold."""
    with TemporaryDirectory() as place:
        head = head_of(part.grid, part.runs, part.here.data, None, looks_of(part))
        write_frames(Path(place), head, [record(item, journal) for item in part.runs], journal)
        return progress(Path(place))


def looks_of(plan: Plan) -> dict[str, Any]:
    """The field of grid.json about the looks, and the seeds that cells have so far; none of a fixed number of seeds."""
    if plan.grid.looks is None:
        return {}
    stopped = Counter(item.cell_id for item in plan.runs if item.refusal is None)
    return {"auto": {"looks": list(plan.grid.looks), "most": plan.grid.looks[-1], "stopped": dict(stopped)}}
