"""The words of a command line, read into a request (`request.py`).

Nothing here imports torch, so that errors about names come at once.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from ablations.settings import grammar
from ablations.settings.cell import AT_ONCE, AXES, PLAIN, WORDS
from ablations.settings.grammar import Range, no_such
from ablations.settings.layers import check_key, plain_value
from ablations.settings.plugins import base_of, outside_names, script_words, written_fields, written_metrics
from ablations.settings.registry import checked
from ablations.settings.request import Common, Request, SearchRequest, check
from analysis.errors import InputError, unknown

R = TypeVar("R", bound=Common)

OTHERWISE = {
    "most": "seeds.max",
    "tracking_uri": "tracking.uri",
    **{name: f"study.{name}" for name in ("objective", "sampler", "pruner", "startup", "seed")},
}
"""Field of a request → its key, where that has another name."""
INNER = ("settings", "ranges", "launcher_fields", "command")
"""Fields of a request that no key of their own sets."""
LAUNCHER = "launcher."
SECRET = ("tracking.uri=", "storage=")
"""Keys whose value may hold a password (a database's URL): commands are written down without them."""

PLACES = (
    ("data", "folder", "data.root"),
    ("data", "arrow", "data.path"),
    ("network", "published", "network.path"),
    ("space", "latents", "space.path"),
)
"""Choices that read what somebody else wrote, each with the key of its place."""


@cache
def _types(cls: type) -> dict[str, Any]:
    return get_type_hints(cls, include_extras=True)


def _keys(cls: type[Common]) -> dict[str, str]:
    """Key of a command line → field of its request."""
    return {OTHERWISE.get(name, name): name for name in _types(cls) if name not in INNER}


RUN, SEARCH = _keys(Request), _keys(SearchRequest)


def parse_run(arguments: list[str]) -> Request:
    """The request of `ablations.run`; InputError at the first word that is wrong."""
    request = _request(Request, arguments, {"command": _command("run", arguments)})
    levels = axis_levels(request.grid)
    for key in request.settings:
        _check_setting(key, request.settings, RUN, levels)
    for axis, option, key in PLACES:
        for place in request.settings.get(key, []) if option in request.settings.get(axis, []) else []:
            if not Path(str(place)).expanduser().exists():
                raise InputError(f"{axis}={option}: {key}={place} is missing: name the folder or file that holds it")
    return request


def parse_search(arguments: list[str]) -> SearchRequest:
    """The request of `ablations.search`; InputError at the first word that is wrong."""
    request = _request(SearchRequest, arguments, {"command": _command("search", arguments), "ranges": {}})
    for key in (settings := request.settings | {key: [] for key in request.ranges}):
        _check_setting(key, settings, SEARCH, {})
        if key in request.ranges and (key in AXES or key in WORDS):
            raise InputError(f"{key} takes names, not numbers: give those to choose from, {key}=A,B")
    return request


def _request(cls: type[R], arguments: list[str], given: dict[str, Any]) -> R:
    """The request that holds what these words say."""
    keys, launcher = _keys(cls), dict[str, Any]()
    settings: dict[str, list[Any]] = {}
    for key, text in grammar.texts(arguments).items():
        if _types(cls).get(keys.get(key, "")) in (str, str | None):
            given[keys[key]] = text
            continue
        values = grammar.values(key, text)
        if key in keys:
            kind = _types(cls)[keys[key]]
            several = kind == list[str] | None and isinstance(values, list)
            given[keys[key]] = checked(kind, values if several else _one(key, values), key)
        elif key.startswith(LAUNCHER):
            launcher[key.removeprefix(LAUNCHER)] = _one(key, values)
        elif isinstance(values, list):
            settings[key] = values
        elif "ranges" in given:
            given["ranges"][key] = values
        else:
            raise InputError(f"{key}={text}: an interval is for a search: python -m ablations.search {key}=…")
    grammar.use(given.get("configs"))
    request = cls(**given, settings=settings, launcher_fields=launcher)
    check(request)
    if request.launcher not in grammar.options_of("launcher"):
        raise no_such("launcher", request.launcher, grammar.options_of("launcher"))
    return request


def _one(key: str, values: list[Any] | Range) -> Any:
    if isinstance(values, Range):
        raise InputError(f"{key} is no parameter that can be searched: give it one value")
    if len(values) != 1:
        raise InputError(f"{key} takes one value, got {len(values)}: {', '.join(map(str, values))}")
    return values[0]


def _command(program: str, arguments: list[str]) -> str:
    """The command as a shell reads it, without secrets: that of a script where only this knows its classes."""
    script, words = script_words() or ("", arguments)
    start = [script] if script else ["-m", f"ablations.{program}"]
    return shlex.join(["python", *start, *(word for word in words if not word.startswith(SECRET))])


def axis_levels(grid: str | None) -> dict[str, set[str]]:
    """The names of a grid's axes and of their levels; none of a file that `grids.file` refuses."""
    with suppress(KeyError, TypeError):
        return {
            str(axis["name"]): {
                str(level.get("name") if isinstance(level, dict) else level) for level in axis["levels"]
            }
            for axis in (grammar.load("grid", grid)["axes"] if grid else ())
        }
    return {}


def _check_setting(
    key: str, settings: Mapping[str, list[Any]], options: Mapping[str, str], axes: dict[str, set[str]]
) -> None:
    """InputError where a setting can be refused without torch: there is no such key, no such field of these `settings`'
    choices, or no such value of an axis, of a plain field or of an axis of one class."""
    axis, _, field = key.partition(".")
    if key in axes and key not in AXES:
        return
    if key in RUN or key in SEARCH or key.startswith(LAUNCHER):
        raise InputError(f"{key} is of another command: python -m ablations.{'search' if key in SEARCH else 'run'}")
    check_key(key, also=[*options, *axes])
    if field and axis not in AT_ONCE and not outside_names(axis):
        own = settings.get(axis, [])
        _check_field(key, settings[key], [] if axes.get(axis, set()) & {*map(str, own)} else own)
    for value in settings[key]:
        if key in PLAIN:
            plain_value(key, value)
        elif field and axis == "training":  # of which each value is good or bad by itself
            checked(base_of(axis), {field: value}, axis)
        elif field and axis in AT_ONCE:
            checked(_types(base_of(axis))[field], value, key)
            metrics = written_metrics() | outside_names("metric")
            for name in value if key == "evaluation.metrics" else ():
                if name not in metrics:
                    raise unknown("metric of samples", name, metrics)
        elif key in AXES and str(value) not in axes.get(key, ()):
            grammar.load(key, str(value))


def _check_field(key: str, values: list[Any], options: list[Any]) -> None:
    """InputError where no choice that ships, or none of these options of its axis, has such a field, or it is a number
    in all of them and a value is none."""
    axis, _, field = key.partition(".")
    written = written_fields(axis)
    names = [str(grammar.load(axis, str(option)).get("name", axis)) for option in options] or list(written)
    kinds = [written[name][field] for name in names if field in written[name]]
    if not kinds:
        what = f"{axis}={names[0]}" if len(names) == 1 and names != [axis] else axis
        raise no_such(f"field of {what}", field, {field for name in names for field in written[name]})
    for value in values if all(re.fullmatch(r"(int|float)( \| None)?", kind) for kind in kinds) else ():
        checked(float | None, value, key)
