"""Events of stages while they are run, as whoever runs them is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Literal

from ablations.engine.stage import S_co


@dataclass(frozen=True)
class Event(Generic[S_co]):
    """An event of a stage: it started, progressed to `share`, ended with `status`, or its worker died; it is run
    elsewhere, by another command; what it left, or needs, is made anew, for its `damage`; or it was left out, since one
    that it needs did not finish. What started has a worker together with those `beside` it, by their ids."""

    kind: Literal["started", "progress", "ended", "died", "damaged", "elsewhere", "left_out"]
    stage: S_co
    share: float = 0.0
    status: str = ""
    damage: str = ""
    beside: tuple[str, ...] = ()
