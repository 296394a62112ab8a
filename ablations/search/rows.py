"""A trial's row of `trials.csv`, and its values as text."""

from __future__ import annotations

from typing import Any

from ablations.results.csv_text import number
from ablations.search.optimizer.told import Told
from ablations.search.space import Study
from ablations.settings.identity import parameters
from analysis.format.errors import InputError

COLUMNS = ("trial", "state", "reason", "cell_id", "steps", "seconds")


def row_of(study: Study, trial: Told) -> dict[str, Any]:
    """A trial's row of trials.csv."""
    known = trial.metadata
    row: dict[str, Any] = {
        "trial": trial.number,
        "state": trial.state,
        "reason": known.get("reason", ""),
        "cell_id": known.get("cell_id", ""),
        "steps": known.get("steps", ""),
        "seconds": number(known["seconds"]) if "seconds" in known else "",
        **{f"param.{name}": said(trial.params.get(name, "")) for name in study.parameters},
    }
    try:
        row |= parameters(study.cell(trial.params, study.seeds[0]))
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
