"""A metric: a number that generated samples score, and what tables, figures, verdicts, claims and searches know of it.

A metric is one class in a file of its own beside this one. Its column in runs.csv is, with the parts that apply,

    name / what it is held against / extractor / n    fid/train/digits-cnn, is/digits-cnn, energy_distance/test

where the name is the class's in snake case, n stands only where a metric pools sets, and a metric that neither compares
nor extracts is name/samples.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from ablations.metrics.sets import Judged
from diffusion_core.refusing import choice_name

Direction = Literal["min", "max", "none"]
Part = Literal["autoencoder", "diffusion"]
Scale = Literal["linear", "log"]
Kind = Literal["images", "points"]


@dataclass(frozen=True)
class MetricInfo:
    """The facts about a metric, and about its column in runs.csv, `name`.

    `direction` is where better values lie, none where neither end is better as such; `digits` how many decimals are
    worth printing. `decides` is what the metric is asked for where it gives a verdict: likelihood, samples, or a word
    of an author's. Values are compared on their `scale`: log where errors are shares of a value. `relevant` is the
    smallest difference that matters, in the metric's unit, or a share of the value on a log scale; a grid's file may
    name another. `least` is the least value that there can be. One generated set's value is `counted` where it is a
    share of so many samples. It `pools` sets where it has one value for all n images or points of them together.

    A metric of samples is `of` images, points or both. It `extracts` where it reads features or logits, `compares`
    where it reads the real set, and reads held-out images beside it, or labels, where it says so; `has_floor` where
    what real images score is worth showing. Nothing that reads held-out images is there on validation data.

    `part` is what a cell must have to have it, `asked_by` the field of the evaluation that asks for it where it is not
    always there, or `dropout` of labels. It is `asked` where a run asked for it by name: every table shows it.
    """

    label: str
    direction: Direction
    unit: str | None = None
    digits: int | None = None
    decides: str | None = None
    scale: Scale = "linear"
    relevant: float | None = None
    least: float | None = None
    counted: bool = False
    of: tuple[Kind, ...] = ("images", "points")
    extracts: bool = False
    pools: bool = False
    compares: bool = True
    reads_held_out: bool = False
    reads_labels: bool = False
    has_floor: bool = True
    part: Part | None = None
    asked_by: str | None = None
    asked: bool = False
    name: str = ""

    @property
    def kind(self) -> str:
        """The metric's name: nll of nll/test."""
        return self.name.split("/")[0]

    @property
    def sign(self) -> int:
        """The direction that is better: 1 for more, −1 for less, 0 where neither end is better as such."""
        return {"max": 1, "min": -1, "none": 0}[self.direction]

    @property
    def is_likelihood(self) -> bool:
        """True where it is a likelihood of the data, and not a part of one."""
        return self.kind.startswith("nll") and self.direction != "none"

    def shown(self, counts: int) -> dict[str, Any]:
        """The metric's entry in grid.json, without what there is nothing to say of; a value counts so many samples."""
        entry: dict[str, Any] = {"name": self.name, "label": self.label, "unit": self.unit, "direction": self.direction}
        entry |= {"decimals": self.digits, "decides": self.decides, "part": self.part, "asked": self.asked or None}
        entry |= {"scale": None if self.scale == "linear" else self.scale, "relevant": self.relevant}
        entry |= {"resolution": 1 / counts if self.counted else None, "least": 0.0 if self.counted else self.least}
        return {key: value for key, value in entry.items() if value is not None}


class Metric(ABC):
    """A number that one generated set scores: a frozen class whose fields all have defaults, and its `info`."""

    info: ClassVar[MetricInfo]

    @abstractmethod
    def compute(self, judged: Judged) -> float:
        """The score of one generated set; ValueError, in one line, where it has none."""

    @classmethod
    def column(cls, against: str, extractor: str | None, n: int = 0) -> MetricInfo:
        """The column of values against a set called so (train, val, test), by this extractor (None for points), on `n`
        generated images or points in all."""
        parts = [against] if cls.info.compares else []
        parts += [extractor] if cls.info.extracts and extractor is not None else []
        parts, label = parts or ["samples"], cls.info.label
        if cls.info.pools:
            parts, label = [*parts, str(n)], f"{label}, n = {n}"
        return replace(cls.info, label=label, name="/".join([choice_name(cls), *parts]))
