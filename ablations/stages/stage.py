"""The part that all stages of a cell have in common. Each kind has a file of its own, which says what it reads, what it
takes, how it is run and what it leaves:

    [autoencoder] ▸ training ▸ [fit] ▸ bound on validation ▸ [samples] ▸ bound on test ▸ [samples] ▸ [reconstruction]
    [guide] ▸ [guidance] ▸ samples ▸ [metric]        training ▸ [rungs]        training ▸ [branch ▸ rung]

Not every cell has them all. Only a diffusion of latents has an autoencoder, whose reconstructions of test images are
the last to be judged; a chain of no steps has no training; a code without a likelihood has no bound; only a fitted
variance or spacing has a fit; only samples that are guided by another cell, or by a scale that is tuned, wait for such
stages. Samples are drawn for each split that is judged; a metric asked for by name reads them, and no other stage waits
for it. A rung scores a training before its end, or a branch of it that ends there; a floor scores held-out data, once
per data set. `graph` has the rules.
"""

from __future__ import annotations

import math
import platform
from abc import abstractmethod
from dataclasses import replace
from typing import Any, ClassVar, Literal, Self, cast

import torch

from ablations.data.base import Data
from ablations.engine import stage as engine
from ablations.engine.journal import Result, noted
from ablations.engine.stage import Bench
from ablations.engine.version import code_version
from ablations.settings.cell import Cell
from ablations.settings.evaluation import HeldOut
from ablations.stages.devices import answers, claim
from ablations.stages.machine import kind_of_machine
from analysis.files import utc_now
from analysis.schema import MACHINE

Passes = Literal["training", "scoring", "sampling", "autoencoder"]
"""The ways in which passes of a network are used: they differ in precision and in batch."""
Scores = Literal["bound", "samples"]
"""Measures by which a training is scored on its way."""
FINISHED_AT = "finished_at"
"""The key of a result's metadata for the time when it was finished: UTC, by the clock of its worker."""


class Stage(engine.Stage):
    """A stage of a cell."""

    cell: Cell
    trains: ClassVar[bool] = False
    """True where it leaves checkpoints, and several devices may share it."""
    besides: ClassVar[bool] = False
    """True where it is an extra: its cell counts as finished without it."""
    of_cell: ClassVar[bool] = True
    """True where it belongs to a cell, and not to a data set."""

    @property
    def threads(self) -> int:
        return self.cell.threads

    @property
    def trained(self) -> Stage:
        """The stage that this one trains: its training for a rung that takes it to a step, itself for any other."""
        return self

    @property
    def passes(self) -> Passes:
        """The way in which its passes of the network are used."""
        return "scoring"

    @property
    def held_out(self) -> HeldOut | None:
        """The split of held-out images that its values are about; None where there is none."""
        return None

    @property
    def drawn(self) -> int:
        """The number of sets of samples that it draws."""
        return 0

    @property
    def shows(self) -> bool:
        """True where its first samples appear on the sheet of its cell."""
        return False

    @property
    def fills(self) -> str:
        """The column of results that it is run for; "" where it fills more than one."""
        return ""

    @property
    def validates(self) -> bool:
        """True where values on validation rest on it: it reads no test data."""
        return self.held_out == "validation"

    @property
    def judged(self) -> float:
        """The number of sets of images or points that it judges."""
        return 0.0

    @property
    def measures(self) -> str:
        """The quantity that it measures, in a reader's words."""
        return self.kind

    @property
    @abstractmethod
    def doing(self) -> str:
        """The work that it does, in words."""

    def work(self, data: Data) -> float:
        """Forward passes of one example that it takes; a backward pass counts as two. It is the unit of time
        estimates."""
        return 0.0

    def work_alone(self, data: Data) -> float:
        """The same without passes of another stage, which it may have to take first."""
        return self.work(data)

    def bytes_left(self, data: Data, parameters: int) -> int:
        """Bytes that it leaves for good, if it trains so many parameters."""
        return 0

    def needing(self, needs: tuple[str, ...]) -> Self:
        """The same stage, which waits for these."""
        # Each kind is a dataclass.
        return cast("Self", replace(cast("Any", self), needs=needs))

    def run(self, bench: Bench) -> Result:
        device = claim(bench.device, self.threads)
        result = self.result(bench, self.cell.data.load(), device)
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu ({platform.machine()})"
        device_name = name if bench.world == 1 else f"{bench.world} × {name}"
        made_by = {"device": device_name, "code": code_version(), MACHINE: kind_of_machine(device)}
        return replace(result, metadata={**made_by, FINISHED_AT: utc_now(), **result.metadata})

    def has_lost(self, device: str) -> bool:
        return not answers(device)

    @abstractmethod
    def result(self, bench: Bench, data: Data, device: torch.device) -> Result:
        """The result of running it on this device, once all its files are written."""


class OnTheWay(Stage):
    """A stage that scores a training at a step."""

    step: int
    scores: Scores


def finished_with(metrics: dict[str, float], remark: str = "", **metadata: str) -> Result:
    """The result of a finished stage: metrics that are no numbers are left out, and noted beside the remark."""
    finite = {name: value for name, value in metrics.items() if math.isfinite(value)}
    return Result("finished", "", finite, {}, metadata | noted(metrics, remark))
