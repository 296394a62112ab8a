"""The values that descriptions of grids and searches may hold: numbers that can be shown, and names that all differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Annotated, TypeVar

from pydantic import Field

T = TypeVar("T", bound=Hashable)

Decimals = Annotated[int, Field(ge=0, le=15)]
"""The number of decimals that a number is shown with; a float64 has no more."""
Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, allow_inf_nan=False)]
"""A difference, or a share of a value: never below 0."""
Looks = Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)]
"""The numbers of seeds at which comparisons are looked at."""


def check_different(what: str, names: Iterable[Hashable]) -> None:
    """ValueError where two of these names are equal."""
    twice = first_twice(names)
    if twice is not None:
        raise ValueError(f"the {what} {twice!r} is there twice")


def first_twice(names: Iterable[T]) -> T | None:
    """The first of these names that occurs again; None where all are different."""
    return next((name for name, n in Counter(names).items() if n > 1), None)


def check_axis(name: str, levels: Iterable[str]) -> None:
    """ValueError where an axis has the name of a metric, or a level twice."""
    if "/" in name:
        raise ValueError(f"the axis {name!r} has the name of a metric: an axis has no / in its name")
    check_different("level", levels)


def check_metric(name: str) -> None:
    """ValueError where a metric has the name of another column of runs.csv."""
    if "/" not in name or name.startswith("axis."):
        raise ValueError(f"the metric {name!r} has the name of a choice: a metric is called KIND/OF_WHAT")


@dataclass(frozen=True)
class Round:
    """The progress of a command that works in rounds: the `number` of its last whole round, 0 for none, `of` all.

    The round's pages rest on the first `seeds` seeds; with `rung`, on the trainings' first rungs. A round is
    `preliminary` unless it is a planned look or the end of the plan. So far, `finished` of all `trainings` have
    finished.
    """

    number: Annotated[int, Field(ge=0)]
    of: Annotated[int, Field(ge=1)]
    seeds: Annotated[int, Field(ge=0)]
    rung: bool
    preliminary: bool
    finished: Annotated[int, Field(ge=0)]
    trainings: Annotated[int, Field(ge=0)]

    def __post_init__(self) -> None:
        """ValueError where it lies beyond the plan, has no seeds, or gives verdicts at a rung."""
        if self.number > self.of:
            raise ValueError(f"round {self.number} of {self.of} is beyond the plan")
        if self.number and not self.seeds:
            raise ValueError(f"round {self.number} rests on no seeds")
        if self.rung and not self.preliminary:
            raise ValueError("a round of first rungs is preliminary: no verdict is given on half a training")
