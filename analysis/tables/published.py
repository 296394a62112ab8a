"""The papers' numbers beside ours. `published.csv` holds one number a row, with its source and how surely it was read.

    our cell ─ wordings: our values → the paper's words ─▶ rows of published.csv ─▶ a text per metric, as printed

Ours and theirs are never directly comparable (other data, size, T, budget). So pages name their data, and a footnote
says what the numbers are. `papers.yaml` lists the papers' tables; all columns, words and metrics that it names must be
in published.csv.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Protocol

import pandas as pd
import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError

from analysis.errors import InputError, unknown
from analysis.labels import listed

ANY = "*"
"""The wording's key that matches every value of ours."""
SAME = "="
"""The word for "as ours": the paper writes the value as we do."""
SEVERAL = ", "
"""The separator between our values of several parameters."""
ALL_STEPS = {"sampler.steps": "horizon", "evaluation.horizon": "horizon"}
"""A number of steps → the parameter that it equals if it is null."""
LABELS = {"nll": "NLL", "fid": "FID", "is": "IS", "bound_variance": "Var of the bound", "rfid": "R-FID", "psnr": "PSNR"}
"""The kind of a metric (what stands before the "/" in its name) → its head above a published column."""


class Chosen(Protocol):
    """Anything that has parameters by their config names: "" for one that it lacks."""

    def parameter(self, name: str) -> str:
        """The value of a parameter, as text."""
        ...


def value(cell: Chosen, name: str) -> str:
    """The value of a parameter; a number of steps that is null is all of T."""
    text = cell.parameter(name)
    return cell.parameter(ALL_STEPS[name]) if name in ALL_STEPS and text in ("", "null") else text


@cache
def published() -> pd.DataFrame:
    """All published numbers as text, one per row."""
    return pd.read_csv(Path(__file__).parents[1] / "published.csv", dtype=str, keep_default_na=False)


@dataclass(frozen=True)
class Wording:
    """The words in a `column` of published.csv for our values of some `parameters`; any of several words may match.

    `words` maps our values, with ", " between those of several parameters, to the paper's. T and the length of training
    nearly always differ from the paper's. `otherwise` is the word for all other values, if all cells of a grid share
    them; `varied` has the words for smaller values that stand for the paper's where a grid varies them.
    """

    column: str
    parameters: tuple[str, ...]
    words: Mapping[str, str | tuple[str, ...]]
    varied: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    otherwise: str = ""

    def __post_init__(self) -> None:
        """ValueError where a key of `words` or `varied` does not have one value per parameter."""
        for key in (*self.words, *self.varied):
            if len(key.split(SEVERAL)) != len(self.parameters):
                raise ValueError(f"{key!r} is not one value each of {', '.join(self.parameters)}")

    @property
    def spoken(self) -> set[str]:
        """The paper's words that are not our own values."""
        each = (*self.words.values(), *self.varied.values())
        words = [(word,) if isinstance(word, str) else word for word in each]
        return {word for some in (*words, (self.otherwise,)) for word in some} - {SAME, ""}

    def allowed(self, cell: Chosen, varied: Collection[str]) -> tuple[str, ...]:
        """The words that fit a cell of a grid that varies these parameters; none if the paper has no such row."""
        values = tuple(value(cell, name) for name in self.parameters)
        shared = not any(name in varied for name in self.parameters)
        for key, word in (self.words if shared else {**self.words, **self.varied}).items():
            if all(part in (ANY, ours) for part, ours in zip(key.split(SEVERAL), values, strict=True)):
                words = (word,) if isinstance(word, str) else word
                return tuple(values[-1] if word_or_same == SAME else word_or_same for word_or_same in words)
        return (self.otherwise,) if self.otherwise and shared else ()


