"""The words of a command line, read into a request (`settings.request`).

Reading looks for names in the folder that `configs=` names; that folder is the only thing remembered for later.

Nothing here imports torch, so that errors about names come at once.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

from ablations.settings import grammar
from ablations.settings.cell import AT_ONCE, AXES, NUMBERS, WORDS
from ablations.settings.evaluation import SEEDS
from ablations.settings.gone import refuse_gone
from ablations.settings.grammar import Range, overrides, written
from ablations.settings.layers import check_key, check_number, check_word
from ablations.settings.plugins.folders import choice_file
from ablations.settings.plugins.packages import REGISTERED
from ablations.settings.request import Common, Request, SearchRequest, check_device, check_results, check_title
from ablations.settings.synonyms import no_such
from analysis.errors import InputError, written_out

MOST_SEEDS = 10_000
"""More seeds than anybody can train; an interval from so many is a fiftieth as wide as one from four."""
MOST_TRIALS = 1_000_000
MOST_RATE = 1
"""By AdamW and Muon a step moves a weight by about the learning rate, and most weights start below 1."""


COMMON: dict[str, tuple[str, type]] = {
    "seeds": ("seeds", int),
    "first_seed": ("first_seed", int),
    "name": ("name", str),
    "dry_run": ("dry_run", bool),
    "device": ("device", str),
    "launcher": ("launcher", str),
    "results": ("results", str),
    "journal": ("journal", str),
    "configs": ("configs", str),
    "tracking.uri": ("tracking_uri", str),
}
"""Keys of the command line that are no fields of a cell: their field of the request, and their type."""

AUTO = "auto"
"""The value of `seeds` with which seeds are added where they decide."""


class Seeds:
    """The type of a grid's `seeds`: a whole number, or "auto"."""


RUN = {
    "grid": ("grid", str),
    **COMMON,
    "seeds": ("seeds", Seeds),
    "seeds.max": ("most", int),
    "fraction": ("fraction", int),
    "tracking.models": ("tracking_models", bool),
    "question": ("question", str),
}
SEARCH = {
    "study": ("study", str),
    "trials": ("trials", int),
    "confirm": ("confirm", int),
    "storage": ("storage", str),
    "study.objective": ("objective", list),
    "study.sampler": ("sampler", str),
    "study.pruner": ("pruner", str),
    "study.startup": ("startup", int),
    "study.seed": ("seed", int),
    **COMMON,
}
LAUNCHER = "launcher."
"""The beginning of the keys that set fields of the launcher."""
QUESTION = "question="
SECRET = ("tracking.uri=", "storage=")
"""Keys whose value may hold a password (a database's URL): commands are written down without them."""


def parse_run(arguments: list[str]) -> Request:
    """The request of `ablations.run`; InputError at the first word that is wrong."""
    refuse_gone(arguments)
    asked, rest = _question(arguments)
    options, settings, _ = _sorted(rest, RUN, ranges=False)
    grammar.use(options.get("configs"))
    if options.get("seeds") == AUTO:
        options |= {"seeds": None, "auto": True}
    request = Request(**options, question=asked, settings=settings, command=_command("run", arguments))
    _check(request)
    # How few are too few, the looks say.
    _check_number("seeds.max", request.most, 0, MOST_SEEDS)
    if request.fraction is not None and request.fraction < 2:
        raise InputError(f"fraction must be at least 2, the number of cells to run, got {request.fraction}")
    levels = axis_levels(request.grid)
    for key, values in request.settings.items():
        _check_key(key, values, RUN, levels)
    return request


def parse_search(arguments: list[str]) -> SearchRequest:
    """The request of `ablations.search`; InputError at the first word that is wrong."""
    refuse_gone(arguments)
    options, settings, ranges = _sorted(arguments, SEARCH, ranges=True)
    grammar.use(options.get("configs"))
    request = SearchRequest(**options, settings=settings, ranges=ranges, command=_command("search", arguments))
    _check(request)
    limits = {"trials": (1, MOST_TRIALS), "confirm": (2, MOST_SEEDS), "startup": (0, MOST_TRIALS), "seed": (0, SEEDS)}
    for name, (least, most) in limits.items():
        _check_number(name, getattr(request, name), least, most)
    if request.study is not None:
        grammar.load("study", request.study)
    for key in (*request.settings, *request.ranges):
        if key.startswith("study."):
            names = [name.removeprefix("study.") for name in SEARCH if name.startswith("study.")]
            raise no_such("field of study", key.removeprefix("study."), names, group="study")
    for key, values in request.settings.items():
        _check_key(key, values, SEARCH, {})
    for key in request.ranges:
        _check_key(key, [], SEARCH, {})
        if key in AXES or key in WORDS:
            raise InputError(f"{key} takes names, not numbers: give those to choose from, {key}=A,B")
    return request


