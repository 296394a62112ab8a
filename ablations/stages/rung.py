"""rung: a training's average at a step, or everything that leads to it ─▶ its scores there.

It reads what its training reads, and how to score: by the bound on validation images, or by a set of samples.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ablations.data.base import Data
from ablations.engine.files import BEFORE, CHECKPOINT, Damaged
from ablations.engine.journal import RESULT, Journal, Result
from ablations.engine.lease import Elsewhere, leased
from ablations.engine.stage import Bench
from ablations.metrics.judging import set_size
from ablations.settings.budget import bound_passes
from ablations.settings.cell import Cell
from ablations.settings.identity import content_hash
from ablations.stages.artifacts import WEIGHTS, average_at, read_artifact, read_checkpoint
from ablations.stages.bound import bound_content, bound_of
from ablations.stages.branch import BranchStage, branch_of
from ablations.stages.restore import Parts, given, labels_of, load_encoding, restore
from ablations.stages.samples import deciding_scores, passes_of_sample, samples_content
from ablations.stages.stage import OnTheWay, Passes, Scores, Stage, finished_with
from ablations.stages.training import TrainingStage, company_of, train_on
from ablations.stages.training_loop import Course
from analysis.schema import RUNG_SECONDS
from diffusion_core.averages import Tracked
from diffusion_core.encodings import Encoding
from diffusion_core.trainer import part


@dataclass(frozen=True)
class RungStage(OnTheWay):
    """A training's network at a step, scored like a finished one: by its bound on validation images, or by its samples.

    It reads the average that its training left there, and runs during that training or after it. A pruner asks for it
    before: then it takes the training to that step itself, and leaves a checkpoint from which the training continues.
    Where the rate is `wsd`, its training is a branch that ends there.
    """

    id: str
    cell: Cell
    training: TrainingStage
    step: int
    needs: tuple[str, ...]
    scores: Scores = "bound"
    kind = "rung"
    besides = True

    @property
    def leads(self) -> bool:
        """True where it may train up to its step itself, and does not wait for the whole training."""
        return self.needs == self.training.needs

    @property
    def before(self) -> tuple[BranchStage, ...]:
        """The training that is run for this rung alone, if there is one."""
        return (self.training,) if isinstance(self.training, BranchStage) else ()

    def waiting_for(self, needs: tuple[str, ...]) -> RungStage:
        """The same rung, which waits for these stages; if a branch is trained for it alone, that branch waits for them
        too."""
        if not self.before:
            return self.needing(needs)
        return replace(self, training=self.training.needing(needs), needs=(*needs, self.training.id))

    @property
    def holds(self) -> tuple[str, ...]:
        return (self.training.id,) if self.leads else ()

    def company(self, device: str) -> str:
        return company_of(self.cell, self.training.autoencoder, device) if self.leads else ""

    @property
    def trained(self) -> Stage:
        return self.training if self.leads else self

    @property
    def passes(self) -> Passes:
        return "sampling" if self.scores == "samples" else "scoring"

    @property
    def judged(self) -> float:
        return 1.0 if self.scores == "samples" else 0.0

    @property
    def measures(self) -> str:
        return f"{self.scores} at step {self.step}"

    @property
    def doing(self) -> str:
        return f"training to step {self.step}" if self.leads else self.measures

    def work(self, data: Data) -> float:
        return self.training.work_until(self.step) if self.leads else self.work_alone(data)

    def work_alone(self, data: Data) -> float:
        """The passes of scoring alone."""
        if self.scores == "samples":
            return float(set_size(self.cell, "test", data) * passes_of_sample(self.cell))
        return float(len(data.images["validation"]) * bound_passes(at_rung(self.cell))[0])

    def result(self, bench: Bench, data: Data, device: torch.device) -> Result:
        """Score the average that its training left at the step; if there is none, first train up to the step, with the
        lease of the training's folder."""
        training, kept, journal = self.training.id, average_at(self.step), bench.journal
        encoding = load_encoding(self.cell, data, journal, self.training.autoencoder, device)
        left = training in self.needs or journal.has(training, kept)
        with nullcontext(bench.lease) if left else _held(journal, training):
            try:
                return self._scored(bench, encoding, data, device)
            except Damaged:
                if training not in self.needs:
                    # A damaged average is made anew by training past its step once more: so the checkpoints, which
                    # may lie beyond that step, go too.
                    with _held(journal, training) if left else nullcontext():
                        journal.discard(training, kept, CHECKPOINT, BEFORE)
                raise

    def _scored(self, bench: Bench, encoding: Encoding, data: Data, device: torch.device) -> Result:
        """The scores of the averaged network at the step; if need be it is trained up to it in its training's folder.

        The first judged samples are kept as a file. Where there is no average at the step, the result says why, and has
        no metrics. The cost is the seconds of training up to the step, and of scoring.
        """
        there = self._average(bench, encoding, data, device)
        if isinstance(there, Result):
            return there
        average, seconds = there
        averaged = restore(self.cell, encoding, data, average).to(device).diffusion
        began = time.monotonic()
        if self.scores == "samples":
            scores = deciding_scores(self.cell, averaged, data, bench.folder, bench.progress)
        else:
            model = given(averaged, labels_of(self.cell, data, "validation"))
            nll = bound_of(at_rung(self.cell), model, data.images["validation"].to(device)).total.mean()
            scores = {"nll/val": float(nll)}
        bad = [name for name, value in scores.items() if not math.isfinite(value)]
        if bad or not scores:
            return Result("diverged", f"{bad[0] if bad else 'samples'} at step {self.step}: not finite", {}, {}, {})
        costs = {"cost/train_seconds": seconds, RUNG_SECONDS: time.monotonic() - began}
        return finished_with(costs | scores)

    def _average(
        self, bench: Bench, encoding: Encoding, data: Data, device: torch.device
    ) -> tuple[dict[str, Tensor], float] | Result:
        """The averaged weights at the step and the seconds of training up to it; else the result without metrics.

        They are those of the finished training, or left on its way, or of its checkpoint, or are trained now.
        """
        place, kept = bench.at(self.training.id), average_at(self.step)
        checkpoint, result = read_checkpoint(place.folder), bench.journal.result(self.training.id)
        if result is not None and self.step == self.training.cell.training.steps:
            return part(read_artifact(place.folder, WEIGHTS)[0], "average"), result.metrics["cost/train_seconds"]
        if (place.folder / kept).exists():
            average, words = read_artifact(place.folder, kept)
            # An average of an earlier version does not say how many seconds it took.
            return average, float(words.get("seconds", "nan"))
        if (place.folder / RESULT).exists() or checkpoint.step > self.step:
            note = f"trained beyond step {self.step} before it was judged there"
            return Result("finished", "", {}, {}, {"notes": note})
        if checkpoint.state is not None and checkpoint.step == self.step:
            return part(checkpoint.state, "average"), checkpoint.seconds
        # Left for whoever has to score it again, when the training is beyond it.
        course = Course(self.step, self.training.kept | {self.step})
        learned = train_on(self.cell, encoding, data, device, place, course)
        if learned.reason:
            return Result("diverged", learned.reason, {}, {}, {})
        return learned.average, learned.last["seconds"]


