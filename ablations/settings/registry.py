"""Names to classes: a choice's class is found by its name, and its constructor is the schema; and cells to names: their
identity is a hash of their choices with all defaults, of their data's digest and of their precision.

A name belongs to exactly one class, and a file of `configs/<axis>/` gives the name with preset values. Pydantic checks
values strictly against the constructor's annotations. Equal cells are one cell whatever text they came from. `cell_id`
leaves the seed out: seeds are repetitions of one cell. A file enters by its content, never by its place.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import typing
from dataclasses import fields
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from ablations.settings import grammar
from ablations.settings.cell import AT_ONCE, AXES, NUMBERS, PLAIN, Cell, default_name
from ablations.settings.grammar import no_such
from ablations.settings.plugins import imported, origin_of, outside, outside_names, shipped
from analysis.errors import InputError, written_out
from analysis.schema import NUMERICS
from diffusion_core.refusing import choice_name

if TYPE_CHECKING:
    from diffusion_core.precision import Precision

ORIGIN = "origin"
"""The key of a described choice for the origin of a class from outside."""


def classes(axis: str) -> dict[str, type]:
    """The final classes of an axis by name: those that ship, and those from outside that can be imported."""
    return shipped(axis) | outside(axis)


def class_of(axis: str, name: str) -> type:
    """The class of an axis with a name; InputError where none can be used."""
    if name not in shipped(axis) and name not in outside_names(axis):
        raise no_such(axis, name, classes(axis))
    return shipped(axis).get(name) or imported(axis, name)


def field_names(cls: type) -> list[str]:
    return [field.name for field in dataclasses.fields(cls)]


def fields_of(axis: str, option: str) -> set[str]:
    return set(field_names(class_of(axis, str(grammar.load(axis, option).get("name", axis)))))


def all_fields(axis: str) -> set[str]:
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
    first, *rest = sorted(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
    # Of a field that takes a number or a word, Pydantic names the kind too, and says first why it is no number.
    inner = re.compile(r"int|float|str|constrained-\w+|literal.*")
    place = ".".join([prefix, *(str(part) for part in first["loc"] if not inner.fullmatch(str(part)))]).strip(".")
    if first["type"] == "value_error":
        return f"{what or place}: {first['msg'].removeprefix('Value error, ')}".removeprefix(": ")
    if first["type"] == "extra_forbidden":
        return f"{place} is no key of such a file"
    if first["type"] == "missing":
        return f"{what or 'it'} needs {place}, which has no default"
    message = first["msg"].replace("Input should", "must", 1).replace("a valid array", "a list, written [A,B]")
    must = re.sub("^(?!must )", "is wrong: ", message)
    words = [f"or {other['ctx']['expected']}" for other in rest if other["type"] == "literal_error"]
    return f"{' '.join([place, must, *words])}, got {first['input']!r}{written_out(first['input'])}"


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


def described(cell: Cell, *, places: bool = False) -> dict[str, Any]:
    """Every choice of a cell but its seed, as plain values; with `places`, also the places of their files."""
    choices = {axis: describe(getattr(cell, axis), places=places) for axis in AXES}
    return choices | {item.name: getattr(cell, item.name) for item in fields(cell) if item.name in PLAIN}


def read_by_id(cell: Cell) -> dict[str, Any]:
    """The part of `described` that identities read."""
    unsaid = {axis: {"name": default_name(axis)} for axis in Cell.younger}
    read = {key: value for key, value in described(cell).items() if value != unsaid.get(key)}
    # Such cells were rounded otherwise before: NUMERICS of theirs alone.
    return read | ({"convolutions": "torch"} if cell.threads > 1 else {})


def average_read(cell: Cell) -> dict[str, Any]:
    """The part of an identity for the average of the weights that is evaluated; empty for the default."""
    return {axis: choice for axis, choice in read_by_id(cell).items() if axis == "average"}


def labels_read(cell: Cell) -> dict[str, str]:
    """The part of an identity for the labels that a cell's network is told; empty where it is told none."""
    return {"labels": cell.data.described().labels_digest} if cell.told_labels else {}


def cell_id(cell: Cell, digest: str, precision: Precision, extractor: str | None = None) -> str:
    """12 hex digits that name a cell on data with this digest, whatever its seed. `extractor` is the identity of the
    features; it counts where the cell brings their weights."""
    content: dict[str, Any] = {"cell": read_by_id(cell), **labels_read(cell), "digest": digest, "precision": precision}
    return content_hash(content | ({"extractor": extractor} if cell.evaluation.weights else {}))


def content_hash(content: dict[str, Any]) -> str:
    """12 hex digits of a canonical JSON text, NUMERICS included."""
    text = json.dumps({"numerics": NUMERICS, **content}, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def parameters(cell: Cell) -> dict[str, str]:
    """Every choice of a cell but its seed, flat and as text: `schedule` → linear, `schedule.beta_1` → 0.0001."""
    flat: dict[str, str] = {}
    for axis, value in described(cell, places=True).items():
        if not isinstance(value, dict):
            flat[axis] = str(value)
            continue
        name = value.pop("name")
        if axis not in AT_ONCE:
            flat[axis] = name
        flat |= {f"{axis}.{key}": _text(entry) for key, entry in value.items()}
    return flat


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
