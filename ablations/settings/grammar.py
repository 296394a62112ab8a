"""Text to values: the words of a command line, and the YAML files of choices, grids and studies.

    schedule=linear,cosine                            several values
    network.multipliers=[1,2]                         a list: commas within brackets or quotes separate nothing
    training.batch=range(16,64,16)                    16, 32, 48; for a search a range
    schedule.beta_T=interval(0.005,0.05)              a range of a search; tag(log,interval(…)) is logarithmic

A folder of files has `<axis>/<name>.yaml`, `grid/<name>.yaml` and `study/<name>.yaml`: the one that ships, those beside
the code of packages, and the user's own (`configs=DIR`, by default `configs/` where the command is run). Nothing here
imports torch, so that `--help` and errors about names come at once.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from ablations.settings.plugins import SHIPPED, config_folders, unnamed
from analysis.errors import InputError, alternatives, nearest, unknown
from analysis.options import refuse_dashes

DEFAULT = "configs"
"""The user's own folder where no other is named."""
MOST_BYTES = 1_000_000
MOST_VALUES = 100_000
"""The most values of a range, and the most cells of a grid."""

MEANT = {
    "lr": ["training.learning_rate"],
    "batch_size": ["training.batch"],
    "epochs": ["training.steps"],
    "num_timesteps": ["horizon"],
    "T": ["horizon"],
    "beta_start": ["schedule.beta_1"],
    "dataset": ["data"],
    "mnist": ["data=folder", "data=fashion_mnist"],
    "model": ["network"],
    "loss": ["objective"],
    "target": ["parameterization"],
    "eps": ["parameterization=epsilon"],
    "ddpm": ["sampler=ancestral"],
    "cfg": ["guidance.scale"],
    "wandb": ["tracking.uri"],
    "slurm": ["launcher=ray"],
    "gpu": ["device=cuda"],
}
"""What people type who come from other programs → what it is here."""


