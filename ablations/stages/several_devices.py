"""A training that several devices share: one process each, joined by torchrun's rendezvous.

    worker ─▶ torchrun ─▶ rank 0, 1, …: the same stage, each with its share of every batch (`diffusion_core.ranks`)

The first rank writes the stage's files, by the same functions as a single worker; the worker waits for all ranks, and
they end with it.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ablations.engine.lease import Lease
from ablations.engine.stage import Bench
from ablations.settings.plugins import classes as plugins
from ablations.stages.devices import devices_of
from ablations.stages.stage import Stage

RANK = "ablations.stages.rank"
"""The module that each rank runs."""


class LearningStage(Stage):
    """A stage that trains: it leaves checkpoints, and several devices may share it."""

    trains = True

    def perform(self, bench: Bench) -> None:
        if len(devices_of(bench.device)) > 1:
            perform_on_several(self, bench)
        else:
            super().perform(bench)


@dataclass(frozen=True)
class Task:
    """A message to the ranks of a training: the stage, the place of its journal, and the worker's registrations and
    leases."""

    stage: Stage
    journal: str
    devices: list[str]
    modules: list[str]
    worker: int
    lease: Lease


def perform_on_several(stage: Stage, bench: Bench) -> None:
    """Run a training on several devices, which leaves its result or its failure; RuntimeError if it leaves neither."""
    journal = bench.journal
    task = Task(stage, journal.address, devices_of(bench.device), plugins.modules(), os.getpid(), bench.lease)
    journal.forget_failure(stage.id)
    with tempfile.TemporaryDirectory() as folder:
        # A folder of this user's own: what is read there runs code.
        path = Path(folder) / "task"
        path.write_bytes(pickle.dumps(task))
        words = ["torch.distributed.run", "--standalone", f"--nproc-per-node={len(task.devices)}", "-m", RANK]
        done = subprocess.run(
            [sys.executable, "-m", *words, str(path)],
            env={**os.environ, "OMP_NUM_THREADS": str(stage.threads)},
            capture_output=True,
            text=True,
            start_new_session=True,
        )
    if done.returncode and journal.failure(stage.id) is None:
        bench.lease.check()
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise RuntimeError(f"its {len(task.devices)} processes ended with {done.returncode}: {' | '.join(lines[-3:])}")
