"""A metric: a number that generated samples score, and what tables, figures, verdicts, claims and searches know of it.

A metric is one class in a file of its own beside this one. Its column in runs.csv is, with the parts that apply,

    name / what it is held against / extractor        fid/train/digits-cnn, is/digits-cnn, energy_distance/test

where the name is the class's in snake case, and a metric that neither compares nor extracts is name/samples.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from ablations.metrics.sets import Judged
from diffusion_core.named import choice_name

Direction = Literal["min", "max", "none"]
Part = Literal["autoencoder", "diffusion"]
Scale = Literal["linear", "log"]
Kind = Literal["images", "points"]


@dataclass(frozen=True)
class MetricColumn:
    """A column of runs.csv that tables may show, and what is known of it.

    `direction` is where better values lie, none where neither end is better as such; `digits` how many decimals are
    worth printing. `decides` is what the metric is asked for where it gives a verdict: likelihood, samples, or a word
    of an author's. `part` is what a cell must have to have it, `asked_by` the field of the evaluation that asks for it
    where it is not always there, or `dropout` of labels, and `on_validation` says whether validation data can give it.
    It is `asked` where a run asked for it by name, so that every table has a place for it.

    Values are compared on their `scale`: log where errors are shares of a value. One generated set's value is `counted`
    where it is a share of so many samples. `relevant` is the smallest difference that matters, in the metric's unit, or
    a share of the value on a log scale; a grid's file may name another. `least` is the least value that there can be.
    """

    name: str
    label: str
    direction: Direction
    unit: str | None = None
    digits: int | None = None
    decides: str | None = None
    part: Part | None = None
    asked_by: str | None = None
    on_validation: bool = False
    asked: bool = False
    scale: Scale = "linear"
    counted: bool = False
    relevant: float | None = None
    least: float | None = None

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
        entry |= {"resolution": 1 / counts if self.counted else None, "least": self.least}
        return {key: value for key, value in entry.items() if value is not None}


class Metric(ABC):
    """A number that one generated set scores: a frozen class whose fields all have defaults.

    What it says of itself is `label`, `direction` and, where there is something to say, `unit`, `digits`, `decides`,
    `part`, `scale`, `counted`, `relevant` and `least`, as a `MetricColumn` has them, and

        of               the data that it is for
        extracts         it reads `features` or `logits`: the extractor's name is part of its column
        compares         it reads the real set: what that is, is part of its column
        reads_held_out   it reads `held_out`, and so is there where images are judged beside training images only
        reads_labels     it reads labels, and so is there where samples have some
        has_floor        what held-out real images score is worth showing beside it
    """

    label: ClassVar[str]
    direction: ClassVar[Direction]
    unit: ClassVar[str | None] = None
    digits: ClassVar[int | None] = None
    decides: ClassVar[str | None] = None
    part: ClassVar[Part | None] = None
    scale: ClassVar[Scale] = "linear"
    counted: ClassVar[bool] = False
    relevant: ClassVar[float | None] = None
    least: ClassVar[float | None] = None
    of: ClassVar[tuple[Kind, ...]] = ("images", "points")
    extracts: ClassVar[bool] = False
    compares: ClassVar[bool] = True
    reads_held_out: ClassVar[bool] = False
    reads_labels: ClassVar[bool] = False
    has_floor: ClassVar[bool] = True

    @abstractmethod
    def compute(self, judged: Judged) -> float:
        """The score of one generated set; ValueError, in one line, where it has none."""

    def by_class(self, judged: Judged) -> dict[int, float]:
        """The scores of the classes, by label, which are kept as a curve; none unless it is overridden."""
        return {}

    @classmethod
    def column(cls, against: str, extractor: str | None) -> MetricColumn:
        """The column of values against a set called so (train, val, test), by this extractor (None for points)."""
        parts = [against] if cls.compares else []
        parts += [extractor] if cls.extracts and extractor is not None else []
        return MetricColumn(
            "/".join([choice_name(cls), *(parts or ["samples"])]),
            cls.label,
            cls.direction,
            cls.unit,
            cls.digits,
            cls.decides,
            cls.part,
            on_validation=not cls.reads_held_out,
            scale=cls.scale,
            counted=cls.counted,
            relevant=cls.relevant,
            least=0.0 if cls.counted else cls.least,
        )
