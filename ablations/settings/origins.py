"""Where a class from outside comes from: its package and version, and a digest of its source.

    example 0.1.0 3f2a9c0d1e2f      of an installed package
    mine.py 8b1c22d4e0aa            of a script

The digest is of the class's own source and of all that it refers to by name in code of the same package, or beside the
same script: classes, functions, plain constants, and whole modules where it reaches into one. So an edit elsewhere
changes nothing, and an edit to what the class does makes new cells of its cells.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import sys
import textwrap
from functools import lru_cache
from importlib.metadata import packages_distributions, version
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from analysis.errors import InputError

OURS = ("diffusion_core", "ablations", "analysis")
"""What ships is known by NUMERICS instead."""
INSTALLED = ("site-packages", "dist-packages")
DIGITS = 12


def origin_of(cls: type) -> str:
    """Package, version and digest of a class from outside; "" of one that ships. InputError where it has no source."""
    return "" if cls.__module__.split(".")[0] in OURS else _origin(cls)


@lru_cache
def _origin(cls: Any) -> str:
    return f"{made_by(cls)} {digest(cls)}"


def made_by(cls: type) -> str:
    """The installed package of a class with its version, or the file of its script."""
    top = cls.__module__.split(".")[0]
    packages = packages_distributions().get(top, [])
    return f"{packages[0]} {version(packages[0])}" if packages else _file(sys.modules[cls.__module__], cls).name


def digest(cls: type) -> str:
    """12 hex digits of the source that makes a class; InputError where there is no file to read it from."""
    root = _root(cls)
    found: dict[str, str] = {}
    todo: list[Any] = [cls]
    while todo:
        thing = todo.pop()
        name = _name(thing)
        if name in found:
            continue
        found[name] = _source(thing, cls)
        if not isinstance(thing, ModuleType):
            names = vars(sys.modules[thing.__module__])
            used = {word: names[word] for word in _words(found[name]) if word in names}
            todo += [value for value in used.values() if _within(value, root)]
            found |= {f"{name} {word}": text for word, value in used.items() if (text := _constant(value))}
        if isinstance(thing, type):
            todo += [base for base in thing.__mro__[1:] if _within(base, root)]
    text = "\n".join(f"{name}\n{found[name]}" for name in sorted(found))
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


def place_of(cls: type) -> str:
    """File and name of a class, alike in every process: a script is __main__ in one, and __mp_main__ in its workers."""
    module = sys.modules[cls.__module__]
    return f"{getattr(module, '__file__', None) or 'a notebook'}: {cls.__qualname__}"


def _name(thing: Any) -> str:
    """A name that is the same in every process and on every machine."""
    if isinstance(thing, ModuleType):
        return f"module {thing.__name__}"
    return f"{_file(sys.modules[thing.__module__], thing).stem}.{thing.__qualname__}"


def _source(thing: Any, of: type) -> str:
    try:
        return textwrap.dedent(inspect.getsource(thing))
    except (OSError, TypeError) as error:
        raise _no_file(of) from error


def _words(source: str) -> set[str]:
    return {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)}


def _constant(value: Any) -> str:
    """A plain constant as text; "" for anything else."""
    if callable(value) or isinstance(value, ModuleType):
        return ""
    try:
        return json.dumps(value, sort_keys=True)
    except (TypeError, ValueError):
        return ""


def _root(cls: type) -> Path:
    """The folder of a class's package, or of its script."""
    module = sys.modules[cls.__module__]
    top = sys.modules.get(cls.__module__.split(".")[0], module)
    return _file(top, cls).parent


def _within(value: Any, root: Path) -> bool:
    """Whether a class, function or module is code of the same package, or lies beside the same script."""
    if isinstance(value, ModuleType):
        module = value
    elif isinstance(value, (type, FunctionType)) and value.__module__ in sys.modules:
        module = sys.modules[value.__module__]
    else:
        return False
    path = getattr(module, "__file__", None)
    if path is None or module.__name__.split(".")[0] in OURS or not Path(path).resolve().is_relative_to(root):
        return False
    return not set(INSTALLED) & set(Path(path).resolve().relative_to(root).parts)


def _file(module: ModuleType, thing: Any) -> Path:
    path = getattr(module, "__file__", None)
    if path is None:
        raise _no_file(thing)
    return Path(path).resolve()


def _no_file(thing: Any) -> InputError:
    return InputError(
        f"the class {thing.__qualname__} is in no file, so that no digest of its source can be in a result's identity, "
        "and no worker can import it: put it into a file and import it from there"
    )
