"""A search's results folder, written after each trial from Optuna's storage and the journal.

trials.csv   a row a trial: its number, how it ended, its parameters and choices, and the means over its seeds
curves.csv   the curves of its trainings over steps, and what the pruner was told (rung/nll/val)
grid.json    what was searched and found (`search`), and the ids of all stages that its trials need (`stages`)
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial

from ablations.driver.live import Live, Watched, points_of
from ablations.driver.pages import REST, WRITE_SECONDS, deliver
from ablations.engine.journal import Journal
from ablations.grids.grid import Run
from ablations.metrics.registry import fact_of
from ablations.results.csv_text import csv_text, curve_rows, number, union
from ablations.results.folder import read_grid_json
from ablations.search.optimizer import Optimizer, status_of, winners
from ablations.search.space import said
from ablations.search.trial import SearchPlan
from ablations.settings.identity import parameters
from ablations.settings.registry import is_whole
from ablations.tracking.mlflow_runs import Points, of_seed, trial_run
from ablations.tracking.mlflow_store import Tracker
from ablations.tracking.mlflow_views import view_of_search
from analysis.errors import InputError
from analysis.files import write_json, write_text
from analysis.schema import CURVES, SEARCH, TRIAL, TRIALS

Line = dict[str, Any]


@dataclass(eq=False)
class SearchFolder:
    """The results folder of a search; `provenance` names the command, the tracker is None once it has failed. Of each
    trial that is over the row, the curves and the stages are found once."""

    plan: SearchPlan
    optimizer: Optimizer
    journal: Journal
    folder: Path
    provenance: dict[str, Any]
    tracker: Tracker | None
    next_delivery: float = 0.0
    over: dict[int, tuple[Line, list[Line], list[str]]] = field(default_factory=dict)

    def write(self) -> None:
        """Write what is known."""
        trials = self.optimizer.trials()
        known = [self.over.get(trial.number) or self._known(trial) for trial in trials]
        self.over |= {one.number: it for one, it in zip(trials, known, strict=True) if one.state.is_finished()}
        rows = [row for row, _, _ in known]
        curves = {tuple(line.values())[:-1]: line for _, lines, _ in known for line in lines}
        stages = dict.fromkeys(stage for _, _, ids in known for stage in ids)
        columns = dict.fromkeys([TRIAL, *(f"param.{name}" for name in self.plan.study.parameters), *union(rows)])
        self.folder.mkdir(parents=True, exist_ok=True)
        write_text(self.folder / TRIALS, csv_text(sorted(columns, key=lambda name: "/" in name), rows))
        write_text(self.folder / "curves.csv", csv_text(CURVES, list(curves.values())))
        asked = asked_of(self.plan)
        head = {name: asked[name] for name in ("name", "question", "data", "horizon")}
        cells: dict[str, Any] = {"layout": "general", "axes": [], "metrics": [], "seeds": [], "cells": {}}
        write_json(self.folder / "grid.json", head | cells | {"stages": list(stages), SEARCH: self.entry()})

    def write_one(self) -> None:
        """Write, and now and then deliver; InputError where the store turned out not to be usable."""
        self.write()
        if self.tracker is not None:
            self.tracker.check()
        if (began := time.monotonic()) > self.next_delivery:
            self.tracker = deliver(self.tracker, self.folder)
            self.next_delivery = (ended := time.monotonic()) + max(WRITE_SECONDS, REST * (ended - began))

    def _known(self, trial: FrozenTrial) -> tuple[Line, list[Line], list[str]]:
        """A trial's row, its curves, and the stages that it needs; neither of values that make no cell."""
        try:
            runs = self.plan.runs(trial.params)
        except InputError:
            return self.row(trial, []), [], []
        lines: list[Line] = []
        for item in runs if trial.state.is_finished() else ():
            curves = {
                name: ([x for x, _ in xy], [y for _, y in xy]) for name, xy in points_of(item, self.journal).items()
            }
            lines += curve_rows({(item.cell_id, item.cell.seed): curves})
        return self.row(trial, runs), lines, [stage.id for item in runs for stage in item.stages]

    def row(self, trial: FrozenTrial, runs: list[Run]) -> Line:
        """A trial's row; its metrics are means over its seeds, its costs sums."""
        study, noted = self.plan.study, trial.user_attrs
        costs = {f"cost/{name}": noted[name] for name in ("steps", "seconds") if name in noted}
        metrics = (noted.get("metrics", {}) | costs).items() if runs else ()
        return {
            TRIAL: trial.number,
            "cell_id": runs[0].cell_id if runs else "",
            "seed": study.seeds[0],
            "status": status_of(trial),
            "reason": noted.get("reason", ""),
            **{f"param.{name}": said(trial.params.get(name, "")) for name in study.parameters},
            **(parameters(runs[0].cell) if runs else {}),
            **{name: number(value) for name, value in metrics},
        }

    def live(self) -> Live | None:
        """A view of trials while they run; None without a store."""
        if self.tracker is None:
            return None
        self.tracker.begin()
        asked = asked_of(self.plan)
        return Live(self.tracker, self.journal, self.plan.here.data, asked["question"], view_of_search(asked))

    def watched(self, trial: FrozenTrial, runs: list[Run]) -> Watched:
        """The run of a trial in the store while it is under way."""
        study, identity = self.plan.study, self.plan.identity
        row = {name: str(value) for name, value in self.row(trial, runs).items()}

        def points() -> Points:
            curves = [(item.cell.seed, name, xy) for item in runs for name, xy in points_of(item, self.journal).items()]
            return {of_seed(name, seed, study.seeds): xy for seed, name, xy in curves}

        stages = [stage for item in runs for stage in item.stages]
        run = partial(trial_run, row, [], study.name, identity, self.folder)
        return Watched((identity, str(trial.number)), stages, run, points)

    def entry(self) -> dict[str, Any]:
        """The search's entry of grid.json."""
        over = [trial for trial in self.optimizer.trials() if trial.state.is_finished()]
        failed = {trial.number for trial in over if status_of(trial) == "failed"}
        taken = {trial.number: int(trial.user_attrs.get("steps", 0)) for trial in over}
        full = len(self.plan.study.seeds) * self.plan.default.training.steps
        return asked_of(self.plan) | {
            "winners": [
                {
                    "level": level,
                    "label": label,
                    "trial": trial.number,
                    "params": {name: said(value) for name, value in trial.params.items()},
                    "values": dict(zip(self.optimizer.objectives, trial.values, strict=True)),
                }
                for level, label, trial in winners(self.optimizer)
            ],
            "importances": self.optimizer.importances(),
            "importance_trials": sum(status_of(trial) == "finished" for trial in over),
            "trained_steps": sum(taken.values()),
            "full_steps": sum(taken[number] if number in failed else full for number in taken),
            "seconds": round(sum(trial.user_attrs.get("seconds", 0.0) for trial in over), 1),
            **self.provenance,
        }


