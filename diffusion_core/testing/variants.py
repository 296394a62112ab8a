"""The choices of one class that a check tries, and their names."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

Choice = TypeVar("Choice")


def name(choice: Any) -> str:
    """The class of a choice, and the fields that differ from its defaults."""
    if not dataclasses.is_dataclass(choice):
        return type(choice).__name__
    changed = [
        f"{field.name}={getattr(choice, field.name)}"
        for field in dataclasses.fields(choice)
        if getattr(choice, field.name) != field.default
    ]
    return f"{type(choice).__name__}({', '.join(changed)})" if changed else type(choice).__name__


def variants(cls: type[Choice], **fields: Any) -> list[Choice]:
    """The choices of a class at every value of its `Literal` fields, the others at their defaults or as given."""
    hints = get_type_hints(cls)
    literal = {
        field.name: get_args(hints[field.name])
        for field in dataclasses.fields(cls)  # type: ignore[arg-type]
        if get_origin(hints[field.name]) is Literal and field.name not in fields
    }
    crossings = itertools.product(*literal.values())
    return [cls(**fields, **dict(zip(literal, values, strict=True))) for values in crossings]
