"""Text to settings: the command line and the files of `configs/`, by Hydra's grammar and composition.

The only file that knows Hydra. It tells what was asked for (`Request`), which choices exist, and what a choice's file
says; what the words mean is the business of `choices.py`. Nothing here imports torch, so that `--help` and errors
about names come at once. Text never names code to run: `_target_`, interpolation and added or deleted keys are
refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from analysis.errors import InputError, unknown

CONFIGS = Path(__file__).parent / "configs"

AXES = {
    "data": "digits",
    "space": "pixels",
    "parameterization": "epsilon",
    "variance": "beta",
    "schedule": "linear",
    "objective": "simple",
    "timesteps": "uniform",
    "network": "unet",
    "sampler": "ancestral",
    "training": "default",
    "evaluation": "default",
}
"""The groups that a cell is made of, and the default of each."""

NUMBERS = {"horizon": 1000, "threads": 1}
"""The fields of a cell that are plain numbers, and their defaults."""

WORDS = {
    "budget": {
        "steps": "training.steps is what the diffusion is trained for (default)",
        "flops": "as many steps as cost, autoencoder included, what training.steps steps cost in pixels",
    },
    "time_input": {
        "t": "the network is told 1000 t/T (default)",
        "log_snr": "it is told the noise level, so that equal input is equal noise under every schedule",
    },
    "first_step": {
        "schedule": "sigma_1² by the schedule's own rule: beta_tilde_2, or beta_1 of a log-SNR schedule (default)",
        "beta_1": "sigma_1² = beta_1",
    },
}
"""The fields of a cell that are one word of a few, each with a line; the first is the default."""

SEEDS = 2**31


@dataclass(frozen=True)
class Request:
    """What a command line asks for. `settings` maps each key of a cell, or axis of the grid, to its values in order."""

    grid: str | None = None
    seeds: int | None = None
    first_seed: int = 0
    name: str | None = None
    fraction: int | None = None
    dry_run: bool = False
    device: str = "auto"
    launcher: str = "local"
    workers: int | None = None
    results: str = "results"
    tracking_uri: str | None = None
    settings: dict[str, list[Any]] = field(default_factory=dict)
    command: str = ""


OPTIONS: dict[str, tuple[str, type]] = {
    "grid": ("grid", str),
    "seeds": ("seeds", int),
    "first_seed": ("first_seed", int),
    "name": ("name", str),
    "fraction": ("fraction", int),
    "dry_run": ("dry_run", bool),
    "device": ("device", str),
    "launcher": ("launcher", str),
    "launcher.workers": ("workers", int),
    "results": ("results", str),
    "tracking.uri": ("tracking_uri", str),
}
"""Keys of the command line that are not of a cell: their field of `Request`, and type."""


def options_of(group: str) -> dict[str, str]:
    """The choices of a group, and the line that explains each: its file's first comment.

    A file in a folder of the group is named with it: found/mine.
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
    except (HydraException, OmegaConfBaseException) as error:
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


def word(key: str, value: Any) -> str:
    """A value of a field of WORDS; InputError where it is none."""
    if str(value) not in WORDS[key]:
        raise unknown(key, str(value), WORDS[key])
    return str(value)


def parse(arguments: list[str], program: str) -> Request:
    """The request of a command line; InputError at the first word that is wrong."""
    given: dict[str, Any] = {}
    settings: dict[str, list[Any]] = {}
    for key, values in _overrides(arguments):
        if key in given or key in settings:
            raise InputError(f"{key} is given twice: give it once, with commas for several values")
        if key in OPTIONS:
            name, kind = OPTIONS[key]
            given[name] = _option(key, values, kind)
        else:
            settings[key] = values
    # A store's URL may hold a password, and the command is written down.
    words = [word for word in arguments if not word.startswith("tracking.uri=")]
    request = Request(**given, settings=settings, command=" ".join([f"python -m ablations.{program}", *words]))
    _check(request)
    return request


def parse_options(arguments: list[str], options: dict[str, type]) -> dict[str, Any]:
    """The values of a command that knows only these options; InputError at the first word that is wrong."""
    given: dict[str, Any] = {}
    for key, values in _overrides(arguments):
        if key not in options:
            raise unknown("option", key, options)
        given[key] = _option(key, values, options[key])
    return given


