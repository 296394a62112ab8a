"""A kind of machine for each seed: of commands that share a folder, each leaves to others the seeds that are theirs.

Cells are compared at the seeds that one kind made of all of them. So a stage is late here if another kind trained what
it needs, or has trained more of its seed than this one: it is run here when there is nothing else to do, since no
machine should stand idle for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from ablations.engine.journal import Journal
from ablations.stages.stage import Stage
from analysis.format.names import MACHINE


class OtherKinds:
    """The stages that are for other kinds of machine than this command's `own`, by the trainings that it was told of.

    Where its own kind is not known, since its workers are of several, none is.
    """

    def __init__(self, own: str, journal: Journal, finished: Iterable[Stage]) -> None:
        self.own = own
        self.journal = journal
        self.made: dict[str, str] = {}
        self.of_seed: dict[int, Counter[str]] = {}
        for stage in finished if own else ():
            self.note(stage)

    def note(self, stage: Stage) -> None:
        """Note the kind of machine that a stage was trained by, if it trains and has its result."""
        result = self.journal.result(stage.id) if self.own and stage.trains and stage.id not in self.made else None
        kind = "" if result is None else result.metadata.get(MACHINE, "")
        if kind:
            self.made[stage.id] = kind
            self.of_seed.setdefault(stage.cell.seed, Counter())[kind] += 1

    def late(self, stage: Stage) -> bool:
        """True where a stage is for another kind."""
        if not self.own or not stage.of_cell:
            return False
        needed = {self.made[need] for need in stage.needs if need in self.made}
        if needed:
            return needed != {self.own}
        of_seed = self.of_seed.get(stage.cell.seed, Counter[str]())
        return of_seed[self.own] < max(of_seed.values(), default=0)
