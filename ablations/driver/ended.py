"""The end of a command on a grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ablations.driver.rounds import Round
from ablations.results.records import Record
from ablations.tracking.mlflow_store import Tracker

Stop = Literal["", "interrupted", "hours"]
"""The reason why a command stopped before its end, if it did: a signal, or that its hours are over."""


@dataclass(frozen=True)
class Ended:
    """The end of a command: its records, its tracker (None once it has failed), the last round that is whole (None
    where none is) and whether that was `printed` already, how many trainings have finished, of how many, what stopped
    it; and the seconds that all commands have spent on the grid."""

    records: list[Record]
    tracker: Tracker | None
    shown: Round | None
    printed: bool
    finished: int
    trainings: int
    stop: Stop
    seconds: float
