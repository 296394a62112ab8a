"""Classes from outside: a user's own choices for any axis, without a change to what is installed.

    @ablations.register                                                 in a script, or in a module that it imports

    [project.entry-points.diffusion_ablations]                          of an installed package
    "schedule.exponential" = "my_package.schedules:Exponential"         axis.name = the place of the class

A class from outside derives from the base class of its axis, is called by its own name in snake case, and is set by the
fields of its constructor. Its cells' identity has its origin: package and version, or script, and a digest of its
source. Of packages only the metadata is read until a name is asked for. Files beside their code, in `configs/`, are
choices, grids and studies as those that ship are.
"""

from __future__ import annotations

import ast
import dataclasses
import hashlib
import importlib
import inspect
import pkgutil
import sys
from collections.abc import Iterator
from functools import cache, lru_cache
from importlib.metadata import EntryPoint, entry_points, packages_distributions, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from ablations.settings.cell import BASES
from analysis.errors import InputError
from diffusion_core.named import choice_name

C = TypeVar("C", bound=type)

SHIPPED = Path(__file__).parents[1] / "configs"
"""The files of choices, grids and studies that ship."""
OURS = ("diffusion_core", "ablations", "analysis")
"""Packages whose classes ship: NUMERICS stands for their source."""
CLOSED = ("training", "average", "conditioning", "guidance", "evaluation")
"""Axes that cannot be extended from outside."""
DOORS: dict[str, str] = {axis: base for axis, base in BASES.items() if axis not in CLOSED} | {
    "extractor": "ablations.metrics.extractors.architectures.Architecture",
    "metric": "ablations.metrics.metric.Metric",
}
"""Axes that a class from outside can extend, with the dotted name of the base class of each."""
REGISTERED: dict[tuple[str, str], type] = {}
"""(axis, name) → the class from outside that this process has registered or imported."""


@lru_cache(maxsize=1)
def offers() -> dict[tuple[str, str], EntryPoint]:
    """The entry points of installed packages by axis and name."""
    points = sorted(entry_points(group="diffusion_ablations"), key=lambda point: point.name)
    return {(point.name.partition(".")[0], point.name.partition(".")[2]): point for point in points}


def complaints() -> list[str]:
    """A line for each entry point that cannot be used, as far as that shows without importing it."""
    wrong = {key: point for key, point in offers().items() if not _usable(*key)}
    return [
        f"{_package(point)} offers {point.name}, a name that ships, or of no such axis: call it axis.name, of "
        f"{', '.join(DOORS)}"
        for point in wrong.values()
    ]


def unnamed(axis: str) -> dict[str, str]:
    """The names of classes from outside of an axis, with a line on each; none is imported for this."""
    lines = {
        name: f"from {_package(point)}" for (of, name), point in offers().items() if of == axis and _usable(of, name)
    }
    own = {name: inspect.getdoc(cls) or "a class from outside" for (of, name), cls in REGISTERED.items() if of == axis}
    return lines | {name: text.partition("\n")[0] for name, text in own.items()}


def config_folders() -> Iterator[Path]:
    """The folders `configs/` beside the code of packages that offer something."""
    for top in dict.fromkeys(point.module.partition(".")[0] for key, point in offers().items() if _usable(*key)):
        spec = find_spec(top)
        yield from (Path(place) / "configs" for place in (spec and spec.submodule_search_locations) or ())


def _usable(axis: str, name: str) -> bool:
    return axis in DOORS and not (SHIPPED / axis / f"{name}.yaml").is_file()


def _package(point: EntryPoint) -> str:
    return f"the package {point.dist.name} {point.dist.version}" if point.dist else f"the module {point.module}"


def register(cls: C) -> C:
    """Make a class a choice of its axis; InputError, in one line, where it cannot be one."""
    _add(cls)
    return cls


def _add(cls: Any) -> tuple[str, str]:
    """The axis and the name under which a class is from now on a choice."""
    if not isinstance(cls, type):
        raise InputError(f"only a class can be registered, got {cls!r}")
    bases = {f"{base.__module__}.{base.__qualname__}" for base in cls.__mro__[1:]}
    axis = next((axis for axis, base in DOORS.items() if base in bases), None)
    if axis is None:
        names = ", ".join(base.rpartition(".")[2] for base in DOORS.values())
        raise InputError(f"the class {cls.__qualname__} is no choice of any axis: derive it from one of {names}")
    # Extractors are written with hyphens.
    name = choice_name(cls).replace("_", "-") if axis == "extractor" else choice_name(cls)
    other = REGISTERED.get((axis, name), cls)
    taken = {path.stem for path in (SHIPPED / axis).glob("*.yaml")} | shipped(_class(DOORS[axis])).keys()
    lacking = ", ".join(sorted(getattr(cls, "__abstractmethods__", ())))
    problems = {
        f"is abstract: {axis}={name} lacks {lacking}": bool(lacking),
        "is no frozen dataclass, as every choice is: write @dataclass(frozen=True)": axis != "extractor"
        and not is_frozen(cls),
        f"would be {axis}={name}, a name that is taken by one that ships: call the class otherwise": name in taken,
        # A module that is read anew, in a notebook say, brings the same class again.
        f"is the second {axis}={name}: the other is in {file_of(other)}": (file_of(cls), cls.__qualname__)
        != (file_of(other), other.__qualname__),
    }
    for problem, there in problems.items():
        if there:
            raise InputError(f"the class {cls.__qualname__} {problem}")
    REGISTERED[axis, name] = cls
    return axis, name


