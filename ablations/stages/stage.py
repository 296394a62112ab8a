"""The part that all stages of a cell have in common, and the run of a cell at one seed, which is its stages. Each kind
has a class that says what it reads, how it is run and what it leaves:

    [autoencoder] ▸ training ▸ [fit] ▸ bound on validation ▸ [samples] ▸ bound on test ▸ [samples] ▸ [reconstruction]
    [guide] ▸ [guidance] ▸ samples ▸ [metric]        segment of a training ▸ [bound, samples at a rung]

Not every cell has them all (`graph`): a code without a likelihood has no bound, and a chain of no steps no training.
Samples are drawn for each split that is judged; a metric asked for by name reads them, and no other stage waits for it.
A floor scores held-out data, once per data set.
"""

from __future__ import annotations

import math
import platform
import statistics
from abc import abstractmethod
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

import torch

from ablations.data.base import Data
from ablations.engine import stage as engine
from ablations.engine.journal import Curves, Journal, Result, with_notes
from ablations.engine.stage import Bench, code_version
from ablations.settings.cell import Cell
from ablations.settings.evaluation import HeldOut
from ablations.stages.devices import claim, hardware_id
from analysis.files import utc_now
from analysis.schema import BY_SET, MACHINE

Passes = Literal["training", "scoring", "sampling", "autoencoder"]
"""The ways in which passes of a network are used: they differ in precision and in batch."""
FINISHED_AT = "finished_at"
"""The key of a result's metadata for the UTC when it was finished."""


@dataclass(frozen=True)
class Parts:
    """The stages that hold what a cell learned; `training` is the autoencoder's where the chain has no steps. For its
    samples there may also be the training of a `guide`, or a segment of its own, and the stage that `tuned` the
    guidance scale."""

    training: str
    fit: str | None = None
    autoencoder: str | None = None
    guide: str | None = None
    tuned: str | None = None


@dataclass(frozen=True)
class Stage(engine.Stage):
    """A stage of a cell. At a `rung` it is for that step of a training, else for its end; where it is about `held_out`
    images, it says of which split; where it reads what was learned, `parts` say in which stages that is."""

    id: str
    cell: Cell
    needs: tuple[str, ...] = ()
    held_out: HeldOut | None = field(default=None, kw_only=True)
    rung: int = field(default=0, kw_only=True)
    parts: Parts = field(default=Parts(""), kw_only=True)
    work: ClassVar[str]  # that it does, in words
    trains: ClassVar[bool] = False
    sets = 0  # of samples that it draws
    fills = ""  # the column of a metric that was asked for by name

    @property
    def threads(self) -> int:
        return self.cell.threads

    @property
    def optional(self) -> bool:
        """True where its cell counts as finished without it."""
        return self.rung > 0 or bool(self.fills)

    @property
    def on_the_way(self) -> bool:
        """True where it is only of use to another one."""
        return False

    @property
    def validates(self) -> bool:
        """True where it learns, or scores validation data: what these need is all that values on validation rest on."""
        return (self.held_out == "validation" or self.kind in ("autoencoder", "training")) and not self.optional

    @property
    def doing(self) -> str:
        """The work that it does, and at which step."""
        return f"{self.work} at step {self.rung}" if self.rung else self.work

    def passes(self) -> tuple[Passes, float]:
        """Forward passes of one example that it takes, and their use; a backward pass counts as two."""
        return "scoring", 0.0

    def run(self, bench: Bench) -> Result:
        device = claim(bench.device, self.threads)
        result = self.result(bench, self.cell.data.load(), device)
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu ({platform.machine()})"
        made_by = {"device": name, "code": code_version(), MACHINE: hardware_id(device)}
        return replace(result, metadata={**made_by, FINISHED_AT: utc_now(), **result.metadata})

    @abstractmethod
    def result(self, bench: Bench, data: Data, device: torch.device) -> Result:
        """The result of running it on this device, once all its files are written."""


@dataclass(frozen=True)
class Run:
    """A cell at the crossing of these levels (axis → level's name), and what readers call it; `digest` is of its data.
    It has no stages where it makes no sense, and `refusal` says why."""

    levels: dict[str, str]
    cell: Cell
    cell_id: str
    digest: str
    stages: list[Stage]
    refusal: str | None = None
    name: str = ""

    @property
    def sets(self) -> int:
        """The number of generated sets that are judged on test data; 0 where none is."""
        return sum(stage.sets for stage in self.stages if stage.held_out == "test" and not stage.optional)

    @property
    def parts(self) -> Parts | None:
        """The stages that hold what it learns; None where it makes no sense."""
        ids = {stage.kind: stage.id for stage in self.stages if not stage.optional}
        learned = ids.get("training", ids.get("autoencoder"))
        if learned is None:
            return None
        guides = (stage.parts.guide for stage in self.stages if stage.sets and stage.parts.guide)
        return Parts(learned, ids.get("fit"), ids.get("autoencoder"), next(guides, None), ids.get("guidance"))


def scores_of(
    values: Mapping[str, Sequence[float]],
    metrics: Mapping[str, float] | None = None,
    metadata: Mapping[str, str] | None = None,
) -> Result:
    """The result of a stage that judged generated sets: each metric's mean over sets, its value in each of several as a
    curve over the number of the set, and further metrics."""
    means = {name: statistics.fmean(each) for name, each in values.items()}
    several = {name: list(each) for name, each in values.items() if len(each) > 1 and all(map(math.isfinite, each))}
    curves = {f"{BY_SET}{name}": ([*map(float, range(1, len(each) + 1))], each) for name, each in several.items()}
    return result_of({**(metrics or {}), **means}, curves=curves, metadata=metadata)


def result_of(
    metrics: dict[str, float],
    reason: str = "",
    remark: str = "",
    curves: Curves | None = None,
    metadata: Mapping[str, str] | None = None,
) -> Result:
    """The result of a stage, diverged where there is a `reason`: metrics that are no numbers are left out, and noted
    beside the remark."""
    finite = {name: value for name, value in metrics.items() if math.isfinite(value)}
    status = "diverged" if reason else "finished"
    return Result(status, reason, finite, curves or {}, {**(metadata or {}), **with_notes(metrics, remark)})


def needed_by(stage: Stage, stages: Iterable[Stage]) -> list[Stage]:
    """The stages that lead to one of them, in order, itself last."""
    return in_order([stage], stages)


def missing(stages: Iterable[Stage], journal: Journal) -> list[Stage]:
    """The stages that have no result yet, in order. One on the way is only missing for another that needs it."""
    stages = list(stages)
    asked = (stage for stage in stages if not stage.on_the_way)
    done = {stage.id for stage in stages if journal.result(stage.id) is not None}
    return in_order(asked, stages, done)


def in_order(asked: Iterable[Stage], stages: Iterable[Stage], done: Container[str] = ()) -> list[Stage]:
    """The stages asked for, and all that these need, each after what it needs; without those that are done, and what
    only these need."""
    by_id, needed = {stage.id: stage for stage in stages}, dict[str, Stage]()

    def visit(stage: Stage) -> None:
        if stage.id not in needed and stage.id not in done:
            for need in (by_id[name] for name in stage.needs if name in by_id):
                visit(need)
            needed[stage.id] = stage

    for stage in asked:
        visit(stage)
    return list(needed.values())
