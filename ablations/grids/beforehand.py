"""What the numbers of a command line alone refuse, before torch is imported: in a second instead of three.

    python -m ablations.run horizon=20      linear rescaled to T=20 has beta_T=1, which must stay below 1: …

Only choices whose classes know nothing of tensors are looked at, and of these only what is the same in every cell. All
that is said here would be said later; what is not found here is found by `grid.make`.
"""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from ablations.grids.file import GridFile
from ablations.settings import grammar
from ablations.settings.arguments import Request
from ablations.settings.cell import AXES
from ablations.settings.layers import choices_first, laid, plain_of, suggestions, values_of
from ablations.settings.outside import unnamed
from ablations.settings.registry import build
from analysis.errors import InputError

PLAIN_AXES = ("schedule", "training", "evaluation")
"""Axes whose classes are imported without torch."""


def refuse_numbers(request: Request) -> None:
    """InputError where a number that all cells share makes no sense."""
    file = _file(request.grid)
    if file is None:
        return
    names = {axis.name for axis in file.axes}
    common = {key: values[0] for key, values in request.settings.items() if len(values) == 1 and key not in names}
    levels = [level.set or {axis.name: level.name} for axis in file.axes for level in axis.levels]
    levels += [{key: value} for key, values in request.settings.items() if key not in common for value in values]
    varied = {key.partition(".")[0] for level in levels for key in (*level, *_suggested(level))}
    settings = laid([file.set, *choices_first(common)])
    horizon = plain_of(settings)["horizon"]
    given = {axis: values_of(axis, settings) for axis in PLAIN_AXES if axis not in varied}
    # A class from outside may import anything, and raise anything.
    ours = {axis: values for axis, values in given.items() if str(values.get("name", axis)) not in unnamed(axis)}
    choices = {axis: build(axis, values) for axis, values in ours.items()}
    if "schedule" in choices and "horizon" not in varied and horizon > 0:
        try:
            choices["schedule"].check(horizon)
        except ValueError as error:
            raise InputError(str(error)) from error


def _file(name: str | None) -> GridFile | None:
    """The file of a grid, an empty one without a name; None where its reader will explain what has no meaning."""
    if name is None:
        return GridFile(question="", axes=[])
    try:
        return GridFile.model_validate(grammar.load("grid", name))
    except ValidationError:
        return None


def _suggested(level: dict[str, Any]) -> set[str]:
    """The keys that the choices that a level sets have suggestions for."""
    chosen = [(axis, str(level[axis])) for axis in AXES if axis in level]
    return {key for axis, option in chosen for key in suggestions(axis, option)}
