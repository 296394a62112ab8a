"""The honest end of a search: its winners and the default, run anew at fresh seeds as a grid that reads test data, in
the folder results/<search>-confirmed/."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from ablations.driver import pages
from ablations.driver.execute import Job, execute
from ablations.driver.plan import plan as plan_grid
from ablations.driver.progress import minutes
from ablations.driver.sequential import fixed
from ablations.driver.summary import beginning
from ablations.engine.locks import results_lock
from ablations.grids.file import AxisSpec, GridFile, LevelSpec
from ablations.grids.grid import Grid, Point
from ablations.results.folder import read_grid_json
from ablations.search.optimizer import Optimizer, winners
from ablations.search.trial import SearchPlan
from ablations.search.trials_csv import SearchFolder
from ablations.settings.cell import Cell
from ablations.tracking.mlflow_store import Tracker
from analysis.labels import counted
from analysis.schema import SEARCH

AXIS, DEFAULT = "choice", "default"


def confirmation(plan: SearchPlan, optimizer: Optimizer) -> Grid:
    """The grid of the default, and of the winners that differ from it."""
    study, cells = plan.study, {DEFAULT: ("default", plan.default)}
    for level, label, trial in winners(optimizer):
        cell = study.cell(trial.params, study.seeds[0])
        if cell not in [other for _, other in cells.values()]:
            cells[level] = (label, cell)
    seconds = sum(trial.user_attrs.get("seconds", 0.0) for trial in optimizer.trials())
    notes = [
        f"Chosen on validation data by {counted(len(study.seeds), 'seed')} a trial; all rows here are of seeds that "
        "the search has not seen.",
        *study.footnotes,
        f"The search before it took {minutes(seconds)} of work, for {counted(optimizer.counted(), 'trial')}.",
    ]
    if len(cells) > 1 and (looks := optimizer.looks([plan.here.id_of(cell) for _, cell in cells.values()])):
        notes.append(
            f"This search was continued after {counted(looks, 'look')} at test data with an earlier winner, at the "
            "same seeds: going on until a verdict pleases makes it an exploratory one."
        )
    return grid_of(plan, cells, notes)


def grid_of(plan: SearchPlan, cells: dict[str, tuple[str, Cell]], notes: Sequence[str] = ()) -> Grid:
    """A grid of these cells, by level with their labels, at the seeds that follow those of the search."""
    study, first = plan.study, plan.study.seeds[-1] + 1
    levels = [LevelSpec(name=level, label=label) for level, (label, _) in cells.items()]
    file = GridFile(
        question=f"{study.file.question} What a search found, confirmed at fresh seeds.",
        axes=[AxisSpec(name=AXIS, label="Choice", levels=levels)],
        baseline={AXIS: DEFAULT},
        seeds=study.file.confirm,
        footnotes=list(notes),
    )
    points = [Point({AXIS: level}, cell) for level, (_, cell) in cells.items()]
    return Grid(f"{study.name}-confirmed", file, points, list(range(first, first + study.file.confirm)))


def confirm(kept: SearchFolder, opened: Callable[[str, Path], Tracker | None]) -> int:
    """Run the winners and the default anew, and print the outcome; the exit code. The confirmation of earlier winners
    gives its place to theirs; its stages are kept."""
    plan, journal, grid = kept.plan, kept.journal, confirmation(kept.plan, kept.optimizer)
    if len(grid.points) == 1:
        pages.show(kept.folder, kept.tracker)
        return 0 if kept.optimizer.front() else 1
    pages.write_pages(kept.folder)
    cells, folder = plan_grid(grid, plan.here.launcher, plan.here.devices), kept.folder.with_name(grid.name)
    with results_lock(folder):
        there = read_grid_json(folder) or {}
        ids = {item.cell_id for item in cells.runs}
        if there.get(SEARCH, {}).get("identity") == plan.identity and set(there["cells"]) != ids:
            shutil.rmtree(folder)
        print("\n".join(beginning(cells, None, journal)), flush=True)
        job = Job(journal, folder, opened(grid.name, folder.parent), {**kept.provenance, SEARCH: kept.entry()})
        return pages.finish(folder, execute(fixed(cells), job))
