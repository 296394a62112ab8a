"""Text to values: the words of a command line, and the YAML files of choices, grids and studies.

    schedule=linear,cosine                            several values
    network.multipliers=[1,2]                         a list: commas within brackets or quotes separate nothing
    schedule.beta_T=interval(0.005,0.05)              a range of a search; tag(log,interval(…)) is logarithmic

A folder of files has `<axis>/<name>.yaml`, `grid/<name>.yaml` and `study/<name>.yaml`: the one that ships, those beside
the code of packages, and the user's own (`configs=DIR`, by default `configs/` where the command is run). Nothing here
imports torch, so that `--help` and errors about names come at once.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from ablations.settings.plugins import SHIPPED, config_folders, outside_names
from analysis.errors import InputError, nearest, unknown
from analysis.shell import refuse_dashes

DEFAULT = "configs"

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
    "mlflow": ["tracking.uri"],
    "config_name": ["grid"],
    "slurm": ["launcher=ray"],
    "gpu": ["device=cuda"],
    "seed": ["first_seed"],
}
"""What people type who come from other programs → what it is here."""


@dataclass(frozen=True)
class Range:
    """A range that a search draws from: interval(low,high), or tag(log,interval(low,high))."""

    low: float
    high: float
    log: bool = False


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
    load.cache_clear()


_own = [Path(DEFAULT)]


def files(group: str) -> dict[str, list[Path]]:
    """The choices of a group with their files: one file, or several where a name is given twice. A file in a subfolder
    is named with it, saved/mine."""
    by_name: dict[str, list[Path]] = {}
    for place in {place.resolve(): place for place in (SHIPPED, *config_folders(), *_own)}.values():
        for path in (place / group).rglob("*.yaml"):
            by_name.setdefault(path.relative_to(place / group).with_suffix("").as_posix(), []).append(path)
    return {name: by_name[name] for name in sorted(by_name, key=lambda name: ("/" in name, name))}


def choice_file(group: str, name: str) -> str:
    """The file of a choice for messages: its path within the folder that ships, or else its whole path."""
    path = files(group).get(name, [SHIPPED])[0]
    return f"configs/{group}/{name}.yaml" if path.is_relative_to(SHIPPED) else str(path)


def options_of(group: str) -> dict[str, str]:
    """The choices of a group with a line that explains each: its file's first comment, or its class's docstring."""
    texts = {option: paths[0].read_text("utf-8", errors="replace") for option, paths in files(group).items()}
    return outside_names(group) | {option: text.partition("\n")[0].lstrip("# ") for option, text in texts.items()}


def help_lines(group: str) -> list[str]:
    """A line of `--help` per choice of a group."""
    return [f"  {option:21} {line}" for option, line in options_of(group).items()]


@lru_cache
def load(group: str, option: str) -> dict[str, Any]:
    """The content of a choice's file; for a class from outside without a file, its name; for a number, its meaning.
    InputError where there is no such choice, or its file cannot be read."""
    paths = files(group).get(option, [])
    if len(paths) > 1:
        raise InputError(f"{group}={option} is in two files, {' and '.join(map(str, paths))}: rename one of them")
    if paths:
        return _content(paths[0])
    if option in outside_names(group):
        return {"name": option}
    if group == "average" and re.fullmatch(r"\d*\.?\d+", option):
        return {"name": "power", "std": float(option)}
    raise no_such(group, option, options_of(group))


def _content(path: Path) -> dict[str, Any]:
    try:
        values = read_yaml(path.read_text(encoding="utf-8"))
    except (InputError, OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    if not isinstance(values, dict):
        raise InputError(f"{path} must hold `key: value` lines, got {values!r}")
    return {str(key): value for key, value in values.items()}


def no_such(kind: str, given: str, allowed: Iterable[str], more: Iterable[str] = ()) -> InputError:
    """The error that `given` is no `kind`, with what may be meant: one of those `allowed`, one of `more` names, which
    are not listed, or the choice of another group."""
    names = list(allowed)
    first, _, last = given.rpartition(".")
    nearby = MEANT.get(last) or MEANT.get(first) or nearest(given, [*names, *more])
    elsewhere = [f"{group.name}={given}" for group in sorted(SHIPPED.iterdir()) if given in files(group.name)]
    return unknown(kind, given, names, nearby or elsewhere)


def texts(words: Iterable[str]) -> dict[str, str]:
    """The text of each key; InputError for a word that is not key=value, or a key that is given twice."""
    text_of: dict[str, str] = {}
    for word in words:
        if word in ("-m", "--multirun"):
            raise InputError(f"{word!r}: leave it out: values with commas between them make a grid")
        refuse_dashes(word)
        key, equals, text = word.partition("=")
        if not equals or re.fullmatch(r"\w[\w.]*", key) is None:
            axis = key.partition("axis:")[2]
            raise InputError(f"{word!r} is not key=value: {f'write {axis}={text}' if axis else 'see --help'}")
        if key in text_of:
            raise InputError(f"{key} is given twice: give it once, with commas for several values")
        if not text.strip():
            raise InputError(f"{key}= has no value")
        text_of[key] = text.strip()
    return text_of


_FORM = re.compile(r"(tag\(log,\s*)?interval\(([^()]*)\)(?(1)\))")
FORMS = "interval(low,high) and tag(log,interval(low,high)) of two numbers"


def values(key: str, text: str) -> list[Any] | Range:
    """The values of a key that a text gives, or the range to search; InputError where it is neither."""
    try:
        if form := _FORM.fullmatch(text):
            ends = read_yaml(f"[{form[2]}]")
            if len(ends) == 2 and all(isinstance(end, int | float) and math.isfinite(end) for end in ends):
                return Range(ends[0], ends[1], bool(form[1]))
        if re.match(r"\w+\(", text):
            raise InputError(f"there are {FORMS}")
        if text.endswith(","):
            raise InputError("it ends with a comma: values have commas between them, and no space")
        read: list[Any] = read_yaml(f"[{text}]")
    except InputError as error:
        raise InputError(f"{key}={text} cannot be read: {error}") from error
    if endless := [value for value in read if isinstance(value, float) and not math.isfinite(value)]:
        raise InputError(f"{key}={text}: {endless[0]} is not a number that anything can be set to")
    return read
