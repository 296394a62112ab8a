"""Classes from outside: a user's own choices for any axis, without a change to what is installed.

    @ablations.register                                                 in a script, or in a module that it imports

    [project.entry-points.diffusion_ablations]                          of an installed package
    "schedule.exponential" = "my_package.schedules:Exponential"         axis.name = the place of the class

Its cells' identity has its origin: package and version, or script, and a digest of its source. Of packages only the
metadata is read until a name is asked for. Files beside their code, in `configs/`, are as those that ship are.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import inspect
import linecache
import os
import pkgutil
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import cache, lru_cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from modulefinder import ModuleFinder
from pathlib import Path
from typing import Any, TypeVar

from ablations.settings.cell import BASES
from analysis.errors import InputError
from diffusion_core.refusing import choice_name, snake

C = TypeVar("C", bound=type)

SHIPPED = Path(__file__).parents[1] / "configs"
OURS = ("diffusion_core", "ablations", "analysis")
"""Packages whose classes ship: NUMERICS stands for their source."""
KINDS = BASES | {
    "launcher": "ablations.launchers.launcher.Launcher",
    "extractor": "ablations.metrics.extractors.architectures.Architecture",
    "metric": "ablations.metrics.metric.Metric",
}
"""The axes, and the other kinds of choices, with the dotted name of the base class of each."""
CLOSED = ("training", "average", "conditioning", "guidance", "evaluation", "launcher")
"""Kinds that cannot be extended from outside."""
EXTENSIBLE = {kind: base for kind, base in KINDS.items() if kind not in CLOSED}
REGISTERED: dict[tuple[str, str], type] = {}
"""(axis, name) → the class from outside that this process has registered or imported."""


def base_of(axis: str) -> type:
    """The base class of an axis, or of another kind of choices."""
    module, _, name = KINDS[axis].rpartition(".")
    cls: type = getattr(importlib.import_module(module), name)
    return cls


@cache
def written_fields(axis: str) -> dict[str, dict[str, str]]:
    """The choices of an axis that ship, each with its fields and their types, as their source has them: to import them,
    with torch, takes seconds."""
    *place, _, root = KINDS[axis].split(".")
    files = SHIPPED.parents[1].joinpath(*place).glob("*.py")
    bodies = [part for path in files for part in ast.parse(path.read_text("utf-8")).body]
    classes = [part for part in bodies if isinstance(part, ast.ClassDef)]
    fields_of = dict[str, dict[str, str]]()
    todo = [(base, dict[str, str]()) for base in classes if base.name == root]
    while todo:
        cls, inherited = todo.pop()
        parts = [part for part in cls.body if isinstance(part, ast.AnnAssign) and cls.decorator_list]
        own = {ast.unparse(part.target): ast.unparse(part.annotation) for part in parts}
        fields = inherited | {field: kind for field, kind in own.items() if not kind.startswith("ClassVar")}
        fields_of[snake(cls.name if cls.name == root else cls.name.removesuffix(root))] = fields
        todo += [(below, fields) for below in classes if cls.name in map(ast.unparse, below.bases)]
    return fields_of


def written_metrics() -> dict[str, str]:
    """The metrics of samples that ship, each name with the text of its class."""
    sources = (path.read_text("utf-8") for path in SHIPPED.parent.glob("metrics/*.py"))
    classes = re.findall(r"^class (\w+?)(?:Metric)?\((?:Metric|Fid)\)(.*?)^(?=\S|\Z)", "\n".join(sources), re.M | re.S)
    return {snake(name): text for name, text in classes}


@cache
def shipped(axis: str) -> dict[str, type]:
    """The final classes of an axis that ship, by name; each choice has a module beside the base's."""
    package = importlib.import_module(base_of(axis).__module__.rpartition(".")[0])
    for beside in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        importlib.import_module(beside.name)
    by_name, todo = {}, [base_of(axis)]
    while todo:
        cls = todo.pop()
        todo += cls.__subclasses__()
        place = cls.__module__.split(".")
        if place[0] in OURS and "checking" not in place and not inspect.isabstract(cls):
            by_name[choice_name(cls)] = cls
    return by_name


@lru_cache(maxsize=1)
def offers() -> dict[tuple[str, str], EntryPoint]:
    """The entry points of installed packages by axis and name; those that have a name which ships, or none of an axis,
    are no offers."""
    points = {tuple(point.name.partition(".")[::2]): point for point in entry_points(group="diffusion_ablations")}
    return {
        (axis, name): points[axis, name]
        for axis, name in sorted(points)
        if axis in EXTENSIBLE and not (SHIPPED / axis / f"{name}.yaml").is_file()
    }


