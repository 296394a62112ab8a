"""Names to classes: a choice's class is found by its name, and its constructor is the schema.

A name belongs to exactly one class, and a file of `configs/<axis>/` gives it with the values it presets. Values are
checked by pydantic against the constructor's annotations; keys that it does not have are refused here.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import json
import pkgutil
import typing
from functools import lru_cache
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from ablations.settings import grammar
from ablations.settings.cell import BASES, NUMBERS
from analysis.errors import InputError, unknown
from diffusion_core.choices import choice_name

PACKAGES = ("diffusion_core", "ablations")
"""Where choices are looked for: a class made elsewhere, by a test say, is none that text can name."""

T = TypeVar("T")


def base_of(axis: str) -> type:
    """The base class of an axis, as the annotation of a cell names it."""
    module, _, name = BASES[axis].rpartition(".")
    return typing.cast(type, getattr(importlib.import_module(module), name))


def classes(base: type) -> dict[str, type]:
    """The final classes below a base by name; those that have a file each beside the base's are read.

    What stands for a choice in the shared checks (`testing/`) is none.
    """
    package = importlib.import_module(base.__module__.rpartition(".")[0])
    for beside in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        if not beside.name.endswith(".testing"):
            importlib.import_module(beside.name)
    places = {cls: cls.__module__.split(".") for cls in (base, *_descendants(base))}
    known = [cls for cls, place in places.items() if place[0] in PACKAGES and "testing" not in place]
    return {choice_name(cls): cls for cls in known if not inspect.isabstract(cls)}


def _descendants(base: type) -> list[type]:
    children: list[type] = base.__subclasses__()
    return [cls for child in children for cls in (child, *_descendants(child))]


def build(axis: str, values: dict[str, Any], base: type | None = None) -> Any:
    """The choice that `values` (with its `name`) describes; InputError where a name, key or value is wrong.

    `base` is the choices' base class where the axis is none of a cell.
    """
    values = dict(values)
    name = values.pop("name", axis)
    known = classes(base or base_of(axis))
    if name not in known:
        raise unknown(axis, str(name), known)
    return validated(known[name], values, axis, axis if name == axis else f"{axis}={name}")


def fields_of(axis: str, option: str) -> set[str]:
    """What can be set of the choice that a file of `configs/<axis>/` names."""
    name = grammar.load(axis, option).get("name", axis)
    cls = classes(base_of(axis)).get(str(name))
    return set(field_names(cls)) if cls else set()


def all_fields(axis: str) -> set[str]:
    """What can be set of any choice of an axis."""
    return {name for cls in classes(base_of(axis)).values() for name in field_names(cls)}


def is_whole(key: str) -> bool:
    """Whether a field, or a number of a cell, takes whole numbers in every choice that has it."""
    axis, _, field = key.partition(".")
    if not field:
        return key in NUMBERS
    having = [cls for cls in classes(base_of(axis)).values() if field in field_names(cls)]
    hints = [typing.get_type_hints(cls)[field] for cls in having]
    return bool(hints) and all(int in (hint, *typing.get_args(hint)) and hint is not float for hint in hints)


def field_names(cls: type) -> list[str]:
    """What can be set of a choice's class."""
    return [field.name for field in dataclasses.fields(cls)]


def validated(cls: type[T], values: dict[str, Any], prefix: str, what: str) -> T:
    """cls(**values), each value of its annotated type and range."""
    fields = field_names(cls)
    for key in values:
        if key not in fields:
            if not fields:
                raise InputError(f"{what} has nothing to set, got {prefix}.{key}={values[key]}")
            raise unknown(f"field of {what}", key, fields)
    try:
        built: T = _adapter(cls).validate_json(json.dumps(values), strict=True)  # type: ignore[arg-type]
        return built
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] == "value_error":
            raise InputError(f"{what}: {first['msg'].removeprefix('Value error, ')}") from error
        where = ".".join([prefix, *map(str, first["loc"])])
        raise InputError(f"{where}: {first['msg'][:1].lower()}{first['msg'][1:]}, got {first['input']!r}") from error


@lru_cache
def _adapter(cls: type) -> TypeAdapter[Any]:
    return TypeAdapter(cls)


def describe(choice: Any, *, places: bool = False) -> dict[str, Any]:
    """A choice as plain values, its name and defaults included: what identities and records are made of.

    Fields that only say where files lie (the class's `where`) are left out unless `places` are asked for: what the
    files hold has a digest of its own. So are those that another of its fields leaves unread (`unread`).
    """
    left_out = getattr(choice, "unread", ()) + (() if places else getattr(choice, "where", ()))
    fields = [field.name for field in dataclasses.fields(choice) if field.name not in left_out]
    return {"name": choice_name(choice), **{name: getattr(choice, name) for name in fields}}
