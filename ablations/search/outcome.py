"""The end of a trial, as its course hands it to the optimizer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

State = Literal["finished", "pruned", "failed"]


@dataclass(frozen=True)
class TrialOutcome:
    """The end that a trial came to.

    `values` are the objectives, where it has finished; `metrics` the means over the seeds that were run; `reported`
    what the pruner was told, by step; `steps` the training steps that it took. `again` where what failed is no finding
    about the trial, but an accident (a full disk, a worker that was killed twice).
    """

    state: State
    reason: str = ""
    values: tuple[float, ...] = ()
    metrics: dict[str, float] = field(default_factory=dict)
    reported: dict[int, float] = field(default_factory=dict)
    steps: int = 0
    seconds: float = 0.0
    again: bool = False
