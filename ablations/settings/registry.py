"""Names to classes: a choice's class is found by its name, and its constructor is the schema.

A name belongs to exactly one class, and a file of `configs/<axis>/` gives the name with preset values. Pydantic checks
values strictly against the constructor's annotations.
"""

from __future__ import annotations

import dataclasses
import json
import re
import typing
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from ablations.settings import grammar
from ablations.settings.cell import NUMBERS
from ablations.settings.grammar import no_such
from ablations.settings.plugins import imported, origin_of, outside, shipped, unnamed
from analysis.errors import InputError, unknown, written_out
from diffusion_core.refusing import choice_name

ORIGIN = "origin"
"""The key of a described choice for the origin of a class from outside."""


def classes(axis: str) -> dict[str, type]:
    """The final classes of an axis by name: those that ship, and those from outside that can be imported."""
    return shipped(axis) | outside(axis)


def class_of(axis: str, name: str) -> type:
    """The class of an axis with a name; InputError where none can be used."""
    if name not in shipped(axis) and name not in unnamed(axis):
        raise no_such(axis, name, classes(axis))
    return shipped(axis).get(name) or imported(axis, name)


def field_names(cls: type) -> list[str]:
    """The names of the fields of a choice's class."""
    return [field.name for field in dataclasses.fields(cls)]


def fields_of(axis: str, option: str) -> set[str]:
    """The fields of the choice that an option of an axis names."""
    return set(field_names(class_of(axis, str(grammar.load(axis, option).get("name", axis)))))


def all_fields(axis: str) -> set[str]:
    """The fields of all choices of an axis."""
    return {name for cls in classes(axis).values() for name in field_names(cls)}


def is_whole(key: str) -> bool:
    """True where a field, or a number of a cell, takes whole numbers in every choice that has it."""
    axis, _, field = key.partition(".")
    if not field:
        return key in NUMBERS
    hints = [typing.get_type_hints(cls)[field] for cls in classes(axis).values() if field in field_names(cls)]
    return bool(hints) and all(int in (hint, *typing.get_args(hint)) and hint is not float for hint in hints)


def build(axis: str, values: dict[str, Any]) -> Any:
    """The choice that `values` (with its `name`) describes; InputError where a name, key or value is wrong."""
    name = str(values.get("name", axis))
    cls, what = class_of(axis, name), axis if name == axis else f"{axis}={name}"
    fields = {key: value for key, value in values.items() if key != "name"}
    for key in fields.keys() - field_names(cls):
        raise no_such(f"field of {what}", key, field_names(cls))
    return checked(cls, fields, axis, what)


def checked(kind: Any, value: Any, key: str, what: str = "") -> Any:
    """The value of a key as its type has it; InputError where it is of another type, or out of its range."""
    try:
        return _adapter(kind).validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        raise InputError(complaint(error, key, what)) from error


@lru_cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def complaint(error: ValidationError, prefix: str = "", what: str = "") -> str:
    """Pydantic's errors about what lies below a prefix, in one line: its place, what it must be, and what was given."""
    first, *rest = error.errors()
    # Of a field that takes a number or a word, Pydantic names the kind too, and says first why it is no number.
    inner = re.compile(r"int|float|str|constrained-\w+|literal.*")
    place = ".".join([prefix, *(str(part) for part in first["loc"] if not inner.fullmatch(str(part)))]).strip(".")
    if first["type"] == "value_error":
        return f"{what or place}: {first['msg'].removeprefix('Value error, ')}".removeprefix(": ")
    if first["type"] == "missing":
        return f"{what or 'it'} needs {place}, which has no default"
    said = first["msg"].replace("Input should", "must", 1).replace("a valid array", "a list, written [A,B]")
    must = re.sub("^(?!must )", "is wrong: ", said)
    words = [f"or {other['ctx']['expected']}" for other in rest if other["type"] == "literal_error"]
    return f"{' '.join([place, must, *words])}, got {first['input']!r}{written_out(first['input'])}"


def in_words(error: ValidationError, kind: str, model: type[BaseModel], parts: dict[str, type[BaseModel]]) -> str:
    """Pydantic's errors about a file in one line. `parts` are the models of what lies under a key, the innermost first;
    all else is of `model`, a `kind` of file."""
    foreign = next((problem for problem in error.errors() if problem["type"] == "extra_forbidden"), None)
    if foreign is None:
        return complaint(error)
    *parents, key = map(str, foreign["loc"])
    inside = next((of_part for part, of_part in parts.items() if part in parents), model)
    return str(unknown(f"key of {'.'.join(parents) or kind}", key, list(inside.model_fields)))


def describe(choice: Any, *, places: bool = False) -> dict[str, Any]:
    """A choice as plain values, its name and defaults included: what identities and records are made of.

    Fields that say where files lie, or what is known of them (the class's `where`), are left out unless `places` are
    asked for: what the files hold has a digest of its own. So are those that another of its fields leaves unread
    (`unread`), and those that are `younger` than ids, at the default that does what was done before. A class from
    outside adds where it comes from.
    """
    left_out = {*getattr(choice, "unread", ()), *(() if places else getattr(choice, "where", ()))}
    young = [field for field in dataclasses.fields(choice) if field.name in getattr(choice, "younger", ())]
    left_out |= {field.name for field in young if getattr(choice, field.name) == field.default}
    fields = [field.name for field in dataclasses.fields(choice) if field.name not in left_out]
    origin = {ORIGIN: from_outside} if (from_outside := origin_of(type(choice))) else {}
    return {"name": choice_name(choice), **{name: getattr(choice, name) for name in fields}, **origin}
