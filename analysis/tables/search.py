"""The best trials of a search as a table, and with its sentences for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import pandas as pd
from rich.console import Console

from analysis.findings.search import Optimism, best_trials, default_trial
from analysis.grid_json import ShownMetric
from analysis.labels import Rounding
from analysis.read.search import Search
from analysis.tables.table import Column, ResultTable, TableEntry, TableRow
from analysis.tables.terminal import paragraphs, terminal_text
from analysis.words.search import DEFAULT, names_of, search_sentences, value_text

MOST = 5
"""The most trials in the table, not counting the default."""


def search_table(search: Search) -> ResultTable | None:
    """The best trials with their parameters and values, the default below; None where none has finished."""
    best, default = best_trials(search, MOST), default_trial(search)
    if best.empty:
        return None
    below = search.finished[(search.finished["trial"] == default) & ~search.finished["trial"].isin(best["trial"])]
    columns = (
        *(Column(parameter.label) for parameter in search.head.parameters),
        *(Column(objective.head) for objective in search.head.objectives),
    )
    names, roundings = names_of(search), [_rounding(o, best[o.name].tolist()) for o in search.head.objectives]
    rows = [_row(search, line, names, roundings, "cell") for _, line in best.iterrows()]
    rows += [_row(search, line, names, roundings, "reference") for _, line in below.iterrows()]
    return ResultTable(search.head.name, _caption(search, len(best)), (Column("Trial"),), columns, tuple(rows), ())


def _rounding(objective: ShownMetric, values: list[float]) -> Rounding:
    """The rounding of an objective, with one decimal more if different trials would look the same otherwise.

    A value of the search has no interval to round by.
    """
    usual = Rounding.of(objective.decimals, [])
    alike = len({usual.number(value) for value in values}) < len(set(values))
    return Rounding(usual.decimals + 1, usual.digits + 1) if alike and usual.decimals is not None else usual


def _row(
    search: Search,
    line: pd.Series,
    names: Mapping[int, Sequence[str]],
    roundings: Sequence[Rounding],
    kind: Literal["cell", "reference"],
) -> TableRow:
    trial = int(line["trial"])
    called = f" ({', '.join(names[trial])})" if trial in names else ""
    entries = [TableEntry(value_text(parameter, line[parameter.column])) for parameter in search.head.parameters]
    rounded = zip(search.head.objectives, roundings, strict=True)
    entries += [TableEntry(rounding.number(float(line[objective.name]))) for objective, rounding in rounded]
    return TableRow(kind, (f"{trial}{called}",), tuple(entries))


def _caption(search: Search, n: int) -> str:
    if len(search.head.objectives) > 1:
        which = f"Trials that no other dominates (winners, then others by {search.head.objectives[0].label})"
    else:
        which = "The only finished trial" if n == 1 else f"The best {n} trials"
    default = "" if default_trial(search) is None else f" and the {DEFAULT}"
    return f"{which}{default}: validation values of the search's own seeds."


def terminal_search(search: Search, confirmed: Sequence[Optimism] | None = None, console: Console | None = None) -> str:
    """The best trials and the sentences as a console shows them, the process's own by default."""
    sentences, table = tuple(search_sentences(search, confirmed)), search_table(search)
    if table is None:
        return paragraphs([search.head.question, *sentences], console)
    return terminal_text(replace(table, verdict=sentences), console)
