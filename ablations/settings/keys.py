"""Keys of a cell, and words as their values: one that there is not is refused before torch is imported."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from ablations.settings.cell import AT_ONCE, AXES, BASES, PLAIN, WORDS
from ablations.settings.synonyms import no_such


def check_key(key: str, what: str = "setting", also: Iterable[str] = ()) -> None:
    """InputError unless a key is a field of a cell, or of one of its choices; `also` are others that may be meant."""
    axis, _, name = key.partition(".")
    if key not in PLAIN and axis not in AXES:
        dotted = [f"{single}.{field}" for single in AT_ONCE for field in _fields(single)]
        raise no_such(what, key, [*also, *AXES, *PLAIN], more=dotted)
    if name and axis in AT_ONCE and name not in _fields(axis):
        raise no_such(f"field of {axis}", name, _fields(axis), group=axis)


def _fields(axis: str) -> list[str]:
    """The fields of an axis of one class."""
    module, _, cls = BASES[axis].rpartition(".")
    return [item.name for item in fields(getattr(importlib.import_module(module), cls))]


def check_word(key: str, value: Any) -> str:
    """A word as a field of `WORDS` has it; InputError where it has none such."""
    if str(value) not in WORDS[key]:
        raise no_such(key, str(value), WORDS[key], group=key)
    return str(value)
