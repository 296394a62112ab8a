"""The command of a search: its dry run; its trials at work (ask, run what is missing, tell), with its results folder
written now and then; and their confirmation, its winners and the default run anew at fresh seeds, as a grid that reads
test data, in results/<search>-confirmed/.

trials.csv      a row a trial: its number, how it ended, its parameters and choices, and the means over its seeds
curves.parquet  the curves of its trainings over steps, and what the pruner was told (rung/nll/val)
grid.json       what was searched and found (`search`), and the ids of all stages that its trials need (`stages`)

Only this process writes the storage. It may be killed at any moment: what was under way continues from the journal.
"""

from __future__ import annotations

import shutil
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from ablations.driver.estimate import COMMAND, estimated_seconds
from ablations.driver.execute import REST, WRITE_SECONDS, execute, finish, opening_lines, show
from ablations.driver.live import curves_of
from ablations.driver.plan import plan_of_grid
from ablations.driver.progress import Bar, bar, minutes
from ablations.engine.journal import Journal, results_lock
from ablations.engine.scheduler import Scheduler
from ablations.engine.stage import code_version
from ablations.grids.file import AxisSpec, GridFile, LevelSpec
from ablations.grids.grid import Grid, Point
from ablations.metrics.registry import fact_of
from ablations.results.csv_text import csv_text, curve_frame, number, union
from ablations.results.folder import read_grid_json
from ablations.search.optimizer import Optimizer, storage_errors
from ablations.search.study import as_text
from ablations.search.trial import Course, SearchPlan
from ablations.search.trial import planned as planned
from ablations.settings.registry import is_whole, parameters
from ablations.settings.request import SearchRequest
from ablations.stages.graph import unique
from ablations.stages.stage import Run, Stage
from ablations.tracking.tracker import Tracker, attempt, deliver, how_to_see, open_tracker
from analysis import pages
from analysis.files import write_json, write_text
from analysis.labels import counted
from analysis.places import without_password
from analysis.results import write_curves
from analysis.schema import SEARCH, TRIAL, TRIALS

AXIS, DEFAULT, CONFIRMED = "choice", "default", "-confirmed"
STATUSES = {TrialState.COMPLETE: "finished", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}


