"""Text to settings: the words of a command line, and the files of choices (`folders.py`), by Hydra's grammar.

This is the only file that knows Hydra. It knows which choices exist, what a choice's file says, and what a word sets;
`arguments.py` knows the words of a command, and `registry.py` what they mean. Nothing here imports torch, so that
`--help` and errors about names come at once. Text never names code to run: `_target_`, interpolation and added or
deleted keys are refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, QuotedString, RangeSweep, Sweep
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import MarkedYAMLError, YAMLError

from ablations.settings.bounds import refuse_many, refuse_vast
from ablations.settings.plugins import folders
from ablations.settings.plugins.folders import files
from ablations.settings.plugins.packages import DOORS, unnamed
from ablations.settings.synonyms import groups, key_meant, meant, no_such
from analysis.errors import InputError, alternatives
from analysis.options import refuse_dashes


@dataclass(frozen=True)
class Range:
    """A range that a search draws from: interval(low,high) on the command line, tag(log,interval(low,high)), or
    range(low,end,step), which stops before its end."""

    low: float
    high: float
    log: bool = False
    step: float | None = None


BARE = {"average": ("power", "std")}
"""Axis → the choice that a bare number selects, and the field that the number sets: average=0.05."""

SLIPS = {
    "'\\t'": "indent with spaces",
    "mapping values are not allowed": "a text with a colon in it needs quotes",
    "expected ',' or": "is a bracket closed that opens in line {}?",
    "end of stream": "are the quotes closed that open in line {}?",
    "cannot start any token": "a text that begins with it needs quotes",
    "undefined alias": "a text that begins with * needs quotes",
}
"""A part of what YAML's parser says of a slip → what to do about it."""


def options_of(group: str) -> dict[str, str]:
    """The choices of a group with a line that explains each: its file's first comment, or its class's docstring."""
    lines = {option: _first_line(paths[0]) for option, paths in files(group).items()}
    return lines | {name: line for name, line in unnamed(group).items() if name not in lines}


def load(group: str, option: str) -> dict[str, Any]:
    """The content of a choice's file; for a class from outside without a file, its name; for a number, its meaning.
    InputError where there is no such choice, or its file cannot be read."""
    return _loaded(group, option)


@lru_cache
def _loaded(group: str, option: str) -> dict[str, Any]:
    paths = files(group).get(option, [])
    if len(paths) > 1:
        raise InputError(
            f"{group}={option} is in two files, {' and '.join(map(str, paths))}: rename one of them, or say with "
            "configs=DIR which folder is yours"
        )
    if not paths:
        if option in unnamed(group):
            return {"name": option}
        if group in BARE and (value := _number(option)) is not None:
            choice, field = BARE[group]
            return {**_loaded(group, choice), field: value}
        raise no_such(group, str(option), options_of(group), group=group)
    path = paths[0].resolve()
    return _read(path, group, option, path.stat().st_mtime_ns)


def _number(text: str) -> float | None:
    """The finite number that a text stands for, or None."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def use(folder: str | None) -> None:
    """Use a folder as the user's own, None for the default, and read all files anew."""
    folders.use(folder)
    _loaded.cache_clear()


def _first_line(path: Path) -> str:
    try:
        first = (path.read_text(encoding="utf-8").splitlines() or [""])[0]
        return (
            first.lstrip("# ") if first.startswith("#") else f"{path}, whose first line is no comment that explains it"
        )
    except (OSError, UnicodeDecodeError) as error:
        return f"cannot be read: {error}"


