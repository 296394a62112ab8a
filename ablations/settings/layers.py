"""Layers of settings, later ones over earlier ones, choices before fields; `making.py` turns them into cells.

A choice that is replaced takes its own fields with it. What a choice's file `suggests` for other settings goes with it,
and gives way to a field that is set anywhere. Nothing here imports torch, so that errors about names come at once.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from ablations.settings import grammar
from ablations.settings.cell import AT_ONCE, AXES, BASES, LEAST, MOST, NUMBERS, PLAIN, WORDS
from ablations.settings.plugins.folders import choice_file
from ablations.settings.synonyms import no_such
from analysis.errors import InputError, written_out


def check_key(key: str, what: str = "setting", also: Iterable[str] = ()) -> None:
    """InputError unless a key is a field of a cell, or of one of its choices; `also` are other keys that may be
    meant."""
    axis, _, name = key.partition(".")
    if key not in PLAIN and axis not in AXES:
        dotted = [f"{single}.{field}" for single in AT_ONCE for field in _fields(single)]
        raise no_such(what, key, [*also, *AXES, *PLAIN], more=dotted)
    if name and axis in AT_ONCE and name not in _fields(axis):
        raise no_such(f"field of {axis}", name, _fields(axis), group=axis)


def _fields(axis: str) -> list[str]:
    module, _, cls = BASES[axis].rpartition(".")
    return [item.name for item in fields(getattr(importlib.import_module(module), cls))]


def check_word(key: str, value: Any) -> str:
    """A value as a field of `WORDS` has it; InputError where the field has no such word."""
    if str(value) not in WORDS[key]:
        raise no_such(key, str(value), WORDS[key], group=key)
    return str(value)


def laid(layers: list[dict[str, Any]]) -> dict[str, Any]:
    """The settings that these layers give a cell: every axis and plain field, and the fields of choices that are
    set."""
    settings: dict[str, Any] = {**AXES, **PLAIN}
    set_fields = fields_in(layers)
    for i, layer in enumerate(layers):
        # A choice that a later layer replaces suggests nothing.
        last = [axis for axis in AXES if axis in layer and not any(axis in later for later in layers[i + 1 :])]
        for axis in last:
            suggested = suggestions(axis, str(layer[axis]))
            _lay(settings, {key: value for key, value in suggested.items() if key not in set_fields})
        _lay(settings, layer)
    return settings


def suggestions(axis: str, option: str) -> dict[str, Any]:
    """The values that the file of a choice suggests for other settings; InputError where they are no mapping."""
    suggested = grammar.load(axis, option).get("suggests", {})
    if not isinstance(suggested, dict):
        raise InputError(f"{choice_file(axis, option)}: suggests must hold `key: value` lines, got {suggested!r}")
    return {str(key): value for key, value in suggested.items()}


def fields_in(layers: list[dict[str, Any]]) -> set[str]:
    """The fields that layers set, those of choices and plain ones."""
    return {key for layer in layers for key in layer if "." in key or key in PLAIN}


def values_of(axis: str, settings: dict[str, Any]) -> dict[str, Any]:
    """The values that the choice of an axis is built from: its file, and its fields that are set."""
    values = dict(grammar.load(axis, str(settings[axis])))
    values.pop("suggests", None)
    return values | {key.split(".", 1)[1]: value for key, value in settings.items() if key.startswith(f"{axis}.")}


def choices_first(*layers: dict[str, Any]) -> list[dict[str, Any]]:
    """The layers with all choices before any field: so no choice removes a field that another layer sets."""
    return [
        {key: value for key, value in layer.items() if ("." in key) == is_field}
        for is_field in (False, True)
        for layer in layers
    ]


def _lay(settings: dict[str, Any], layer: dict[str, Any]) -> None:
    for key, value in (entry for part in choices_first(layer) for entry in part.items()):
        check_key(key)
        if key in AXES:
            for field in [name for name in settings if name.startswith(f"{key}.")]:
                del settings[field]
        settings[key] = value


def plain_of(settings: dict[str, Any]) -> dict[str, Any]:
    """The fields of a cell that are no choices, checked."""
    numbers = {key: check_number(key, settings[key]) for key in NUMBERS}
    return {**numbers, **{key: check_word(key, settings[key]) for key in WORDS}}


def check_number(key: str, value: Any) -> int:
    """A value as a field of `NUMBERS` has it; InputError where it is no whole number in the field's range."""
    least, in_words = LEAST[key]
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise InputError(f"{key} must be a whole number of at least {in_words}, got {value!r}{written_out(value)}")
    most, why = MOST[key]
    if value > most:
        raise InputError(f"{key} must be at most {most}, got {value}: {why}")
    return value