def _overrides(arguments: list[str]) -> Iterator[tuple[str, list[Any]]]:
    """Each key with its values; InputError for what is not key=value, or would name code."""
    for argument in arguments:
        if "=" not in argument and not argument.startswith("~"):
            raise InputError(f"{argument!r} is not key=value: try --help, or for example grid=parameterization")
        if argument.lstrip()[:1] in "+~":
            raise InputError(f"{argument!r}: keys can be set, not added (+) or deleted (~): write key=value")
        if "_target_" in argument:
            raise InputError(f"{argument!r} names code to run (_target_), which no text may do")
        try:
            override = OverridesParser.create().parse_override(argument)
            values = list(override.sweep_iterator()) if override.is_sweep_override() else [override.value()]
        except (HydraException, ValueError) as error:
            raise InputError(f"{argument!r} cannot be read as key=value: {str(error).splitlines()[0]}") from error
        key = override.key_or_group
        if override.package is not None:
            raise InputError(f"{argument!r}: a key has no @package: write {key}=value")
        for value in values:
            _check_value(key, value)
        yield key, values


def _check_value(key: str, value: Any) -> None:
    refuse_code(value, key)
    if value == "":
        raise InputError(f"{key}= has no value")
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{key}={value} is not a number that anything can be set to")


def _option(key: str, values: list[Any], kind: type) -> Any:
    if len(values) != 1:
        raise InputError(f"{key} takes one value, got {len(values)}: {', '.join(map(str, values))}")
    value = values[0]
    if kind is str and isinstance(value, (int, float)) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise InputError(f"{key} must be {_KINDS[kind]}, got {value!r}")
    return value


_KINDS = {int: "a whole number", str: "a name", bool: "true or false"}


def _check(request: Request) -> None:
    if request.seeds is not None and request.seeds < 1:
        raise InputError(f"seeds must be at least 1, got {request.seeds}")
    if not 0 <= request.first_seed < SEEDS:
        raise InputError(f"first_seed must not be negative, and below {SEEDS}, got {request.first_seed}")
    if request.fraction is not None and request.fraction < 2:
        raise InputError(f"fraction must be at least 2, the number of cells to run, got {request.fraction}")
    if request.workers is not None and request.workers < 1:
        raise InputError(f"launcher.workers must be at least 1, got {request.workers}")
    if request.name is not None and re.fullmatch(r"\w[\w.-]*", request.name) is None:
        raise InputError(f"name must be letters, digits, '_', '-' and '.', the first no '.', got {request.name!r}")
    if request.launcher not in options_of("launcher"):
        raise unknown("launcher", request.launcher, options_of("launcher"))
    axes = axis_levels(request.grid)
    for key, values in request.settings.items():
        _check_key(key, values, axes)


def axis_levels(grid: str | None) -> dict[str, set[str]]:
    """The names of a grid's axes and of their levels; InputError where there is no such grid."""
    if grid is None:
        return {}
    axes = load("grid", grid).get("axes")
    if not isinstance(axes, list) or not all(isinstance(axis, dict) and "name" in axis for axis in axes):
        raise InputError(f"configs/grid/{grid}.yaml: axes must be a list, each with name and levels, got {axes!r}")
    return {
        str(axis["name"]): {str(level.get("name")) for level in axis.get("levels", []) if isinstance(level, dict)}
        for axis in axes
    }


def _check_key(key: str, values: list[Any], axes: dict[str, set[str]]) -> None:
    group = key.split(".")[0]
    if key in axes and key not in AXES:
        return
    if key == "seed":
        raise InputError("seeds are an axis: first_seed=N seeds=M takes the M seeds from N on")
    if key in WORDS:
        for value in values:
            word(key, value)
        return
    if key not in NUMBERS and group not in AXES:
        raise unknown("setting", key, [*OPTIONS, *AXES, *NUMBERS, *WORDS, *axes])
    if key in AXES:
        for value in values:
            if str(value) not in axes.get(key, ()):
                load(key, str(value))
