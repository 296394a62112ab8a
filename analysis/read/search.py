"""A hyperparameter search as its files tell it: search.json as frozen classes, its trials and their rungs as frames.

    trials  a row per trial, in their order: trial, state, reason, cell_id, steps, seconds, param.*, choices, metrics
    rungs   trial, seed, step, value: what a pruner saw of the first objective; no rows where none watched

All values of a search are of validation data. The classes are the schema, as in `meta.py`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import pandas as pd
from pydantic import Field, TypeAdapter, ValidationError

from analysis.format.allowed import Finite, check_different
from analysis.format.csv_files import numbers, parse_csv, plain_texts, whole_numbers
from analysis.format.errors import InputError
from analysis.format.grid_json import ShownMetric
from analysis.format.names import RUNGS, SEARCH, TRIALS
from analysis.format.plain import plain_json

STATES = ("complete", "pruned", "failed", "running")
NO_PRUNER = "none"
_FIXED = ("trial", "state", "reason", "cell_id", "steps", "seconds")
_RUNG = ("trial", "seed", "step", "value")
_AGAIN = "run the search again, what has finished is not repeated"


@dataclass(frozen=True)
class SearchedParameter:
    """What a search varies: a range, or choices; `when` names the values of other parameters that it is there with."""

    name: str
    label: str
    kind: Literal["float", "int", "choice"]
    choices: tuple[str, ...] = ()
    low: Finite | None = None
    high: Finite | None = None
    log: bool = False
    step: Finite | None = None
    when: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """ValueError where it cannot be drawn: it has neither choices nor a range that an axis can show."""
        if self.kind == "choice":
            if not self.choices:
                raise ValueError(f"{self.name} is a choice of none")
        elif self.low is None or self.high is None or not self.low <= self.high:
            raise ValueError(f"{self.name} has no range from low to high")
        elif self.log and self.low <= 0:
            raise ValueError(f"{self.name} is logarithmic from {self.low:g}, which is not above 0")

    def check(self, text: str) -> None:
        """ValueError where a text is no value of this parameter; "" is none, and fine."""
        if self.kind == "choice":
            if text and text not in self.choices:
                raise ValueError(f"{self.name} is {text!r}, which is none of its choices {', '.join(self.choices)}")
        elif text:
            try:
                float(text)
            except ValueError as error:
                raise ValueError(f"{self.name} is {text!r}, which is no number") from error

    @property
    def column(self) -> str:
        """Its column in trials.csv."""
        return f"param.{self.name}"


@dataclass(frozen=True)
class SearchWinner:
    """What is run anew beside the default: a trial, its level in the confirmation, and what the search saw of it."""

    level: str
    label: str
    trial: int
    params: dict[str, str]
    values: dict[str, float]


@dataclass(frozen=True)
class SearchMeta:
    """What search.json says of a search: its question, what was searched and how, and what won."""

    name: str
    study: str
    question: str
    data: str
    objectives: tuple[ShownMetric, ...]
    parameters: tuple[SearchedParameter, ...]
    sampler: str
    seeds: Annotated[tuple[int, ...], Field(min_length=1)]
    pruner: str = NO_PRUNER
    horizon: int | None = None
    default: dict[str, str] = field(default_factory=dict)
    winners: tuple[SearchWinner, ...] = ()
    importances: dict[str, dict[str, float]] = field(default_factory=dict)
    importance_ranges: dict[str, dict[str, tuple[float, float]]] = field(default_factory=dict)
    importance_trials: int = 0
    trained_steps: int | None = None
    full_steps: int | None = None
    command: str | None = None
    code: str | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        """ValueError where there are not one or two objectives, each with a direction, nothing is searched, or two are
        one."""
        if len(self.objectives) not in (1, 2):
            raise ValueError(f"a search has one or two objectives, not {len(self.objectives)}")
        for objective in self.objectives:
            if objective.sign == 0:
                raise ValueError(f"{objective.name} has no direction to search in: an objective's is min or max")
        if not self.parameters:
            raise ValueError("a search has parameters")
        check_different("objective", [objective.name for objective in self.objectives])
        check_different("parameter", [parameter.name for parameter in self.parameters])
        for parameter in self.parameters:
            for winner in self.winners:
                parameter.check(winner.params.get(parameter.name, ""))


@dataclass(frozen=True, eq=False)
class Search:
    """What a search tried and found."""

    head: SearchMeta
    trials: pd.DataFrame
    rungs: pd.DataFrame

    @property
    def complete(self) -> pd.DataFrame:
        """The trials that were trained to their end, and have a value of every objective."""
        return self.trials[self.trials["state"] == "complete"]

    def parameter(self, name: str) -> SearchedParameter | None:
        """The parameter of this name, if it is searched."""
        return next((parameter for parameter in self.head.parameters if parameter.name == name), None)


def read_search(folder: Path | str) -> Search:
    """The search of a results folder; InputError where it is missing or corrupt."""
    head, trials, rungs = (Path(folder) / name for name in (SEARCH, TRIALS, RUNGS))
    for path in (head, trials):
        if not path.is_file():
            raise InputError(f"{path} is missing: `python -m ablations.search study=NAME` runs a search")
    watched = rungs.read_bytes() if rungs.is_file() else None
    return parse_search(head.read_bytes(), trials.read_bytes(), watched, f"{Path(folder)}/")


def search_in(folder: Path | str) -> Search | None:
    """The search of a results folder; None where there is none."""
    return read_search(folder) if (Path(folder) / SEARCH).is_file() else None


def search_alone(folder: Path | str) -> bool:
    """Whether a results folder holds a search without a confirmation."""
    return (Path(folder) / SEARCH).is_file() and not (Path(folder) / "grid.json").is_file()


def parse_search(head: bytes, trials: bytes, rungs: bytes | None, source: str) -> Search:
    """The search of these files' contents; errors call each by its name, after `source`."""
    found = _parse_head(head, source + SEARCH)
    tried = _trials(trials, found, source + TRIALS)
    known = set(tried["trial"])
    for winner in found.winners:
        if winner.trial not in known:
            raise InputError(f"{source}{TRIALS} lacks trial {winner.trial}, which won by {SEARCH}: {_AGAIN}")
    watched = _rungs(rungs, source + RUNGS)
    strange = sorted(set(watched["trial"]) - known)
    if strange:
        raise InputError(f"{source}{RUNGS} holds trial {strange[0]}, which {TRIALS} lacks: {_AGAIN}")
    return Search(found, tried, watched)


