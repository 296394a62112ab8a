"""Properties of every choice of every axis: it is frozen, compares by its fields, and holds no tensors."""

from __future__ import annotations

import dataclasses

from torch import Tensor

from diffusion_core.testing.saying import Property, require


def is_a_frozen_dataclass(choice: object) -> None:
    """Choices with equal fields are the same cell, and nothing may change a choice later."""
    rule = "a choice must be a frozen dataclass"
    require(
        choice, rule, dataclasses.is_dataclass(choice), "it is none: decorate the class with @dataclass(frozen=True)"
    )
    parameters = getattr(choice, "__dataclass_params__", None)
    require(choice, rule, bool(getattr(parameters, "frozen", False)), "its fields can be set: add frozen=True")


def holds_plain_values(choice: object) -> None:
    """Choices are told apart by their fields: numbers, words or tuples of these. Tensors belong to a module."""
    fields = [field.name for field in dataclasses.fields(choice)]  # type: ignore[arg-type]
    tensors = [name for name in fields if isinstance(getattr(choice, name), Tensor)]
    require(choice, "a choice must hold plain values", not tensors, lambda: f"{tensors[0]} is a tensor")
    again = dataclasses.replace(choice)  # type: ignore[type-var]
    rule = "two choices of equal fields must be equal, and have one hash"
    require(choice, rule, again == choice, "a copy is not equal: let the dataclass compare its fields")
    require(choice, rule, hash(again) == hash(choice), "a copy has another hash")


OF_EVERY_CHOICE: tuple[Property, ...] = (is_a_frozen_dataclass, holds_plain_values)