@dataclass(eq=False)
class Search:
    """The trials of a plan, some `underway`, run until there are as many as were asked for; `provenance` names the
    command, the tracker is None once it has failed. The storage hears nothing of a trial `lost` by accident: the next
    command takes it up again."""

    plan: SearchPlan
    optimizer: Optimizer
    journal: Journal
    folder: Path
    provenance: dict[str, Any]
    tracker: Tracker | None
    underway: dict[int, Course] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    next_writing: float = 0.0

    def run(self) -> None:
        """Run all trials; after KeyboardInterrupt, those under way can be taken up again."""
        here, limit = self.plan.here, self.plan.study.file.trials
        scheduler = Scheduler[Stage](self.journal, here.launcher.start(self.journal, here.devices))
        for trial in self.optimizer.trials():
            if not trial.state.is_finished():
                self._begin(trial)
        with bar("trials", limit, counts=True) as shown:
            self._move(scheduler, shown)
            self.write()
            with closing(scheduler.run()) as events:
                for event in events:
                    if event.kind == "ended":
                        for course in self.underway.values():
                            course.pending.discard(event.stage.id)
                        self._move(scheduler, shown)
                    if (began := time.monotonic()) > self.next_writing:
                        self.write()
                        self.tracker = deliver(self.tracker, self.folder)
                        self.next_writing = (ended := time.monotonic()) + max(WRITE_SECONDS, REST * (ended - began))

    def _move(self, scheduler: Scheduler[Stage], shown: Bar) -> None:
        """Ask for trials, and move every one on that waits for nothing, until all wait."""
        while ready := self._ready():
            for course in ready:
                stages = next(course.way, [])
                scheduler.add(stages)
                course.pending = {stage.id for stage in stages}
                if not stages:
                    del self.underway[course.number]
                    self.lost += filter(None, [course.accident])
        shown.move_to(self.optimizer.over, max(self.optimizer.over, self.plan.study.file.trials))
        shown.tell("".join(f"{label} {trial.values[0]:.4g}" for _, label, trial in self.optimizer.winners()[:1]))

    def _ready(self) -> list[Course]:
        """The trials that wait for nothing, once there are as many as may be under way: none after three accidents."""
        window = self.plan.window if len(self.lost) < 3 else 0
        while len(self.underway) < window and len(self.optimizer.trials()) < self.plan.study.file.trials:
            self._begin(self.optimizer.ask())
        return [course for course in self.underway.values() if not course.pending]

    def _begin(self, trial: FrozenTrial) -> None:
        self.underway[trial.number] = Course(trial, self.plan, self.journal, self.optimizer.prunes, self.optimizer.tell)

    def write(self) -> None:
        trials, entry = self.optimizer.trials(), self.entry()
        runs = {trial.number: self.plan.runs(trial.params)[0] for trial in trials}
        rows = [self.row(trial, runs[trial.number]) for trial in trials]
        over = [run for trial in trials if trial.state.is_finished() for run in runs[trial.number]]
        curves = {(run.cell_id, run.cell.seed): curves_of(run, self.journal) for run in over}
        stages = dict.fromkeys(stage.id for each in runs.values() for run in each for stage in run.stages)
        columns = dict.fromkeys([TRIAL, *(f"param.{name}" for name in self.plan.study.parameters), *union(rows)])
        self.folder.mkdir(parents=True, exist_ok=True)
        write_text(self.folder / TRIALS, csv_text(sorted(columns, key=lambda name: "/" in name), rows))
        write_curves(self.folder, curve_frame(curves))
        head = {name: entry[name] for name in ("name", "question", "data", "horizon")}
        head |= {"layout": "general", "axes": [], "metrics": [], "seeds": [], "cells": {}, "stages": list(stages)}
        write_json(self.folder / "grid.json", head | {SEARCH: entry})

    def row(self, trial: FrozenTrial, runs: list[Run]) -> dict[str, Any]:
        """A trial's row; its metrics are means over its seeds, its costs sums."""
        study, metrics = self.plan.study, trial.user_attrs.get("metrics", {})
        return {
            TRIAL: trial.number,
            "cell_id": runs[0].cell_id if runs else "",
            "seed": study.seeds[0],
            "status": STATUSES.get(trial.state, "running"),
            "reason": trial.user_attrs.get("reason", ""),
            **{f"param.{name}": as_text(trial.params.get(name, "")) for name in study.parameters},
            **(parameters(runs[0].cell) if runs else {}),
            **{name: number(value) for name, value in metrics.items()},
        }

    def entry(self) -> dict[str, Any]:
        """The search's entry of grid.json: what was asked, and what was found so far."""
        plan, study, optimizer = self.plan, self.plan.study, self.optimizer
        over = [trial for trial in optimizer.trials() if trial.state.is_finished()]
        whole = [trial for trial in over if trial.state is not TrialState.FAIL]
        return {
            "name": study.name,
            "study": study.asked,
            "identity": plan.identity,
            **study.file.model_dump(include={"question", "sampler", "startup", "pruner"}),
            "data": study.fixed.get("data", parameters(plan.study.default_cell)["data"]),
            "horizon": study.default_cell.horizon,
            "objectives": [{"decimals": 2, **fact_of(name).shown(1), "name": name} for name in plan.objectives],
            "parameters": [
                parameter.model_dump()
                | {"name": name, "label": parameter.label or name, "when": study.when(name)}
                | {"kind": "choice" if parameter.choices else "int" if is_whole(name) else "float"}
                | {"choices": list(map(as_text, parameter.choices))}
                for name, parameter in study.parameters.items()
            ],
            "limit": study.file.trials,
            "seeds": study.seeds,
            "default": {name: as_text(value) for name, value in study.default.items()},
            "winners": [
                {"level": level, "label": label, "trial": trial.number}
                | {"params": {name: as_text(value) for name, value in trial.params.items()}}
                | {"values": dict(zip(plan.objectives, trial.values, strict=True))}
                for level, label, trial in optimizer.winners()
            ],
            "importances": optimizer.importances(),
            "trained_steps": sum(trial.user_attrs["metrics"]["cost/steps"] for trial in whole),
            "full_steps": len(whole) * len(study.seeds) * study.default_cell.training.steps,
            "seconds": round(sum(trial.user_attrs["metrics"].get("cost/seconds", 0) for trial in over), 1),
            **self.provenance,
        }


