"""The results of a search, read from its storage: its entry of grid.json, and its part of a results folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ablations.metrics.registry import fact_of
from ablations.results.folder import standing
from ablations.results.trials import Line, Part
from ablations.search.file import ParameterSpec
from ablations.search.finalists import Finalist, finalists
from ablations.search.optimizer import Optimizer
from ablations.search.optimizer.trials import StoredTrial, row_of
from ablations.search.plan import SearchPlan
from ablations.search.space import Params, Study, said, whole
from ablations.settings.identity import parameters
from ablations.tracking.mlflow_runs import RUNNING
from analysis.errors import InputError
from analysis.schema import FIXED, SEARCH, TRIAL


def trials_of(plan: SearchPlan, optimizer: Optimizer, curves: list[Line], provenance: dict[str, Any]) -> Part:
    """The trials as part of a results folder."""
    trials = optimizer.trials()
    head = head_of(plan, optimizer, trials, provenance)
    columns = (*FIXED, TRIAL, *(f"param.{name}" for name in plan.study.parameters))
    return Part({SEARCH: head}, [row_of(plan.study, trial) for trial in trials], curves, columns)


def unconfirmed(plan: SearchPlan) -> Part:
    """The part of a results folder for the confirmation's cells, before there are any."""
    asked = asked_of(plan)
    shared = {name: asked[name] for name in ("name", "question", "data", "horizon")}
    return Part({**shared, "layout": "general", "axes": [], "metrics": [], "seeds": [], "cells": {}})


def importances_of(optimizer: Optimizer) -> dict[str, Any]:
    """The shares of each objective's variance by parameter, with their ranges."""
    shares = optimizer.importances()
    return {
        "importances": {key: {name: share for name, (share, _, _) in of.items()} for key, of in shares.items()},
        "importance_ranges": {key: {name: ends for name, (_, *ends) in of.items()} for key, of in shares.items()},
    }


def head_of(
    plan: SearchPlan, optimizer: Optimizer, trials: list[StoredTrial], provenance: dict[str, Any]
) -> dict[str, Any]:
    """The search's entry of grid.json."""
    over = [trial for trial in trials if trial.state != RUNNING]
    return {
        **asked_of(plan),
        "winners": [winner_of(winner, plan.objectives) for winner in finalists(optimizer)],
        **importances_of(optimizer),
        "importance_trials": sum(trial.state == "finished" for trial in over),
        "trained_steps": sum(int(trial.metadata.get("steps", 0)) for trial in over),
        "full_steps": sum(steps_of(plan, trial.params) for trial in over if trial.state != "failed")
        + sum(int(trial.metadata.get("steps", 0)) for trial in over if trial.state == "failed"),
        "seconds": round(optimizer.seconds, 1),
        **provenance,
    }


def asked_of(plan: SearchPlan) -> dict[str, Any]:
    """The part of that entry which is known before anything is run."""
    study = plan.study
    cell = plan.default
    return {
        "name": study.name,
        "study": study.asked,
        "identity": plan.identity,
        "question": study.file.question,
        "data": study.fixed.get("data", parameters(cell)["data"]),
        "horizon": cell.horizon,
        "objectives": [objective_of(name) for name in plan.objectives],
        "parameters": [parameter_of(study, name, parameter) for name, parameter in study.parameters.items()],
        "sampler": study.file.sampler,
        "startup": study.file.startup,
        "limit": study.limit,
        "pruner": study.file.pruner,
        "seeds": study.seeds,
        "default": {name: said(value) for name, value in study.default.items() if sayable(study, name, value)},
    }


def objective_of(name: str) -> dict[str, Any]:
    """An objective in the form of tables and figures."""
    metric = fact_of(name)
    return metric.shown(counts=1) | {"name": name, "decimals": 2 if metric.digits is None else metric.digits}


def parameter_of(study: Study, name: str, parameter: ParameterSpec) -> dict[str, Any]:
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


def winner_of(winner: Finalist, objectives: list[str]) -> dict[str, Any]:
    """A winner with the values that the search saw, which are optimistic."""
    return {
        "level": winner.level,
        "label": winner.label,
        "trial": winner.trial.number,
        "params": {name: said(value) for name, value in winner.trial.params.items()},
        "values": dict(zip(objectives, winner.trial.values, strict=True)),
    }


def steps_of(plan: SearchPlan, params: Params) -> int:
    """Training steps of a trial that nothing ends early."""
    cell = plan.study.cell(params, plan.study.seeds[0])
    return len(plan.study.seeds) * cell.training.steps if cell.horizon else 0


def check_same_search(folder: Path, plan: SearchPlan) -> dict[str, Any] | None:
    """The grid.json that stands in a results folder, if any; InputError where it belongs to another search, or to a
    grid."""
    head = standing(folder)
    search = None if head is None else head.get(SEARCH)
    if head is not None and (not isinstance(search, dict) or search.get("identity") != plan.identity):
        what = str(search.get("command", "unknown")) if isinstance(search, dict) else "a grid"
        raise InputError(
            f"{folder} holds the results of other choices ({what}), which are never overwritten: give this search a "
            "name of its own with name=…"
        )
    return head


def sayable(study: Study, name: str, value: Any) -> bool:
    """True where a value fits on a parameter's axis: a number for a range, one of its choices."""
    parameter = study.parameters[name]
    if parameter.choices:
        return said(value) in map(said, parameter.choices)
    return isinstance(value, (int, float)) and not isinstance(value, bool)
