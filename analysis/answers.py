"""Everything that is inferred from a grid, each part computed once, when it is first asked for.

folder ─▶ Results (meta, runs, curves) ─▶ comparisons, cells, effects, search ─▶ tables, figures, report
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import pandas as pd

from analysis.comparisons import compare
from analysis.costs import costs_of, weight_notes
from analysis.declared import declared_times
from analysis.factorial import averages_of, effects_of
from analysis.grid_json import MetricInfo
from analysis.reading import read_results
from analysis.results import Results
from analysis.schema import LIKELIHOOD
from analysis.search import Search, optimism, search_in
from analysis.summary import BEST, summarise


class Analysis(Results):
    """A grid's results with what follows from them: frames whose columns `comparisons.COLUMNS` and `summary.COLUMNS`
    explain."""

    @cached_property
    def comparisons(self) -> pd.DataFrame:
        """A row per comparison and per claim, with the time at which it was `declared`."""
        frame = compare(self)
        return frame.assign(declared=declared_times(self, frame.to_dict("records")))

    @cached_property
    def cells(self) -> pd.DataFrame:
        """A row per metric and cell."""
        return summarise(self, self.comparisons)

    @cached_property
    def effects(self) -> pd.DataFrame:
        """The effects of the axes on each deciding metric; no rows where a grid has too few axes or runs."""
        return effects_of(self, [] if self.meta.preliminary else self.deciding)

    @cached_property
    def averages(self) -> pd.DataFrame:
        """Each level of each axis, averaged over the others."""
        return averages_of(self, [] if self.meta.preliminary else self.deciding)

    @cached_property
    def costs(self) -> pd.DataFrame:
        """The mean costs of each cell."""
        return costs_of(self)

    @cached_property
    def weight_notes(self) -> dict[str, str]:
        """Axis → a footnote, for each axis that changes the weight of t without declaring it."""
        return weight_notes(self)

    @cached_property
    def search(self) -> Search | None:
        """The search that the grid confirms; None where it confirms none."""
        return search_in(self.folder)

    @cached_property
    def optimism(self) -> pd.DataFrame | None:
        """The optimism of the search, a row per winner and objective; None where the grid confirms no search."""
        return None if self.search is None else optimism(self.search, self)

    @property
    def deciding(self) -> list[MetricInfo]:
        """The metrics that give verdicts, likelihoods first."""
        return sorted(super().deciding, key=lambda metric: metric.decides != LIKELIHOOD)

    @property
    def trained_elsewhere(self) -> bool:
        """True where every network is a published one, taken as it is."""
        network, start = (self.runs.get(name, pd.Series(dtype=str)) for name in ("network", "training.start"))
        return not network.empty and set(network) == {"published"} and "published" not in set(start)

    def best(self, metric: str, row: str = "") -> str | None:
        """The cell with the best mean among those that may be the best; None where no cell has a value."""
        own = self.cells[(self.cells["metric"] == metric) & (self.cells["row"] == row) & (self.cells["place"] == BEST)]
        return None if own.empty else str(own["cell_id"].iloc[0])


def read(folder: Path | str) -> Analysis:
    """The analysis of `results/<grid>/`: `.meta`, and the frames `.runs`, `.curves`, `.comparisons` and `.cells`.

    InputError where the folder is missing or corrupt.
    """
    results = read_results(folder)
    return Analysis(results.folder, results.meta, results.runs, results.planned)
