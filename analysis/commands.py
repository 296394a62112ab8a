"""The commands' grammar: `python -m analysis.<command> key=value …`, errors in one line, exit code 2."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis.errors import InputError, unknown
from analysis.read.runs import GridResults, read_folder
from analysis.read.store import read_store


@dataclass(frozen=True)
class Option:
    """A key of a command; `choices` are all the values it takes, if there are few."""

    help: str
    default: str = ""
    choices: tuple[str, ...] = ()


GRID = Option("the grid's name, as in `python -m ablations.run grid=NAME`")
RUNS = Option("a results folder (default results/<grid>), or a tracking store: sqlite:///PATH, http://HOST:PORT")


def parse(arguments: Sequence[str], options: Mapping[str, Option]) -> dict[str, str]:
    """A value per option; InputError for what is not key=value, unknown, given twice, or not among the choices."""
    given: dict[str, str] = {}
    for argument in arguments:
        key, separator, value = argument.partition("=")
        if not separator:
            raise InputError(f"expected key=value, got {argument!r}: the keys are {', '.join(options)}; see --help")
        if key not in options:
            raise unknown("option", key, options)
        if key in given:
            raise InputError(f"{key} is given twice, as {given[key]!r} and {value!r}: give it once")
        if not value:
            raise InputError(f"{key}= has no value: give {options[key].help}")
        if options[key].choices and value not in options[key].choices:
            raise unknown(key, value, options[key].choices)
        given[key] = value
    return {key: given.get(key, option.default) for key, option in options.items()}


def usage(program: str, purpose: str, options: Mapping[str, Option]) -> str:
    """The text of --help."""
    lines = [f"python -m {program} " + " ".join(f"[{key}=…]" for key in options), "", purpose, ""]
    for key, option in options.items():
        choices = f": {' | '.join(option.choices)}" if option.choices else ""
        default = f" (default {option.default})" if option.default else ""
        lines.append(f"  {key:<8} {option.help}{choices}{default}")
    return "\n".join(lines)


def folder_of(values: Mapping[str, str]) -> Path:
    """The results folder that grid= and runs= name."""
    return Path(values["runs"] if values["runs"] and "://" not in values["runs"] else f"results/{values['grid']}")


def read(values: Mapping[str, str]) -> GridResults:
    """The grid that grid= and runs= name."""
    if "://" in values["runs"]:
        if not values["grid"]:
            raise InputError(f"runs={values['runs']} is a tracking store, which holds many grids: give grid=NAME too")
        return read_store(values["runs"], values["grid"])
    if not values["grid"] and not values["runs"]:
        found = sorted(path.parent.name for path in Path("results").glob("*/grid.json"))
        raise InputError(f"which grid? give grid=NAME; results/ holds {', '.join(found) or 'none yet'}")
    return read_folder(folder_of(values))


def run(
    program: str,
    purpose: str,
    options: Mapping[str, Option],
    action: Callable[[dict[str, str]], None],
    arguments: Sequence[str] | None = None,
) -> int:
    """Parse, act, and turn an InputError into its line; the exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    if any(word in ("--help", "-h", "help") for word in words):
        print(usage(program, purpose, options))
        return 0
    try:
        action(parse(words, options))
    except InputError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0
