"""Text to settings: the words of a command line and the files of `configs/`, by Hydra's grammar and composition.

The only file that knows Hydra. It tells which choices exist, what a choice's file says, and what a word sets; which
words a command knows is in `arguments.py`, and what they mean is the business of `registry.py`. Nothing here imports
torch, so that `--help` and errors about names come at once. Text never names code to run: `_target_`, interpolation and
added or deleted keys are refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from analysis.errors import InputError, unknown

CONFIGS = Path(__file__).parents[1] / "configs"


@dataclass(frozen=True)
class Range:
    """What a search may draw a number from: interval(low,high) on the command line, tag(log,interval(low,high)), or
    range(low,end,step), which stops before its end."""

    low: float
    high: float
    log: bool = False
    step: float | None = None


def options_of(group: str) -> dict[str, str]:
    """The choices of a group, and the line that explains each: its file's first comment.

    A file in a folder of the group is named with it: saved/mine.
    """
    folder = CONFIGS / group
    files = {path.relative_to(folder).with_suffix("").as_posix(): path for path in folder.rglob("*.yaml")}
    return {
        option: files[option].read_text(encoding="utf-8").splitlines()[0].lstrip("# ")
        for option in sorted(files, key=lambda option: ("/" in option, option))
    }


@lru_cache
def load(group: str, option: str) -> dict[str, Any]:
    """What `configs/<group>/<option>.yaml` says; InputError where there is none or it cannot be read."""
    if option not in options_of(group):
        raise unknown(group, str(option), options_of(group))
    try:
        with initialize_config_dir(str(CONFIGS), version_base="1.3"):
            node = compose(f"{group}/{option}")
        for name in (group, *option.split("/")[:-1]):
            node = node[name]
    except (HydraException, OmegaConfBaseException, YAMLError) as error:
        raise InputError(f"configs/{group}/{option}.yaml cannot be read: {error}") from error
    values = OmegaConf.to_container(node)
    if not isinstance(values, dict):
        raise InputError(f"configs/{group}/{option}.yaml must hold `key: value` lines, got {values!r}")
    refuse_code(values, f"configs/{group}/{option}.yaml")
    return {str(key): value for key, value in values.items()}


def refuse_code(values: Any, where: str) -> None:
    """Text that would name code or other text is refused."""
    if isinstance(values, dict):
        if "_target_" in values:
            raise InputError(f"{where} names code to run (_target_), which no text may do")
        for value in values.values():
            refuse_code(value, where)
    elif isinstance(values, list):
        for value in values:
            refuse_code(value, where)
    elif isinstance(values, str) and "${" in values:
        raise InputError(f"{where} holds an interpolation ({values}), which is not supported: write the value")


def overrides(arguments: list[str], *, ranges: bool = False) -> Iterator[tuple[str, list[Any] | Range]]:
    """Each key with its values, or its range where a search may have them.

    InputError for what is not key=value, or would name code.
    """
    for argument in arguments:
        if "=" not in argument and not argument.startswith("~"):
            raise InputError(f"{argument!r} is not key=value: try --help, or for example grid=parameterization")
        if argument.lstrip()[:1] in "+~":
            raise InputError(f"{argument!r}: keys can be set, not added (+) or deleted (~): write key=value")
        if "_target_" in argument:
            raise InputError(f"{argument!r} names code to run (_target_), which no text may do")
        try:
            override = OverridesParser.create().parse_override(argument)
            values = _values(override, ranges)
        except (HydraException, ValueError) as error:
            raise InputError(f"{argument!r} cannot be read as key=value: {str(error).splitlines()[0]}") from error
        key = override.key_or_group
        if override.package is not None:
            raise InputError(f"{argument!r}: a key has no @package: write {key}=value")
        if isinstance(values, Range) and not ranges:
            raise InputError(f"{argument!r}: an interval is for a search: python -m ablations.search {key}=…")
        for value in [values.low, values.high] if isinstance(values, Range) else values:
            _check_value(key, value)
        yield key, values


def _values(override: Override, ranges: bool) -> list[Any] | Range:
    value = override.value()
    if ranges and isinstance(value, RangeSweep):
        numbers: list[float] = [float(str(number)) for number in override.sweep_iterator()]
        if len(numbers) < 2 or numbers[0] > numbers[-1]:
            raise ValueError("range needs two values at least, upwards")
        return Range(numbers[0], numbers[-1], step=float(value.step))
    if isinstance(value, IntervalSweep):
        if value.start is None or value.end is None:
            raise ValueError("interval needs two ends")
        return Range(float(value.start), float(value.end), "log" in value.tags)
    return list(override.sweep_iterator()) if override.is_sweep_override() else [value]


def _check_value(key: str, value: Any) -> None:
    refuse_code(value, key)
    if value == "":
        raise InputError(f"{key}= has no value")
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{key}={value} is not a number that anything can be set to")


def listed(group: str) -> list[str]:
    """A line of `--help` per choice of a group."""
    return [f"  {option:21} {line}" for option, line in options_of(group).items()]
