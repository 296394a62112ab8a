"""branch: what a training of r steps reads, and states on its trunk ─▶ what that training leaves.

It *is* the training of r steps, by its id and bit by bit, asked for by the rungs of a longer one of the same recipe: of
`training.rate=wsd` a rung is a finished training of so many steps, and costs its cooldown.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ablations.engine.journal import Curves, Journal, Result
from ablations.settings.budget import fork_of, rungs
from ablations.settings.cell import Cell
from ablations.settings.guidance import MOST_RUNG
from ablations.settings.identity import content_hash
from ablations.stages.artifacts import CLOCK, read_history
from ablations.stages.training import TrainingStage, training_content
from diffusion_core.precision import Precision

Ticks = frozenset[tuple[float, float]]
"""Steps of a training, each with the time at which it ended; two trainings never end a step at the same time."""


def ticks_of(curves: Curves) -> Ticks:
    """The clock of a training as pairs, with its beginning as step 0; none where an earlier version wrote it."""
    return frozenset(zip(*curves.get(CLOCK, ([], [])), strict=True))


@dataclass(frozen=True)
class BranchStage(TrainingStage):
    """A training up to a rung of a `longer` one, whose trunk it shares."""

    longer: str = ""
    kind = "branch"
    besides = True
    validates = False

    @property
    def doing(self) -> str:
        return f"{self.measures}, from a longer one's trunk"

    @property
    def measures(self) -> str:
        return f"a training of {self.cell.training.steps} steps"

    @property
    def fork(self) -> int:
        """The step at which it leaves the common trunk."""
        return fork_of(self.cell.training, self.cell.training.steps)

    @property
    def begins(self) -> float:
        """The share of its own steps that the longer training takes for it, if it waits for that one."""
        return self.fork / self.cell.training.steps if self.longer in self.needs else 0.0

    def begun(self, journal: Journal) -> float | None:
        reports = read_history(journal.folder(self.longer))
        # A trunk that is past the fork leaves no state there any more.
        leaves = self.longer in self.needs and not (reports and reports[-1]["step"] >= self.fork)
        return None if leaves else super().begun(journal) or 0.0

    @property
    def share_of_trunk(self) -> float:
        """The share of the longer training's steps that it takes for that one, if it comes first."""
        whole = next(steps for steps, training in self.kin if training == self.longer)
        return self.fork / whole

    def seconds_of(self, result: Result, counted: Ticks) -> float:
        """The seconds that this training took itself. Its result also holds the steps that it continued from, at the
        same times as in the results of the trainings that took them, which are already `counted`."""
        ticks = ticks_of(result.curves)
        began = max(ticks & counted, default=min(ticks, default=(0.0, 0.0)))
        return max(ticks, default=began)[1] - began[1]


def with_kin(training: TrainingStage, digest: str, precision: Precision) -> TrainingStage:
    """A training with the ids of its shorter relatives, with which it may share its trunk; `digest` is the data's."""
    cells = [shortened(training.cell, steps) for steps in rungs(training.cell.training, MOST_RUNG)]
    ids = [content_hash(training_content(cell, digest, precision)) for cell in cells]
    return replace(training, kin=tuple(zip((cell.training.steps for cell in cells), ids, strict=True)))


def branch_of(training: TrainingStage, steps: int) -> BranchStage:
    """The training of so many steps as one of its own; it leaves its state for longer ones."""
    plan = training.cell.training
    kin = (*(relative for relative in training.kin if relative[0] != steps), (plan.steps, training.id))
    forks = frozenset({fork_of(plan, steps)})
    cell, own = shortened(training.cell, steps), dict(training.kin)[steps]
    return BranchStage(own, cell, training.autoencoder, training.needs, kin=kin, forks=forks, longer=training.id)


def shortened(cell: Cell, steps: int) -> Cell:
    """The same cell, trained for so many steps; no snapshots are kept for a rung."""
    return replace(cell, training=replace(cell.training, steps=steps, snapshots=0))