def at_rung(cell: Cell) -> Cell:
    """A cell as it is scored at a rung: with fewer draws, and with the average that is tracked."""
    return replace(cell, evaluation=cell.evaluation.at_rung, average=Tracked())


@contextmanager
def _held(journal: Journal, training: str) -> Iterator[None]:
    """Hold a training's folder; Elsewhere where another process does."""
    with leased(journal.shelf(training)) as held:
        if held is None:
            raise Elsewhere(f"training {training} is run by another process")
        yield


def rung_of(training: TrainingStage, step: int) -> RungStage:
    """The stage that scores a training at a step, and first trains it up to that step if need be."""
    cell, scored = training.cell, _ending(training, step)
    content = bound_content(at_rung(cell), Parts(scored.id, None, training.autoencoder), "validation")
    return _rung(content, cell, scored, step, "bound")


def judged_rung(training: TrainingStage, parts: Parts, step: int, extractor: str | None) -> RungStage:
    """The stage that judges a set of samples of a training's network at a step."""
    cell, scored = training.cell, _ending(training, step)
    content = samples_content(cell, replace(parts, training=scored.id, fit=None), "test", extractor, 1)
    return _rung(content, cell, scored, step, "samples")


def _ending(training: TrainingStage, step: int) -> TrainingStage:
    """The training that a rung scores: where the rate is `wsd`, a branch that ends there."""
    return branch_of(training, step) if training.kin else training


def _rung(content: dict[str, object], cell: Cell, training: TrainingStage, step: int, scores: Scores) -> RungStage:
    stage_id = content_hash(content | {"stage": "rung", "step": step})
    return RungStage(stage_id, cell, training, step, (), scores).waiting_for(training.needs)
