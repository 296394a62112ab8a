"""How a command on a grid ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ablations.driver.rounds import Round
from ablations.results.records import Record
from ablations.tracking.mlflow_store import Tracker

Stop = Literal["", "interrupted", "hours"]
"""What stopped a command before its end, if anything did: a signal, or that its hours are over."""


@dataclass(frozen=True)
class Ended:
    """How a command ended: its records, its tracker (None once it has failed), the last round that is whole (None where
    none is) and whether that was `said` already, how many trainings have finished, of how many, what stopped it; and
    the seconds that all commands have spent on the grid."""

    records: list[Record]
    tracker: Tracker | None
    shown: Round | None
    said: bool
    finished: int
    trainings: int
    stop: Stop
    seconds: float
