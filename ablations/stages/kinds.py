"""The kinds of stages: units of work, each addressed by the content of what it reads.

    [autoencoder] ▸ training ▸ [fit] ▸ bound on validation ▸ [samples] ▸ bound on test ▸ [samples] ▸ [reconstruction]
    samples ▸ [metric]        training ▸ [rungs]

The autoencoder is that of latents, and its reconstructions of test images are judged at last; a chain of no steps has
no training, and a code without a likelihood no bound. The fit is of a fitted variance, and samples are drawn where the
split is judged; a metric that is asked for by name reads them, and nothing waits for it. A rung is a training on its
way, and a floor is of a data set. Which stages a cell has is in `graph`, what each reads in `contents`, which files it
leaves in `artifacts`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ablations.settings.cell import Cell
from ablations.settings.evaluation import HeldOut

Scores = Literal["bound", "samples"]
"""What a training on its way is scored by."""


@dataclass(frozen=True)
class Parts:
    """The stages that hold what a cell learned; `training` is the autoencoder's where the chain has no steps."""

    training: str
    fit: str | None = None
    autoencoder: str | None = None


@dataclass(frozen=True)
class AutoencoderStage:
    """An autoencoder to be trained."""

    id: str
    cell: Cell
    needs: tuple[str, ...] = ()
    kind: Literal["autoencoder"] = "autoencoder"


@dataclass(frozen=True)
class TrainingStage:
    """A network to be trained, on the codes of an autoencoder if there is one.

    On its way it leaves its average at the steps of its rungs, and has them `scored`, which is no part of what it is.
    """

    id: str
    cell: Cell
    autoencoder: str | None = None
    needs: tuple[str, ...] = ()
    scored: tuple[RungStage, ...] = ()
    kind: Literal["training"] = "training"


@dataclass(frozen=True)
class RungStage:
    """A training's network at a step, scored as a finished one: by its bound on validation images, or by its samples.

    It reads the average that its training left there, and is run on the way of this, or after it. A pruner asks for it
    before: then it takes the training to that step, and leaves a checkpoint, from which the training goes on.
    """

    id: str
    cell: Cell
    training: TrainingStage
    step: int
    needs: tuple[str, ...]
    scores: Scores = "bound"
    kind: Literal["rung"] = "rung"

    @property
    def leads(self) -> bool:
        """Whether it may take its training to its step: it waits for nothing that has been there."""
        return self.needs == self.training.needs


@dataclass(frozen=True)
class FitStage:
    """A trained network to be measured on training images, for a fitted variance."""

    id: str
    cell: Cell
    parts: Parts
    needs: tuple[str, ...]
    kind: Literal["fit"] = "fit"


@dataclass(frozen=True)
class BoundStage:
    """A trained network whose bound is taken on a held-out split."""

    id: str
    cell: Cell
    parts: Parts
    split: HeldOut
    needs: tuple[str, ...]
    kind: Literal["bound"] = "bound"


@dataclass(frozen=True)
class SamplesStage:
    """A trained network to be sampled and judged: `sets` sets from the `first` on, each as large as a held-out split.

    Those of a cell and seed are the same sets however many are drawn.
    """

    id: str
    cell: Cell
    parts: Parts
    split: HeldOut
    needs: tuple[str, ...]
    sets: int
    first: int = 0
    kind: Literal["samples"] = "samples"


@dataclass(frozen=True)
class MetricStage:
    """Generated sets to be judged by one more metric, whose values fill this `column`."""

    id: str
    cell: Cell
    samples: str
    metric: str
    column: str
    split: HeldOut
    needs: tuple[str, ...]
    kind: Literal["metric"] = "metric"


@dataclass(frozen=True)
class ReconstructionStage:
    """An autoencoder whose reconstructions of test images are judged: what its code loses."""

    id: str
    cell: Cell
    autoencoder: str
    needs: tuple[str, ...]
    kind: Literal["reconstruction"] = "reconstruction"


@dataclass(frozen=True)
class FloorStage:
    """What held-out images score where generated ones will be judged: once per data set, and per `metric` that is asked
    for besides."""

    id: str
    cell: Cell
    metric: str | None = None
    needs: tuple[str, ...] = ()
    kind: Literal["floor"] = "floor"


Stage = (
    AutoencoderStage
    | TrainingStage
    | RungStage
    | FitStage
    | BoundStage
    | SamplesStage
    | MetricStage
    | ReconstructionStage
    | FloorStage
)
