"""A round of a command: what is run in it, and what pages then say that they rest on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ablations.driver.plan import Plan
from ablations.stages.rung import RungStage


@dataclass(frozen=True)
class Round:
    """A step of a command: the `plan` that is run, and the `whole` whose cells and seeds results are written of.

    It is the `number`-th `of` so many at most. What is shown after it rests on the first `seeds` seeds, at the first
    `rung` of each training or at its end, and is `preliminary` unless it is a planned look or the end. grid.json has
    `details` more of it.
    """

    number: int
    of: int
    plan: Plan
    whole: Plan
    seeds: int
    rung: bool
    preliminary: bool
    details: dict[str, Any]

    @property
    def named(self) -> str:
        """Its number and what is run, in words."""
        return f"round {self.number} of {self.of}: {self.title}"

    @property
    def title(self) -> str:
        """Its trainings and seeds, in words."""
        seeds = f"{self.seeds} seed{'s' * (self.seeds > 1)}"
        return (
            f"trainings to their first rung ({steps_of(self.plan)}), {seeds}"
            if self.rung
            else f"whole trainings, {seeds}"
        )

    def described(self, finished: int) -> dict[str, Any]:
        """Its entry in grid.json, where so many trainings have `finished`."""
        return {
            "number": self.number,
            "of": self.of,
            "seeds": self.seeds,
            "rung": self.rung,
            "preliminary": self.preliminary,
            "finished": finished,
            "trainings": len(trainings(self.whole)),
        }

    def none_yet(self) -> Round:
        """The round to show while this first one is not whole: an empty one."""
        return replace(self, number=0, seeds=0, rung=False, preliminary=True)


def trainings(plan: Plan) -> set[str]:
    """The ids of what a plan trains last: diffusions, and autoencoders that have none behind them."""
    return {parts.training for item in plan.planned if (parts := item.parts) is not None}


def steps_of(plan: Plan) -> str:
    """The steps that trainings are taken to, in words: 150 of 300 steps."""
    rungs = [stage for item in plan.planned for stage in item.stages if isinstance(stage, RungStage)]
    reached = sorted({(rung.step, rung.cell.training.steps) for rung in rungs})
    return " to ".join(f"{step} of {steps}" for step, steps in dict.fromkeys((reached[0], reached[-1]))) + " steps"
