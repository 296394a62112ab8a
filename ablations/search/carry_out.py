"""The command of a search: its dry run; its trials; and their confirmation, its winners and the default run anew at
fresh seeds, as a grid that reads test data, in results/<search>-confirmed/."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from optuna.trial import FrozenTrial

from ablations.driver import pages
from ablations.driver.estimate import COMMAND, estimated
from ablations.driver.execute import beginning, execute
from ablations.driver.plan import Plan, plan_of_grid
from ablations.driver.progress import minutes
from ablations.engine.journal import Journal, results_lock
from ablations.engine.stage import code_version
from ablations.grids.file import AxisSpec, GridFile, LevelSpec
from ablations.grids.grid import Grid, Point
from ablations.results.folder import read_grid_json
from ablations.search.optimizer import Optimizer, guarded
from ablations.search.search import Search
from ablations.search.study import said
from ablations.search.trial import SearchPlan
from ablations.search.trial import planned as planned
from ablations.settings.request import SearchRequest
from ablations.tracking.tracker import Tracker, open_tracker
from analysis.labels import counted
from analysis.places import without_password
from analysis.schema import SEARCH

AXIS, DEFAULT, CONFIRMED = "choice", "default", "-confirmed"


def dry_run(plan: SearchPlan, _: Journal) -> str:
    """The space, and an estimate of the time."""
    study, file, workers, default = plan.study, plan.study.file, len(plan.here.devices), plan.study.default
    lines = [f"  {key:24} {it}; the default is {said(default.get(key))}" for key, it in study.parameters.items()]
    alone = replace(plan.here, devices=plan.here.devices[:1])
    one = Plan(confirmation(plan, [], []), alone, plan.runs(default)[0], [])
    seconds = COMMAND + file.trials * (estimated(one, Journal(Path())) - COMMAND) / workers
    how = f"{counted(file.trials, 'trial')} ({file.sampler}, pruner {file.pruner}, by {' and '.join(plan.objectives)})"
    time = f"about {minutes(seconds)} on {counted(workers, 'worker')}, if none is pruned"
    return "\n".join([f"{study.name}: {file.question}", *lines, f"{how}: {time}"])


def carry_out(request: SearchRequest, plan: SearchPlan, journal: Journal) -> int:
    """Run the trials that are missing and, unless something stops that, confirm the winners; the exit code."""
    results, study = Path(request.results), plan.study
    storage = request.storage or f"sqlite:///{results / 'optuna.db'}"
    names = study.name, f"{study.name}{CONFIRMED}"
    tracker, later = (open_tracker(request.tracking_uri, name, results) for name in names)
    provenance = {"command": request.command, "code": code_version()}
    with results_lock(request.folder), guarded(storage):
        optimizer = Optimizer(study, plan.identity, plan.objectives, storage)
        todo = f"{study.name}: {max(0, study.file.trials - optimizer.over)} of {study.file.trials} trials to run"
        lines = [todo, *pages.where(tracker), f"Optuna   optuna-dashboard {without_password(storage)}"]
        print("\n".join(lines), flush=True)
        search = Search(plan, optimizer, journal, request.folder, provenance, tracker)
        try:
            search.run()
        except KeyboardInterrupt:
            print(f"interrupted after {optimizer.over} trials: they are kept, the same command continues")
            return 130
        finally:
            search.write()
        search.tracker = pages.deliver(search.tracker, search.folder)
        if search.lost:
            print(f"{counted(len(search.lost), 'trial')} failed by accident: {search.lost[-1]}")
            print("mend this, and the same command continues")
            return 1
        return confirm(search, later)


def confirm(search: Search, tracker: Tracker) -> int:
    """Run the winners and the default anew, and print the outcome; the exit code. The confirmation of earlier winners
    gives its place to theirs; its stages are kept."""
    plan, journal, found, entry = search.plan, search.journal, search.optimizer.winners(), search.entry()
    found = [one for one in found if plan.study.cell(one[2].params, plan.study.seeds[0]) != plan.study.default_cell]
    if not found:
        pages.show(search.folder, search.tracker)
        return 0 if search.optimizer.winners() else 1
    pages.write_pages(search.folder)
    pages.sent(Tracker.summarise, search.tracker, search.folder)
    seeds, trials = counted(len(plan.study.seeds), "seed"), counted(search.optimizer.over, "trial")
    notes = [
        f"Chosen on validation data by {seeds} a trial; all rows here are of seeds that the search has not seen.",
        *plan.study.footnotes,
        f"The search before it took {minutes(entry['seconds'])} of work, for {trials}.",
    ]
    store, numbers = search.optimizer.kept, [trial.number for _, _, trial in found]
    store.set_user_attr("confirmed", first := store.user_attrs.get("confirmed", numbers))
    if first != numbers:
        notes.append("Exploratory: the search was continued after a look at test data, with an earlier winner.")
    cells = plan_of_grid(confirmation(plan, found, notes), plan.here.launcher, plan.here.devices)
    folder, ids = search.folder.with_name(cells.grid.name), {item.cell_id for item in cells.runs}
    with results_lock(folder):
        there = read_grid_json(folder) or {}
        if there.get(SEARCH, {}).get("identity") == plan.identity and set(there["cells"]) != ids:
            shutil.rmtree(folder)
        print("\n".join(beginning(cells, None, journal)), flush=True)
        provenance = {**search.provenance, SEARCH: entry}
        return pages.finish(folder, execute(iter([cells]), journal, folder, tracker, provenance))


def confirmation(plan: SearchPlan, found: list[tuple[str, str, FrozenTrial]], notes: list[str]) -> Grid:
    """The grid of the default and of what was found, at the seeds that follow those of the search."""
    study, first = plan.study, plan.study.seeds[-1] + 1
    points = {(DEFAULT, DEFAULT): study.default_cell}
    points |= {(level, label): study.cell(trial.params, study.seeds[0]) for level, label, trial in found}
    levels = [LevelSpec(name=level, label=label) for level, label in points]
    file = GridFile(
        question=f"{study.file.question} What a search found, confirmed at fresh seeds.",
        axes=[AxisSpec(name=AXIS, label="Choice", levels=levels)],
        baseline={AXIS: DEFAULT},
        seeds=study.file.confirm,
        footnotes=notes,
    )
    cells = [Point({AXIS: level}, cell) for (level, _), cell in points.items()]
    return Grid(f"{study.name}{CONFIRMED}", file, cells, list(range(first, first + study.file.confirm)))
