"""A trial between Optuna and us: how its values are drawn, and what its storage says of it once it is told."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from optuna.trial import FrozenTrial, Trial, TrialState

from ablations.search.file import ParameterSpec
from ablations.search.space import Params, Study, tried, whole

STATES = {"finished": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}


@dataclass(frozen=True)
class Told:
    """A trial as the storage knows it; `state` is "running" while it is not told."""

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
    """A trial's values, as they are tried."""
    parameters = study.parameters
    return {name: tried(parameters[name], trial.params[name]) for name in parameters if name in trial.params}


def told_of(trial: FrozenTrial, study: Study) -> Told:
    state = {value: name for name, value in STATES.items()}.get(trial.state, "running")
    metrics = json.loads(trial.user_attrs.get("metrics", "{}"))
    values = tuple(trial.values or ()) if state == "finished" else ()
    params = params_of(trial, study)
    return Told(trial.number, state, params, values, metrics, trial.user_attrs, trial.intermediate_values)
