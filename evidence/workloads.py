"""Commands that things happen to, for `evidence.reliability` and `evidence.outages`: grids and a search of seconds,
and their run in forks of one process.

All train networks of a few thousand weights, with rungs, pruning, a confirmation, and a checkpoint at each report. A
fork runs its stages itself (`launcher=serial`) or in workers that are forks of it; it imports nothing that its parent
has, and draws no pages.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from mmap import mmap
from pathlib import Path
from typing import Any

from ablations.engine.locks import LOCKS
from ablations.settings.exits import outcome
from evidence.child import announced

MODULES = "modules"
"""The file in which a command leaves what it has imported."""
TINY = (
    *("horizon=25", "training.warmup=10", "training.report_every=10", "evaluation.exact=2", "evaluation.strata=2"),
    "evaluation.sets=1",
)
POINTS = (*TINY, "data=mixture2d", "network=mlp", "network.width=16", "network.layers=1")
PAIR = "parameterization=epsilon,v"
GRID = (*POINTS, PAIR, "training.steps=40", "evaluation.rungs=2")
LATENTS = (
    *(*TINY, PAIR, "training.steps=40", "evaluation.rungs=1", "evaluation.n=50", "data=digits", "training.batch=32"),
    *("space=latents", "space.width=8", "space.steps=20", "space.batch=32"),
    *("network.channels=8", "network.multipliers=[1]", "network.attention=[]"),
)
TRUNK = (*POINTS, PAIR, "training.rate=wsd", "evaluation.rungs=2", "launcher=local")
SEARCH = (
    *(*POINTS, "training.steps=40"),
    *("trials=4", "confirm=2", "study.startup=2", "study.pruner=median", "schedule=log_snr_linear"),
    *("schedule.gamma_min=interval(-14,-2)", "schedule.gamma_max=interval(0,8)"),
)


@dataclass(frozen=True)
class Workload:
    """Commands that begin at once in one folder of results: the words of each, by the name of its own folder there."""

    name: str
    commands: dict[str, tuple[str, ...]]

    def main(self, arguments: list[str]) -> int:
        """Run one of them as its module does."""
        from ablations import run
        from ablations.search import __main__ as search

        return outcome(search.main if self.name == "search" else run.main, arguments)


SERIAL = Workload("grid", {"grid": (*GRID, "seeds=1", "launcher=serial")})
WORKLOADS = (
    SERIAL,
    Workload(
        "together", {"together": (*GRID, "seeds=2", "launcher=local", "launcher.workers=1", "launcher.together=4")}
    ),
    Workload("latents", {"latents": (*LATENTS, "launcher=local", "launcher.workers=2")}),
    Workload(
        # They share trunks, and the end of the short trainings is a rung of the long ones.
        "shared",
        {
            "short": (*TRUNK, "training.steps=40", "launcher.workers=1"),
            "long": (*TRUNK, "training.steps=80", "launcher.workers=1"),
        },
    ),
    Workload("search", {"search": (*SEARCH, "launcher=local", "launcher.workers=1")}),
)


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
    from ablations.driver import command, execute, live, pages
    from ablations.engine import scheduler, workers
    from ablations.launchers import local
    from ablations.search import search
    from ablations.search.optimizer import Optimizer
    from ablations.stages import stage, training_loop
    from ablations.tracking.mlflow_store import Tracker

    vars(training_loop).update(CHECKPOINT_SECONDS=0.0, HISTORY_SECONDS=0.0)
    vars(scheduler).update(POLL_SECONDS=0.05, ELSEWHERE_SECONDS=0.2)
    vars(live).update(SECONDS=0.2)
    vars(workers).update(CONTEXT=multiprocessing.get_context("fork"))
    os.register_at_fork(after_in_child=_without_locks)
    for module in (local, command):
        vars(module).update(warm_up=lambda: None)
    for module in (execute, search):
        vars(module).update(WRITE_SECONDS=0.5, REST=3)
    vars(execute).update(DRAWN=0.02)
    vars(pages).update(write_pages=lambda folder: "")

    def is_at(owner: Any, name: str, moment: Callable[..., str]) -> None:
        setattr(owner, name, announced(at, moment, getattr(owner, name)))

    is_at(stage.Stage, "run", lambda begun, *given: f"{begun.kind}{' at a rung' if begun.rung else ''}")
    is_at(training_loop, "write_checkpoint", lambda *given: "checkpoint")
    is_at(execute, "write_results", lambda *given: "writing results")
    is_at(search.Search, "write", lambda *given: "writing trials")
    is_at(Tracker, "publish", lambda *given: "delivering")
    is_at(Optimizer, "tell", lambda *given: "telling a trial")
    is_at(Optimizer, "ask", lambda *given: "asking for a trial")


def _without_locks() -> None:
    """In a worker: close what was forked with it of the locks of its command, which no worker holds elsewhere."""
    for file in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            if LOCKS in file.readlink().parts:
                os.close(int(file.name))
