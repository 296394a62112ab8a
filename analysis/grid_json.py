"""A grid's own description, grid.json, as frozen classes, which pydantic checks the file against.

Keys that they lack are ignored, so that files of newer versions stay readable.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from analysis.errors import InputError
from analysis.schema import Primary, declared, row_axes


@dataclass(frozen=True)
class Level:
    """A value of an axis; `label` is how papers write it."""

    name: str
    label: str


@dataclass(frozen=True)
class Axis:
    """One thing that the grid varies, its levels in the order of the table."""

    name: str
    label: str
    levels: tuple[Level, ...]

    def label_of(self, name: str) -> str:
        """The label of a level; a level that grid.json does not list is called by its name."""
        return next((level.label for level in self.levels if level.name == name), name)

    def position(self, name: str) -> int:
        """The place of a level in the order."""
        return [level.name for level in self.levels].index(name)


def kind_of(name: str) -> str:
    """The kind of a metric by its name: nll for nll/test."""
    return name.split("/")[0]


@dataclass(frozen=True)
class MetricInfo:
    """A metric; `name` is its column in runs.csv. `direction` is "none" where neither end is better.

    `decides` is the purpose of a metric that gives verdicts, "likelihood" or "samples" say; None for metrics that
    support others. `part` is what a cell must have to have the metric at all; `asked` says that it was asked for by
    name. Values are compared on their `scale`; counted values come in steps of `resolution`. `relevant` is the smallest
    difference that matters, on a log scale as a share of the value; `least` is the least possible value.
    """

    name: str
    label: str
    direction: Literal["min", "max", "none"]
    unit: str | None = None
    decimals: int | None = None
    decides: str | None = None
    part: Literal["autoencoder", "diffusion"] | None = None
    asked: bool = False
    scale: Literal["linear", "log"] = "linear"
    resolution: float = 0.0
    relevant: float | None = None
    least: float | None = None

    @property
    def margin(self) -> float:
        """The smallest difference that matters, on the metric's scale; nan where none is named."""
        if self.relevant is None:
            return math.nan
        return math.log1p(self.relevant) if self.scale == "log" else self.relevant

    @property
    def deciding(self) -> bool:
        """True where the metric gives verdicts."""
        return self.decides is not None and self.sign != 0

    @property
    def kind(self) -> str:
        """The kind of the metric: nll for nll/test."""
        return kind_of(self.name)

    @property
    def sign(self) -> int:
        """The better direction: 1 for more, −1 for less, 0 where neither end is better as such."""
        return {"max": 1, "min": -1, "none": 0}[self.direction]

    @property
    def head(self) -> str:
        """The head of its column: label, unit, and an arrow in the better direction."""
        unit = f" ({self.unit})" if self.unit else ""
        return f"{self.label}{unit} {['', '↑', '↓'][self.sign]}".strip()


@dataclass(frozen=True)
class KnownValue:
    """A value known beforehand, to compare a metric with."""

    label: str
    value: float


@dataclass(frozen=True)
class Expectation:
    """An expectation from a paper, as the grid's file states it.

    In `metric` (nll, fid, …), cells at the levels `better` are better than the cells that differ from them in the
    levels `than`; or, if `within` is given, differ from the latter by no more than this share. With `since`, the claim
    is about each cell's change from the cell at those levels. `published` are the source's two values in this order.
    """

    claim: str
    source: str
    metric: str
    better: dict[str, str]
    than: dict[str, str]
    within: float | None = None
    since: dict[str, str] = field(default_factory=dict)
    published: tuple[float, float] | None = None


@dataclass(frozen=True)
class Auto:
    """The looks of a grid with `seeds=auto`: their numbers of seeds, and the number at which each cell that was run
    stopped, by id."""

    looks: tuple[int, ...]
    stopped: dict[str, int]


@dataclass(frozen=True)
class Round:
    """The progress of a command: the `number` of its last whole round, 0 for none.

    The pages rest on the first `seeds` seeds, and are `preliminary` unless these are a planned look or the end of the
    plan. So far, `finished` of all `trainings` have finished.
    """

    number: int
    seeds: int
    preliminary: bool
    finished: int
    trainings: int