def check_same_search(folder: Path, plan: SearchPlan) -> None:
    """InputError where a results folder belongs to another search, or to a grid."""
    head = read_grid_json(folder)
    before = {} if head is None else head.get(SEARCH, {"command": "a grid"})
    if before and before.get("identity") != plan.identity:
        raise InputError(
            f"{folder} holds the results of other choices ({before.get('command', 'unknown')}), which are never "
            "overwritten: give this search a name of its own with name=…"
        )


def asked_of(plan: SearchPlan) -> dict[str, Any]:
    """The part of the search's entry that is known before anything is run."""
    study, objectives = plan.study, {name: fact_of(name) for name in plan.objectives}
    return {
        "name": study.name,
        "study": study.asked,
        "identity": plan.identity,
        "question": study.file.question,
        "data": study.fixed.get("data", parameters(plan.default)["data"]),
        "horizon": plan.default.horizon,
        "objectives": [
            fact.shown(counts=1) | {"name": name, "decimals": 2 if fact.digits is None else fact.digits}
            for name, fact in objectives.items()
        ],
        "parameters": [
            {
                "name": name,
                **parameter.model_dump(),
                "label": parameter.label or name,
                "kind": "choice" if parameter.choices else "int" if is_whole(name) else "float",
                "choices": list(map(said, parameter.choices)),
                "when": study.when(name),
            }
            for name, parameter in study.parameters.items()
        ],
        "sampler": study.file.sampler,
        "startup": study.file.startup,
        "limit": study.limit,
        "pruner": study.file.pruner,
        "seeds": study.seeds,
        "default": {name: said(value) for name, value in study.default.items()},
    }
