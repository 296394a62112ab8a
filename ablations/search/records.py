"""What a search found, read from its storage and the journal: the files of `results/<name>/` beside the confirmation's.

search.json   the question, the space, the budget, the winners, importances, provenance
trials.csv    a row per trial: state, reason, cell, what was tried, every choice, the means of its seeds' metrics
rungs.csv     (trial, seed, step, value): what the pruner was told, where one watched trainings
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ablations.results.csv_text import csv_text, number, union
from ablations.results.grid_json import metrics_of
from ablations.search.file import Parameter
from ablations.search.loop import Setting
from ablations.search.optimizer import Optimizer, Told
from ablations.search.space import Params, Study, whole
from ablations.stages.journal import Journal, read_json, write_json, write_text
from analysis.errors import InputError
from analysis.read.csv_files import read_csv
from analysis.read.search import RUNGS, SEARCH, TRIALS

COLUMNS = ("trial", "state", "reason", "cell_id", "steps", "seconds")
LABELS = {"energy_distance": {"label": "Energy distance", "decimals": 4}, "fid": {"label": "FID", "decimals": 1}}


@dataclass(frozen=True)
class Winner:
    """A trial that is confirmed, and what it is called among the confirmation's levels."""

    level: str
    label: str
    trial: Told


def winners(optimizer: Optimizer) -> list[Winner]:
    """The best trial; with two objectives the best of each, and the one between that is nearest to both."""
    trials = {trial.number: trial for trial in optimizer.trials()}
    front = [trials[number] for number in optimizer.front()]
    if not front:
        return []
    if len(optimizer.objectives) == 1:
        return [Winner("found", "found by search", front[0])]
    names = [name.split("/")[0].replace("energy_distance", "energy") for name in optimizer.objectives]
    labels = {"nll": "NLL", "fid": "FID", "energy": "energy distance"}
    chosen = [
        Winner(f"best_{name}", f"best {labels[name]}", min(front, key=lambda trial, i=i: trial.values[i]))  # type: ignore[misc]
        for i, name in enumerate(names)
    ]
    ends = {winner.trial.values for winner in chosen}
    inner = [trial for trial in front if trial.values not in ends]
    chosen += [Winner("between", "between", trial) for trial in between(inner, front)]
    return chosen if len(ends) == len(names) else [Winner("found", "best in both", chosen[0].trial)]


def between(inner: list[Told], front: list[Told]) -> list[Told]:
    """The trial nearest to the best of both objectives, each on the scale of the front; none where there is none."""
    lows = [min(values) for values in zip(*(trial.values for trial in front), strict=True)]
    highs = [max(values) for values in zip(*(trial.values for trial in front), strict=True)]

    def distance(trial: Told) -> float:
        return math.hypot(*((v - low) / (high - low) for v, low, high in zip(trial.values, lows, highs, strict=True)))

    return [min(inner, key=distance)] if inner else []


def write_search(folder: Path, here: Setting, optimizer: Optimizer, provenance: dict[str, Any], *, ended: bool) -> bool:
    """The three files; whether they were written.

    While a search goes on, results that came with a checkout stand until there are as many.
    """
    trials = optimizer.trials()
    complete = sum(trial.state == "complete" for trial in trials)
    if not ended and complete < complete_in(folder):
        return False
    folder.mkdir(parents=True, exist_ok=True)
    rows = [row_of(here, trial) for trial in trials]
    names = list(dict.fromkeys([*COLUMNS, *(f"param.{name}" for name in here.study.parameters), *union(rows)]))
    metrics = sorted(name for name in names if "/" in name)
    write_text(folder / TRIALS, csv_text([*(name for name in names if "/" not in name), *metrics], rows))
    seed = here.study.seeds[0]
    reported = [[t.number, seed, step, f"{v:.6g}"] for t in trials for step, v in sorted(t.reported.items())]
    if here.study.prunes:
        columns = ("trial", "seed", "step", "value")
        write_text(folder / RUNGS, csv_text(columns, [dict(zip(columns, line, strict=True)) for line in reported]))
    write_json(folder / SEARCH, head_of(here, optimizer, trials, provenance))
    return True


def complete_in(folder: Path) -> int:
    """How many complete trials a results folder holds; none where it cannot be read."""
    try:
        return int((read_csv(folder / TRIALS, ["state"])["state"] == "complete").sum())
    except InputError:
        return 0


