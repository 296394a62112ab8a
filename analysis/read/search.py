"""A hyperparameter search, read from a results folder: its description in grid.json, its trials, and their rungs.

    trials  the rows of trials.csv, in their order: trial, status, reason, cell_id, param.*, choices, metrics, which are
            means over the search's seeds
    rungs   trial, seed, step, value: what a pruner saw of the first objective; no rows without a pruner

All values of a search are of validation data. The classes are the schema, as in `grid_json.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

import pandas as pd
from pydantic import Field, TypeAdapter, ValidationError

from analysis.allowed import Finite, check_different
from analysis.csv_files import check_columns, numbers, plain_texts, read_csv, whole_numbers
from analysis.curves import check_curves, read_curves
from analysis.errors import InputError
from analysis.folders import trials_of
from analysis.grid_json import ShownMetric
from analysis.plain import plain_json
from analysis.schema import RUNG, TRIAL, TRIALS

COLUMNS = ("cell_id", "status", "reason")
ENDINGS = ("finished", "pruned", "failed", "running")
"""The statuses of trials."""
NO_PRUNER = "none"
STEPS = "cost/steps"
"""The training steps that a trial took."""
_AGAIN = "run the search again, what has finished is not repeated"


@dataclass(frozen=True)
class SearchedParameter:
    """A searched parameter: a range, or choices. It exists only with the values of other parameters in `when`."""

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
        """ValueError where it has neither choices nor a range that can be drawn from and shown on an axis."""
        if self.kind == "choice":
            if not self.choices:
                raise ValueError(f"{self.name} is a choice of none")
        elif self.low is None or self.high is None or not self.low <= self.high:
            raise ValueError(f"{self.name} has no range from low to high")
        elif self.log and self.low <= 0:
            raise ValueError(f"{self.name} is logarithmic from {self.low:g}, which is not above 0")

    def check(self, text: str) -> None:
        """ValueError where a text is no value of this parameter; "" means no value, and is allowed."""
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
        """Its column in runs.csv."""
        return f"param.{self.name}"


@dataclass(frozen=True)
class SearchWinner:
    """A trial that is run anew beside the default: its level in the confirmation; its parameters and values in the
    search."""

    level: str
    label: str
    trial: int
    params: dict[str, str]
    values: dict[str, float]


@dataclass(frozen=True)
class SearchMeta:
    """The description of a search in grid.json: its question, what was searched and how, and what won.

    Before `startup` trials have ended the sampler draws at random. A search of a number of trials has this `limit`.
    """

    name: str
    study: str
    question: str
    data: str
    objectives: tuple[ShownMetric, ...]
    parameters: tuple[SearchedParameter, ...]
    sampler: str
    seeds: Annotated[tuple[int, ...], Field(min_length=1)]
    startup: int = 0
    limit: int | None = None
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
        """ValueError without one or two objectives with a direction, without parameters, or if two share a name."""
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
    """The trials of a search and what it found; its rungs are read when first asked for."""

    head: SearchMeta
    trials: pd.DataFrame
    load_rungs: Callable[[], pd.DataFrame]

    @cached_property
    def rungs(self) -> pd.DataFrame:
        """The values of each trial that a pruner saw, read when first asked for."""
        return self.load_rungs()

    @property
    def finished(self) -> pd.DataFrame:
        """The trials that were trained to their end, and have a value of every objective."""
        return self.trials[self.trials["status"] == "finished"]

    @property
    def goes_on(self) -> bool:
        """True where fewer trials have ended than were asked for."""
        return self.head.limit is not None and int((self.trials["status"] != "running").sum()) < self.head.limit

    def parameter(self, name: str) -> SearchedParameter | None:
        """The parameter of this name, if it is searched."""
        return next((parameter for parameter in self.head.parameters if parameter.name == name), None)


@dataclass(frozen=True)
class _Described:
    """The part of grid.json that is about a search, if there is one."""

    search: SearchMeta | None = None


def read_search(folder: Path | str) -> Search:
    """The search of a results folder; InputError where it is missing or corrupt."""
    head = Path(folder) / "grid.json"
    search = search_in(folder) if head.is_file() else None
    if search is None:
        raise InputError(f"{head} describes no search: `python -m ablations.search study=NAME` runs one")
    return search


def search_in(folder: Path | str, runs: pd.DataFrame | None = None) -> Search | None:
    """The search of a results folder, whose runs.csv may be read already; None where there is none, or where that of a
    confirmation is gone."""
    head = _parse_head(Path(folder) / "grid.json")
    if head is None:
        return None
    source = trials_of(Path(folder), head.name)
    texts = read_csv(source, COLUMNS) if runs is None or source.name == TRIALS else runs
    if runs is not None and TRIAL not in texts:
        return None
    check_columns(texts, (TRIAL, *(parameter.column for parameter in head.parameters)), str(source))
    trials = _trials(texts[of_trials(texts)], head, str(source))
    for winner in head.winners:
        if winner.trial not in set(trials[TRIAL]):
            raise InputError(f"{source} lacks trial {winner.trial}, which won by grid.json: {_AGAIN}")
    check_curves(source.parent, head.command)
    return Search(head, trials, lambda: _rungs(trials, head, read_curves(source.parent)))


def of_trials(texts: pd.DataFrame) -> pd.Series[bool]:
    """True for the rows of runs.csv that are trials of a search."""
    return texts[TRIAL] != "" if TRIAL in texts else pd.Series(False, index=texts.index)


def _parse_head(path: Path) -> SearchMeta | None:
    try:
        return TypeAdapter(_Described).validate_json(plain_json(path.read_bytes())).search
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise InputError(f"{path} is not the description of a search: {where}: {first['msg']}; {_AGAIN}") from error


def _trials(texts: pd.DataFrame, head: SearchMeta, source: str) -> pd.DataFrame:
    """The trials in their order, ranges and metrics as numbers."""
    texts = plain_texts(texts)
    strange = sorted(set(texts["status"]) - set(ENDINGS))
    if strange:
        raise InputError(f"{source} holds a trial of status {strange[0]!r}: expected one of {', '.join(ENDINGS)}")
    ranges = [parameter.column for parameter in head.parameters if parameter.kind != "choice"]
    unknown = [name for name in (STEPS, *(objective.name for objective in head.objectives)) if name not in texts]
    texts = texts.assign(**dict.fromkeys(unknown, ""))
    metrics = [str(name) for name in texts if "/" in str(name)]
    trials = texts.assign(
        **{TRIAL: whole_numbers(texts[TRIAL], TRIAL, source)},
        **{name: numbers(texts[name], name, source) for name in (*ranges, *metrics)},
    )
    trials = trials.sort_values(TRIAL, kind="stable").reset_index(drop=True)
    _check_trials(trials, head, source)
    return trials


def _check_trials(trials: pd.DataFrame, head: SearchMeta, source: str) -> None:
    """InputError where a trial has two rows, an unknown choice, or is finished without a value."""
    twice = trials.loc[trials[TRIAL].duplicated(), TRIAL]
    if len(twice):
        raise InputError(f"{source} holds trial {twice.iloc[0]} more than once: {_AGAIN}")
    for parameter in head.parameters:
        strange = set(trials[parameter.column]) - {"", *parameter.choices} if parameter.kind == "choice" else set()
        if strange:
            raise InputError(
                f"{source} holds {parameter.column}={min(strange)}: expected one of {', '.join(parameter.choices)}"
            )
    for objective in head.objectives:
        lacking = trials.loc[(trials["status"] == "finished") & trials[objective.name].isna(), TRIAL]
        if len(lacking):
            raise InputError(
                f"{source}: trial {lacking.iloc[0]} is finished, but {objective.name} is not known: {_AGAIN}"
            )


def _rungs(trials: pd.DataFrame, head: SearchMeta, curves: pd.DataFrame) -> pd.DataFrame:
    """The values that a pruner saw, by trial, seed and step; a trial has those of its cell as far as it went itself."""
    points = curves[(curves["curve"] == f"{RUNG}{head.objectives[0].name}") & curves["seed"].isin(head.seeds)]
    both = trials[[TRIAL, "cell_id", "status", STEPS]].merge(points, on="cell_id")
    seen = both[(both["status"] != "pruned") | (both["x"] <= both[STEPS])]
    rungs = seen.assign(step=seen["x"].astype("int64"), value=seen["y"])[[TRIAL, "seed", "step", "value"]]
    return rungs.sort_values([TRIAL, "seed", "step"], kind="stable").reset_index(drop=True)
