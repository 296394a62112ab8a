"""Settings to a cell: layers of them, later ones over earlier ones, choices before fields.

A choice that is replaced takes its own fields with it. What a choice's file `suggests` for others goes with it, and
yields to a field that is set anywhere.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from ablations.settings import grammar
from ablations.settings.budget import matched_steps
from ablations.settings.cell import AXES, LEAST, MOST, NUMBERS, PLAIN, WORDS, Cell, check_key, check_word
from ablations.settings.origins import origin_of
from ablations.settings.registry import ORIGIN, build
from ablations.settings.rules import refusal
from analysis.errors import InputError
from diffusion_core.choices import flow_refusal

YOUNGER = {"space": "pixels", "spacing": "uniform"}
"""Axes that files of results may not have, and the choice that stands for what was done before there were any."""

FORMER = {"schedule": {"found": "saved"}}
"""Axis → names under which files of results may know a choice, and its present one."""


def make_cell(layers: list[dict[str, Any]], seed: int) -> Cell:
    """The cell of these layers of settings, later ones over earlier ones."""
    settings: dict[str, Any] = {**AXES, **PLAIN}
    given = {key for layer in layers for key in layer if "." in key or key in PLAIN}
    for i, layer in enumerate(layers):
        # A choice that a later layer replaces suggests nothing.
        last = [axis for axis in AXES if axis in layer and not any(axis in later for later in layers[i + 1 :])]
        for axis in last:
            suggested = grammar.load(axis, str(layer[axis])).get("suggests", {})
            _lay(settings, {key: value for key, value in suggested.items() if key not in given})
        _lay(settings, layer)
    choices: dict[str, Any] = {}
    for axis in AXES:
        values = dict(grammar.load(axis, str(settings[axis])))
        values.pop("suggests", None)
        values |= {key.split(".", 1)[1]: value for key, value in settings.items() if key.startswith(f"{axis}.")}
        choices[axis] = build(axis, values)
    cell = Cell(**choices, **_plain(settings), seed=seed)
    return _within_budget(cell if "evaluation.continuous" in given else _without_suggestion(cell))


def choices_first(*layers: dict[str, Any]) -> list[dict[str, Any]]:
    """The layers, all of their choices before any field: so no choice takes away a field that another layer sets."""
    return [
        {key: value for key, value in layer.items() if ("." in key) == is_field}
        for is_field in (False, True)
        for layer in layers
    ]


def _without_suggestion(cell: Cell) -> Cell:
    """The cell without a score in continuous time, which an objective suggests, where it has no such likelihood."""
    if not cell.evaluation.continuous:
        return cell
    if cell.space.likelihood and cell.horizon and flow_refusal(cell.choices) is None:
        return cell
    return replace(cell, evaluation=replace(cell.evaluation, continuous=0))


def _within_budget(cell: Cell) -> Cell:
    """The cell with the training steps that its budget comes to."""
    if cell.budget == "steps" or cell.horizon == 0 or refusal(cell) is not None:
        return cell
    return replace(cell, training=replace(cell.training, steps=matched_steps(cell)))


def cell_of(parameters: dict[str, str], seed: int) -> Cell:
    """The cell whose `identity.parameters` these are; InputError where they are not a cell's of this version."""
    choices: dict[str, Any] = {}
    for axis in AXES:
        values = {
            key.split(".", 1)[1]: _read(text) for key, text in parameters.items() if key.startswith(f"{axis}.") and text
        }
        name = parameters.get(axis) or YOUNGER.get(axis, axis)
        name = FORMER.get(axis, {}).get(name, name)
        origin = values.pop(ORIGIN, "")
        choices[axis] = build(axis, {"name": name, **values})
        _check_origin(f"{axis}={name}", origin, origin_of(type(choices[axis])))
    plain = {key: _read(parameters.get(key, "")) for key in NUMBERS}
    plain |= {key: parameters.get(key) or PLAIN[key] for key in WORDS}
    return Cell(**choices, **_plain(plain), seed=seed)


def _check_origin(choice: str, then: str, now: str) -> None:
    """InputError unless the class that a cell was made with is the one that is here."""
    if then != now:
        raise InputError(
            f"{choice} of this cell was {then or 'one that ships'}, and here is {now or 'one that ships'}: "
            "take the version that the cell was made with, or run its grid again under another name=…"
        )


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _lay(settings: dict[str, Any], layer: dict[str, Any]) -> None:
    for key, value in (entry for part in choices_first(layer) for entry in part.items()):
        check_key(key)
        if key in AXES:
            for field in [name for name in settings if name.startswith(f"{key}.")]:
                del settings[field]
        settings[key] = value


def _plain(settings: dict[str, Any]) -> dict[str, Any]:
    """The fields of a cell that are no choices, checked."""
    numbers = {key: _whole(key, settings[key]) for key in NUMBERS}
    return {**numbers, **{key: check_word(key, settings[key]) for key in WORDS}}


def _whole(key: str, value: Any) -> int:
    least, said = LEAST[key]
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise InputError(f"{key} must be a whole number of at least {said}, got {value!r}")
    most, why = MOST[key]
    if value > most:
        raise InputError(f"{key} must be at most {most}, got {value}: {why}")
    return value
