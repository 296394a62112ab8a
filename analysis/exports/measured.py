"""The entries of answers.json that say what was run, measured and known beforehand.

An entry is read off a finding by pydantic: each field is the finding's attribute of its name, or the one that `read_at`
leads to. The classes are the schema, and their docstrings what `docs/answers.md` says of each key.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import AliasPath, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationInfo

from analysis.findings.cells import CellRuns
from analysis.grid_json import Level, Part


def _place(value: Any, info: ValidationInfo) -> Any:
    """A cell as its place among those of the context."""
    return info.context["places"][id(value)] if isinstance(value, CellRuns) and info.context else value


def _seven_digits(value: float | None) -> float | None:
    """A number as runs.csv has it, so that files are the same bytes everywhere; None where it is not finite."""
    return float(f"{value:.7g}") if value is not None and math.isfinite(value) else None


Number = Annotated[float | None, PlainSerializer(_seven_digits, return_type=float | None)]
Place = Annotated[int, BeforeValidator(_place)]
Places = Annotated[tuple[int, ...], BeforeValidator(sorted)]
Measure = Literal["train_flops", "train_seconds", "sample_seconds"]
MetricName = Annotated[str, Field(description="The metric's name.")]
InWords = Annotated[str, Field(description="The same in words.")]


class Entry(BaseModel):
    """A part of answers.json."""

    model_config = ConfigDict(frozen=True, from_attributes=True, use_attribute_docstrings=True)


def read_at(first: str, *rest: str, **default: Any) -> Any:
    """The field that is read off a finding by this path of attributes, `default` where that ends in None."""
    return Field(validation_alias=AliasPath(first, *rest), **default)


class AnsweredAxis(Entry):
    """One thing that the grid varies."""

    name: str
    """Its name, as in `runs.csv` after `axis.`."""
    label: str
    """The name that readers give it."""
    levels: tuple[Level, ...]
    """Its levels in the order of the table, each with its `name` and `label`."""


class AnsweredMetric(Entry):
    """One thing that was measured."""

    name: str
    """The column of `runs.csv`."""
    label: str
    """The name that readers give it."""
    direction: Literal["min", "max", "none"]
    """`min` where less is better, `max` where more is, `none` where neither is better as such."""
    unit: str | None
    """Its unit, if it has one."""
    decimals: int | None
    """The number of decimals that are worth printing."""
    decides: str | None
    """The purpose of a metric that gives verdicts; null for a metric that only supports others."""
    part: Part | None
    """The part that a cell must have to have it: an `autoencoder`, a `diffusion` of its own; null where every cell has
    it."""
    asked: bool
    """True where it was asked for by name, `evaluation.metrics=[…]`."""
    scale: Literal["linear", "log"]
    """The scale on which values are compared: `linear`, or `log`, on which a difference is the logarithm of a ratio."""
    resolution: Number
    """The step in which values come where they count samples, else 0."""
    relevant: Number
    """The smallest difference that matters, on a log scale as a share of the value; null where none is named."""
    least: Number
    """The least possible value; null where there is none, or none is known."""


class AnsweredCell(Entry):
    """One cell of the grid: one way to set everything, run at every seed. Elsewhere in the file a cell is its place in
    this list, counted from 0."""

    name: str
    """The name that readers give it: the labels of its levels."""
    cell_id: str
    """The id that `runs.csv` has, alike for all its seeds."""
    levels: dict[str, str]
    """Its level on each axis, by their names."""
    runs: dict[str, int]
    """The ways in which its runs ended → how many of them did: `finished`, `diverged` (by a rule that was declared
    beforehand), `incompatible`, `pruned`, `interrupted`, `failed`; of a round of first rungs, `scored` there or `not
    scored`."""
    shortfall: str
    """The seeds that did not finish, and why; empty where all finished."""
    notes: tuple[str, ...]
    """The notes of its runs."""


class AnsweredEstimate(Entry):
    """A metric of a cell: its mean over the seeds that finished."""

    metric: MetricName
    cell: Place
    """The cell."""
    mean: Number
    """The mean over seeds; null where no seed has a value."""
    half_width: Number
    """Half the width of the 95 % t-interval of the mean; null with fewer than two seeds."""
    n: int
    """The number of seeds that the mean is over."""
    seeds: dict[int, Number] = read_at("values")
    """Seed → value."""
    comparable: bool
    """False where the cell's runs say that their values cannot be set beside others'."""
    may_be_best: bool
    """True where the cell may be the best in this metric, of its row where declared comparisons are within rows."""


class AnsweredReference(Entry):
    """A value that was known before anything was trained."""

    metric: MetricName
    label: str
    """The source of the value: a code without a network, held-out images."""
    value: Number
    """The value."""


class AnsweredCost(Entry):
    """The cost of cells by one measure; measures of which nothing is known are left out."""

    name: Measure
    """`train_flops`, `train_seconds` or `sample_seconds` (of one image, where their number is known)."""
    label: str
    """The name that readers give it."""
    unit: str
    """Its unit."""
    device: str | None = read_at("on")
    """The machine that was timed; null for FLOPs."""
    means: tuple[Number, ...]
    """The mean over seeds of each cell, in the order of `cells`; null where it is not known."""
    differs: bool
    """True where any cell is known to cost more than another."""


class AnsweredRung(Entry):
    """A metric where trainings were scored on their way, or at their end, which is the last of them:
    `evaluation.rungs=…`."""

    metric: str
    """The metric's name; of a likelihood on test data the values here are on validation data."""
    steps: tuple[int, int]
    """The fewest and the most training steps of any cell there."""
    means: tuple[Number, ...]
    """The mean of each cell over its seeds."""
    best: Place | None
    """The cell with the best mean of those that may be the best there."""
    leaders: Places = read_at("leading")
    """All cells that may be the best there."""


class AnsweredRound(Entry):
    """The round of its command that a file is of: [statistics.md](statistics.md#rounds-and-preliminary-pages) says what
    rounds are."""

    number: int
    """The round."""
    of: int
    """The number of rounds that the plan has; with `seeds=auto`, the most that there may be."""
    seeds: int
    """The number of seeds that it rests on."""
    planned_seeds: int
    """The number that the plan has; with `seeds=auto`, the most that there may be."""
    rung: bool
    """True where values are those of each training's first rung, not of whole trainings."""
    steps: tuple[int, int] | None
    """The fewest and the most steps that trainings had taken there; null where they are whole."""
    preliminary: bool
    """True where no verdict is due yet."""
    sentence: str
    """A sentence that says what a preliminary round rests on; else empty."""
