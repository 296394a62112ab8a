"""Layers of settings, dictionaries of dotted keys, later ones over earlier ones; `making.py` turns them into cells.

    {"schedule": "cosine", "schedule.s": 0.01, "horizon": 100}

A choice that is replaced takes its own fields with it. What a choice's file `suggests` for other settings goes with it,
and gives way to a field that is set anywhere. Nothing here imports torch, so that errors about names come at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ablations.settings import grammar
from ablations.settings.cell import AT_ONCE, AXES, PLAIN, TYPES, WORDS
from ablations.settings.grammar import choice_file, no_such
from ablations.settings.plugins import base_of
from ablations.settings.published import code_settings, published_settings
from ablations.settings.registry import checked, field_names
from analysis.errors import InputError

Layer = dict[str, Any]


def check_key(key: str, what: str = "setting", also: Iterable[str] = ()) -> None:
    """InputError unless a key is a field of a cell, or of one of its choices; `also` are other keys that may be
    meant."""
    axis, _, name = key.partition(".")
    if key not in PLAIN and axis not in AXES:
        dotted = [f"{single}.{field}" for single in AT_ONCE for field in field_names(base_of(single))]
        raise no_such(what, key, [*also, *AXES, *PLAIN], dotted)
    if name and axis in AT_ONCE and name not in field_names(base_of(axis)):
        raise no_such(f"field of {axis}", name, field_names(base_of(axis)))


def plain_value(key: str, value: Any) -> Any:
    """A value as a field of `PLAIN` has it; InputError where it is not one of the words, or no number in the range."""
    if key in TYPES:
        return checked(TYPES[key], value, key)
    if str(value) not in WORDS[key]:
        raise no_such(key, str(value), WORDS[key])
    return str(value)


def merged(layers: list[Layer]) -> Layer:
    """The settings that these layers give a cell: every axis and plain field, and the fields of choices that are
    set."""
    settings: Layer = {**AXES, **PLAIN}
    given_keys = fields_in(layers)
    for i, layer in enumerate(layers):
        # A choice that a later layer replaces suggests nothing.
        last = [axis for axis in AXES if axis in layer and not any(axis in later for later in layers[i + 1 :])]
        suggested = [(axis, *entry) for axis in last for entry in suggestions(axis, str(layer[axis]), layers).items()]
        # A choice takes fields with it that were set before: those that it suggests for itself come after it.
        own, others = (
            {key: value for axis, key, value in suggested if key.startswith(f"{axis}.") == of and key not in given_keys}
            for of in (True, False)
        )
        chosen, rest = ({key: value for key, value in layer.items() if (key in AXES) == of} for of in (True, False))
        for part in (others, chosen, own, rest):
            for key in sorted(part, key=lambda key: "." in key):
                check_key(key)
                if key in AXES:
                    settings = {name: value for name, value in settings.items() if not name.startswith(f"{key}.")}
                settings[key] = part[key]
    return settings


def suggestions(axis: str, option: str, layers: list[Layer]) -> Layer:
    """The values that the file of a choice suggests for other settings, or the files of a published network or
    autoencoder for axes that no layer chooses; InputError where they are no mapping."""
    suggested = grammar.load(axis, option).get("suggests", {})
    if not isinstance(suggested, dict):
        raise InputError(f"{choice_file(axis, option)}: suggests must hold `key: value` lines, got {suggested!r}")
    path = next((layer[f"{axis}.path"] for layer in reversed(layers) if f"{axis}.path" in layer), "")
    if (axis, option) == ("network", "published") or (path and axis == "space"):
        chosen = {key for layer in layers for key in layer if key in AXES and key != axis}
        of_files = published_settings(str(path)) if axis == "network" else code_settings(str(path))
        suggested = {key: value for key, value in of_files.items() if key.partition(".")[0] not in chosen}
    return {str(key): value for key, value in suggested.items()}


def fields_in(layers: list[Layer]) -> set[str]:
    """The fields that layers set, those of choices and plain ones."""
    return {key for layer in layers for key in layer if "." in key or key in PLAIN}


def values_of(axis: str, settings: Layer) -> Layer:
    """The values that the choice of an axis is built from: its file, and its fields that are set."""
    preset = {key: value for key, value in grammar.load(axis, str(settings[axis])).items() if key != "suggests"}
    return preset | fields_set(axis, settings)


def fields_set(axis: str, settings: Layer) -> Layer:
    """The fields of the choice of an axis that are set, by their own names."""
    return {key.partition(".")[2]: value for key, value in settings.items() if key.startswith(f"{axis}.")}


def choices_first(*layers: Layer) -> list[Layer]:
    """The layers with all choices before any field: so no choice removes a field that another layer sets."""
    return [
        {key: value for key, value in layer.items() if ("." in key) == is_field}
        for is_field in (False, True)
        for layer in layers
    ]
