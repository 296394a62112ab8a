"""The words of a command line, read into a request (`request.py`).

Nothing here imports torch, so that errors about names come at once.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from pydantic import TypeAdapter, ValidationError

from ablations.settings import grammar
from ablations.settings.cell import AT_ONCE, AXES, PLAIN, WORDS
from ablations.settings.grammar import Range, choice_file, no_such
from ablations.settings.layers import check_key, plain_value
from ablations.settings.plugins import REGISTERED
from ablations.settings.registry import check_type, complaint
from ablations.settings.request import Common, Request, SearchRequest, check_device, check_results, check_title
from analysis.errors import InputError

R = TypeVar("R", bound=Common)

OTHERWISE = {
    "most": "seeds.max",
    "tracking_uri": "tracking.uri",
    "tracking_models": "tracking.models",
    **{name: f"study.{name}" for name in ("objective", "sampler", "pruner", "startup", "seed")},
}
"""Field of a request → its key, where that has another name."""


def _keys(cls: type[Common]) -> dict[str, str]:
    """Key of a command line → field of its request."""
    inner = ("settings", "ranges", "launcher_fields", "command")
    return {OTHERWISE.get(item.name, item.name): item.name for item in fields(cls) if item.name not in inner}


RUN, SEARCH = _keys(Request), _keys(SearchRequest)
LAUNCHER = "launcher."
"""The beginning of the keys that set fields of the launcher."""
QUESTION = "question="
SECRET = ("tracking.uri=", "storage=")
"""Keys whose value may hold a password (a database's URL): commands are written down without them."""
MOST_RATE = 1
"""By AdamW and Muon a step moves a weight by about the learning rate, and most weights start below 1."""


def parse_run(arguments: list[str]) -> Request:
    """The request of `ablations.run`; InputError at the first word that is wrong."""
    # The question is free text that no grammar reads.
    asked = [word.removeprefix(QUESTION) for word in arguments if word.startswith(QUESTION)]
    if len(asked) > 1 or "" in map(str.strip, asked):
        raise InputError("question= is given once, and has a text")
    rest = [word for word in arguments if not word.startswith(QUESTION)]
    given = {"question": " ".join(asked[0].split())} if asked else {}
    request = _request(Request, rest, {"command": _command("run", arguments), **given})
    levels = axis_levels(request.grid)
    check_title(request.title)
    for key, values in request.settings.items():
        _check_setting(key, values, RUN, levels)
    return request


def parse_search(arguments: list[str]) -> SearchRequest:
    """The request of `ablations.search`; InputError at the first word that is wrong."""
    request = _request(SearchRequest, arguments, {"command": _command("search", arguments)})
    if request.study is not None:
        grammar.load("study", request.study)
    check_title(request.title)
    for key, values in {**request.settings, **{key: [] for key in request.ranges}}.items():
        if key.startswith("study."):
            raise no_such("key of a search", key, [name for name in SEARCH if name.startswith("study.")])
        _check_setting(key, values, SEARCH, {})
        if key in request.ranges and (key in AXES or key in WORDS):
            raise InputError(f"{key} takes names, not numbers: give those to choose from, {key}=A,B")
    return request


def _request(cls: type[R], arguments: list[str], given: dict[str, Any]) -> R:
    """The request that holds what these words say."""
    keys, texts = _keys(cls), {key: text for key, _, text in (word.partition("=") for word in arguments)}
    launcher: dict[str, Any] = {}
    settings: dict[str, list[Any]] = {}
    ranges: dict[str, Range] = {}
    for key, values in grammar.overrides(arguments, ranges="ranges" in (item.name for item in fields(cls))):
        if key in keys:
            given[keys[key]] = _option(cls, key, keys[key], values, texts[key])
        elif key.startswith(LAUNCHER):
            launcher[key.removeprefix(LAUNCHER)] = _one(key, values)
        elif isinstance(values, Range):
            ranges[key] = values
        else:
            settings[key] = values
    grammar.use(given.get("configs"))
    if ranges:
        given["ranges"] = ranges
    request = cls(**given, settings=settings, launcher_fields=launcher)
    check_results(Path(request.results))
    if request.launcher not in grammar.options_of("launcher"):
        raise no_such("launcher", request.launcher, grammar.options_of("launcher"), group="launcher")
    check_device(request.device)
    return request


def _option(cls: type[Common], key: str, name: str, values: list[Any] | Range, text: str) -> Any:
    """The value of a field of a request; InputError where the field cannot have it."""
    hint = _hints(cls)[name]
    if name == "objective":
        return list(map(str, values)) if isinstance(values, list) else _one(key, values)
    value = _one(key, values)
    if hint in (str, str | None):
        # A folder called 1.10 is not the number 1.1.
        return value if isinstance(value, str) else text
    try:
        return TypeAdapter(hint).validate_python(value, strict=True)
    except ValidationError as error:
        raise InputError(complaint(error, key)) from error


@cache
def _hints(cls: type[Common]) -> dict[str, Any]:
    return get_type_hints(cls, include_extras=True)


def _one(key: str, values: list[Any] | Range) -> Any:
    if isinstance(values, Range):
        raise InputError(f"{key} is no parameter that can be searched: give it one value")
    if key == "seeds" and len(values) > 1:
        raise InputError(f"seeds={','.join(map(str, values))}: seeds=M is how many, first_seed=N which is the first")
    if len(values) != 1:
        raise InputError(f"{key} takes one value, got {len(values)}: {', '.join(map(str, values))}")
    return values[0]


def _command(program: str, arguments: list[str]) -> str:
    """The command as a shell reads it, and the script that runs it where one has registered classes."""
    command = shlex.join(["python", "-m", f"ablations.{program}", *(w for w in arguments if not w.startswith(SECRET))])
    main = sys.modules["__main__"]
    if not REGISTERED or getattr(main, "__spec__", None) is not None or not hasattr(main, "__file__"):
        return command
    path = Path(main.__file__ or "").resolve()
    script = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path.name
    return f"python {script}   (which runs {command})"


def doubts(request: Common) -> list[str]:
    """Settings of a request that are probably slips, though they make sense: a line for each."""
    ranges = request.ranges if isinstance(request, SearchRequest) else {}
    asked = [*request.settings.items(), *((key, [drawn.high]) for key, drawn in ranges.items())]
    rates = [(key, value) for key, values in asked if key.endswith(".learning_rate") for value in values]
    return [
        f"{key}={value} is far above any that is used, and will hardly train: most are between 1e-5 and 1e-1"
        for key, value in rates
        if isinstance(value, int | float) and value > MOST_RATE
    ]


def axis_levels(grid: str | None) -> dict[str, set[str]]:
    """The names of a grid's axes and of their levels; InputError where there is no such grid."""
    if grid is None:
        return {}
    axes = grammar.load("grid", grid).get("axes")
    if not isinstance(axes, list) or not all(isinstance(axis, dict) and "name" in axis for axis in axes):
        raise InputError(f"{choice_file('grid', grid)}: axes must be a list, each with name and levels, got {axes!r}")
    return {
        str(axis["name"]): {str(level.get("name") if isinstance(level, dict) else level) for level in listed}
        for axis in axes
        if isinstance(listed := axis.get("levels"), list)
    }


def of_command(key: str) -> bool:
    """True for a key that says how a command runs, and is no setting of a cell."""
    return key in RUN or key in SEARCH or key.startswith(LAUNCHER)


def _check_setting(key: str, values: list[Any], options: Iterable[str], axes: dict[str, set[str]]) -> None:
    """InputError where a setting can be refused without torch: there is no such key, or no such value of an axis, of a
    plain field or of an axis of one class."""
    if key in axes and key not in AXES:
        return
    if key == "seed":
        raise InputError("seeds are an axis: first_seed=N seeds=M takes the M seeds from N on")
    if key in RUN or key in SEARCH:
        other = "search" if key in SEARCH else "run"
        raise InputError(f"{key} is of another command: python -m ablations.{other} {key}=…")
    check_key(key, also=[*options, *axes])
    for value in values:
        if key in AXES and isinstance(value, list):
            raise InputError(f"{key}={value}: several values are written {key}={','.join(map(str, value))}")
        if key in PLAIN:
            plain_value(key, value)
        elif "." in key and key.partition(".")[0] in AT_ONCE:
            check_type(key, value)
        elif key in AXES and str(value) not in axes.get(key, ()):
            grammar.load(key, str(value))