def _parse_head(text: bytes, source: str) -> SearchMeta:
    try:
        return TypeAdapter(SearchMeta).validate_json(plain_json(text))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise InputError(f"{source} is not the description of a search: {where}: {first['msg']}; {_AGAIN}") from error


def _trials(content: bytes, head: SearchMeta, source: str) -> pd.DataFrame:
    """The trials in their order, ranges and metrics as numbers."""
    needed = (*_FIXED, *(parameter.column for parameter in head.parameters))
    texts = plain_texts(parse_csv(content, needed, source))
    strange = sorted(set(texts["state"]) - set(STATES))
    if strange:
        raise InputError(f"{source} holds the state {strange[0]!r}: expected one of {', '.join(STATES)}")
    ranges = [parameter.column for parameter in head.parameters if parameter.kind != "choice"]
    metrics = [str(name) for name in texts if "/" in str(name)]
    trials = texts.assign(
        trial=whole_numbers(texts["trial"], "trial", source),
        **{name: numbers(texts[name], name, source) for name in ("steps", "seconds", *ranges, *metrics)},
    )
    absent = {objective.name: math.nan for objective in head.objectives if objective.name not in trials}
    trials = trials.assign(**absent).sort_values("trial", kind="stable").reset_index(drop=True)
    _check_trials(trials, head, source)
    return trials


def _check_trials(trials: pd.DataFrame, head: SearchMeta, source: str) -> None:
    """InputError where a trial has two rows, an unknown choice, or is complete without a value."""
    twice = trials.loc[trials["trial"].duplicated(), "trial"]
    if len(twice):
        raise InputError(f"{source} holds trial {twice.iloc[0]} more than once: {_AGAIN}")
    for parameter in head.parameters:
        strange = set(trials[parameter.column]) - {"", *parameter.choices} if parameter.kind == "choice" else set()
        if strange:
            raise InputError(
                f"{source} holds {parameter.column}={min(strange)}: expected one of {', '.join(parameter.choices)}"
            )
    for objective in head.objectives:
        lacking = trials.loc[(trials["state"] == "complete") & trials[objective.name].isna(), "trial"]
        if len(lacking):
            raise InputError(
                f"{source}: trial {lacking.iloc[0]} is complete, but {objective.name} is not known: {_AGAIN}"
            )


def _rungs(content: bytes | None, source: str) -> pd.DataFrame:
    """What a pruner saw, by trial, seed and step; no rows where there is no file."""
    texts = parse_csv(content if content is not None else f"{','.join(_RUNG)}\n".encode(), _RUNG, source)
    whole = {name: whole_numbers(texts[name], name, source) for name in _RUNG[:3]}
    rungs = texts.assign(**whole, value=numbers(texts["value"], "value", source))[list(_RUNG)]
    return rungs.sort_values(list(_RUNG[:3]), kind="stable").reset_index(drop=True)
