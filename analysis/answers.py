"""Everything that is inferred from a grid, each part computed once, when it is first asked for.

    folder ─▶ Results (meta, runs, curves) ─▶ comparisons, cells, effects, search ─▶ tables, figures, report

The frame `cells` has a row per cell in each metric: mean, interval, and the place among the others.

    best          the best mean among the cells that may be the best, or of all where nothing was tested
    as good       shown to be worse than the best by no more than the relevant difference, if at all
    may be best   no cell is shown to be better, and it may be much worse
    worse         some cell is shown to be better
    not tested    fewer than two seeds, no value, or no better direction

A cell is beaten where a listed comparison says so, or where another cell is shown to be better among all pairs. Cells
with equal values count as one. Where declared comparisons are within rows, so are places; `row` names them.
"""

from __future__ import annotations

from functools import cached_property
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.claims import TOLD_APART
from analysis.comparisons import compare
from analysis.costs import costs_of
from analysis.factorial import effects_of
from analysis.grid_json import MetricInfo
from analysis.looks import Taken, beaten_by_looks, near_best
from analysis.reading import read_results
from analysis.results import Results
from analysis.search import Search, optimism, search_in
from analysis.statistics import beaten_by, mean_interval

BEST, AS_GOOD, MAY_BE_BEST, WORSE, NOT_TESTED = "best", "as good", "may be best", "worse", "not tested"
COLUMNS = ["metric", "cell_id", "name", "row", "n", "mean", "half_width", "sd", "rank", "place", "bold", "beaten_by"]
"""The frame's columns. `rank` is that of the mean among the cells of the row, from 0, −1 without a value; `bold` marks
the best and those as good that may be the best; `beaten_by` are the ids of the cells shown to be better."""


class Analysis(Results):
    """A grid's results with what follows from them: frames with columns by `comparisons.COLUMNS` and `COLUMNS`."""

    @cached_property
    def comparisons(self) -> pd.DataFrame:
        """A row per comparison and per claim, with the time at which it was `declared`."""
        return compare(self)

    @cached_property
    def cells(self) -> pd.DataFrame:
        """A row per metric and cell."""
        return summarise(self, self.comparisons)

    @cached_property
    def effects(self) -> pd.DataFrame:
        """The effects of the axes on each deciding metric; no rows where a grid has too few axes or runs."""
        return effects_of(self, [] if self.meta.preliminary else self.deciding)

    @cached_property
    def costs(self) -> pd.DataFrame:
        """The mean costs of each cell."""
        return costs_of(self)

    @cached_property
    def search(self) -> Search | None:
        """The search that the grid confirms; None where it confirms none."""
        return search_in(self.folder)

    @cached_property
    def optimism(self) -> pd.DataFrame | None:
        """The optimism of the search, a row per winner and objective; None where the grid confirms no search."""
        return None if self.search is None else optimism(self.search, self)

    @property
    def trained_elsewhere(self) -> bool:
        """True where every network is a published one, taken as it is."""
        network, start = (self.runs.get(name, pd.Series(dtype=str)) for name in ("network", "training.start"))
        return not network.empty and set(network) == {"published"} and "published" not in set(start)


def read(folder: Path | str) -> Analysis:
    """The analysis of `results/<grid>/`: `.meta`, and the frames `.runs`, `.curves`, `.comparisons` and `.cells`.

    InputError where the folder is missing or corrupt.
    """
    results = read_results(folder)
    return Analysis(results.folder, results.meta, results.runs, results.planned)


def summarise(results: Results, comparisons: pd.DataFrame) -> pd.DataFrame:
    """The cells in every metric that has values, in the order of metrics and cells."""
    listed = comparisons[comparisons["kind"] == "comparison"]
    rows = [
        row
        for metric in results.metrics
        for name, cells in rows_of(results).items()
        for row in _cell_rows(results, metric, name, cells, listed[listed["metric"] == metric.name])
    ]
    return pd.DataFrame(rows, columns=COLUMNS).astype({"n": "int64", "rank": "int64"})


def rows_of(results: Results) -> dict[str, list[str]]:
    """The cells of each row by its name, all cells as "" where comparisons are not within rows."""
    inner = [axis.name in results.meta.rows for axis in results.meta.axes]
    rows: dict[str, list[str]] = {}
    for cell in results.cell_ids:
        rows.setdefault(" · ".join(compress(results.labels(cell), inner)), []).append(cell)
    return rows


