"""Commands that things happen to, for `evidence.reliability` and `evidence.outages`: grids and a search of seconds,
and their run in forks of one process.

All train networks of a few thousand weights on points, with rungs, pruning, a confirmation, and a checkpoint at each
report. A fork runs its stages itself (`launcher=serial`) or, side by side, in a worker that is a fork of it; it imports
nothing that its parent has, and draws no pages.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from mmap import mmap
from pathlib import Path
from typing import Any

from ablations.settings.exits import outcome
from evidence.child import announced

MODULES = "modules"
"""The file in which a command leaves what it has imported."""
POINTS = (
    *("data=mixture2d", "network=mlp", "network.width=16", "network.layers=1", "horizon=25", "training.steps=40"),
    *("training.warmup=10", "training.report_every=10", "evaluation.exact=2", "evaluation.strata=2"),
    "evaluation.sets=1",
)
GRID = ("parameterization=epsilon,v", "evaluation.rungs=2")


@dataclass(frozen=True)
class Workload:
    """A command, by its module, its words and the folder of its results."""

    name: str
    words: tuple[str, ...]

    def main(self, arguments: list[str]) -> int:
        """Run it as its module does."""
        from ablations import run
        from ablations.search import __main__ as search

        return outcome(search.main if self.name == "search" else run.main, arguments)


WORKLOADS = (
    Workload("grid", (*POINTS, *GRID, "seeds=1", "launcher=serial")),
    Workload("together", (*POINTS, *GRID, "seeds=2", "launcher=local", "launcher.workers=1", "launcher.together=4")),
    Workload(
        "search",
        (
            *("trials=4", "confirm=2", "study.startup=2", "study.pruner=median", "schedule=log_snr_linear"),
            *("schedule.gamma_min=interval(-14,-2)", "schedule.gamma_max=interval(0,8)", *POINTS, "launcher=serial"),
        ),
    ),
)


class Undrawn:
    """The pages of a round that nobody draws."""

    over = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def result(self) -> str:
        """Nothing is shown of them."""
        return ""

    def stop(self) -> None:
        """There is nothing to stop."""


def import_all() -> None:
    """Import all that a command does, once for all forks."""
    import mlflow  # noqa: F401
    import torch

    import analysis.pages  # noqa: F401

    # A pool of threads does not outlive a fork.
    torch.set_num_threads(1)


def say_imported(folder: Path) -> None:
    """Leave in a folder what this process has imported."""
    (folder / MODULES).write_text("\n".join(sys.modules), encoding="utf-8")


def import_again(folder: Path) -> None:
    """Import here what a command has imported on its way, so that later forks need not."""
    for name in (folder / MODULES).read_text(encoding="utf-8").split():
        # Some are no modules that can be named.
        with suppress(Exception):
            importlib.import_module(name)


def hastened(at: mmap) -> None:
    """In a command's process: report and checkpoint at each chance, draw no pages, and say what one is at."""
    from ablations.driver import command, estimates, execute, live, pages, showing, written
    from ablations.engine import dispatch, lease, processes
    from ablations.launchers import local
    from ablations.search.optimizer import Optimizer
    from ablations.stages import stage, training_loop
    from ablations.tracking.mlflow_store import Tracker

    vars(training_loop).update(CHECKPOINT_SECONDS=0.0, HISTORY_SECONDS=0.0)
    vars(lease).update(RENEWED=0.2, LOST=2.0)
    vars(dispatch).update(ELSEWHERE_SECONDS=0.2)
    vars(live).update(SECONDS=0.2)
    for module in (processes, estimates):
        vars(module).update(METHOD="fork")
    for module in (local, command):
        vars(module).update(warm_up=lambda: None)
    vars(written).update(WRITE_SECONDS=0.2, REST=1)

    def is_at(owner: Any, name: str, moment: Callable[..., str]) -> None:
        setattr(owner, name, announced(at, moment, getattr(owner, name)))

    vars(pages).update(write_pages=lambda folder: "")
    vars(showing).update(Drawing=Undrawn)
    is_at(stage.Stage, "run", lambda begun, *given: str(begun.kind))
    is_at(training_loop, "write_checkpoint", lambda *given: "checkpoint")
    for module in (execute, written):
        is_at(module, "write_results", lambda *given: "writing results")
    is_at(Tracker, "publish", lambda *given: "delivering")
    is_at(Optimizer, "tell", lambda *given: "telling a trial")
    is_at(Optimizer, "ask", lambda *given: "asking for a trial")
