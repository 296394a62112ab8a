"""Settings to objects: a choice's class is found by its name, and its constructor is the schema.

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
from analysis.errors import InputError, unknown
from diffusion_core.choices import choice_name

MODULES = {
    "data": "ablations.data.base.DataSet",
    "space": "diffusion_core.spaces.Space",
    "parameterization": "diffusion_core.parameterizations.Parameterization",
    "variance": "diffusion_core.variances.Variance",
    "schedule": "diffusion_core.schedules.Schedule",
    "objective": "diffusion_core.objectives.Objective",
    "timesteps": "diffusion_core.timesteps.Timesteps",
    "network": "diffusion_core.networks.network.Network",
    "sampler": "diffusion_core.samplers.Sampler",
    "training": "diffusion_core.training.Training",
    "evaluation": "ablations.settings.cell.Evaluation",
}
"""The base class of each axis."""

FILE_PER_CHOICE = ("data", "network")
"""Axes whose package holds a file per choice: all of them are read."""

PACKAGES = ("diffusion_core", "ablations")
"""Where choices are looked for: a class made elsewhere, by a test say, is none that text can name."""

Choice = TypeVar("Choice")


def classes(axis: str) -> dict[str, type]:
    """The final classes of an axis by name."""
    module_name, _, base_name = MODULES[axis].rpartition(".")
    module = importlib.import_module(module_name)
    if axis in FILE_PER_CHOICE:
        package = importlib.import_module(module_name.rpartition(".")[0])
        for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            importlib.import_module(found.name)
    base = getattr(module, base_name)
    known = [cls for cls in (base, *_descendants(base)) if cls.__module__.split(".")[0] in PACKAGES]
    return {choice_name(cls): cls for cls in known if not inspect.isabstract(cls)}


def _descendants(base: type) -> list[type]:
    children: list[type] = base.__subclasses__()
    return [cls for child in children for cls in (child, *_descendants(child))]


def build(axis: str, values: dict[str, Any]) -> Any:
    """The choice that `values` (with its `name`) describes; InputError where a name, key or value is wrong."""
    values = dict(values)
    name = values.pop("name", axis)
    known = classes(axis)
    if name not in known:
        raise unknown(axis, str(name), known)
    return validated(known[name], values, axis, axis if name == axis else f"{axis}={name}")


def fields_of(axis: str, option: str) -> set[str]:
    """What can be set of the choice that a file of `configs/<axis>/` names."""
    name = grammar.load(axis, option).get("name", axis)
    cls = classes(axis).get(str(name))
    return set(field_names(cls)) if cls else set()


def is_whole(key: str) -> bool:
    """Whether a field, or a number of a cell, takes whole numbers in every choice that has it."""
    group, _, field = key.partition(".")
    if not field:
        return key in grammar.NUMBERS
    hints = [typing.get_type_hints(cls)[field] for cls in classes(group).values() if field in field_names(cls)]
    return bool(hints) and all(int in (hint, *typing.get_args(hint)) and hint is not float for hint in hints)


def field_names(cls: type) -> list[str]:
    """What can be set of a choice's class."""
    return [field.name for field in dataclasses.fields(cls)]


def validated(cls: type[Choice], values: dict[str, Any], prefix: str, what: str) -> Choice:
    """cls(**values), each value of its annotated type and range."""
    fields = field_names(cls)
    for key in values:
        if key not in fields:
            if not fields:
                raise InputError(f"{what} has nothing to set, got {prefix}.{key}={values[key]}")
            raise unknown(f"field of {what}", key, fields)
    try:
        built: Choice = _adapter(cls).validate_json(json.dumps(values), strict=True)  # type: ignore[arg-type]
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