@cache
def _read(path: Path, group: str, option: str, _written: int) -> dict[str, Any]:
    """The content of a file at a time of writing, which the cache distinguishes."""
    try:
        refuse_vast(path)
        node: Any = OmegaConf.load(path)
        if "defaults" in node:
            node = _composed(path, group, option)
    except MarkedYAMLError as error:
        raise InputError(f"{path} cannot be read: {_slip(error)}") from error
    except (HydraException, OmegaConfBaseException, YAMLError, UnicodeDecodeError, OSError, RecursionError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    except AssertionError as error:
        # All that OmegaConf says of a text that stands alone.
        raise InputError(f"{path} must hold `key: value` lines, and is one text") from error
    values = OmegaConf.to_container(node)
    if not isinstance(values, dict):
        raise InputError(f"{path} must hold `key: value` lines, got {values!r}")
    refuse_text(values, str(path))
    if group in DOORS and values.get("name") is None:
        raise InputError(
            f"{path} lacks `name`, the {group} whose values it holds: add the line `name: …`, one of those in --help"
        )
    return {str(key): value for key, value in values.items()}


def _slip(error: MarkedYAMLError) -> str:
    """A slip of YAML in one line: its place, what the parser says, and what is meant by it."""
    if error.problem_mark is None or not error.problem:
        return " ".join(str(error).split())
    place = f"line {error.problem_mark.line + 1}, column {error.problem_mark.column + 1}"
    begun = (error.context_mark or error.problem_mark).line + 1
    hint = next((f" ({words.format(begun)})" for part, words in SLIPS.items() if part in error.problem), "")
    return f"{place}: {error.problem}{hint}"


def _composed(path: Path, group: str, option: str) -> Any:
    """The content of a file with a list of defaults, composed by Hydra, which takes ten times as long as reading a
    plain one."""
    folder = path.parents[option.count("/") + 1]
    for other in (folder / group).rglob("*.yaml"):
        # One that cannot be read is no matter where the defaults do not name it.
        with suppress(YAMLError, OSError, UnicodeDecodeError):
            refuse_vast(other)
    with initialize_config_dir(str(folder), version_base="1.3"):
        node = compose(f"{group}/{option}")
    for name in (group, *option.split("/")[:-1]):
        node = node[name]
    return node


def refuse_text(values: Any, where: str) -> None:
    """Refuse text that would name code or other text, or that no file can hold."""
    if isinstance(values, dict):
        if "_target_" in values:
            raise InputError(f"{where} names code to run (_target_), which no text may do")
        for value in (*values, *values.values()):
            refuse_text(value, where)
    elif isinstance(values, list):
        for value in values:
            refuse_text(value, where)
    elif isinstance(values, str) and "${" in values:
        raise InputError(f"{where} holds an interpolation ({values}), which is not supported: write the value")
    elif isinstance(values, str) and re.search("[\ud800-\udfff]", values):
        # What YAML makes of the two \\u… that JSON writes for one character.
        raise InputError(f"{where} holds half a character ({values!r}): write the whole character as it is, in UTF-8")


def _plainly(message: str) -> str:
    """A parser's message about a text, without the names of its tokens."""
    first = message.splitlines()[0]
    if match := re.search(r"token recognition error at: '(.*)'", first):
        return f"{match[1]} has a meaning of its own there; a text that holds it goes into two pairs of quotes, '\"…\"'"
    if match := re.search(r"(?:extraneous|mismatched) input '(.*?)' expecting", first):
        return (
            "it ends where a value is due"
            if match[1] == "<EOF>"
            else f"a value is due before or instead of {match[1]!r}"
        )
    return first


def overrides(arguments: list[str], *, ranges: bool = False) -> Iterator[tuple[str, list[Any] | Range]]:
    """The keys with their values, or with a range where a search allows that. InputError for a word that is not
    key=value, is given twice, or would name code."""
    seen = set()
    for argument in arguments:
        refuse_dashes(argument, key_meant)
        if "=" not in argument and not argument.startswith("~"):
            raise _without_value(argument, searches=ranges)
        if argument.lstrip()[:1] in "+~":
            raise InputError(f"{argument!r}: keys can be set, not added (+) or deleted (~): write key=value")
        if "_target_" in argument:
            raise InputError(f"{argument!r} names code to run (_target_), which no text may do")
        if argument.endswith(",") and not argument.endswith("=,"):
            raise InputError(f"{argument!r} ends with a comma: values have commas between them, and no space")
        try:
            override = OverridesParser.create().parse_override(_readable(argument))
            values = _values(override, ranges)
        except (HydraException, ValueError, ArithmeticError) as error:
            raise InputError(f"{argument!r} cannot be read as key=value: {_plainly(str(error))}") from error
        key = override.key_or_group
        if override.package is not None:
            raise InputError(f"{argument!r}: a key has no @package: write {key}=value")
        if isinstance(values, Range) and not ranges:
            raise InputError(f"{argument!r}: an interval is for a search: python -m ablations.search {key}=…")
        if key in seen:
            raise InputError(f"{key} is given twice: give it once, with commas for several values")
        seen.add(key)
        for value in [values.low, values.high] if isinstance(values, Range) else values:
            _check_value(key, value)
        yield key, values


def _readable(argument: str) -> str:
    """A word whose value Hydra can read: it takes letters beyond ASCII in quotes alone."""
    key, equals, value = argument.partition("=")
    return argument if value.isascii() or set(value) & set("\"'()[]{},\\$") else f'{key}{equals}"{value}"'


def _without_value(argument: str, *, searches: bool) -> InputError:
    """The error for a word without =, with what may be meant; only searches have studies."""
    key = argument.partition(":")[0]
    near = [key] if key != argument or key in groups() else []
    near += [word for word in meant(argument) if searches or not word.startswith("study=")]
    hint = f"write {alternatives([word if '=' in word else f'{word}=…' for word in near])}" if near else "try --help"
    return InputError(f"{argument!r} is not key=value: {hint}")


def written(arguments: list[str]) -> dict[str, str]:
    """The value of each key as it was written, for texts that look like numbers."""
    parts = [argument.partition("=") for argument in arguments]
    return {key.strip(): text.strip() for key, _, text in parts}


def _values(override: Override, ranges: bool) -> list[Any] | Range:
    value = override.value()
    _check_tags(value)
    if isinstance(value, RangeSweep):
        refuse_many(value)
    if ranges and isinstance(value, RangeSweep):
        numbers: list[float] = [float(str(number)) for number in override.sweep_iterator()]
        if len(numbers) < 2 or numbers[0] > numbers[-1]:
            raise ValueError("range needs two values at least, upwards")
        return Range(numbers[0], numbers[-1], step=float(value.step))
    if isinstance(value, IntervalSweep):
        if value.start is None or value.end is None:
            raise ValueError("interval needs two ends")
        return Range(float(value.start), float(value.end), "log" in value.tags)
    return [_unquoted(element) for element in override.sweep_iterator()] if override.is_sweep_override() else [value]


def _unquoted(value: Any) -> Any:
    """A value of a list without the quotes in which Hydra leaves texts."""
    if isinstance(value, list):
        return [_unquoted(part) for part in value]
    return value.text if isinstance(value, QuotedString) else value


def _check_tags(value: Any) -> None:
    """ValueError where a tag would be ignored."""
    allowed = {"log"} if isinstance(value, IntervalSweep) else set()
    for tag in sorted(value.tags - allowed if isinstance(value, Sweep) else ()):
        raise ValueError(f"no tag called {tag!r} here: there is log, of an interval, tag(log,interval(low,high))")


def _check_value(key: str, value: Any) -> None:
    refuse_text(value, key)
    if value == "":
        raise InputError(f"{key}= has no value")
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{key}={value} is not a number that anything can be set to")


def listed(group: str) -> list[str]:
    """A line of `--help` per choice of a group."""
    return [f"  {option:21} {line}" for option, line in options_of(group).items()]
