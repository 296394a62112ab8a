"""Toys: stages of milliseconds, which sum what those they need have left, and 1, in steps that they go on from.

`python -m tests.ablations.engine.toys JOURNAL [WORD]` is a command of them, of `PLAN`, or with a word of it reversed.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from ablations.engine.journal import Damaged, Journal, Result
from ablations.engine.scheduler import Scheduler
from ablations.engine.stage import Bench, Stage
from ablations.engine.workers import Processes
from analysis.files import write_text

LEFT = "left.safetensors"
"""What a toy leaves: its id and its sum."""
STEPS = "checkpoint.safetensors"
RUNS = "runs"
"""The file to which each run of a toy adds its pid."""


@dataclass(frozen=True)
class Toy(Stage):
    """A toy of so many `steps` of some `seconds`; those of one `shape` run side by side. It may end in its own way."""

    id: str
    needs: tuple[str, ...] = ()
    steps: int = 3
    seconds: float = 0.0
    shape: str = ""
    ends: str = ""
    kind = "toy"

    @property
    def threads(self):
        return 1

    def shape_key(self, device):
        return self.shape

    def run(self, bench: Bench) -> Result:
        with (bench.folder / RUNS).open("a") as file:
            # No two run at once: the second would fail here.
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            file.write(f"{os.getpid()}\n")
            file.flush()
            return self.summed(bench)

    def summed(self, bench):
        inputs = [read(bench.journal.folder(need)) for need in self.needs]
        path, met = bench.folder / STEPS, []
        for step in range(int(path.read_text()) if path.exists() else 0, self.steps):
            met.append(1 if bench.member is None else bench.member.exchange(self.id, lambda ids: [len(ids)] * len(ids)))
            time.sleep(self.seconds)
            write_text(path, str(step + 1))
            bench.progress((step + 1) / self.steps)
        self.end(alone=bench.member is None)
        write_text(bench.folder / LEFT, json.dumps([self.id, sum(inputs) + 1]))
        status = "diverged" if self.ends == "diverges" else "finished"
        return Result(status, "", {"sum": sum(inputs) + 1.0, "met": float(max(met, default=0))}, {}, {})

    def end(self, alone):
        if self.ends == "is killed" or (self.ends == "is killed beside others" and not alone):
            os.kill(os.getpid(), signal.SIGKILL)
        if self.ends == "is interrupted":
            raise KeyboardInterrupt
        if self.ends == "finds no space":
            raise OSError(28, "No space left on device")
        if self.ends in ("fails", "breaks its GPU"):
            raise ValueError("it cannot be done")


def toy(name: str, *needs: str, **more) -> Toy:
    """A toy that needs these."""
    return Toy(name, needs, **more)


def read(folder: Path) -> int:
    """What a toy has left; Damaged where that is another's."""
    name, total = json.loads((folder / LEFT).read_text())
    if name != folder.name:
        raise Damaged(folder / LEFT, "is another stage's")
    return total


def begin():
    """There is nothing to prepare."""


def started(journal: Journal, count: int, most: int = 1) -> Scheduler:
    """A scheduler with worker processes."""
    return Scheduler(journal, Processes(journal, ["cpu"] * count, begin, most))


PLAN = [toy(f"{shape}{i}", steps=30, seconds=0.01, shape=shape) for shape in "ab" for i in range(3)]
PLAN += [toy(f"end{i}", f"a{i}", f"b{i}", seconds=0.01) for i in range(3)]
SUMS = {stage.id: 3.0 if stage.needs else 1.0 for stage in PLAN}
"""What they come to."""


def main(root: str, *reverse: str) -> int:
    """The exit code of a command of toys."""
    scheduler = started(Journal(Path(root)), 2, most=4)
    scheduler.add(PLAN[::-1] if reverse else PLAN)
    try:
        with closing(scheduler.run()) as events:
            ended = {event.stage.id: event.status for event in events if event.kind == "ended"}
    except KeyboardInterrupt:
        return 130
    return 0 if ended == dict.fromkeys(SUMS, "finished") else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