def _question(arguments: list[str]) -> tuple[str | None, list[str]]:
    """The question, which is free text that no grammar reads, and the other words; None without a question."""
    asked = [word.removeprefix(QUESTION) for word in arguments if word.startswith(QUESTION)]
    if len(asked) > 1:
        raise InputError("question is given twice: give it once")
    if asked and not asked[0].strip():
        raise InputError("question= has no text")
    rest = [word for word in arguments if not word.startswith(QUESTION)]
    return (" ".join(asked[0].split()) if asked else None), rest


def _sorted(
    arguments: list[str], options: dict[str, tuple[str, type]], *, ranges: bool
) -> tuple[dict[str, Any], dict[str, list[Any]], dict[str, Range]]:
    """The options by field, the settings, and the ranges."""
    chosen: dict[str, Any] = {}
    settings: dict[str, list[Any]] = {}
    intervals: dict[str, Range] = {}
    texts = written(arguments)
    for key, values in overrides(arguments, ranges=ranges):
        if key in options:
            name, kind = options[key]
            chosen[name] = _option(key, values, kind, texts[key])
        elif key.startswith(LAUNCHER):
            chosen.setdefault("launcher_fields", {})[key.removeprefix(LAUNCHER)] = _one(key, values)
        elif isinstance(values, Range):
            intervals[key] = values
        else:
            settings[key] = values
    return chosen, settings, intervals


def _command(program: str, arguments: list[str]) -> str:
    """The command quoted for a shell, because a shell would read its brackets."""
    words = [
        shlex.quote(word) if "(" in word or word.startswith(QUESTION) else word
        for word in arguments
        if not word.startswith(SECRET)
    ]
    command = " ".join([f"python -m ablations.{program}", *words])
    script = _script()
    return f"python {script}   (which runs {command})" if script else command


def _script() -> str:
    """The script that registered classes and started this process; "" where there is none."""
    main = sys.modules["__main__"]
    of_script = getattr(main, "__spec__", None) is None and hasattr(main, "__file__")
    if not (REGISTERED and of_script):
        return ""
    path = Path(main.__file__ or "").resolve()
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else path.name


def _option(key: str, values: list[Any] | Range, kind: type, text: str) -> Any:
    if kind is list and not isinstance(values, Range):
        return [str(value) for value in values]
    value = _one(key, values)
    if kind is Seeds and value == AUTO:
        return AUTO
    if kind is str and isinstance(value, (int, float)) and not isinstance(value, bool):
        # A folder called 1.10 is not the number 1.1.
        value = text
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, int if kind is Seeds else kind) or (kind in (int, Seeds) and isinstance(value, bool)):
        raise InputError(f"{key} must be {_KINDS[kind]}, got {value!r}{written_out(text)}")
    return value


def _one(key: str, values: list[Any] | Range) -> Any:
    if isinstance(values, Range):
        raise InputError(f"{key} is no parameter that can be searched: give it one value")
    if key == "seeds" and len(values) > 1:
        raise InputError(f"seeds={','.join(map(str, values))}: seeds=M is how many, first_seed=N which is the first")
    if len(values) != 1:
        raise InputError(f"{key} takes one value, got {len(values)}: {', '.join(map(str, values))}")
    return values[0]


_KINDS = {
    int: "a whole number",
    Seeds: "a whole number or auto",
    float: "a number",
    str: "a name",
    bool: "true or false",
}


def _check(request: Common) -> None:
    _check_number("seeds", request.seeds, 1, MOST_SEEDS)
    if not 0 <= request.first_seed < SEEDS:
        raise InputError(f"first_seed must not be negative, and below {SEEDS}, got {request.first_seed}")
    check_title(request.title, request.name)
    check_results(Path(request.results))
    if request.launcher not in grammar.options_of("launcher"):
        raise no_such("launcher", request.launcher, grammar.options_of("launcher"), group="launcher")
    check_device(request.device)


def _check_number(name: str, value: int | None, least: int, most: int) -> None:
    if value is not None and value < least:
        raise InputError(f"{name} must be at least {least}, got {value}")
    if value is not None and value > most:
        raise InputError(f"{name} must be at most {most}, got {value}")


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


def _check_key(key: str, values: list[Any], options: dict[str, tuple[str, type]], axes: dict[str, set[str]]) -> None:
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
        _check_value(key, value)
        if key in AXES and str(value) not in axes.get(key, ()):
            grammar.load(key, str(value))


def _check_value(key: str, value: Any) -> None:
    """InputError where a value can be refused without torch: that of a plain field, or of an axis of one class."""
    if key in WORDS:
        check_word(key, value)
    elif key in NUMBERS:
        check_number(key, value)
    elif "." in key and key.partition(".")[0] in AT_ONCE:
        from ablations.settings.registry import check_type  # Pydantic takes longer to import than all else here.

        check_type(key, value)
