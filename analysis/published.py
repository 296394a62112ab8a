"""The papers' numbers beside ours. `published.csv` holds one number a row, with its source and how surely it was read.

    our cell ─ wordings: our values → the paper's words ─▶ rows of published.csv ─▶ a text per metric, as printed

Ours and theirs are never directly comparable, so pages name their data, and a footnote says what the numbers are.
`papers.yaml` lists the papers' tables; all that it names is in published.csv.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

import pandas as pd
import yaml
from pydantic import ConfigDict, TypeAdapter

from analysis.labels import listed

ALL_STEPS = {"sampler.steps": "horizon", "evaluation.horizon": "horizon"}
"""A number of steps → the parameter that it equals if it is null."""
LABELS = {"nll": "NLL", "fid": "FID", "is": "IS", "bound_variance": "Var of the bound", "rfid": "R-FID", "psnr": "PSNR"}
"""The kind of a metric → its head above a published column."""
Parameters = Mapping[str, str]
"""The values of a cell's parameters by their names."""


def value(of: Parameters, name: str) -> str:
    """The value of a parameter; a number of steps that is null is all of T."""
    text = of.get(name, "")
    return of.get(ALL_STEPS[name], "") if name in ALL_STEPS and text in ("", "null") else text


def number(text: str) -> str:
    """A number of steps as papers write it."""
    return "∞" if text == "inf" else text


@dataclass(frozen=True)
class Wording:
    """The words in a `column` of published.csv for our values of some `parameters`: `words` maps our values, with ", "
    between them and "*" for any, to the paper's word or words, "=" for our own. `otherwise` is the word for all other
    values, if all cells of a grid share them; `varied` has words for smaller values that stand for the paper's where a
    grid varies them."""

    column: str
    parameters: tuple[str, ...]
    words: Mapping[str, str | tuple[str, ...]]
    varied: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    otherwise: str = ""

    def allowed(self, of: Parameters, varied: Collection[str]) -> tuple[str, ...]:
        """The words that fit a cell of a grid that varies these parameters; none if the paper has no such row."""
        values = [value(of, name) for name in self.parameters]
        shared = not any(name in varied for name in self.parameters)
        for key, word in (self.words if shared else {**self.words, **self.varied}).items():
            if all(part in ("*", ours) for part, ours in zip(key.split(", "), values, strict=True)):
                words = (word,) if isinstance(word, str) else word
                return tuple(values[-1] if each == "=" else each for each in words)
        return (self.otherwise,) if self.otherwise and shared else ()


@dataclass(frozen=True, eq=False)
class PaperTable:
    """A table of a paper: its rows in published.csv, and how they word our values.

    `data` maps its data sets to our names of them, `metrics` our kinds to its metrics, in its order. `only` has values
    that a cell must have to be compared at all, if it has the parameter. `beside` is head → column, for what a reader
    must see of a matched row, `along` the columns over which a row runs, and `labels` our names for its words.
    """

    paper: str
    tables: tuple[str, ...]
    cited: str
    data: Mapping[str, str]
    metrics: Mapping[str, str]
    wordings: tuple[Wording, ...]
    defined: str
    only: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    beside: Mapping[str, str] = field(default_factory=dict)
    along: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def rows(self) -> list[dict[str, str]]:
        """Its rows in published.csv; `text` is the number as it is printed, with its ± where there is one."""
        wanted = {"paper": [self.paper], "table": self.tables, "dataset": self.data, "metric": self.metrics.values()}
        table = published()
        kept = table[pd.concat([table[name].isin(list(texts)) for name, texts in wanted.items()], axis=1).all(axis=1)]
        texts = kept.assign(text=kept["value"] + (" ± " + kept["ci"]).where(kept["ci"] != "", ""))
        return [{str(key): str(text) for key, text in row.items()} for row in texts.to_dict("records")]

    def matched(self, of: Parameters, varied: Collection[str], leave: Collection[str] = ()) -> list[dict[str, str]]:
        """The rows with this cell's choices, without regard to the columns in `leave`."""
        if any(of.get(name, "") not in ("", *values) for name, values in self.only.items()):
            return []
        wanted = {w.column: w.allowed(of, varied) for w in self.wordings if w.column not in leave}
        return [row for row in self.rows if all(row[column] in words for column, words in wanted.items())]

    def numbers(self, of: Parameters, varied: Collection[str] = ()) -> dict[str, str]:
        """Head or kind of metric → the table's text beside this cell; "" where it has none."""
        rows = self.matched(of, varied)
        by_metric = {row["metric"]: row["text"] for row in reversed(rows)}
        words = {head: rows[0][column] if rows else "" for head, column in self.beside.items()}
        details = {head: self.labels.get(word, number(word)) for head, word in words.items()}
        return details | {kind: by_metric.get(metric, "") for kind, metric in self.metrics.items()}

    def head(self, dataset: str = "") -> str:
        """The head above its numbers: data, size and paper."""
        return f"{self.data[dataset] if dataset else ' and '.join(self.data.values())}, {self.paper}"

    def footnote(self) -> str:
        """The footnote of its numbers: source, certainty, T, iterations, and what they are."""

        def either(column: str) -> str:
            return listed(list(dict.fromkeys(number(row[column]) for row in self.rows if row[column])), "or")

        of = f"T = {either('T_train') or 'not given'}, {either('iterations') or 'unknown'} iterations"
        return f"{either('source')}, {self.cited} ({either('certainty')}): {of}, one training each; {self.defined}"


@cache
def published() -> pd.DataFrame:
    """All published numbers as text, one per row."""
    return pd.read_csv(Path(__file__).with_name("published.csv"), dtype=str, keep_default_na=False)


@cache
def papers() -> Mapping[str, PaperTable]:
    """The tables that ship, by name; ValidationError where papers.yaml is no list of such tables."""
    content = yaml.safe_load(Path(__file__).with_name("papers.yaml").read_text(encoding="utf-8"))
    return TypeAdapter(dict[str, PaperTable], config=ConfigDict(extra="forbid")).validate_python(content)
