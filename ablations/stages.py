"""Cells to stages: content-addressed units of work, each needed once however many cells ask for it.

    training ▸ evaluation on validation images ▸ evaluation on test images

A stage's id is a hash of what it reads. Cells that differ only in what evaluation reads share one training: that holds
for the variance too, wherever neither the objective reads σ² nor the network learns it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from ablations.cell import HELD_OUT, Cell, HeldOut, content_hash
from ablations.data import Data
from diffusion_core.precision import Precision


@dataclass(frozen=True)
class TrainingStage:
    """A network to be trained."""

    id: str
    cell: Cell
    needs: tuple[str, ...] = ()
    kind: Literal["training"] = "training"


@dataclass(frozen=True)
class EvaluationStage:
    """A trained network to be scored on a held-out split."""

    id: str
    cell: Cell
    training: str
    split: HeldOut
    needs: tuple[str, ...]
    kind: Literal["evaluation"] = "evaluation"


@dataclass(frozen=True)
class FloorStage:
    """What held-out images score where generated ones will be judged: once per data set."""

    id: str
    cell: Cell
    needs: tuple[str, ...] = ()
    kind: Literal["floor"] = "floor"


Stage = TrainingStage | EvaluationStage | FloorStage


def stages_of(cell: Cell, digest: str, precision: Precision, extractor: str | None) -> list[Stage]:
    """The stages of a cell in order, the last of them its own; `digest` is the data's, `extractor` its features'."""
    training = TrainingStage(content_hash(training_content(cell, digest, precision)), cell)
    validation, test = (content_hash(evaluation_content(cell, training.id, split, extractor)) for split in HELD_OUT)
    return [
        training,
        EvaluationStage(validation, cell, training.id, "validation", (training.id,)),
        EvaluationStage(test, cell, training.id, "test", (training.id, validation)),
    ]


def evaluation_content(cell: Cell, training: str, split: HeldOut, extractor: str | None) -> dict[str, Any]:
    """All that an evaluation reads: the sampler, the sets and the extractor only where samples are judged."""
    description = cell.describe()
    judged = split in cell.evaluation.quality
    read = {key: value for key, value in description["evaluation"].items() if key not in ("quality", "sets")}
    content: dict[str, Any] = {"stage": "evaluation", "training": training, "split": split, "evaluation": read}
    content["variance"] = description["variance"]
    if judged:
        content |= {"sampler": description["sampler"], "sets": cell.evaluation.sets, "extractor": extractor}
    return content


def training_content(cell: Cell, digest: str, precision: Precision) -> dict[str, Any]:
    """All that a training reads."""
    description = cell.describe()
    unread = {"sampler", "evaluation"}
    if not cell.objective.reads_variance and not cell.variance.learned:
        unread.add("variance")
    read = {axis: value for axis, value in description.items() if axis not in unread}
    return {"stage": "training", **read, "digest": digest, "precision": precision, "seed": cell.seed}


def floor_of(cell: Cell, digest: str, extractor: str | None) -> FloorStage:
    """The stage that scores held-out images."""
    return FloorStage(content_hash({"stage": "floor", "digest": digest, "extractor": extractor}), cell)


def work(stage: Stage, data: Data) -> float:
    """Forward passes of one example that a stage takes, a backward pass counting two: the unit of time estimates."""
    cell = stage.cell
    if isinstance(stage, TrainingStage):
        return 3.0 * cell.training.steps * cell.training.batch
    if isinstance(stage, FloorStage):
        return 0.0
    held_out = len(data.images[stage.split])
    steps = cell.evaluation.horizon or cell.horizon
    bound = held_out * min(steps, cell.evaluation.exact + cell.evaluation.strata)
    if stage.split not in cell.evaluation.quality:
        return float(bound)
    return float(bound + cell.evaluation.sets * held_out * (cell.sampler.steps or cell.horizon))
