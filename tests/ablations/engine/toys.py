"""Stages of a millisecond, for what is true of every stage: they read what those they need have left, and add to it."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

from ablations.engine.files import CHECKPOINT, Damaged
from ablations.engine.journal import Result
from ablations.engine.stage import Bench, Stage

LEFT = "left.safetensors"
"""What a toy leaves: its sum."""


@dataclass(frozen=True)
class Toy(Stage):
    """Sums what those it needs have left, and 1, in so many steps, each of which is a checkpoint."""

    id: str
    needs: tuple[str, ...] = ()
    steps: int = 3
    seconds: float = 0.0
    kind = "toy"

    @property
    def threads(self):
        return 1

    def run(self, bench: Bench) -> Result:
        inputs = [read(bench.journal.shelf(need), bench.journal.folder(need)) for need in self.needs]
        shelf = bench.journal.shelf(self.id)
        begun = json.loads((shelf.read(CHECKPOINT) or ("[0, 0]", 0.0))[0])
        for step in range(begun[0], self.steps):
            bench.lease.check()
            shelf.write(CHECKPOINT, json.dumps([step + 1, begun[1]]))
            bench.journal.write_progress(self.id, (step + 1) / self.steps)
            time.sleep(self.seconds)
        bench.lease.check()
        shelf.write(LEFT, json.dumps([self.id, sum(inputs) + 1]))
        return Result("finished", "", {"sum": sum(inputs) + 1.0, "begun": float(begun[0])}, {}, {})


def toy(name: str, *needs: str) -> Toy:
    """A toy that needs these."""
    return Toy(name, needs)


def read(shelf, folder):
    """What a toy has left; Damaged where that is not whole."""
    text = (shelf.read(LEFT) or ("", 0.0))[0]
    try:
        name, total = json.loads(text)
    except ValueError as error:
        raise Damaged(folder / LEFT, "has been altered") from error
    if name != folder.name:
        raise Damaged(folder / LEFT, "is another stage's")
    return total
