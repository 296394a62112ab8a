"""A search at work: ask, run what is missing, tell; and its results folder, written now and then.

trials.csv      a row a trial: its number, how it ended, its parameters and choices, and the means over its seeds
curves.parquet  the curves of its trainings over steps, and what the pruner was told (rung/nll/val)
grid.json       what was searched and found (`search`), and the ids of all stages that its trials need (`stages`)

Only this process writes the storage. It may be killed at any moment: what was under way continues from the journal.
"""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from ablations.driver.live import curves_of
from ablations.driver.pages import REST, WRITE_SECONDS, deliver
from ablations.driver.progress import Bar, bar
from ablations.engine.journal import Journal
from ablations.engine.scheduler import Scheduler
from ablations.metrics.registry import fact_of
from ablations.results.csv_text import csv_text, curve_frame, number, union
from ablations.search.optimizer import Optimizer
from ablations.search.study import said
from ablations.search.trial import Course, SearchPlan
from ablations.settings.registry import is_whole, parameters
from ablations.stages.stage import Run, Stage
from ablations.tracking.tracker import Tracker
from analysis.files import write_json, write_text
from analysis.results import write_curves
from analysis.schema import SEARCH, TRIAL, TRIALS

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
        self.underway[trial.number] = Course(trial, self.plan, self.journal, self.optimizer)

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
            **{f"param.{name}": said(trial.params.get(name, "")) for name in study.parameters},
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
                | {"choices": list(map(said, parameter.choices))}
                for name, parameter in study.parameters.items()
            ],
            "limit": study.file.trials,
            "seeds": study.seeds,
            "default": {name: said(value) for name, value in study.default.items()},
            "winners": [
                {"level": level, "label": label, "trial": trial.number}
                | {"params": {name: said(value) for name, value in trial.params.items()}}
                | {"values": dict(zip(plan.objectives, trial.values, strict=True))}
                for level, label, trial in optimizer.winners()
            ],
            "importances": optimizer.importances(),
            "trained_steps": sum(trial.user_attrs["metrics"]["cost/steps"] for trial in whole),
            "full_steps": len(whole) * len(study.seeds) * study.default_cell.training.steps,
            "seconds": round(sum(trial.user_attrs["metrics"].get("cost/seconds", 0) for trial in over), 1),
            **self.provenance,
        }