def _cell_rows(
    results: Results, metric: MetricInfo, name: str, cells: list[str], listed: pd.DataFrame
) -> list[dict[str, Any]]:
    """The rows of the frame for these cells in one metric."""
    values = results.values(metric.name).loc[cells].to_numpy(dtype=np.float64)
    own = [of_cell[np.isfinite(of_cell)] for of_cell in values]
    means = [mean_interval(of_cell) for of_cell in own]
    ranked = sorted(
        np.flatnonzero([len(of_cell) for of_cell in own]).tolist(), key=lambda i: -metric.sign * means[i][0]
    )
    inner = listed[listed["a"].isin(cells) & listed["b"].isin(cells)]
    same = [results.keys(metric.name)[cell] for cell in cells]
    beaten, near = _dominated_by(results, metric, cells, sorted(ranked), same, inner)
    leading = {i for i, better in enumerate(beaten) if better is not None and not better}
    best = next((i for i in ranked if i in leading or not leading), None) if metric.sign else None
    # A listed comparison may call a cell equal to the best one.
    pairs = inner.loc[inner["verdict"] == "equal", ["a", "b"]].to_numpy().tolist()
    equal = {cell for pair in pairs if best is not None and cells[best] in pair for cell in pair}
    as_good = {i for i in ranked if leading and i != best and (same[i] == same[best or 0] or i in near)}
    as_good |= {i for i in ranked if leading and i != best and cells[i] in equal}

    def place(i: int) -> str:
        if i == best or i in as_good:
            return BEST if i == best else AS_GOOD
        return NOT_TESTED if beaten[i] is None else WORSE if beaten[i] else MAY_BE_BEST

    return [
        {
            "metric": metric.name,
            "cell_id": cell,
            "name": results.names[cell],
            "row": name,
            "n": len(own[i]),
            "mean": means[i][0],
            "half_width": means[i][1],
            "sd": float(own[i].std(ddof=1)) if len(own[i]) > 1 else np.nan,
            "rank": ranked.index(i) if i in ranked else -1,
            "place": place(i),
            "bold": i in leading and (i == best or i in as_good),
            "beaten_by": None if (better := beaten[i]) is None else tuple(cells[j] for j in sorted(better)),
        }
        for i, cell in enumerate(cells)
    ]


def _dominated_by(
    results: Results, metric: MetricInfo, cells: list[str], measured: list[int], same: list[bytes], listed: pd.DataFrame
) -> tuple[list[frozenset[int] | None], set[int]]:
    """A set per cell of the cells shown to be better, None where nothing was tested; and the cells that the best is
    hardly better than, if at all."""
    beaten: list[frozenset[int] | None] = [None] * len(cells)
    if metric.sign == 0 or len(measured) < 2 or results.meta.preliminary:
        return beaten, set()
    table = results.scaled(metric).loc[[cells[i] for i in measured]].dropna(axis=1, how="all")
    values, seeds, auto = table.to_numpy(dtype=np.float64), table.columns.get_level_values(0), results.meta.auto
    declared = {cell for pair in results.meta.declared for cell in pair}
    # Without looks, all seeds are those of one look.
    looks, stopped = (auto.looks, auto.stopped) if auto else ((len(results.meta.seeds),), {})
    at_looks = Taken(
        looks,
        values,
        [stopped.get(cell, looks[0]) for cell in table.index],
        [cell in declared for cell in table.index],
        {n: int(seeds.isin(results.meta.seeds[:n]).sum()) for n in looks},
    )
    rule = metric.sign, metric.resolution
    for i, rivals in zip(measured, beaten_by_looks(at_looks, *rule) if auto else beaten_by(values, *rule), strict=True):
        beaten[i] = None if rivals is None else frozenset(measured[j] for j in rivals)
    apart = listed.loc[listed["verdict"].isin(TOLD_APART), ["a", "b", "verdict"]]
    for a, b, verdict in apart.itertuples(index=False):
        better, worse = (same[cells.index(cell)] for cell in ((a, b) if verdict == "better" else (b, a)))
        for i in measured:
            if same[i] == worse:
                beaten[i] = (beaten[i] or frozenset()) | {j for j in measured if same[j] == better}
    near = near_best(at_looks, metric.sign, metric.margin if metric.deciding else np.nan, metric.resolution)
    return beaten, set(compress(measured, near))
