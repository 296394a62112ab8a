"""Classes from outside: a user's own choices for any axis, without a change to what is installed.

    @ablations.register            in a script, or in a module that it imports
    an entry point of a package    `packages.py`, imported when its name is first asked for

A class from outside is a choice like any other: it derives from the base class of its axis, is called by its own name
in snake case, and is set by the fields of its constructor. `origins.py` says what else identifies it.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
from functools import cache
from typing import TypeVar

from ablations.settings.plugins.origins import OURS, file_of, place_of
from ablations.settings.plugins.packages import DOORS, REGISTERED, SHIPPED, Offer, offered, unnamed
from analysis.errors import InputError
from diffusion_core.named import choice_name

C = TypeVar("C", bound=type)


def register(cls: C) -> C:
    """Make a class a choice of its axis; InputError, in one line, where it cannot be one."""
    axis = _axis_of(cls)
    name = name_of(axis, cls)
    _check(cls, axis, name)
    REGISTERED[axis, name] = cls
    return cls


def name_of(axis: str, cls: type) -> str:
    """The name of a class on its axis; extractors are written with hyphens."""
    return choice_name(cls).replace("_", "-") if axis == "extractor" else choice_name(cls)


def shipped(base: type) -> dict[str, type]:
    """The final classes of a base that ship, by name; the modules beside the base are imported first, where each choice
    has a file."""
    _read_beside(base.__module__)
    return _loaded(base)


def shipped_class(base: type, name: str) -> type | None:
    """The class of a base that ships under a name. The modules beside the base are imported only if it is not known
    yet: they may import torch."""
    return _loaded(base).get(name) or shipped(base).get(name)


def _loaded(base: type) -> dict[str, type]:
    """The final classes of a base that ship and have been imported, by name, without those that only stand for a choice
    in a problem whose answer is known (`problems.py`)."""
    places = {cls: cls.__module__.split(".") for cls in (base, *_descendants(base))}
    ours = [cls for cls, place in places.items() if place[0] in OURS and "problems" not in place]
    return {choice_name(cls): cls for cls in ours if not inspect.isabstract(cls)}


@cache
def _read_beside(module: str) -> None:
    """Import the modules beside a module, once: a choice is named many times for each cell, and folders are slow to
    read."""
    package = importlib.import_module(module.rpartition(".")[0])
    for beside in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        if not beside.name.endswith(".problems"):
            importlib.import_module(beside.name)


def _descendants(base: type) -> list[type]:
    children: list[type] = base.__subclasses__()
    return [cls for child in children for cls in (child, *_descendants(child))]


def outside(axis: str) -> dict[str, type]:
    """The classes from outside of an axis by name, those that can be imported."""
    usable = {}
    for name in unnamed(axis):
        try:
            usable[name] = imported(axis, name)
        except InputError:
            # Whoever asks for it by name is told why.
            continue
    return usable


def imported(axis: str, name: str) -> type:
    """The class from outside with a name; InputError, in one line, where none can be used."""
    if (axis, name) in REGISTERED:
        return REGISTERED[axis, name]
    offer = offered(axis, name)
    if offer is None:
        raise InputError(f"no {axis} called {name!r} is registered here")
    if offer.trouble:
        raise InputError(offer.trouble)
    cls = _import(offer)
    _check_offered(cls, offer)
    REGISTERED[axis, name] = cls
    return cls


def modules() -> list[str]:
    """The modules that hold registered classes, which a worker imports first. InputError where one has no file."""
    for cls in REGISTERED.values():
        if file_of(cls.__module__) is None:
            raise InputError(
                f"the class {cls.__qualname__} is in no file, so that no worker process can import it: put it into a "
                "file and import it from there, or take launcher=serial"
            )
    return [name for name in dict.fromkeys(cls.__module__ for cls in REGISTERED.values()) if name != "__main__"]


def import_modules(names: list[str]) -> None:
    """In a worker: import the modules that register the classes of its command."""
    for name in names:
        importlib.import_module(name)


def _import(offer: Offer) -> type:
    try:
        cls = offer.point.load()
    except (Exception, SystemExit) as error:
        raise InputError(
            f"{offer.axis}={offer.name} of {offer.of_package} cannot be imported ({type(error).__name__}: {error}): "
            "mend the package, or uninstall it"
        ) from error
    if not isinstance(cls, type):
        raise InputError(f"{offer.of_package}: {offer.point.name} is {offer.point.value}, which is no class")
    return cls


def _check_offered(cls: type, offer: Offer) -> None:
    axis = _axis_of(cls)
    name = name_of(axis, cls)
    if (axis, name) != (offer.axis, offer.name):
        raise InputError(
            f"{offer.of_package} offers {offer.point.name}, and {cls.__qualname__} is the choice {axis}.{name}: give "
            "the entry point that name"
        )
    _check(cls, axis, name)


def _axis_of(cls: type) -> str:
    """The axis whose base class a class derives from; InputError where there is none."""
    if not isinstance(cls, type):
        raise InputError(f"only a class can be registered, got {cls!r}")
    bases = {f"{base.__module__}.{base.__qualname__}" for base in cls.__mro__[1:]}
    for axis, base in DOORS.items():
        if base in bases:
            return axis
    names = ", ".join(base.rpartition(".")[2] for base in DOORS.values())
    raise InputError(f"the class {cls.__qualname__} is no choice of any axis: it must be derived from one of {names}")


def _check(cls: type, axis: str, name: str) -> None:
    """InputError unless a class can be a choice of this name."""
    if inspect.isabstract(cls):
        lacking = ", ".join(sorted(cls.__abstractmethods__))  # type: ignore[attr-defined]
        raise InputError(f"the class {cls.__qualname__} is abstract: {axis}={name} lacks {lacking}")
    if axis != "extractor" and not is_frozen(cls):
        raise InputError(
            f"the class {cls.__qualname__} is no frozen dataclass, as every choice is: write @dataclass(frozen=True)"
        )
    if name in _names_that_ship(axis):
        raise InputError(
            f"the class {cls.__qualname__} would be {axis}={name}, a name that is taken by one that ships: call the "
            "class otherwise"
        )
    other = REGISTERED.get((axis, name))
    # A module that is read anew, in a notebook say, brings the same class again.
    if other is not None and place_of(other) != place_of(cls):
        raise InputError(
            f"{axis}={name} is registered twice, by {place_of(other)} and {place_of(cls)}: give one of the classes "
            "another name"
        )


def _names_that_ship(axis: str) -> set[str]:
    """The names on an axis that are taken: those of files, and on axes without files those of classes."""
    module, _, base = DOORS[axis].rpartition(".")
    classes = shipped(getattr(importlib.import_module(module), base)).values()
    return {path.stem for path in (SHIPPED / axis).glob("*.yaml")} | {name_of(axis, cls) for cls in classes}


def is_frozen(cls: type) -> bool:
    """True where a class is a frozen dataclass, as every choice is."""
    return dataclasses.is_dataclass(cls) and bool(cls.__dataclass_params__.frozen)  # type: ignore[attr-defined]
