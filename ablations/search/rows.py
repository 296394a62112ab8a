"""A trial's row of `runs.csv`, and its values as text."""

from __future__ import annotations

from typing import Any

from ablations.results.csv_text import number
from ablations.results.trials import Line
from ablations.search.optimizer.told import Told
from ablations.search.space import Study
from ablations.settings.identity import parameters
from analysis.format.errors import InputError
from analysis.format.names import TRIAL


def row_of(study: Study, trial: Told) -> Line:
    """A trial's row, of its first seed; its metrics are means over all of them, its costs sums."""
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


def sayable(study: Study, name: str, value: Any) -> bool:
    """True where a value can be shown on a parameter's axis: a number on a range, one of its choices."""
    parameter = study.parameters[name]
    if parameter.choices:
        return said(value) in map(said, parameter.choices)
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def said(value: Any) -> str:
    """A value as text."""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
