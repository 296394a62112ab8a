"""Names to classes: a choice's class is found by its name, and its constructor is the schema.

A name belongs to exactly one class, and a file of `configs/<axis>/` gives the name with preset values. Pydantic checks
values strictly against the constructor's annotations.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import re
import typing
from functools import lru_cache
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from ablations.settings import grammar
from ablations.settings.cell import BASES, NUMBERS
from ablations.settings.grammar import no_such
from ablations.settings.plugins import DOORS, imported, origin_of, outside, shipped, unnamed
from analysis.errors import InputError, alternatives, unknown, written_out
from diffusion_core.named import choice_name

ORIGIN = "origin"
"""The key of a described choice for the origin of a class from outside."""

T = TypeVar("T")


def base_of(axis: str) -> type:
    """The base class of an axis, or of another thing that a class from outside can be."""
    module, _, name = {**BASES, **DOORS}[axis].rpartition(".")
    return typing.cast(type, getattr(importlib.import_module(module), name))


def classes(base: type) -> dict[str, type]:
    """The final classes of a base by name: those that ship, and those from outside that can be imported."""
    return shipped(base) | outside(_axis(base))


def class_of(base: type, name: str, axis: str) -> type:
    """The class of a base with a name; InputError, which calls it an `axis`, where none can be used."""
    if (cls := shipped(base).get(name)) is not None:
        return cls
    if name in unnamed(_axis(base)):
        return imported(_axis(base), name)
    raise no_such(axis, name, classes(base), group=axis)


def _axis(base: type) -> str:
    """The axis of a base class; "" where it cannot be extended from outside."""
    dotted = f"{base.__module__}.{base.__qualname__}"
    return next((axis for axis, door in DOORS.items() if door == dotted), "")


def build(axis: str, values: dict[str, Any], base: type | None = None) -> Any:
    """The choice that `values` (with its `name`) describes; InputError where a name, key or value is wrong. `base` is
    the choices' base class where the axis is not one of a cell."""
    name = str(values.get("name", axis))
    cls = class_of(base or base_of(axis), name, axis)
    fields = {key: value for key, value in values.items() if key != "name"}
    return validated(cls, fields, axis, axis if name == axis else f"{axis}={name}")


def fields_of(axis: str, option: str) -> set[str]:
    """The fields of the choice that an option of an axis names."""
    name = grammar.load(axis, option).get("name", axis)
    return set(field_names(class_of(base_of(axis), str(name), axis)))


def all_fields(axis: str) -> set[str]:
    return {name for cls in classes(base_of(axis)).values() for name in field_names(cls)}


def is_whole(key: str) -> bool:
    """True where a field, or a number of a cell, takes whole numbers in every choice that has it."""
    axis, _, field = key.partition(".")
    if not field:
        return key in NUMBERS
    having = [cls for cls in classes(base_of(axis)).values() if field in field_names(cls)]
    hints = [typing.get_type_hints(cls)[field] for cls in having]
    return bool(hints) and all(int in (hint, *typing.get_args(hint)) and hint is not float for hint in hints)


def field_names(cls: type) -> list[str]:
    """The names of the fields of a choice's class."""
    return [field.name for field in dataclasses.fields(cls)]


def validated(cls: type[T], values: dict[str, Any], prefix: str, what: str) -> T:
    """cls(**values), with the type and range of each value checked against its annotation."""
    if foreign := [key for key in values if key not in field_names(cls)]:
        there = classes(base_of(prefix)) if prefix in BASES else {}
        having = [f"{prefix}={name}" for name, other in there.items() if foreign[0] in field_names(other)]
        own = ", ".join(field_names(cls)) or "none"
        if having:
            raise InputError(f"{what} has no field {foreign[0]}: {alternatives(having)} has it; its own are {own}")
        raise no_such(f"field of {what}", foreign[0], field_names(cls), group=prefix)
    try:
        built: T = _adapter(cls).validate_json(json.dumps(values), strict=True)  # type: ignore[arg-type]
        return built
    except ValidationError as error:
        raise InputError(complaint(error, prefix, what)) from error
    except Exception as error:
        if not origin_of(cls):
            raise
        raise InputError(f"{what} of {origin_of(cls)} cannot be made ({type(error).__name__}: {error})") from error


def check_type(key: str, value: Any) -> None:
    """InputError where a field of an axis that has one class takes no value of this type, whatever its other fields
    are."""
    axis, _, field = key.partition(".")
    try:
        _adapter(typing.get_type_hints(base_of(axis), include_extras=True)[field]).validate_json(
            json.dumps(value), strict=True
        )
    except ValidationError as error:
        raise InputError(complaint(error, key)) from error


@lru_cache
def _adapter(cls: Any) -> TypeAdapter[Any]:
    return TypeAdapter(cls)


KINDS = {
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "a text",
    "tuple_type": "a list, written [A,B]",
    "list_type": "a list, written [A,B]",
    "dict_type": "a mapping, written {KEY: VALUE}",
}
"""Pydantic's name for an error → what the value must be."""


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
    kind = KINDS.get(first["type"])
    said = re.sub("^(?!must )", "is wrong: ", first["msg"].replace("Input should", "must", 1))
    must = f"must be {kind}" if kind else said
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
