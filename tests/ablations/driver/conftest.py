"""A grid whose cells are not trained: each scores what `NLL` says of it."""

from __future__ import annotations

import numpy as np
import pytest

from ablations.engine.journal import Failure, Result
from ablations.engine.workers import ThisProcess
from ablations.stages.bound import BoundStage

NOISE = np.random.default_rng(7).normal(size=(4, 20))
NLL = {
    "epsilon": lambda seed: 3 + 0.1 * NOISE[0, seed],
    # Far off; a little better, against a noise that hides it for a while; as good, with the noise of seeds.
    "mu": lambda seed: 3.9 + 0.001 * NOISE[1, seed] + 0.1 * NOISE[0, seed],
    "v": lambda seed: 2.8 + 0.08 * NOISE[2, seed] + 0.1 * NOISE[0, seed],
    "x0": lambda seed: 3 + 0.1 * NOISE[0, seed] + 0.1 * (1, -1, 0.3)[seed % 3],
}
WORDS = ["parameterization=epsilon,mu,v,x0", "horizon=25", "evaluation.quality=[]", "name=auto", "launcher=serial"]
WORDS += ["data=mixture2d", "network=mlp"]


@pytest.fixture
def scored(monkeypatch, alone):
    """The stages that were run, while each cell scores what NLL says; `stop` ends the command before so many more."""

    class Scored(list):
        stop: int | None = None

    done = Scored()

    def score(self, stages, device):
        for stage in stages:
            if done.stop == 0:
                raise KeyboardInterrupt
            done.stop = None if done.stop is None else done.stop - 1
            done.append(stage)
            self.over.append((stage.id, judged(self.journal, stage)))

    monkeypatch.setattr(ThisProcess, "submit", score)
    return done


def judged(journal, stage):
    """What becomes of a stage, by the NLL of its cell: a text is how it ended."""
    cell = stage.cell
    metrics = {}
    if isinstance(stage, BoundStage):
        value = NLL[type(cell.parameterization).__name__.lower()](cell.seed)
        if value == "diverged":
            journal.write_result(stage.id, Result("diverged", "it was said so", {}, {}, {}))
            return "diverged"
        if value == "failed":
            journal.write_failure(stage.id, Failure("error", "it was said so"))
            return "failed"
        metrics = {"nll/val" if stage.held_out == "validation" else "nll/test": value}
    journal.write_result(stage.id, Result("finished", "", metrics, {}, {}))
    return "finished"
