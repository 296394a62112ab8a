"""A study: a space of parameters over fixed settings, and the cell at each of its points.

A field belongs to the choices that have it: where `schedule` is searched, `schedule.beta_1` is a parameter only of
trials whose schedule has a β_1.
"""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from pydantic import BaseModel, ConfigDict, Field, model_validator

from ablations.settings.budget import rungs
from ablations.settings.cell import AXES, PLAIN, Cell
from ablations.settings.layers import choices_first
from ablations.settings.making import make_cell
from ablations.settings.registry import fields_of, is_whole

FIXED = ("data", "evaluation", "threads", "budget", "training.precision")
"""Groups and keys that must be equal for all trials of a search: the data and the evaluation."""


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
        if not self.choices and (self.low is None or self.high is None):
            raise ValueError("needs low and high, or choices")
        self.distribution("")
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
        """The distribution that Optuna draws from; of a `key` that takes whole numbers those in the range. ValueError
        for no range."""
        if self.choices:
            return CategoricalDistribution(self.choices)
        (low, high), step = self.ends, self.step
        if is_whole(key):
            return IntDistribution(math.ceil(low), math.floor(high), self.log, math.ceil(step or 1))
        return FloatDistribution(low, high, self.log, step)

    def tried(self, value: Any) -> Any:
        """A drawn value as it is tried: numbers from ranges with 4 digits, since more would be hard to read. Near 1 its
        distance from 1 has so many: a decay of 0.9996 differs from one of 0.9995."""
        if self.choices or not isinstance(value, float):
            return value
        rounded = 1 - float(f"{1 - value:.4g}") if 0.9 < value < 1 else float(f"{value:.4g}")
        return min(max(float(f"{rounded:.12g}"), self.ends[0]), self.ends[1])


class StudyFile(BaseModel):
    """The contents of a file of `configs/study/`: a question, what is searched, by which objective, with how much."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    question: str
    parameters: dict[str, ParameterSpec]
    set: dict[str, Any] = {}
    objective: list[str] = Field(default=["nll"], min_length=1, max_length=2)
    sampler: Literal["tpe", "gp", "qmc", "random"] = "tpe"
    startup: int = Field(default=10, ge=0)
    seed: int = Field(default=0, ge=0)
    pruner: Literal["none", "median", "halving", "hyperband"] = "none"
    rungs: int = Field(default=4, ge=1)
    trials: int | None = Field(default=None, ge=1)
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
    footnotes: list[str]

    def applies(self, key: str, params: dict[str, Any]) -> bool:
        """True where a key is a parameter of a trial with these choices."""
        group, _, field = key.partition(".")
        return not field or group not in self.parameters or field in fields_of(group, str(params[group]))

    def when(self, key: str) -> dict[str, list[str]]:
        """The choices that a parameter depends on, if any: {"schedule": ["cosine", "sigmoid"]}."""
        group = key.partition(".")[0]
        names = [str(choice) for choice in self.parameters[group].choices] if group in self.parameters else []
        having = [name for name in names if self.applies(key, {group: name})]
        return {} if having == names else {group: having}

    def cell(self, params: dict[str, Any], seed: int) -> Cell:
        """The cell of a point; InputError where its values make none."""
        shared = {key: value for key, value in self.fixed.items() if self.applies(key, {**self.fixed, **params})}
        return make_cell(choices_first(shared, params), seed)

    @property
    def default(self) -> dict[str, Any]:
        """The default: for each parameter that applies, its value without a search."""
        values: dict[str, Any] = {key: {**AXES, **PLAIN}[key] for key in self.parameters if "." not in key}
        cell = self.cell(values, self.seeds[0])
        for axis in AXES:
            values |= {f"{axis}.{field}": value for field, value in vars(getattr(cell, axis)).items()}
        return {key: values[key] for key in self.parameters if key in values}

    @property
    def default_cell(self) -> Cell:
        """The cell of the default, at the first seed."""
        return self.cell(self.default, self.seeds[0])

    @property
    def default_is_inside(self) -> bool:
        """True where the default lies in the ranges, so that the search begins with it."""
        pairs = [(self.parameters[key].distribution(key), value) for key, value in self.default.items()]
        with suppress(ValueError):
            return all(drawn._contains(drawn.to_internal_repr(value)) for drawn, value in pairs)
        return False

    @property
    def limit(self) -> int:
        """The number of trials."""
        return self.file.trials or 40

    def rungs(self, cell: Cell) -> list[int]:
        """The steps at which the training of a trial's first seed is judged on its way."""
        return rungs(cell.training, self.file.rungs) if self.file.pruner != "none" else []


def said(value: Any) -> str:
    """A value as text."""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
