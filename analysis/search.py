"""A hyperparameter search: what grid.json says of it, its trials, how far its best values flatter it, in words.

The best of many noisy values is the best partly by luck: run anew at fresh seeds, the same cell is worse on average.
The ± of this gap takes the search's k seeds to vary like the n fresh ones, whose half-width is h: h √(1 + n/k). All
values of a search are of validation data. Whether a winner is better than the default, the comparisons of its
confirmation say.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Literal

import pandas as pd
from pydantic import TypeAdapter, ValidationError

from analysis.errors import InputError
from analysis.files import read_json
from analysis.grid_json import MetricInfo, fault
from analysis.labels import Rounding, listed, sentence_start
from analysis.places import trials_of
from analysis.results import AGAIN, FINISHED, Results, numbers, read_csv
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
    objectives: tuple[MetricInfo, ...]
    parameters: tuple[SearchedParameter, ...]
    sampler: str
    seeds: tuple[int, ...]
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
        raise InputError(f"{path} is not the description of a search: {fault(error)}; {AGAIN}") from error
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
    the search, those on validation and, if known, test data at n fresh seeds, and the gap, above 0 where it was
    optimistic."""
    # Runs at the search's own seeds would only repeat its value.
    fresh = results.finished[~results.finished["seed"].isin(search.head.seeds)]
    rows = []
    for winner, of in product(search.head.winners, search.head.objectives):
        columns = [of.name, f"{of.name.removesuffix('/val')}/test"]
        own, searched = fresh[fresh["axis.choice"] == winner.level], winner.values.get(of.name, math.nan)
        values, tested = (own.get(name, pd.Series(dtype=float)).dropna().tolist() for name in columns)
        (mean, half), test = mean_interval(values), mean_interval(tested)
        gap, wider = of.sign * (searched - mean), math.sqrt(1 + len(values) / len(search.head.seeds))
        text = Rounding.of(of.decimals, [half]).measured
        texts = [text(searched, math.nan), text(mean, half), str(len(values)), text(gap, wider * half), text(*test)]
        if not math.isnan(gap):
            rows.append([f"{sentence_start(winner.label)}, {of.label}", *texts])
    heads = ["Winner", "In the search", "At fresh seeds", "n", "Optimistic by", "On test data"]
    return pd.DataFrame(rows, columns=heads)


def terminal_search(search: Search, optimism: pd.DataFrame | None = None) -> str:
    """The same for a terminal."""
    shown = [f"{caption}\n{of.to_string(index=False)}" for caption, of in tables(search, optimism).items()]
    return "\n\n".join([search.head.question, overview(search, optimism), *shown])


def tables(search: Search, optimism: pd.DataFrame | None) -> dict[str, pd.DataFrame]:
    """Caption → table, without those that have no rows."""
    winners = pd.DataFrame() if optimism is None else optimism
    captioned = {
        "The best trials, by validation data at the search's own seeds:": best(search),
        "At fresh seeds the best of many noisy values are worse on average:": winners,
        "Share of the variation among trials, most of them drawn where values are good:": importances(search),
    }
    return {caption: frame for caption, frame in captioned.items() if not frame.empty}


def overview(search: Search, optimism: pd.DataFrame | None) -> str:
    """Parameters, trials by how they ended, sampler, seeds, what pruning saved, and whether anything was found."""
    head, trials = search.head, search.trials
    labels, goals = ([of.label for of in each] for each in (head.parameters, head.objectives))
    counts = ", ".join(f"{n} {status}" for status, n in trials["status"].value_counts(sort=False).items())
    how = f"by {head.sampler} ({counts}), on validation data at seed {listed(list(map(str, head.seeds)))}"
    text = f"Searched {listed(labels)} for {listed(goals)} in {len(trials)} trials {how}."
    if head.trained_steps and head.full_steps and head.trained_steps < head.full_steps:
        text += f" Pruning ({head.pruner}) saved {100 - 100 * head.trained_steps / head.full_steps:.0f} % of the steps."
    if not head.winners:
        return f"{text} No trial has finished, so nothing was found."
    if set(names(search).values()) == {"default"}:
        return f"{text} No trial has beaten the default."
    return text if optimism is not None else f"{text} What was found is not confirmed at fresh seeds here."


def names(search: Search) -> dict[int, str]:
    """The names of trials: winners, and the default, with which a search begins if its ranges have it."""
    default = {of.name: "–" for of in search.head.parameters} | search.head.default
    first = {of.name: as_word(search.trials[of.column].iloc[0]) for of in search.head.parameters}
    named = {winner.trial: winner.label for winner in search.head.winners}
    return named | ({int(search.trials[TRIAL].iloc[0]): "default"} if first == default else {})


def best(search: Search) -> pd.DataFrame:
    """The five best trials, with two objectives those that no other is better than in both; and the default below."""
    head, named, rows = search.head, names(search), []
    goals = [of.name for of in head.objectives]
    ordered = search.finished.sort_values(goals, ascending=[of.sign < 0 for of in head.objectives], kind="stable")
    cost = -head.objectives[-1].sign * ordered[goals[-1]]
    front = ordered.head(5) if len(goals) == 1 else ordered[cost < cost.cummin().shift(fill_value=math.inf)]
    default = ordered[ordered[TRIAL].map(named).eq("default") & ~ordered[TRIAL].isin(front[TRIAL])]
    for _, line in pd.concat([front, default]).iterrows():
        name = f"{line[TRIAL]} ({named[line[TRIAL]]})" if line[TRIAL] in named else str(line[TRIAL])
        values = [Rounding((of.decimals or 2) + 1, 4).number(float(line[of.name])) for of in head.objectives]
        rows.append([name, *(as_word(line[of.column]) for of in head.parameters), *values])
    heads = ["Trial", *(of.label for of in head.parameters), *(of.head for of in head.objectives)]
    return pd.DataFrame(rows, columns=heads)


def importances(search: Search) -> pd.DataFrame:
    """The share of the variation among trials that goes with each parameter, a range where resamplings gave one."""
    head, rows = search.head, []
    for of in head.parameters:
        shares = [head.importances.get(to.name, {}).get(of.name, math.nan) for to in head.objectives]
        ranges = [head.importance_ranges.get(to.name, {}).get(of.name) for to in head.objectives]
        ends = [among or (share,) for share, among in zip(shares, ranges, strict=True)]
        if not math.isnan(shares[0]):
            rows.append([of.label, *(" to ".join(f"{100 * end:.0f}" for end in each) + " %" for each in ends)])
    return pd.DataFrame(rows, columns=["Parameter", *(of.label for of in head.objectives)])


def as_word(value: float | str) -> str:
    """A parameter's value as a command has it; "–" if the trial lacks this parameter."""
    return value or "–" if isinstance(value, str) else "–" if math.isnan(value) else f"{value:.6g}"
