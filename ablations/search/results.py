"""A search's results folder and its runs in the store while trials run: written now and then, under the folder's lock,
and at the end.

The folder's name belongs to the search from the beginning, so that no other request takes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ablations.driver import written
from ablations.driver.watched import points_of
from ablations.driver.written import Pause
from ablations.engine.folder_lock import FolderLock
from ablations.engine.journal import Journal
from ablations.results.csv_text import curve_rows
from ablations.results.trials import Line, Part, parts_of, write_parts
from ablations.search.confirmation import cells_of, forget_pages
from ablations.search.finalists import finalists
from ablations.search.optimizer import Optimizer
from ablations.search.optimizer.trials import StoredTrial
from ablations.search.plan import SearchPlan
from ablations.search.records import check_same_search, trials_of, unconfirmed
from ablations.tracking.mlflow_runs import RUNNING, Points
from ablations.tracking.mlflow_store import Tracker
from analysis.errors import InputError
from analysis.schema import RUNG, SEARCH


@dataclass(eq=False)
class SearchResults:
    """The results of a search as one command writes them; `provenance` names the command, and the tracker is None once
    it has failed. The curves of each finished trial are read once."""

    plan: SearchPlan
    optimizer: Optimizer
    journal: Journal
    folder: Path
    provenance: dict[str, Any]
    tracker: Tracker | None
    pause: Pause = field(default_factory=Pause)
    curves: dict[int, list[Line]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Take the folder; InputError where it holds another request's results."""
        self.lock = FolderLock(self.folder)
        with self.lock.held():
            if check_same_search(self.folder, self.plan) is None:
                self.folder.mkdir(parents=True, exist_ok=True)
                self._write(Part(), unconfirmed(self.plan), self.provenance)

    def write_in_time(self, *, ran: bool) -> None:
        """Write, if it is time to; InputError where the store turned out not to be usable."""
        if self.tracker is not None:
            self.tracker.check()
        if self.pause.over:
            with self.pause.writing():
                self.write(ran=ran)

    def write(self, *, ran: bool) -> None:
        """Write and deliver what is known; `ran` says whether this command has started anything."""
        with self.lock.held() as held:
            head = check_same_search(self.folder, self.plan)
            if self.tracker is not None and held is not None and held.others:
                self.tracker.forget()
            try:
                trials, cells = parts_of(self.folder, head)
            except InputError:
                # What is damaged is written anew: the trials here, the cells by their confirmation.
                trials, cells = Part(), Part()
            confirmed = cells.head.get("cells")
            if not confirmed or set(confirmed) != cells_of(self.plan, finalists(self.optimizer)):
                if confirmed:
                    forget_pages(self.folder)
                cells = unconfirmed(self.plan)
            made = self.provenance
            if head is not None and not ran:
                # A command that starts nothing did not make what is there.
                made = {key: head[SEARCH][key] for key in (*made, "seconds")}
            self._write(trials, cells, made)
            self.tracker = written.deliver(self.tracker, self.folder)

    def _write(self, before: Part, cells: Part, provenance: dict[str, Any]) -> None:
        curves = self._curves(self.optimizer.trials(), before.curves)
        write_parts(self.folder, trials_of(self.plan, self.optimizer, curves, provenance), cells)

    def _curves(self, trials: Iterable[StoredTrial], before: list[Line]) -> list[Line]:
        """Curves of the trainings of finished trials, in order; those of a cell that was tried twice appear once."""
        points: dict[tuple[object, ...], Line] = {}
        for trial in trials:
            if trial.state != RUNNING:
                if trial.number not in self.curves:
                    self.curves[trial.number] = self._reported(trial, before)
                points |= {tuple(line.values())[:-1]: line for line in self.curves[trial.number]}
        return list(points.values())

    def _reported(self, trial: StoredTrial, before: list[Line]) -> list[Line]:
        """The curves of a trial, and what the pruner was told. Where the journal has none, curves that stood there
        `before` stay: a damaged training of a trial that has its value is not repeated."""
        cell, seeds = trial.metadata.get("cell_id", ""), self.plan.study.seeds
        planned = self.plan.possible(trial.params)
        lines = [
            line for item in planned for line in _lines(cell, item.cell.seed, points_of(item.stages, self.journal))
        ]
        stood = [line for line in before if line["cell_id"] == cell and not line["curve"].startswith(RUNG)]
        judged = sorted((float(step), value) for step, value in trial.reported.items())
        rungs = {f"{RUNG}{self.plan.objectives[0]}": judged} if self.plan.study.prunes else {}
        return [*(lines or stood), *_lines(cell, seeds[0], rungs)]


def _lines(cell: str, seed: int, points: Points) -> Iterator[Line]:
    curves = {name: ([x for x, _ in line], [y for _, y in line]) for name, line in points.items()}
    return curve_rows({(cell, seed): curves})
