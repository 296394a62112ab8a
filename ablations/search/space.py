"""A study: a space of parameters over fixed settings, and the cell at each of its points.

A field belongs to the choices that have it: where `schedule` is searched, `schedule.beta_1` is a parameter only of
trials whose schedule has a β_1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from pydantic import BaseModel, ConfigDict, Field, model_validator

from ablations.settings.bounds import MOST_VALUES
from ablations.settings.budget import rungs
from ablations.settings.cell import AXES, PLAIN, Cell
from ablations.settings.identity import content_hash
from ablations.settings.layers import choices_first
from ablations.settings.making import make_cell
from ablations.settings.registry import fields_of, is_whole
from analysis.errors import InputError
from analysis.schema import TRIALS

Params = dict[str, Any]
"""A value per parameter that applies."""
FIXED = ("data", "evaluation", "threads", "budget", "training.precision")
"""Groups and keys that must be equal for all trials of a search: the data and the evaluation."""
DIGITS, NEAR_ONE = 4, 0.9
"""Significant digits of a number that is tried: more would be hard to read. Between `NEAR_ONE` and 1 the distance from
1 has so many: a decay of 0.9996 differs from one of 0.9995."""


class ParameterSpec(BaseModel):
    """The source of a key's values: numbers between two ends, uniform, logarithmic or in steps; or choices."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    low: float | None = Field(default=None, allow_inf_nan=False)
    high: float | None = Field(default=None, allow_inf_nan=False)
    log: bool = False
    step: float | None = Field(default=None, gt=0)
    choices: list[bool | int | float | str] = []
    label: str = ""

    @model_validator(mode="after")
    def _check(self) -> ParameterSpec:
        low, high, step, wrong = self.low, self.high, self.step, ""
        if self.choices:
            ranged = (low, high, step, self.log) != (None, None, None, False)
            same = len(set(map(str, self.choices))) < len(self.choices)
            wrong = "choices have no low or high" if ranged else f"choices must differ, got {self}" if same else ""
        elif low is None or high is None:
            wrong = "needs low and high, or choices"
        elif not low < high:
            wrong = f"low must be below high, got {low:g} and {high:g}"
        elif self.log and (low <= 0 or step):
            wrong = f"log needs low above 0, and no step, got {self}"
        elif step and high - low > step * MOST_VALUES:
            wrong = f"at most {MOST_VALUES} steps, got {self}"
        if wrong:
            raise ValueError(wrong)
        return self

    def __str__(self) -> str:
        if self.choices:
            return ", ".join(map(str, self.choices))
        low, high = self.ends
        return f"{low:g} to {high:g}{' by logarithm' * self.log}{f' in steps of {self.step:g}' if self.step else ''}"

    @property
    def ends(self) -> tuple[float, float]:
        """The least and the greatest number of a range; zeros of choices."""
        return self.low or 0.0, self.high or 0.0

    def distribution(self, key: str) -> BaseDistribution:
        """What Optuna draws from; a range of `key` may have whole numbers only."""
        if self.choices:
            return CategoricalDistribution(self.choices)
        (low, high), step = self.ends, self.step
        if is_whole(key):
            return IntDistribution(int(low), int(high), self.log, int(step or 1))
        return FloatDistribution(low, high, self.log, step)

    def holds(self, value: Any) -> bool:
        """True where a value could be drawn."""
        if self.choices:
            return (value, isinstance(value, bool)) in [(choice, isinstance(choice, bool)) for choice in self.choices]
        low, high = self.ends
        inside = isinstance(value, (int, float)) and low <= value <= high
        return inside and (not self.step or abs(math.remainder(value - low, self.step)) < 1e-9 * self.step)

    def tried(self, value: Any) -> Any:
        """A drawn value in the form in which it is tried: numbers from ranges are rounded."""
        if self.choices or not isinstance(value, float):
            return value
        near_one = NEAR_ONE < value < 1
        rounded = 1 - float(f"{1 - value:.{DIGITS}g}") if near_one else float(f"{value:.{DIGITS}g}")
        return min(max(float(f"{rounded:.12g}"), self.ends[0]), self.ends[1])


