"""This process, one stage after the other: for a debugger, a profiler, or a machine where processes cannot be started.

Stages go through the same journal, and give the same numbers, as anywhere else.
"""

from __future__ import annotations

from dataclasses import dataclass

from ablations.engine.workers import ThisProcess, Workers
from ablations.launchers.protocol import Launcher, found_devices


@dataclass(frozen=True)
class Serial(Launcher):
    """One stage at a time, in this process."""

    def devices(self, device: str, threads: int) -> list[str]:
        return found_devices(device)[:1]

    def start(self, journal: str, devices: list[str]) -> Workers:
        return ThisProcess(journal)
