"""A search's results folder and its runs in the store while trials run: written now and then, in turns, and at the end.

The folder's name is the search's from the beginning on, so that no other request takes it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ablations.driver import execute, written
from ablations.driver.turns import Turns
from ablations.engine.journal import Journal
from ablations.results.trials import Part, parts_of, write_parts
from ablations.search.confirmation import cells_of, forget_pages
from ablations.search.curves import TrialCurves
from ablations.search.optimizer import Optimizer
from ablations.search.plan import SearchPlan
from ablations.search.records import check_same_search, finalists, trials_of, unconfirmed
from ablations.tracking.mlflow_store import Tracker
from analysis.format.errors import InputError
from analysis.format.names import SEARCH


@dataclass(eq=False)
class SearchResults:
    """What a command leaves of a search; `provenance` names it, and the tracker is None once it has failed."""

    plan: SearchPlan
    optimizer: Optimizer
    journal: Journal
    folder: Path
    provenance: dict[str, Any]
    tracker: Tracker | None
    before: dict[str, Any] | None
    turns: Turns
    curves: TrialCurves
    pause: execute.Pause = field(default_factory=execute.Pause)

    @staticmethod
    def of(
        plan: SearchPlan,
        optimizer: Optimizer,
        journal: Journal,
        folder: Path,
        provenance: dict[str, Any],
        tracker: Tracker | None,
    ) -> SearchResults:
        """The beginning, with what stood there before; InputError where the folder holds another request's results."""
        turns = Turns(folder)
        with turns.turn():
            head = check_same_search(folder, plan)
            trials, _ = _parts(folder, head)
            curves = TrialCurves(plan, journal, trials.curves)
            if head is None:
                folder.mkdir(parents=True, exist_ok=True)
                write_parts(folder, trials_of(plan, optimizer, curves, provenance), unconfirmed(plan))
        before = None if head is None else head[SEARCH]
        return SearchResults(plan, optimizer, journal, folder, provenance, tracker, before, turns, curves)

    def write_in_time(self, *, ran: bool) -> None:
        """Write, if it is time to; InputError where the store has turned out not to be usable."""
        if self.tracker is not None:
            self.tracker.check()
        if self.pause.over:
            with self.pause.writing():
                self.write(ran=ran)

    def write(self, *, ran: bool) -> None:
        """Write and deliver what has been found; `ran` says whether this command has started anything."""
        # A command that starts nothing did not make what is there.
        made = self.provenance if ran or self.before is None else {key: self.before[key] for key in self.provenance}
        with self.turns.turn() as turn:
            head = check_same_search(self.folder, self.plan)
            if self.tracker is not None and turn is not None and turn.others:
                self.tracker.forget()
            _, cells = _parts(self.folder, head)
            if not cells.head or set(cells.head["cells"]) != cells_of(self.plan, finalists(self.optimizer)):
                forget_pages(self.folder)
                cells = unconfirmed(self.plan)
            write_parts(self.folder, trials_of(self.plan, self.optimizer, self.curves, made), cells)
            self.tracker = written.deliver(self.tracker, self.folder)


def _parts(folder: Path, head: dict[str, Any] | None) -> tuple[Part, Part]:
    """The trials and the confirmation that stand in a results folder; neither where it is damaged, so that both are
    written anew."""
    try:
        return parts_of(folder, head)
    except InputError:
        return Part(), Part()
