"""The origin of a class from outside: its package and version, and a digest of its source.

    example 0.1.0 3f2a9c0d1e2f      of an installed package
    mine.py 8b1c22d4e0aa            of a script; "a notebook" for code typed into one

The digest covers the class's own source and everything that it refers to by name in code of the same package, or beside
the same script: classes, functions, plain constants, and whole modules that it uses by attribute. So an edit elsewhere
changes nothing, and an edit to what the class does makes its cells new ones.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import sys
import textwrap
from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import packages_distributions, version
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from analysis.errors import InputError

OURS = ("diffusion_core", "ablations", "analysis")
"""Packages whose classes ship: NUMERICS stands for their source."""
NOTEBOOK = "a notebook"
INSTALLED = ("site-packages", "dist-packages")
DIGITS = 12


def origin_of(cls: type) -> str:
    """Package, version and digest of a class from outside; "" for one that ships. InputError where it has no source."""
    return "" if cls.__module__.split(".")[0] in OURS else _origin(cls)


@lru_cache
def _origin(cls: Any) -> str:
    return f"{made_by(cls)} {digest(cls)}"


def made_by(cls: type) -> str:
    """The installed package of a class with its version, or the file of its script."""
    places = tuple((place, Path(place).stat().st_mtime_ns) for place in sys.path if Path(place).is_dir())
    packages = _installed(places).get(cls.__module__.split(".")[0], [])
    file = file_of(cls.__module__)
    return f"{packages[0]} {version(packages[0])}" if packages else file.name if file else NOTEBOOK


@lru_cache(maxsize=1)
def _installed(places: tuple[tuple[str, int], ...]) -> Mapping[str, list[str]]:
    """The package of each module, for folders last changed at these times: reading them takes long."""
    return packages_distributions()


def place_of(cls: type) -> str:
    """The place of a class's code, in words."""
    return f"{file_of(cls.__module__) or NOTEBOOK}: {cls.__qualname__}"


def file_of(module: str) -> Path | None:
    """The file of a module; None for code typed into a notebook."""
    path = getattr(sys.modules[module], "__file__", None)
    return Path(path).resolve() if path else None


def digest(cls: type) -> str:
    """12 hex digits of the source that defines a class; InputError where there is none to read."""
    sources: dict[str, str] = {}
    todo: list[Any] = [cls]
    while todo:
        thing = todo.pop()
        name = _name(thing)
        if name in sources:
            continue
        sources[name] = _source(thing, cls)
        if not isinstance(thing, ModuleType):
            names = vars(sys.modules[thing.__module__])
            words = {node.id for node in ast.walk(ast.parse(sources[name])) if isinstance(node, ast.Name)}
            used = {word: names[word] for word in words if word in names}
            todo += [value for value in used.values() if _beside(value, cls)]
            sources |= {f"{name} {word}": text for word, value in used.items() if (text := _constant(value))}
        if isinstance(thing, type):
            todo += [base for base in thing.__mro__[1:] if _beside(base, cls)]
    text = "\n".join(f"{name}\n{sources[name]}" for name in sorted(sources))
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


def _name(thing: Any) -> str:
    """A name that is the same in every process and on every machine: a script is __main__ in its own process only."""
    if isinstance(thing, ModuleType):
        return f"module {thing.__name__}"
    file = file_of(thing.__module__)
    return f"{file.stem if file else NOTEBOOK}.{thing.__qualname__}"


def _source(thing: Any, of: type) -> str:
    """The source of a class, a function or a module; for a class in a notebook, that of its functions and its
    fields."""
    try:
        if isinstance(thing, type) and file_of(thing.__module__) is None:
            methods = [_text(value) for value in vars(thing).values() if _typed(value)]
            fields = {name: repr(vars(thing).get(name)) for name in inspect.get_annotations(thing)}
            return "\n".join([*methods, f"fields = {fields}"])
        return _text(thing)
    except (OSError, TypeError) as error:
        raise InputError(
            f"the source of the class {of.__qualname__} cannot be read, so that no digest of it can be in a result's "
            "identity: put it into a file and import it from there"
        ) from error


def _typed(value: Any) -> bool:
    """True for a function that was written in a class; what a dataclass adds follows from its fields."""
    file = value.__code__.co_filename if isinstance(value, FunctionType) else "<string>"
    return file != "<string>" and not Path(file).is_file()


def _text(thing: Any) -> str:
    return textwrap.dedent(inspect.getsource(thing))


def _constant(value: Any) -> str:
    """A plain constant as text; "" for anything else."""
    if callable(value) or isinstance(value, ModuleType):
        return ""
    try:
        return json.dumps(value, sort_keys=True)
    except (TypeError, ValueError):
        return ""


def _beside(value: Any, cls: type) -> bool:
    """True for a class, function or module that belongs to the class's package, or lies beside its script."""
    named = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
    if not isinstance(value, (type, FunctionType, ModuleType)) or named not in sys.modules:
        return False
    top = cls.__module__.split(".")[0]
    root, file = file_of(top if top in sys.modules else cls.__module__), file_of(named)
    if root is None or file is None:
        return bool(named == cls.__module__)
    if named.split(".")[0] in OURS or not file.is_relative_to(root.parent):
        return False
    return not set(INSTALLED) & set(file.relative_to(root.parent).parts)
