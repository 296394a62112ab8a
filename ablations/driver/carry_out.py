"""The command of a grid: its plan, and from that its results."""

from __future__ import annotations

from pathlib import Path

from ablations.driver.execute import execute
from ablations.driver.pages import deliver_models, finish, where
from ablations.driver.plan import Plan, check_same_request, plan
from ablations.driver.sequential import Looks, fixed
from ablations.driver.summary import beginning
from ablations.driver.summary import dry_run as dry_run
from ablations.engine.journal import Journal
from ablations.engine.locks import results_lock
from ablations.engine.version import code_version
from ablations.grids.grid import make
from ablations.launchers.protocol import launcher_of
from ablations.results.deck.files import write_deck
from ablations.settings.request import Request
from ablations.tracking.tracker import open_tracker


def planned(request: Request) -> tuple[Plan, Looks | None]:
    """The plan of a request, and its declarations where seeds are added by looks."""
    grid, launcher = make(request), launcher_of(request)
    cells = plan(grid, launcher, launcher.devices(request.device, grid.points[0].cell.threads))
    declared = Looks.of(cells) if grid.looks is not None else None
    check_same_request(request.folder, cells)
    return cells, declared


def carry_out(request: Request, planned: tuple[Plan, Looks | None], journal: Journal) -> int:
    """Run what a plan lacks, and write its results; the exit code."""
    (plan, declared), folder, results = planned, request.folder, Path(request.results)
    tracker = open_tracker(request.tracking_uri, plan.grid.name, results)
    provenance = {"command": request.command, "code": code_version()}
    with results_lock(folder):
        if lines := beginning(plan, declared, journal):
            print("\n".join([*lines, *where(tracker)]), flush=True)
        looks = fixed(plan) if declared is None else declared.take(journal)
        ended = execute(looks, journal, folder, tracker, provenance)
        if request.tracking_models and ended.tracker is not None and not ended.stopped:
            deliver_models(ended.tracker, ended.records, journal)
        if plan.grid.file.deck and not ended.stopped:
            write_deck(folder, ended.records, journal, plan.here.data)
        return finish(folder, ended)
