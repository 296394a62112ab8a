"""The choices of every axis, found among the classes of the core, so that a new one meets the tests of all.

And tests over crossings of axes, which a loop within a test goes through: a case of pytest's costs more than most of
them do.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import itertools
import pkgutil
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import diffusion_core
from diffusion_core.flow import Heun
from diffusion_core.parameterizations import Parameterization, V
from diffusion_core.schedules import Cosine, LearnedSchedule, Linear, LogSnrLinear, Rectified, Saved, Schedule

Choice = TypeVar("Choice")
Test = Callable[..., None]
Goes = Callable[..., bool]

TELLING: dict[type, dict[str, Any]] = {Saved: {"knots": (-13.3, -7.0, -4.0, 5.0)}}
"""Fields of a choice whose defaults show nothing of it: between two knots a found schedule is `log_snr_linear`."""

BESIDE: tuple[Any, ...] = (
    Linear(zero_terminal=True),
    Cosine(zero_terminal=True),
    LogSnrLinear(zero_terminal=True, shift=3.0),
    Rectified(end=0.999),
    Rectified(shift=3.0),
    Heun(churn=10.0),
)
"""Choices that behave as their class at its defaults does not."""


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
    return schedule.gamma(50).ends_in_noise


def go_together(parameterization: Parameterization, schedule: Schedule, **_: Any) -> bool:
    """Whether x̂_0 is told at every noise level of the schedule."""
    return parameterization.reads_noise or not ends_in_noise(schedule)


def spoken(parameterization: Parameterization, schedule: Schedule, **_: Any) -> bool:
    """Whether these go together and are looked at: each schedule in v, each parameterization at three."""
    few = isinstance(parameterization, V) or isinstance(schedule, Linear | LearnedSchedule | Rectified)
    return go_together(parameterization, schedule) and few


Crossing = dict[str, Any]
"""A value of each axis, by its name."""


def always(**_: Any) -> bool:
    """Any values go together."""
    return True


def crossings(goes: Goes, axes: dict[str, Iterable[Any]]) -> list[Crossing]:
    """Every crossing of the axes' values that goes."""
    every = (dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values()))
    return [crossing for crossing in every if goes(**crossing)]


def pairwise(every: Sequence[Crossing]) -> list[Crossing]:
    """Few of these crossings in which any two values meet that do in one of them; the same ones each time.

    Greedy: the next is the first of those that bring most pairs.
    """
    pairs = [set(itertools.combinations(crossing.items(), 2)) for crossing in every]
    missing: set[Any] = set().union(*pairs)
    chosen = []
    while missing:
        best = max(range(len(every)), key=lambda i: len(pairs[i] & missing))
        chosen.append(every[best])
        missing -= pairs[best]
    return chosen


def across(goes: Goes = always, **axes: Iterable[Any]) -> Callable[[Test], Test]:
    """One test that asks at every crossing of these axes which goes; an error says at which."""
    return lambda asked: _named(asked, lambda: _ask(asked, crossings(goes, axes)))


def paired(goes: Goes = always, **axes: Iterable[Any]) -> Callable[[Test], Test]:
    """One test that asks at few crossings of these axes, in which any two values meet that go together."""
    return lambda asked: _named(asked, lambda: _ask(asked, pairwise(crossings(goes, axes))))


def _ask(asked: Test, each: Sequence[Crossing]) -> None:
    assert each
    for crossing in each:
        try:
            asked(**crossing)
        except BaseException as error:
            told = (
                f"{axis}={name(value) if dataclasses.is_dataclass(value) else value}"
                for axis, value in crossing.items()
            )
            error.add_note(f"at {', '.join(told)}")
            raise


def _named(asked: Test, test: Test) -> Test:
    """The test, called as what it asks is: no `functools.wraps`, by which pytest would take the axes for fixtures."""
    test.__name__, test.__qualname__, test.__doc__ = asked.__name__, asked.__qualname__, asked.__doc__
    test.__module__ = asked.__module__
    test.place_as = asked  # type: ignore[attr-defined]
    return test


def _descendants(base: type[Choice]) -> set[type[Choice]]:
    children = base.__subclasses__()
    return set(children).union(*(_descendants(child) for child in children))


def _ours(choice: type) -> bool:
    """Whether a class ships, and is a choice: those of tests are none."""
    return _ships(choice) and not inspect.isabstract(choice)


def _ships(choice: type) -> bool:
    return choice.__module__.startswith("diffusion_core.") and choice.__module__ != "diffusion_core.checking"