def is_frozen(cls: type) -> bool:
    """True where a class is a frozen dataclass, as every choice is."""
    return dataclasses.is_dataclass(cls) and bool(cls.__dataclass_params__.frozen)  # type: ignore[attr-defined]


def imported(axis: str, name: str) -> type:
    """The class from outside with a name; InputError, in one line, where none can be used."""
    if (axis, name) not in REGISTERED:
        point = offers().get((axis, name))
        if point is None:
            raise InputError(f"no {axis} called {name!r} is registered here")
        try:
            found = _add(point.load())
        except (Exception, SystemExit) as error:
            why = f"{type(error).__name__}: {error}"
            raise InputError(f"{axis}={name} of {_package(point)} cannot be used ({why}): mend it") from error
        if found != (axis, name):
            raise InputError(f"{_package(point)} offers {point.name}, and its class is {'.'.join(found)}: name it so")
    return REGISTERED[axis, name]


def outside(axis: str) -> dict[str, type]:
    """The classes from outside of an axis by name, those that can be imported: whoever asks for another one is told
    why it cannot."""
    usable = {}
    for name in unnamed(axis):
        try:
            usable[name] = imported(axis, name)
        except InputError:
            continue
    return usable


@cache
def shipped(base: type) -> dict[str, type]:
    """The final classes of a base that ship, by name; each choice has a module beside the base's."""
    package = importlib.import_module(base.__module__.rpartition(".")[0])
    for beside in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        importlib.import_module(beside.name)
    found, todo = {}, [base]
    while todo:
        cls = todo.pop()
        todo += cls.__subclasses__()
        place = cls.__module__.split(".")
        if place[0] in OURS and "problems" not in place and not inspect.isabstract(cls):
            found[choice_name(cls)] = cls
    return found


def _class(dotted: str) -> type:
    module, _, name = dotted.rpartition(".")
    cls: type = getattr(importlib.import_module(module), name)
    return cls


def modules() -> list[str]:
    """The modules that hold registered classes, which a worker imports first. InputError where one has no file."""
    for cls in REGISTERED.values():
        if file_of(cls) is None:
            raise InputError(
                f"the class {cls.__qualname__} is in no file, so that no worker process can import it: put it into a "
                "file and import it from there, or take launcher=serial"
            )
    return [name for name in dict.fromkeys(cls.__module__ for cls in REGISTERED.values()) if name != "__main__"]


def import_modules(names: list[str]) -> None:
    """In a worker: import the modules that register the classes of its command."""
    for name in names:
        importlib.import_module(name)


def file_of(cls: type) -> Path | None:
    """The file of a class's module; None for code typed into a notebook."""
    path = getattr(sys.modules.get(cls.__module__), "__file__", None)
    return Path(path).resolve() if path else None


def origin_of(cls: type) -> str:
    """The origin of a class from outside, `example 0.1.0 3f2a9c0d1e2f` or `mine.py 8b1c22d4e0aa`; "" for what ships."""
    return "" if cls.__module__.split(".")[0] in OURS else _origin(cls)


@lru_cache
def _origin(cls: Any) -> str:
    file, top = file_of(cls), cls.__module__.split(".")[0]
    text = _typed(cls) if file is None else "\n".join(_sources(file, cls.__module__))
    package = next(iter(packages_distributions().get(top, ())), None)
    place = f"{package} {version(package)}" if package else file.name if file else "a notebook"
    return f"{place} {hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _sources(file: Path, module: str) -> list[str]:
    """The source of a module, and those of the modules of its package, or beside its script, that it imports."""
    root = file.parents[module.count(".") + (file.stem == "__init__")]
    alone = root.name in ("site-packages", "dist-packages")
    texts: dict[Path, str] = {}
    todo = [file]
    while todo:
        path = todo.pop()
        if path in texts or not path.is_file():
            continue
        texts[path] = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(texts[path])):
            if isinstance(node, ast.ImportFrom):
                folder = path.parents[node.level - 1] if node.level else root
                dotted = [".".join(filter(None, [node.module, name])) for name in ("", *(a.name for a in node.names))]
            else:
                folder, dotted = root, [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for parts in (name.split(".") for name in dotted if name):
                own = parts[0] == module.split(".")[0] if alone else parts[0] not in OURS
                if folder != root or own:
                    todo += [folder.joinpath(*parts).with_suffix(".py"), folder.joinpath(*parts, "__init__.py")]
    return [texts[path] for path in sorted(texts)]


def _typed(cls: type) -> str:
    """What a class in a notebook does: its functions, with the plain values that they read, and its fields."""
    functions = [value for value in vars(cls).values() if inspect.isfunction(value)]
    # What a dataclass adds is of no file, or of Python's own.
    files = [method.__code__.co_filename for method in functions]
    methods = [m for m, file in zip(functions, files, strict=True) if file != "<string>" and not Path(file).is_file()]
    read = [(name, method.__globals__.get(name)) for method in methods for name in method.__code__.co_names]
    fields = [(field.name, field.default) for field in dataclasses.fields(cls)] if dataclasses.is_dataclass(cls) else []
    plain = [entry for entry in (*read, *fields) if isinstance(entry[1], int | float | str | tuple | None)]
    return "\n".join([*map(inspect.getsource, methods), repr(plain)])
