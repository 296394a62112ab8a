"""A search's results folder and its runs in the store while trials run: written now and then, in lock, and at the end.

The folder's name is the search's from the beginning on, so that no other request takes it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ablations.driver import written
from ablations.driver.pause import Pause
from ablations.engine.folder_lock import FolderLock
from ablations.engine.journal import Journal
from ablations.search.confirmation import forget_another
from ablations.search.curves import TrialCurves, standing_curves
from ablations.search.optimizer import Optimizer
from ablations.search.plan import SearchPlan
from ablations.search.records import check_same_search, finalists, write_search
from ablations.tracking.mlflow_store import Tracker
from analysis.format.files import read_json
from analysis.format.names import SEARCH, TRIAL_CURVES


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
    lock: FolderLock
    curves: TrialCurves
    pause: Pause = field(default_factory=Pause)

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
        before, lock = read_json(folder / SEARCH), FolderLock(folder)
        curves = TrialCurves(plan, journal, standing_curves(folder / TRIAL_CURVES))
        with lock.held():
            check_same_search(folder, plan)
            if before is None:
                write_search(folder, plan, optimizer, curves, provenance)
        return SearchResults(plan, optimizer, journal, folder, provenance, tracker, before, lock, curves)

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
        with self.lock.held() as held:
            check_same_search(self.folder, self.plan)
            if self.tracker is not None and held is not None and held.others:
                self.tracker.forget()
            write_search(self.folder, self.plan, self.optimizer, self.curves, made)
            forget_another(self.folder, self.plan, finalists(self.optimizer))
            self.tracker = written.deliver(self.tracker, self.folder)
