"""What numbers alone refuse, before torch is imported: in less than a second instead of three.

    python -m ablations.run horizon=20      linear rescaled to T=20 has beta_T=1, which must stay below 1: …

Only choices whose classes know nothing of tensors are looked at, and of these only what is the same in every cell. All
that is said here would be said later, and what is not found here is found then.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ablations.settings.cell import AXES
from ablations.settings.layers import laid, plain_of, suggestions, values_of
from ablations.settings.plugins.packages import unnamed
from ablations.settings.registry import build
from analysis.format.errors import InputError

PLAIN_AXES = ("schedule", "training", "evaluation")
"""Axes whose classes are imported without torch."""


def refuse_numbers(layers: list[dict[str, Any]], levels: Iterable[dict[str, Any]]) -> None:
    """InputError where a number of these layers makes no sense that is the same at all levels of what varies.

    A level that sets a key to None stands for any number.
    """
    varied = {key.partition(".")[0] for level in levels for key in (*level, *_suggested(level))}
    settings = laid(layers)
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


def _suggested(level: dict[str, Any]) -> set[str]:
    """The keys that the choices that a level sets have suggestions for."""
    chosen = [(axis, str(level[axis])) for axis in AXES if level.get(axis) is not None]
    return {key for axis, option in chosen for key in suggestions(axis, option)}
