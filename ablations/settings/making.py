"""A cell made from settings (`layers.py`), or from the parameters that its results were written with."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from ablations.settings.budget import TooDear, matched_steps
from ablations.settings.cell import AXES, NUMBERS, PLAIN, WORDS, Cell, default_name
from ablations.settings.evaluation import against_test
from ablations.settings.guidance import Guidance
from ablations.settings.layers import Layer, fields_in, fields_set, merged, plain_value, values_of
from ablations.settings.plugins import origin_of
from ablations.settings.registry import ORIGIN, build
from ablations.settings.rules import continuous_refusal, refusal
from analysis.errors import InputError


def make_cell(layers: list[Layer], seed: int) -> Cell:
    """The cell of these layers of settings, later ones over earlier ones."""
    settings, given = merged(layers), fields_in(layers)
    choices: dict[str, Any] = {axis: build(axis, values_of(axis, settings)) for axis in AXES}
    cell = Cell(**choices, **{key: plain_value(key, settings[key]) for key in PLAIN}, seed=seed)
    training, evaluation = cell.training, cell.evaluation
    if "training.snapshots" not in given:
        # An average is reconstructed from them.
        training = replace(training, snapshots=training.snapshots or cell.average.snapshots)
    if evaluation.reference == against_test(cell.data.extractor):
        evaluation = replace(evaluation, reference=None)
    if "evaluation.continuous" not in given and continuous_refusal(cell):
        # An objective suggested it.
        evaluation = replace(evaluation, continuous=0)
    guidance = cell.guidance if cell.guidance.guides else Guidance()
    return _within_budget(replace(cell, training=training, evaluation=evaluation, guidance=guidance))


def _within_budget(cell: Cell) -> Cell:
    """The cell with the number of training steps that its budget buys."""
    if cell.budget == "steps" or cell.horizon == 0 or refusal(cell) is not None:
        return cell
    steps = matched_steps(cell)
    try:
        return replace(cell, training=replace(cell.training, steps=steps))
    except ValueError as error:
        raise TooDear(cell, f"budget=flops: {error}") from error


def cell_of(parameters: dict[str, str], seed: int) -> Cell:
    """The cell with these `identity.parameters`; InputError where this version has no such cell."""
    choices: dict[str, Any] = {}
    for axis in AXES:
        values = {key: _read(text) for key, text in fields_set(axis, parameters).items() if text}
        name = parameters.get(axis) or (default_name(axis) if axis in Cell.younger else axis)
        origin = values.pop(ORIGIN, "")
        try:
            choices[axis] = build(axis, {"name": name, **values})
        except InputError as error:
            if not origin:
                raise
            raise _other(axis, name, origin, f"is not known ({error})") from error
        if (now := origin_of(type(choices[axis]))) != origin:
            raise _other(axis, name, origin, f"is of {now or 'what ships'}")
    plain = {key: _read(parameters.get(key, "")) for key in NUMBERS}
    plain |= {key: parameters.get(key) or PLAIN[key] for key in WORDS}
    return Cell(**choices, **{key: plain_value(key, value) for key, value in plain.items()}, seed=seed)


def _other(axis: str, name: str, origin: str, here: str) -> InputError:
    """The error that a choice is `here` another one than the one of this origin, which made a cell."""
    return InputError(
        f"{axis}={name} of this cell is of {origin or 'what ships'}, and here it {here}: install that version, give "
        "this command in the script that registers it (ablations.main), or run the grid again under another name=…"
    )


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
