"""A cell made from settings (`layers.py`), or from the parameters that its results were written with."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from ablations.settings.budget import TooDear, matched_steps
from ablations.settings.cell import AXES, NUMBERS, PLAIN, WORDS, Cell, default_name
from ablations.settings.choices import choices_of
from ablations.settings.evaluation import against_test
from ablations.settings.guidance import Guidance
from ablations.settings.layers import fields_in, laid, plain_of, values_of
from ablations.settings.plugins.origins import origin_of
from ablations.settings.registry import ORIGIN, build
from ablations.settings.rules import refusal
from analysis.errors import InputError
from diffusion_core.choices import flow_refusal


def make_cell(layers: list[dict[str, Any]], seed: int) -> Cell:
    """The cell of these layers of settings, later ones over earlier ones."""
    settings = laid(layers)
    choices: dict[str, Any] = {axis: build(axis, values_of(axis, settings)) for axis in AXES}
    cell, set_fields = Cell(**choices, **plain_of(settings), seed=seed), fields_in(layers)
    if "training.snapshots" not in set_fields:
        cell = _with_snapshots(cell)
    if cell.evaluation.reference == against_test(cell.data.extractor):
        cell = replace(cell, evaluation=replace(cell.evaluation, reference=None))
    if not cell.guidance.guides:
        cell = replace(cell, guidance=Guidance())
    return _within_budget(cell if "evaluation.continuous" in set_fields else _without_suggestion(cell))


def _with_snapshots(cell: Cell) -> Cell:
    """The cell, whose training keeps the snapshots that its average is reconstructed from."""
    count = cell.training.snapshots or cell.average.snapshots
    return replace(cell, training=replace(cell.training, snapshots=count))


def _without_suggestion(cell: Cell) -> Cell:
    """The cell without a likelihood in continuous time that an objective suggests, where it has no such likelihood."""
    if not cell.evaluation.continuous:
        return cell
    if cell.space.likelihood and cell.horizon and flow_refusal(choices_of(cell)) is None:
        return cell
    return replace(cell, evaluation=replace(cell.evaluation, continuous=0))


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
        values = {
            key.split(".", 1)[1]: _read(text) for key, text in parameters.items() if key.startswith(f"{axis}.") and text
        }
        name = parameters.get(axis) or (default_name(axis) if axis in Cell.younger else axis)
        origin = values.pop(ORIGIN, "")
        try:
            choices[axis] = build(axis, {"name": name, **values})
        except InputError as error:
            if not origin:
                raise
            raise InputError(
                f"{axis}={name} of this cell is of {origin}, and is not known here ({error}): install its package, or "
                "give this command in the script that registers it, as ablations.main([…])"
            ) from error
        _check_origin(f"{axis}={name}", origin, origin_of(type(choices[axis])))
    plain = {key: _read(parameters.get(key, "")) for key in NUMBERS}
    plain |= {key: parameters.get(key) or PLAIN[key] for key in WORDS}
    return Cell(**choices, **plain_of(plain), seed=seed)


def _check_origin(choice: str, then: str, now: str) -> None:
    """InputError unless the class that made a cell is the one that is here."""
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
