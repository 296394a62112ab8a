"""The progress of a command that works in rounds, as grid.json says it: files hold more than their round."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field


@dataclass(frozen=True)
class Round:
    """The progress of a command that works in rounds: the `number` of the last one that is whole, 0 for none, `of` so
    many.

    Its pages rest on the first so many `seeds`; where it is of the first `rung`, on what trainings had learnt by then.
    `preliminary` is what is neither a planned look nor the end of the plan. So many of its `trainings` have `finished`.
    """

    number: Annotated[int, Field(ge=0)]
    of: Annotated[int, Field(ge=1)]
    seeds: Annotated[int, Field(ge=0)]
    rung: bool
    preliminary: bool
    finished: Annotated[int, Field(ge=0)]
    trainings: Annotated[int, Field(ge=0)]

    def __post_init__(self) -> None:
        """ValueError where it is beyond the plan, has no seeds, or judges a rung for good."""
        if self.number > self.of:
            raise ValueError(f"round {self.number} of {self.of} is beyond the plan")
        if self.number and not self.seeds:
            raise ValueError(f"round {self.number} rests on no seeds")
        if self.rung and not self.preliminary:
            raise ValueError("a round of first rungs is preliminary: no verdict is given on half a training")
