"""What answers.json holds, as frozen classes: they are its schema, and `docs/answers.md` has a table of each.

Cells are named by their place in `cells`, counted from 0. A number that is not known is null.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from analysis.findings.expectations import Fate, Obstacle
from analysis.format.grid_json import Axis, ShownMetric
from analysis.statistics.families import Verdict

VERSION = 2
"""Raised when a key is renamed, goes, or means something else; a key that is added leaves it."""

Number = float | None
Measure = Literal["train_flops", "train_seconds", "sample_seconds"]


@dataclass(frozen=True)
class AnsweredCell:
    """A cell: its level on each axis, and how its runs ended."""

    name: str
    cell_id: str
    levels: dict[str, str]
    runs: dict[str, int]
    shortfall: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class AnsweredEstimate:
    """A metric of a cell over its finished seeds."""

    metric: str
    cell: int
    mean: Number
    half_width: Number
    n: int
    seeds: dict[str, float]
    comparable: bool
    may_be_best: bool


@dataclass(frozen=True)
class AnsweredReference:
    """A value of a metric that was known beforehand."""

    metric: str
    label: str
    value: Number


@dataclass(frozen=True)
class AnsweredHeadline:
    """A metric that decides, in one sentence: the cell to take, those that may be the best, those that are equal to it
    for practical purposes, and those that are worse and may be better at twice the steps."""

    metric: str
    decides: str
    best: int | None
    leaders: tuple[int, ...]
    as_good: tuple[int, ...]
    sentence: str
    rivals: tuple[int, ...] = ()


@dataclass(frozen=True)
class AnsweredComparison:
    """Cell a against cell b. On a log scale difference and half-width are of logarithms. The adjusted p are of a
    difference, and of equality for practical purposes; where looks decided there are none, but the number of seeds at
    which it was settled."""

    metric: str
    a: int
    b: int
    primary: bool
    scale: Literal["linear", "log"]
    difference: Number
    half_width: Number
    n: int
    p: Number
    adjusted_p: Number
    equal_p: Number
    settled_at: int | None
    verdict: Verdict
    fresh_seeds: int | None
    sentence: str


@dataclass(frozen=True)
class AnsweredRound:
    """Which round a file is of: on so many seeds of those that are planned, or there may be at most, and of a round of
    first rungs the fewest and most steps that trainings had taken. A preliminary one says in a sentence what it rests
    on."""

    number: int
    of: int
    seeds: int
    planned_seeds: int
    rung: bool
    steps: tuple[int, int] | None
    preliminary: bool
    sentence: str


@dataclass(frozen=True)
class AnsweredRung:
    """A metric where trainings were scored on their way, or at their end, which is the last: a mean per cell, the cell
    to take there, and those that may be the best."""

    metric: str
    steps: tuple[int, int]
    means: tuple[Number, ...]
    best: int | None
    leaders: tuple[int, ...]


@dataclass(frozen=True)
class AnsweredCourse:
    """Cell a against cell b over the budget: the verdict at each rung, the last of these the end's, and whether it has
    settled; the difference that twice the steps would leave if it went on as since the last rung."""

    metric: str
    a: int
    b: int
    verdicts: tuple[Verdict, ...]
    settled: bool
    ahead: Number
    half_width: Number


@dataclass(frozen=True)
class AnsweredClaim:
    """What a paper leads one to expect, and what became of it. On a log scale its numbers are of logarithms. The
    adjusted p are of a difference, for a claim of equality of one beyond the margin, and of equality."""

    claim: str
    source: str
    metric: str
    fate: Fate
    obstacle: Obstacle
    difference: Number
    half_width: Number
    margin: Number
    adjusted_p: Number
    equal_p: Number
    sentence: str


@dataclass(frozen=True)
class AnsweredEffect:
    """What an axis, or two together, do to a metric."""

    metric: str
    axes: tuple[str, ...]
    df: int
    df_error: Number
    F: Number
    p: Number
    adjusted_p: Number
    share: Number
    matters: bool


@dataclass(frozen=True)
class AnsweredAverage:
    """A level of an axis, averaged over the other axes: the mean, on a log scale the geometric one, and the ends of its
    95 % interval."""

    metric: str
    axis: str
    level: str
    mean: Number
    low: Number
    high: Number
    note: str


@dataclass(frozen=True)
class AnsweredCost:
    """What cells cost by one measure."""

    name: Measure
    label: str
    unit: str
    device: str | None
    means: tuple[Number, ...]
    differs: bool


@dataclass(frozen=True)
class AnsweredFront:
    """The Pareto front of a metric and a cost."""

    metric: str
    cost: Measure
    cells: tuple[int, ...]


@dataclass(frozen=True)
class AnsweredWeight:
    """An axis along which the effective weight of t changes though it does not declare that."""

    axis: str
    factor: Number
    t: int


@dataclass(frozen=True)
class AnsweredOptimism:
    """A value of a search, and what the same cell has at fresh seeds."""

    winner: str
    metric: str
    searched: Number
    fresh: Number
    half_width: Number
    n: int
    test: Number
    gap: Number
    gap_half_width: Number
    sentence: str


@dataclass(frozen=True)
class AnswersFile:
    """All of answers.json."""

    version: int
    grid: str
    question: str
    data: str
    seeds: tuple[int, ...]
    exploratory: bool
    axes: tuple[Axis, ...]
    metrics: tuple[ShownMetric, ...]
    cells: tuple[AnsweredCell, ...]
    baseline: int | None
    headlines: tuple[AnsweredHeadline, ...]
    estimates: tuple[AnsweredEstimate, ...]
    references: tuple[AnsweredReference, ...]
    comparisons: tuple[AnsweredComparison, ...]
    claims: tuple[AnsweredClaim, ...]
    effects: tuple[AnsweredEffect, ...]
    averages: tuple[AnsweredAverage, ...]
    costs: tuple[AnsweredCost, ...]
    fronts: tuple[AnsweredFront, ...]
    weights: tuple[AnsweredWeight, ...]
    optimism: tuple[AnsweredOptimism, ...]
    rungs: tuple[AnsweredRung, ...] = ()
    courses: tuple[AnsweredCourse, ...] = ()
    round: AnsweredRound | None = None

    def __post_init__(self) -> None:
        """ValueError where it is of another version."""
        if self.version != VERSION:
            raise ValueError(f"version is {self.version}, and this code reads {VERSION}")