@dataclass(frozen=True)
class PaperTable:
    """A table of a paper: its rows in published.csv, and how they word our values.

    `data` maps the paper's data sets to data and size as a head names them; `metrics` maps our kinds to the paper's
    metrics, in the paper's order. `only` has values that a cell must have to be compared at all (a parameter that it
    lacks is no obstacle). `beside` is head → column, for what a reader must see of a matched row. `along` are the
    columns over which a row of the paper's table runs, and `labels` are our names for its words.
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

    def rows(self) -> list[dict[str, str]]:
        """All rows of published.csv that belong to this table and are of its metrics."""
        return _rows(self.paper, self.tables, tuple(self.data), tuple(self.metrics.values()))

    def matched(self, cell: Chosen, varied: Collection[str], leave: Collection[str] = ()) -> list[dict[str, str]]:
        """The rows with this cell's choices, without regard to the columns in `leave`."""
        if any(cell.parameter(name) not in ("", *values) for name, values in self.only.items()):
            return []
        wanted = {w.column: w.allowed(cell, varied) for w in self.wordings if w.column not in leave}
        return [row for row in self.rows() if all(row[column] in words for column, words in wanted.items())]

    def label(self, word: str) -> str:
        """The label that a table has for a word of published.csv."""
        return self.labels.get(word, number(word))

    def head(self, dataset: str = "") -> str:
        """The head above its numbers: data, size and paper."""
        return f"{self.data[dataset] if dataset else ' and '.join(self.data.values())}, {self.paper}"

    def footnote(self) -> str:
        """The footnote of its numbers: source, certainty, data, T, iterations, and what they are."""

        def either(texts: list[str]) -> str:
            return listed([text for text in dict.fromkeys(texts) if text], "or")

        rows = self.rows()
        sources = either([f"{row['source']}, {self.cited} ({row['certainty']})" for row in rows])
        horizons = either([number(row["T_train"]) for row in rows])
        iterations = either([row["iterations"] for row in rows])
        parts = [
            f"{sources}: {' and '.join(self.data.values())}",
            f"T = {horizons}" if horizons else "",
            f"{iterations} iterations" if iterations else "iterations not given",
            "one training each",
        ]
        return f"{', '.join(part for part in parts if part)}; {self.defined}"


@cache
def _rows(
    paper: str, tables: tuple[str, ...], datasets: tuple[str, ...], metrics: tuple[str, ...]
) -> list[dict[str, str]]:
    """The rows of published.csv that these name; cached, because they are needed once per cell."""
    table = published()
    kept = (
        (table["paper"] == paper)
        & table["table"].isin(tables)
        & table["dataset"].isin(datasets)
        & table["metric"].isin(metrics)
    )
    return [{str(key): str(text) for key, text in row.items()} for row in table[kept].to_dict("records")]


def entry(row: Mapping[str, str]) -> str:
    """The number as it is printed, with its ± where there is one."""
    return f"{row['value']} ± {row['ci']}" if row["ci"] else row["value"]


def number(text: str) -> str:
    """A number of steps as papers write it."""
    return "∞" if text == "inf" else text


def numbers(table: PaperTable, cell: Chosen, varied: Collection[str] = ()) -> dict[str, str]:
    """Head or kind of metric → the table's text beside this cell; "" where it has none."""
    rows = table.matched(cell, varied)
    by_metric = {row["metric"]: entry(row) for row in reversed(rows)}
    details = {label: table.label(rows[0][column]) if rows else "" for label, column in table.beside.items()}
    return details | {kind: by_metric.get(metric, "") for kind, metric in table.metrics.items()}


PAPERS = Path(__file__).parents[1] / "papers.yaml"


@cache
def papers() -> Mapping[str, PaperTable]:
    """The tables that ship, by name."""
    return read_papers(PAPERS)


def read_papers(path: Path) -> dict[str, PaperTable]:
    """The tables of a file, by name; InputError where it is not such a file, or not one of this published.csv."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        tables = TypeAdapter(dict[str, PaperTable], config=ConfigDict(extra="forbid")).validate_python(content)
    except yaml.YAMLError as error:
        raise InputError(f"{path} cannot be read as YAML: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise InputError(f"{path} is no list of published tables: {where}: {first['msg']}") from error
    for name, table in tables.items():
        _check(table, f"{path}: {name}")
    return tables


def _check(table: PaperTable, source: str) -> None:
    """InputError where a table names something that published.csv lacks."""
    words_of = {str(column): set(texts) for column, texts in published().items()}
    named = [
        *(("dataset", dataset) for dataset in table.data),
        *(("metric", metric) for metric in table.metrics.values()),
        *((wording.column, word) for wording in table.wordings for word in wording.spoken),
        *((column, "") for column in (*table.beside.values(), *table.along)),
    ]
    for column, word in named:
        if column not in words_of:
            raise unknown(f"column of published.csv (in {source})", column, words_of)
        if word and word not in words_of[column]:
            raise InputError(f"{source}: no row of published.csv has {word!r} as its {column}")
    if not table.rows():
        raise InputError(f"{source}: published.csv has no row of it ({table.paper}, {', '.join(table.tables)})")
