"""The choices of every axis, found among the classes of the core, so that a new one meets the shared checks."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Sequence
from functools import cache
from typing import Any, TypeVar

import pytest

import diffusion_core
from diffusion_core.parameterizations import Parameterization, V
from diffusion_core.schedules import Cosine, LearnedSchedule, Linear, Rectified, Saved, Schedule, Sigmoid
from diffusion_core.solvers import Heun
from diffusion_core.testing.saying import Property
from diffusion_core.testing.variants import name, variants

Choice = TypeVar("Choice")

TELLING: dict[type, dict[str, Any]] = {Saved: {"knots": (-13.3, -7.0, -4.0, 5.0)}}
"""Fields of a choice whose defaults show nothing of it: between two knots a found schedule is `log_snr_linear`."""

BESIDE: tuple[Any, ...] = (
    Linear(zero_terminal=True),
    Cosine(zero_terminal=True),
    Sigmoid(zero_terminal=True),
    Rectified(end=0.999),
    Heun(churn=10.0),
)
"""Choices that behave as their class at its defaults does not."""


@cache
def classes(base: type[Choice]) -> tuple[type[Choice], ...]:
    """The final classes of an axis, by name."""
    for module in pkgutil.walk_packages(diffusion_core.__path__, "diffusion_core."):
        importlib.import_module(module.name)
    return tuple(sorted((c for c in _descendants(base) if _ours(c)), key=lambda c: c.__name__))


@cache
def members(base: type[Choice]) -> tuple[Choice, ...]:
    """One choice of every final class at its defaults or telling fields, at every value of its `Literal` fields.

    Those `BESIDE` follow.
    """
    plain = [member for choice in classes(base) for member in variants(choice, **TELLING.get(choice, {}))]
    return (*plain, *(choice for choice in BESIDE if isinstance(choice, base)))


@cache
def ends_in_noise(schedule: Schedule) -> bool:
    """Whether a schedule's x_T holds nothing of x_0."""
    return schedule.build(50).ends_in_noise


def before_noise() -> tuple[Schedule, ...]:
    """The schedules that end before noise alone, where every parameterization has a meaning."""
    return tuple(schedule for schedule in members(Schedule) if not ends_in_noise(schedule))


def spoken(every: int = 1) -> pytest.MarkDecorator:
    """A test per parameterization and schedule that go together: each schedule in v, each parameterization at three.

    All but each `every`-th are slow.
    """
    few = (Linear, LearnedSchedule, Rectified)
    pairs = [
        (parameterization, schedule)
        for parameterization in members(Parameterization)
        for schedule in members(Schedule)
        if (parameterization.reads_noise or not ends_in_noise(schedule))
        and (isinstance(parameterization, V) or isinstance(schedule, few))
    ]
    names = [f"{name(parameterization)}-{name(schedule)}" for parameterization, schedule in pairs]
    return pytest.mark.parametrize(("parameterization", "schedule"), thinned(pairs, every, names))


def thinned(values: Sequence[Any], every: int, names: Sequence[str]) -> list[Any]:
    """The values of a parameter, or of several, with their names; all but each `every`-th are slow."""
    return [
        pytest.param(
            *(value if isinstance(value, tuple) else (value,)), id=told, marks=[pytest.mark.slow] if i % every else []
        )
        for i, (value, told) in enumerate(zip(values, names, strict=True))
    ]


def properties(held: tuple[Property, ...]) -> pytest.MarkDecorator:
    """A test per property, told by its name."""
    return pytest.mark.parametrize("holds", held, ids=[holds.__name__ for holds in held])


def _descendants(base: type[Choice]) -> set[type[Choice]]:
    children = base.__subclasses__()
    return set(children).union(*(_descendants(child) for child in children))


def _ours(choice: type) -> bool:
    final = not choice.__subclasses__() and not inspect.isabstract(choice)
    return final and choice.__module__.startswith("diffusion_core.") and ".testing." not in choice.__module__