def _package(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else point.module


def _packages() -> dict[str, str]:
    """The packages that offer something: name of the code → name and version."""
    return {point.module.partition(".")[0]: _package(point) for point in offers().values()}


def outside_names(axis: str) -> dict[str, str]:
    """The names of classes from outside of an axis, with a line on each; none is imported for this."""
    lines = {key: f"from {_package(point)}" for key, point in offers().items()}
    lines |= {key: inspect.getdoc(cls) or "a class from outside" for key, cls in REGISTERED.items()}
    return {name: text.partition("\n")[0] for (of, name), text in lines.items() if of == axis}


def config_folders() -> Iterator[Path]:
    """The folders `configs/` beside the code of packages that offer something."""
    for spec in map(find_spec, _packages()):
        yield from (Path(place) / "configs" for place in (spec and spec.submodule_search_locations) or ())


def register(cls: C) -> C:
    """Make a class a choice of its axis; InputError, in one line, where it cannot be one."""
    _add(cls)
    return cls


def _add(cls: Any) -> tuple[str, str]:
    """The axis and the name under which a class is from now on a choice."""
    bases = {f"{base.__module__}.{base.__qualname__}" for base in getattr(cls, "__mro__", ())[1:]}
    axis = next((axis for axis, base in EXTENSIBLE.items() if base in bases), None)
    if axis is None:
        names = ", ".join(base.rpartition(".")[2] for base in EXTENSIBLE.values())
        raise InputError(f"{cls!r} is no class of any axis: derive it from one of {names}")
    # Extractors are written with hyphens.
    name = choice_name(cls).replace("_", "-") if axis == "extractor" else choice_name(cls)
    what, other = f"the class {cls.__qualname__}, {axis}={name},", REGISTERED.get((axis, name), cls)
    if inspect.isabstract(cls):
        raise InputError(f"{what} lacks {', '.join(sorted(cls.__abstractmethods__))}")
    if axis != "extractor" and not getattr(getattr(cls, "__dataclass_params__", None), "frozen", False):
        raise InputError(f"{what} is no frozen dataclass, as every choice is: write @dataclass(frozen=True)")
    # A module that is read anew, in a notebook say, brings the same class again.
    if name in shipped(axis) or (file_of(cls), cls.__qualname__) != (file_of(other), other.__qualname__):
        place = "one that ships" if name in shipped(axis) else f"one in {file_of(other)}"
        raise InputError(f"{what} has the name of {place}: call the class otherwise")
    REGISTERED[axis, name] = cls
    return axis, name


def imported(axis: str, name: str) -> type:
    """The class from outside with a name; InputError, in one line, where none can be used."""
    if (axis, name) not in REGISTERED:
        point = offers()[axis, name]
        try:
            if (place := _add(point.load())) != (axis, name):
                raise InputError(f"its class is {'.'.join(place)}")
        except (Exception, SystemExit) as error:
            why = f"{type(error).__name__}: {error}"
            raise InputError(f"{axis}={name} of {_package(point)} cannot be used ({why}): mend it") from error
    return REGISTERED[axis, name]


def outside(axis: str) -> dict[str, type]:
    """The classes from outside of an axis by name, those that can be imported: whoever asks for another one is told
    why it cannot."""
    usable = {}
    for name in outside_names(axis):
        with suppress(InputError):
            usable[name] = imported(axis, name)
    return usable


def script_words() -> tuple[str, list[str]] | None:
    """The script whose classes this process has registered, with the words behind it; None where there is none."""
    file = getattr(sys.modules["__main__"], "__file__", None)
    if file is None or not any(cls.__module__ == "__main__" for cls in REGISTERED.values()):
        return None
    return os.path.relpath(file), [word for word in sys.argv[1:] if "=" in word and not word.startswith("-")]


def modules() -> list[str]:
    """The modules that hold registered classes, which a worker imports first. InputError where one has no file."""
    for cls in REGISTERED.values():
        if file_of(cls) is None:
            raise InputError(
                f"the class {cls.__qualname__} is in no file, so that no worker process can import it: put it into a "
                "file and import it from there, or take launcher=serial"
            )
    return [name for name in dict.fromkeys(cls.__module__ for cls in REGISTERED.values()) if name != "__main__"]


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
    place = _packages().get(top) or (file.name if file else "a notebook")
    texts = _cells(cls) if file is None else _sources(file, cls.__module__, packaged=top in _packages())
    digest = hashlib.sha256("\n".join(texts).encode()).hexdigest()
    return f"{place} {digest[:12]}"


def _sources(file: Path, module: str, *, packaged: bool) -> list[str]:
    """The source of a module, and those of the modules of its package, or beside its script, that it imports."""
    root, top = file.parents[module.count(".") + (file.stem == "__init__")], module.split(".")[0]
    beside = {info.name for info in pkgutil.iter_modules([str(root)])} if packaged else set(OURS)
    finder = ModuleFinder([str(root)], excludes=list(beside - {top}))
    # A script is __main__, or __mp_main__ in its workers.
    finder.run_script(str(file)) if module.startswith("__") else finder.import_hook(module)
    paths = {path for module_read in finder.modules.values() if (path := vars(module_read)["__file__"])}
    return [Path(path).read_text(encoding="utf-8") for path in sorted(paths)]


def _cells(cls: type) -> list[str]:
    """The texts of a notebook's cells that a class's functions are in."""
    places = {value.__code__.co_filename for value in vars(cls).values() if inspect.isfunction(value)}
    return ["".join(linecache.getlines(place)) for place in sorted(places) if not Path(place).is_file()]