def row_of(here: Setting, trial: Told) -> dict[str, Any]:
    """A trial's row of trials.csv."""
    facts = trial.facts
    row: dict[str, Any] = {
        "trial": trial.number,
        "state": trial.state,
        "reason": facts.get("reason", ""),
        "cell_id": facts.get("cell_id", ""),
        "steps": facts.get("steps", ""),
        "seconds": number(facts["seconds"]) if "seconds" in facts else "",
        **{f"param.{name}": said(trial.params.get(name, "")) for name in here.study.parameters},
    }
    try:
        row |= here.study.cell(trial.params, here.study.seeds[0]).parameters()
    except (InputError, KeyError):
        # Values that make no cell, or a trial that was cut off before all of them were drawn.
        return row
    return row | {name: number(value) for name, value in trial.metrics.items()}


def sayable(study: Study, name: str, value: Any) -> bool:
    """Whether a value can be shown on a parameter's axis: a number on a range, one of its choices."""
    parameter = study.parameters[name]
    if parameter.choices:
        return said(value) in map(said, parameter.choices)
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def said(value: Any) -> str:
    """A value as text."""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def head_of(here: Setting, optimizer: Optimizer, trials: list[Told], provenance: dict[str, Any]) -> dict[str, Any]:
    """search.json."""
    study = here.study
    cell = here.default
    over = [trial for trial in trials if trial.state != "running"]
    return {
        "name": study.name,
        "study": study.asked,
        "identity": here.identity,
        "question": study.file.question,
        "data": study.fixed.get("data", cell.parameters()["data"]),
        "horizon": cell.horizon,
        "objectives": [objective_of(here, name) for name in here.objectives],
        "parameters": [parameter_of(study, name, parameter) for name, parameter in study.parameters.items()],
        "sampler": study.file.sampler,
        "pruner": study.file.pruner,
        "seeds": study.seeds,
        "default": {name: said(value) for name, value in study.default.items() if sayable(study, name, value)},
        "winners": [winner_of(winner, here.objectives) for winner in winners(optimizer)],
        "importances": optimizer.importances(),
        "importance_trials": sum(trial.state == "complete" for trial in over),
        "trained_steps": sum(int(trial.facts.get("steps", 0)) for trial in over),
        "full_steps": sum(steps_of(here, trial.params) for trial in over if trial.state != "failed")
        + sum(int(trial.facts.get("steps", 0)) for trial in over if trial.state == "failed"),
        "seconds": round(optimizer.seconds, 1),
        **provenance,
    }


def objective_of(here: Setting, name: str) -> dict[str, Any]:
    """An objective as tables and figures show it."""
    known = {metric["name"].split("/")[0]: metric for metric in metrics_of(here.data, here.extractor)}
    kind = name.split("/")[0]
    shown = known.get(kind, LABELS.get(kind, {"label": kind}))
    said_of: dict[str, Any] = {key: shown[key] for key in ("label", "unit", "decimals") if key in shown}
    return {"unit": None, "decimals": 2, **said_of, "name": name, "direction": "min"}


def parameter_of(study: Study, name: str, parameter: Parameter) -> dict[str, Any]:
    """A parameter with its range or choices."""
    kind = "choice" if parameter.choices else "int" if whole(name, parameter) else "float"
    return {
        "name": name,
        "label": parameter.label or name,
        "kind": kind,
        "choices": [said(choice) for choice in parameter.choices],
        "low": parameter.low,
        "high": parameter.high,
        "log": parameter.log,
        "step": parameter.step,
        "when": study.when(name),
    }


def winner_of(winner: Winner, objectives: list[str]) -> dict[str, Any]:
    """A winner with the search's own values, which flatter it."""
    return {
        "level": winner.level,
        "label": winner.label,
        "trial": winner.trial.number,
        "params": {name: said(value) for name, value in winner.trial.params.items()},
        "values": dict(zip(objectives, winner.trial.values, strict=True)),
    }


def steps_of(here: Setting, params: Params) -> int:
    """Training steps that a trial takes where nothing ends it."""
    cell = here.study.cell(params, here.study.seeds[0])
    return len(here.study.seeds) * cell.training.steps if cell.horizon else 0


def check_same_search(folder: Path, here: Setting, journal: Journal) -> None:
    """InputError where a results folder holds another search, or a grid's results.

    The same search as another kind of device makes it, which came with a checkout, is no other.
    """
    head = read_json(folder / SEARCH)
    if head is None and not (folder / "grid.json").exists():
        return
    theirs = head.get("identity") if isinstance(head, dict) else None
    if theirs != here.identity and not (theirs and here.elsewhere(theirs, journal)):
        what = head.get("command", "unknown") if isinstance(head, dict) else "a grid"
        raise InputError(
            f"{folder} holds the results of other choices ({what}), which are never overwritten: give this search a "
            "name of its own with name=…"
        )