class StudyFile(BaseModel):
    """The contents of a file of `configs/study/`: a question, what is searched, by which objective, with how much."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    question: str
    parameters: dict[str, ParameterSpec]
    set: dict[str, Any] = {}
    objective: list[str] = Field(default=["nll"], min_length=1)
    sampler: str = "tpe"
    startup: int = Field(default=10, ge=0)
    seed: int = Field(default=0, ge=0)
    pruner: str = "none"
    rungs: int = Field(default=4, ge=1)
    trials: int = Field(default=40, ge=1)
    seeds: int = Field(default=1, ge=1)
    confirm: int = Field(default=5, ge=2)


@dataclass(frozen=True)
class Study:
    """The space that is searched: `parameters` in order, choices before fields, over `fixed` settings."""

    name: str
    asked: str
    file: StudyFile
    parameters: dict[str, ParameterSpec]
    fixed: dict[str, Any]
    seeds: list[int]
    trials: int | None
    footnotes: list[str]

    def applies(self, key: str, params: Params) -> bool:
        """True where a key is a parameter of a trial with these choices."""
        group, _, field = key.partition(".")
        return not field or group not in self.parameters or field in fields_of(group, str(params[group]))

    def when(self, key: str) -> dict[str, list[str]]:
        """The choices that a parameter depends on, if any: {"schedule": ["cosine", "sigmoid"]}."""
        group = key.partition(".")[0]
        names = [str(choice) for choice in self.parameters[group].choices] if group in self.parameters else []
        having = [name for name in names if self.applies(key, {group: name})]
        return {} if having == names else {group: having}

    def cell(self, params: Params, seed: int) -> Cell:
        """The cell of a point; InputError where its values make none."""
        shared = {key: value for key, value in self.fixed.items() if self.applies(key, {**self.fixed, **params})}
        return make_cell(choices_first(shared, params), seed)

    @property
    def default(self) -> Params:
        """The default: for each parameter that applies, its value without a search."""
        values: Params = {key: {**AXES, **PLAIN}[key] for key in self.parameters if "." not in key}
        cell = self.cell(values, self.seeds[0])
        for key in self.parameters:
            group, _, field = key.partition(".")
            if field and field in fields_of(group, str(values.get(group, self.fixed.get(group, AXES[group])))):
                values[key] = getattr(getattr(cell, group), field)
        return values

    @property
    def default_is_inside(self) -> bool:
        """True where the default lies in the ranges, so that the search begins with it."""
        return all(self.parameters[key].holds(value) for key, value in self.default.items())

    @property
    def limit(self) -> int:
        """The number of trials."""
        if self.file.sampler != "grid":
            return self.trials or self.file.trials
        every = math.prod(map(len, self.combinations().values()))
        return min(every, self.trials or every)

    def combinations(self) -> dict[str, list[Any]]:
        """The values of each parameter that the sampler `grid` combines; InputError where one has no list of them."""
        values: dict[str, list[Any]] = {}
        for name, parameter in self.parameters.items():
            if self.when(name):
                raise InputError(f"study.sampler=grid cannot search {name}, which only some trials have: take another")
            step = parameter.step or (1 if is_whole(name) and not parameter.log else None)
            if not parameter.choices and step is None:
                raise InputError(f"study.sampler=grid needs choices or steps of {name}: give {name}=A,B,C")
            low, high = parameter.ends
            steps = range(math.floor((high - low) / (step or 1) + 1e-9) + 1)
            values[name] = list(parameter.choices) or [low + i * (step or 1) for i in steps]
        return values

    def rungs(self, cell: Cell) -> list[int]:
        """The steps at which the training of a trial's first seed is judged on its way."""
        return rungs(cell.training, self.file.rungs) if self.file.pruner != "none" else []

    def identity(self, cell_id: str) -> str:
        """A name for what is searched and how (and for where trials are kept, which has changed); `cell_id` is the
        default cell's. The budget is not part of it."""
        how = self.file.model_dump(include={"objective", "sampler", "startup", "seed", "pruner", "rungs"})
        space = {key: parameter.model_dump(exclude={"label"}) for key, parameter in self.parameters.items()}
        fixed = {key: value for key, value in self.fixed.items() if key.split(".")[0] not in FIXED}
        return content_hash(
            {**how, "kept": TRIALS, "space": space, "fixed": fixed, "cell": cell_id, "seeds": self.seeds}
        )


def said(value: Any) -> str:
    """A value as text."""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