@dataclass(frozen=True)
class Range:
    """A range that a search draws from: interval(low,high), tag(log,interval(low,high)), or range(low,end,step), which
    stops before its end."""

    low: float
    high: float
    log: bool = False
    step: float | None = None


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """YAML whose unquoted words are true, false, null and numbers as JSON and Python write them; all else is text."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("null", r"null|~|", ["n", "~", ""]),
    ("bool", r"true|True|false|False", list("tTfF")),
    ("int", r"[-+]?(0|[1-9]\d*)", list("-+0123456789")),
    ("float", r"[-+]?(\d+\.\d*|\.\d+|\d+(?=[eE]))([eE][-+]?\d+)?", list("-+.0123456789")),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_pattern})$"), _first)


def read_yaml(text: str) -> Any:
    """The value of a text; InputError, with the place, where it is no YAML."""
    try:
        return _Loader(text).get_single_data()
    except yaml.MarkedYAMLError as error:
        place = error.problem_mark and f"line {error.problem_mark.line + 1}, column {error.problem_mark.column + 1}: "
        raise InputError(f"{place or ''}{error.problem or error}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(str(error)) from error


def use(folder: str | None) -> None:
    """Use a folder as the user's own from now on, None for the default, and read all files anew; InputError where it
    does not exist."""
    if folder is not None and not Path(folder).is_dir():
        raise InputError(f"configs={folder} is no folder: give one with files such as grid/NAME.yaml")
    _own[:] = [Path(folder or DEFAULT)]
    _loaded.cache_clear()


_own = [Path(DEFAULT)]


def files(group: str) -> dict[str, list[Path]]:
    """The choices of a group with their files: one file, or several where a name is given twice. A file in a subfolder
    is named with it, saved/mine."""
    found: dict[str, list[Path]] = {}
    for place in {place.resolve(): place for place in (SHIPPED, *config_folders(), *_own)}.values():
        for path in (place / group).rglob("*.yaml"):
            found.setdefault(path.relative_to(place / group).with_suffix("").as_posix(), []).append(path)
    return {name: found[name] for name in sorted(found, key=lambda name: ("/" in name, name))}


def groups() -> list[str]:
    """The axes, and the other things whose choices are files: grid, study, launcher."""
    return sorted(folder.name for folder in SHIPPED.iterdir() if folder.is_dir())


def choice_file(group: str, name: str) -> str:
    """The file of a choice for messages: its path within the folder that ships, or else its whole path."""
    path = files(group).get(name, [SHIPPED])[0]
    return f"configs/{group}/{name}.yaml" if path.is_relative_to(SHIPPED) else str(path)


def options_of(group: str) -> dict[str, str]:
    """The choices of a group with a line that explains each: its file's first comment, or its class's docstring."""
    lines = {option: _first_line(paths[0]) for option, paths in files(group).items()}
    return unnamed(group) | lines


def listed(group: str) -> list[str]:
    """A line of `--help` per choice of a group."""
    return [f"  {option:21} {line}" for option, line in options_of(group).items()]


def _first_line(path: Path) -> str:
    try:
        first = path.read_text(encoding="utf-8").partition("\n")[0]
    except (OSError, UnicodeDecodeError) as error:
        return f"cannot be read: {error}"
    return first.lstrip("# ") if first.startswith("#") else f"{path}, whose first line is no comment that explains it"


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
    if paths:
        return _content(paths[0])
    if option in unnamed(group):
        return {"name": option}
    if group == "average" and re.fullmatch(r"\d*\.?\d+", option):
        return {"name": "power", "std": float(option)}
    raise no_such(group, option, options_of(group), group=group)


def _content(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InputError(f"more than {MOST_BYTES} bytes")
        values = read_yaml(path.read_text(encoding="utf-8"))
    except (InputError, OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    if not isinstance(values, dict):
        raise InputError(f"{path} must hold `key: value` lines, got {values!r}")
    return {str(key): value for key, value in values.items()}


def no_such(kind: str, given: str, allowed: Iterable[str], *, group: str = "", more: Iterable[str] = ()) -> InputError:
    """The error that `given` is no `kind`, with what may be meant: one of those `allowed`, a value or field of its
    `group`, or a word that stands elsewhere. `more` are further dotted names, which are searched and not listed."""
    names = list(allowed)
    file = Path(given)
    if group and file.suffix in (".yaml", ".yml"):
        where = "" if file.stem in names else f", and let the file be {_own[0] / group / file.stem}.yaml"
        return InputError(f"{group}={given}: {group} takes a name and no file: write {group}={file.stem}{where}")
    known = MEANT.get(given.rpartition(".")[2], [])
    dotted = list(more)
    slip = get_close_matches(given, dotted, 1, cutoff=0.85) if "." in given else []
    elsewhere = [f"{other}={given}" for other in groups() if given in files(other)]
    return unknown(kind, given, names, known or slip or nearest(given, names) or elsewhere or nearest(given, dotted))


def overrides(arguments: Iterable[str], *, ranges: bool = False) -> Iterator[tuple[str, list[Any] | Range]]:
    """The keys with their values, or with a range where a search allows that. InputError for a word that is not
    key=value, or is given twice."""
    seen = set()
    for argument in arguments:
        refuse_dashes(argument, lambda word: next(iter(MEANT.get(word, [word]))))
        key, equals, text = argument.partition("=")
        if not equals:
            elsewhere = [f"{group}={key}" for group in groups() if key in files(group)]
            near = [
                word if "=" in word else f"{word}=…"
                for word in [*([key] if key in groups() else []), *MEANT.get(key, []), *elsewhere]
            ]
            hint = f"write {alternatives(near)}" if near else "try --help"
            raise InputError(f"{argument!r} is not key=value: {hint}")
        if re.fullmatch(r"\w[\w.]*", key) is None:
            raise InputError(f"{argument!r}: a key has letters, digits, '_' and '.' alone: write key=value")
        if key in seen:
            raise InputError(f"{key} is given twice: give it once, with commas for several values")
        seen.add(key)
        if not text:
            raise InputError(f"{key}= has no value")
        try:
            values = _values(text, ranges)
        except InputError as error:
            raise InputError(f"{argument!r} cannot be read as key=value: {error}") from error
        if isinstance(values, Range) and not ranges:
            raise InputError(f"{argument!r}: an interval is for a search: python -m ablations.search {key}=…")
        yield key, values


_NUMBER = r"\s*([^\s,()]+)\s*"
_INTERVAL = re.compile(rf"(tag\(log,\s*)?interval\({_NUMBER},{_NUMBER}\)(?(1)\))")
_RANGE = re.compile(rf"range\({_NUMBER},{_NUMBER}(?:,{_NUMBER})?\)")


def _values(text: str, ranges: bool) -> list[Any] | Range:
    if found := _INTERVAL.fullmatch(text):
        return Range(_number(found[2]), _number(found[3]), bool(found[1]))
    if found := _RANGE.fullmatch(text):
        low, end, step = map(_number, (found[1], found[2], found[3] or "1"))
        if step == 0 or not 0 < (end - low) / step <= MOST_VALUES:
            raise InputError(f"a range holds 1 to {MOST_VALUES} values, from {low:g} by {step:g} to before {end:g}")
        numbers = [low + step * i for i in range(math.ceil((end - low) / step - 1e-9))]
        if not ranges:
            return numbers
        if len(numbers) < 2 or step < 0:
            raise InputError("a range needs two values at least, upwards")
        return Range(numbers[0], numbers[-1], step=step)
    if re.match(r"\w+\(", text):
        raise InputError("there are range(low,end,step), interval(low,high) and tag(log,interval(low,high))")
    if text.endswith(","):
        raise InputError("it ends with a comma: values have commas between them, and no space")
    return [_finite(read_yaml(part)) for part in split(text)]


def _number(text: str) -> int | float:
    value = read_yaml(text)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e15:
        raise InputError(f"an end or a step must be a number, got {text}")
    return value


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{value} is not a number that anything can be set to")
    return value


def split(text: str) -> list[str]:
    """The parts of a text between commas; those within brackets or quotes separate nothing."""
    parts, depth, quote = [""], 0, ""
    for char in text:
        if quote or char in "'\"":
            quote = "" if char == quote else quote or char
        else:
            depth += (char in "[{(") - (char in "]})")
        if char == "," and not depth and not quote:
            parts.append("")
        else:
            parts[-1] += char
    return parts
