"""Tiny cells, and their stages performed one after the other in this process."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor

from ablations.data.tensors import read_tensors
from ablations.engine.journal import Journal, Result
from ablations.engine.workers import perform
from ablations.grids.grid import make
from ablations.settings import grammar
from ablations.settings.arguments import parse_run
from ablations.settings.cell import Cell
from ablations.stages.artifacts import WEIGHTS
from ablations.stages.graph import stages_of
from ablations.stages.metrics import check, metric_stages
from ablations.stages.stage import Stage
from ablations.stages.training import TrainingStage
from diffusion_core.precision import resolve_precision

GRIDS = sorted(grammar.options_of("grid").keys() - {"published"})
"""Grids that ship and bring all that they need; that of a published network is in `stages/test_published.py`."""

TINY = [
    *["horizon=25", "training.steps=60", "training.warmup=10", "training.learning_rate=0.005", "training.batch=16"],
    *["training.report_every=20", "network.channels=8", "network.multipliers=[1]", "network.attention=[]"],
    *["evaluation.exact=1", "evaluation.strata=1", "evaluation.sets=2", "evaluation.n=64"],
]
POINTS = [
    *["data=mixture2d", "network=mlp", "network.width=16", "horizon=10", "schedule=cosine", "evaluation.quality=[]"],
    *["training.steps=80", "training.batch=32", "training.warmup=5", "training.report_every=10"],
    *["evaluation.exact=2", "evaluation.strata=2"],
]
"""A cell that takes a tenth of a second."""

HERE = resolve_precision("auto", torch.device("cpu"))
"""The precision of cells on this machine's processor."""
FEW = 64
"""Images of each split where few are enough."""


def over(base: Iterable[str], *words: str) -> list[str]:
    """The words of a command, with these in the place of its own of their names."""
    return list({word.split("=")[0]: word for word in (*base, *words)}.values())


def cells_of(*words: str) -> list[Cell]:
    """The cells of a command at all its seeds; what cannot be judged as it asks is refused."""
    cells = [point.cell for point in make(parse_run(list(words))).at_seeds()]
    check(cells)
    return cells


def cell_of(*words: str) -> Cell:
    """The first cell of a command."""
    return make(parse_run(list(words))).points[0].cell


def stages_of_cell(*words: str, rungs: list[int] | None = None) -> list[Stage]:
    """The stages of the first cell of a command, and of the metrics that it asks for, in float32."""
    return stages_in(cell_of(*words), rungs)


def stages_in(cell: Cell, rungs: list[int] | None = None) -> list[Stage]:
    """The stages of a cell, and of the metrics that it asks for, in float32."""
    stages = stages_of(cell, cell.data.load().digest, "float32", "x", rungs)
    return [*stages, *metric_stages(cell, stages)]


def training_in(*words: str) -> TrainingStage:
    """The end of the training of a command's first cell."""
    return training_of(stages_of_cell(*words))


def training_of(stages: Iterable[Stage]) -> TrainingStage:
    """The end of the training among a cell's stages."""
    return next(
        stage for stage in stages if isinstance(stage, TrainingStage) and stage.kind == "training" and not stage.rung
    )


def result_of(stage: Stage, root: Path, device: str = "cpu") -> Result:
    """What a stage comes to that is performed here, in the journal of this folder."""
    journal = Journal(root)
    assert perform(stage, journal, device) == "finished", journal.failure(stage.id)
    result = journal.result(stage.id)
    assert result is not None
    return result


def results_of(stages: Iterable[Stage], root: Path) -> dict[str, Result]:
    """What stages come to one after the other, by their ids."""
    return {stage.id: result_of(stage, root) for stage in stages}


def weights(stage: Stage, root: Path) -> dict[str, Tensor]:
    """The weights that a training has left, and their averages."""
    return read_tensors(root / stage.id / WEIGHTS)[0]


def assert_same(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    """Every number is the same, bit by bit."""
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


def reproducible(curves: dict[str, object]) -> dict[str, object]:
    """Curves that come out the same each time."""
    return {name: xy for name, xy in curves.items() if not name.startswith("cost/")}