@dataclass(frozen=True)
class Declaration:
    """The comparisons and claims that the grid's file declared at a `time` in UTC, None if unknown; `seen` says whether
    its folder had finished runs then."""

    time: str | None = None
    seen: bool = False
    baseline: dict[str, str] = field(default_factory=dict)
    primary: tuple[Primary, ...] = ()
    expects: tuple[Expectation, ...] = ()


@dataclass(frozen=True)
class Meta:
    """The content of a grid's grid.json: its question, axes in order, metrics, references, and provenance.

    `shape` is that of one example, `trained_on` the number of training examples. `decoder` is p(x₀|x₁) of the bound's
    L₀, in words. `primary` are the comparisons that the grid is run for; `relevant` the smallest differences that
    matter to it, by kind of metric, if they are not the metric's own; `declarations` are all that were made, in order.
    `seeds` are all that any cell has; with `auto`, each cell has the first few of them. `round` is that
    of the pages, if the command works in rounds.
    """

    name: str
    question: str
    layout: str
    data: str
    axes: tuple[Axis, ...]
    metrics: tuple[MetricInfo, ...]
    seeds: tuple[int, ...]
    shape: tuple[int, ...] = ()
    trained_on: int | None = None
    horizon: int | None = None
    baseline: dict[str, str] = field(default_factory=dict)
    floors: dict[str, KnownValue] = field(default_factory=dict)
    baselines: dict[str, tuple[KnownValue, ...]] = field(default_factory=dict)
    decoder: str | None = None
    extractor: str | None = None
    extractor_accuracy: float | None = None
    quality_n: int | None = None
    quality_sets: int | None = None
    footnotes: tuple[str, ...] = ()
    expects: tuple[Expectation, ...] = ()
    primary: tuple[Primary, ...] = ()
    declarations: tuple[Declaration, ...] = ()
    relevant: dict[str, float] = field(default_factory=dict)
    cells: dict[str, dict[str, str]] = field(default_factory=dict)
    command: str | None = None
    seconds: float | None = None
    continued: bool = False
    auto: Auto | None = None
    code: str | None = None
    device: str | None = None
    round: Round | None = None

    @property
    def preliminary(self) -> bool:
        """True where no verdict is due yet."""
        return self.round is not None and self.round.preliminary

    @property
    def examples(self) -> str:
        """The word for examples: images have a height or, if the shape is unknown, an extractor."""
        return "images" if len(self.shape) == 3 or self.extractor else "points"

    def known_values(self, metric: str) -> dict[str, float]:
        """Label → a value of a metric known beforehand: of codes without a network, then of held-out data."""
        floor = [self.floors[metric]] if metric in self.floors else []
        return {value.label: value.value for value in (*self.baselines.get(metric, ()), *floor)}

    @property
    def first_look(self) -> tuple[int, ...] | None:
        """The seeds of the first look, which all cells have; None where the number of seeds was fixed."""
        return None if self.auto is None else self.seeds[: self.auto.looks[0]]

    @cached_property
    def declared(self) -> list[tuple[str, str]]:
        """The declared comparisons as pairs of ids: the primary ones or, without any, all with the baseline."""
        return declared(self.primary, self.baseline, self.cells)

    @cached_property
    def rows(self) -> tuple[str, ...]:
        """The names of the axes whose levels form rows, that is, on which compared cells always have the same level."""
        return row_axes(self.declared, self.cells)

    @property
    def row_labels(self) -> list[str]:
        """The labels of these axes."""
        return [axis.label for axis in self.axes if axis.name in self.rows]


def parse_meta(text: str | bytes, source: str) -> Meta:
    """The grid.json in this text; InputError that names the `source`, the field, and its expected content."""
    try:
        return TypeAdapter(Meta).validate_json(text)
    except ValidationError as error:
        raise InputError(
            f"{source} is not the description of a grid: {fault(error)}; "
            "delete it and run the grid again, its finished stages are not repeated"
        ) from error


def fault(error: ValidationError) -> str:
    """The first field that is not as it should be, and why."""
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc'])) or 'the file'}: {first['msg']}"
