"""A hyperparameter search: what grid.json says of it, its trials, and how far its best values flatter it.

The best of many noisy values is the best partly by luck: run anew at fresh seeds, the same cell is worse on average.
The ± of this gap takes the search's k seeds to vary like the n fresh ones, whose half-width is h: h √(1 + n/k). All
values of a search are of validation data.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Annotated, Literal

import pandas as pd
from pydantic import Field, TypeAdapter, ValidationError

from analysis.errors import InputError
from analysis.files import read_json
from analysis.folders import trials_of
from analysis.frames import AGAIN, numbers, read_csv
from analysis.grid_json import MetricInfo
from analysis.results import FINISHED, Results
from analysis.schema import SEARCH, TRIAL
from analysis.statistics import mean_interval


@dataclass(frozen=True)
class SearchedParameter:
    """A searched parameter: a range, or choices."""

    name: str
    label: str
    kind: Literal["float", "int", "choice"]
    log: bool = False

    @property
    def column(self) -> str:
        """Its column in trials.csv."""
        return f"param.{self.name}"


@dataclass(frozen=True)
class SearchWinner:
    """A trial that is run anew beside the default: its level in the confirmation, its values in the search."""

    level: str
    label: str
    trial: int
    values: dict[str, float]


@dataclass(frozen=True)
class SearchMeta:
    """The description of a search: its question, parameters and objectives, how it was run, and the winners."""

    name: str
    question: str
    data: str
    objectives: Annotated[tuple[MetricInfo, ...], Field(min_length=1, max_length=2)]
    parameters: Annotated[tuple[SearchedParameter, ...], Field(min_length=1)]
    sampler: str
    seeds: Annotated[tuple[int, ...], Field(min_length=1)]
    pruner: str = "none"
    default: dict[str, str] = field(default_factory=dict)
    winners: tuple[SearchWinner, ...] = ()
    importances: dict[str, dict[str, float]] = field(default_factory=dict)
    importance_ranges: dict[str, dict[str, tuple[float, float]]] = field(default_factory=dict)
    trained_steps: int | None = None
    full_steps: int | None = None


@dataclass(frozen=True, eq=False)
class Search:
    """A search with a row per trial: trial, status, reason, cell_id, param.*, choices, means over its seeds."""

    head: SearchMeta
    trials: pd.DataFrame

    @property
    def finished(self) -> pd.DataFrame:
        """The trials that were trained to their end, and have a value of every objective."""
        return self.trials[self.trials["status"] == FINISHED]


def search_in(folder: Path) -> Search | None:
    """The search of a results folder; None where it holds none, InputError where it is corrupt."""
    path = folder / "grid.json"
    content = read_json(path)
    if not isinstance(content, dict) or content.get(SEARCH) is None:
        return None
    try:
        head = TypeAdapter(SearchMeta).validate_python(content[SEARCH])
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(f"{path} is not the description of a search: {where}: {first['msg']}; {AGAIN}") from error
    source = trials_of(folder, head.name)
    texts = read_csv(source, [TRIAL, "cell_id", "status", "reason", *(of.column for of in head.parameters)])
    # A metric has no column before a trial has a value of it.
    texts = texts.assign(**{of.name: "" for of in head.objectives if of.name not in texts})
    ranges = [of.column for of in head.parameters if of.kind != "choice"]
    counted = [TRIAL, *ranges, *(str(name) for name in texts if "/" in str(name))]
    trials = texts.assign(**{name: numbers(texts[name], name, source) for name in counted}).astype({TRIAL: "int64"})
    return Search(head, trials.sort_values(TRIAL, kind="stable").reset_index(drop=True))


def read_search(folder: Path | str) -> Search:
    """The search of a results folder; InputError where there is none."""
    if (search := search_in(Path(folder))) is None:
        raise InputError(f"{folder} holds no search: `python -m ablations.search study=NAME` runs one")
    return search


def optimism(search: Search, results: Results) -> pd.DataFrame:
    """The optimism of the search about each winner in each objective that the confirmation has values of: its value in
    the search, `fresh` and, if known, `test` at n fresh seeds, and the gap, above 0 where it was optimistic."""
    # Runs at the search's own seeds would only repeat its value.
    fresh = results.finished[~results.finished["seed"].isin(search.head.seeds)]
    rows = []
    for winner, of in product(search.head.winners, search.head.objectives):
        own = fresh[fresh["axis.choice"] == winner.level].reindex(columns=[of.name, of.on_test])
        values, searched = own[of.name].dropna().tolist(), winner.values.get(of.name, math.nan)
        (mean, half), test = mean_interval(values), mean_interval(own[of.on_test].dropna().tolist())
        gap, wider = of.sign * (searched - mean), math.sqrt(1 + len(values) / len(search.head.seeds))
        rows.append([winner.label, of.name, searched, len(values), mean, half, *test, gap, wider * half])
    columns = ["winner", "objective", "searched", "n", "fresh", "half_width", "test", "test_half_width", "gap"]
    return pd.DataFrame(rows, columns=[*columns, "gap_half_width"]).dropna(subset="gap", ignore_index=True)
