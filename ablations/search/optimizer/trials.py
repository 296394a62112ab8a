"""A trial between Optuna and us: how its values are drawn, and what its storage knows of it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Literal

from optuna.trial import FrozenTrial, Trial, TrialState

from ablations.results.csv_text import number
from ablations.results.trials import Line
from ablations.search.file import ParameterSpec
from ablations.search.space import Params, Study, said, tried, whole
from ablations.settings.identity import parameters
from analysis.errors import InputError
from analysis.schema import TRIAL

State = Literal["finished", "pruned", "failed"]


@dataclass(frozen=True)
class TrialOutcome:
    """The outcome of a trial.

    `values` are the objectives, where it has finished; `metrics` the means over the seeds that were run; `reported` the
    values that the pruner was told, by step; `steps` the training steps taken. `again` is True where it failed by
    accident (a full disk, a worker that was killed twice), which says nothing about the trial.
    """

    state: State
    reason: str = ""
    values: tuple[float, ...] = ()
    metrics: dict[str, float] = field(default_factory=dict)
    reported: dict[int, float] = field(default_factory=dict)
    steps: int = 0
    seconds: float = 0.0
    again: bool = False


STATES = {"finished": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}


@dataclass(frozen=True)
class StoredTrial:
    """A trial as the storage knows it; `state` is "running" until it is told."""

    number: int
    state: str
    params: Params
    values: tuple[float, ...]
    metrics: dict[str, float]
    metadata: dict[str, Any]
    reported: dict[int, float]


def drawn(trial: Trial, name: str, parameter: ParameterSpec) -> Any:
    if parameter.choices:
        return trial.suggest_categorical(name, parameter.choices)
    low, high = parameter.ends
    if whole(name, parameter):
        return trial.suggest_int(name, int(low), int(high), step=int(parameter.step or 1), log=parameter.log)
    return tried(parameter, trial.suggest_float(name, low, high, step=parameter.step, log=parameter.log))


def params_of(trial: FrozenTrial, study: Study) -> Params:
    """A trial's values, in the form in which they are tried."""
    parameters = study.parameters
    return {name: tried(parameters[name], trial.params[name]) for name in parameters if name in trial.params}


def stored_trial(trial: FrozenTrial, study: Study) -> StoredTrial:
    state = {value: name for name, value in STATES.items()}.get(trial.state, "running")
    metrics = json.loads(trial.user_attrs.get("metrics", "{}"))
    values = tuple(trial.values or ()) if state == "finished" else ()
    params = params_of(trial, study)
    return StoredTrial(trial.number, state, params, values, metrics, trial.user_attrs, trial.intermediate_values)


def row_of(study: Study, trial: StoredTrial) -> Line:
    """A trial's row, of its first seed; its metrics are means over all seeds, its costs sums."""
    noted = trial.metadata
    row: Line = {
        "cell_id": noted.get("cell_id", ""),
        "training_id": "",
        "seed": study.seeds[0],
        "status": trial.state,
        "reason": noted.get("reason", ""),
        TRIAL: trial.number,
        **{f"param.{name}": said(trial.params.get(name, "")) for name in study.parameters},
    }
    costs = {f"cost/{name}": number(noted[name]) for name in ("steps", "seconds") if name in noted}
    try:
        row |= parameters(study.cell(trial.params, study.seeds[0]))
    except (InputError, KeyError):
        # Values that make no cell, or a trial that was cut off before all of them were drawn.
        return row | costs
    return row | {name: number(value) for name, value in trial.metrics.items()} | costs