def dry_run(plan: SearchPlan, _: Journal) -> str:
    """The space, and an estimate of the time."""
    study, file, workers, default = plan.study, plan.study.file, len(plan.here.devices), plan.study.default
    lines = [f"  {key:24} {it}; the default is {as_text(default.get(key))}" for key, it in study.parameters.items()]
    here, runs = plan.here, plan.runs(default)[0]
    stages = unique(stage for run in runs for stage in run.stages)
    seconds_alone = estimated_seconds(runs, stages, here.devices[:1], here.launcher.together)
    seconds = COMMAND + file.trials * (seconds_alone - COMMAND) / workers
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
    with results_lock(request.folder), storage_errors(storage):
        optimizer = Optimizer(study, plan.identity, plan.objectives, storage)
        todo = f"{study.name}: {max(0, study.file.trials - optimizer.over)} of {study.file.trials} trials to run"
        lines = [todo, *how_to_see(tracker), f"Optuna   optuna-dashboard {without_password(storage)}"]
        print("\n".join(lines), flush=True)
        search = Search(plan, optimizer, journal, request.folder, provenance, tracker)
        try:
            search.run()
        except KeyboardInterrupt:
            print(f"interrupted after {optimizer.over} trials: they are kept, the same command continues")
            return 130
        finally:
            search.write()
        search.tracker = deliver(search.tracker, search.folder)
        if search.lost:
            print(f"{counted(len(search.lost), 'trial')} failed by accident: {search.lost[-1]}")
            print("mend this, and the same command continues")
            return 1
        return confirm(search, later)


def confirm(search: Search, tracker: Tracker) -> int:
    """Run the winners and the default anew, and print the outcome; the exit code. The confirmation of earlier winners
    gives its place to theirs; its stages are kept."""
    plan, journal, winners, entry = search.plan, search.journal, search.optimizer.winners(), search.entry()
    winners = [it for it in winners if plan.study.cell(it[2].params, plan.study.seeds[0]) != plan.study.default_cell]
    if not winners:
        show(search.folder, search.tracker)
        return 0 if search.optimizer.winners() else 1
    pages.write_pages(search.folder)
    attempt(Tracker.summarise, search.tracker, search.folder)
    seeds, trials = counted(len(plan.study.seeds), "seed"), counted(search.optimizer.over, "trial")
    notes = [
        f"Chosen on validation data by {seeds} a trial; all rows here are of seeds that the search has not seen.",
        *plan.study.footnotes,
        f"The search before it took {minutes(entry['seconds'])} of work, for {trials}.",
    ]
    store, numbers = search.optimizer.kept, [trial.number for _, _, trial in winners]
    store.set_user_attr("confirmed", first := store.user_attrs.get("confirmed", numbers))
    if first != numbers:
        notes.append("Exploratory: the search was continued after a look at test data, with an earlier winner.")
    cells = plan_of_grid(confirmation(plan, winners, notes), plan.here.launcher, plan.here.devices)
    folder, ids = search.folder.with_name(cells.grid.name), {item.cell_id for item in cells.runs}
    with results_lock(folder):
        there = read_grid_json(folder) or {}
        if there.get(SEARCH, {}).get("identity") == plan.identity and set(there["cells"]) != ids:
            shutil.rmtree(folder)
        print("\n".join(opening_lines(cells, None, journal)), flush=True)
        provenance = {**search.provenance, SEARCH: entry}
        return finish(folder, execute(iter([cells]), journal, folder, tracker, provenance))


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
