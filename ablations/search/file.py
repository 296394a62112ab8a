"""A file of `configs/study/`: a question, what is searched and where, by which objective, and with how much.

Nothing here imports torch, so that errors about names come at once.
"""

from __future__ import annotations

import math
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ablations.settings import grammar
from ablations.settings.bounds import MOST_VALUES
from ablations.settings.grammar import Range
from ablations.settings.layers import check_key
from ablations.settings.plugins.folders import choice_file
from ablations.settings.registry import key_complaint
from ablations.settings.request import SearchRequest
from analysis.errors import InputError

SAMPLERS = {
    "tpe": "tree-structured Parzen estimator (default)",
    "gp": "Gaussian process; for up to about 100 trials",
    "cmaes": "CMA-ES, of numbers that every trial has; needs `pip install cmaes`",
    "qmc": "Sobol points",
    "random": "uniform in the ranges",
    "grid": "every combination of choices and steps",
}
PRUNERS = {
    "none": "every trial is trained to its end",
    "median": "ends a training whose best bound so far is worse than the median of complete ones at that step",
    "halving": "successive halving: the better half goes on from rung to rung",
    "hyperband": "several such, that start at different rungs",
    "wilcoxon": "leaves out a trial's further seeds once its first ones are worse than the best trial's",
}
FIXED = ("data", "evaluation", "threads", "budget", "training.precision")
"""Groups and keys that must be equal for all trials of a search: the data and the evaluation."""


class ParameterSpec(BaseModel):
    """The source of a key's values: numbers between two ends, uniform, logarithmic or in steps; or choices."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    low: float | None = None
    high: float | None = None
    log: bool = False
    step: float | None = Field(default=None, gt=0)
    choices: list[bool | int | float | str] = []
    label: str = ""

    @model_validator(mode="after")
    def _check(self) -> ParameterSpec:
        if self.choices:
            if self.low is not None or self.high is not None or self.log or self.step:
                raise ValueError("choices have no low, high, log or step")
            if len(set(map(str, self.choices))) < len(self.choices):
                raise ValueError(f"choices must differ, got {self.choices}")
            return self
        if self.low is None or self.high is None:
            raise ValueError("needs low and high, or choices")
        if not self.low < self.high or not all(map(math.isfinite, (self.low, self.high))):
            raise ValueError(f"low must be below high, got {self.low:g} and {self.high:g}")
        if self.log and (self.low <= 0 or self.step):
            raise ValueError("log needs low above 0, and no step")
        steps = (self.high - self.low) / (self.step or self.high - self.low)
        if abs(steps - round(steps)) > 1e-9:
            raise ValueError(f"high must be some steps above low, got {self.low:g} to {self.high:g} by {self.step:g}")
        if steps > MOST_VALUES:
            raise ValueError(f"at most {MOST_VALUES} steps, got {steps:g}: take a larger step, or none")
        return self

    def __str__(self) -> str:
        if self.choices:
            return ", ".join(map(str, self.choices))
        low, high = self.ends
        how = " by logarithm" if self.log else f" in steps of {self.step:g}" if self.step else ""
        return f"{low:g} to {high:g}{how}"

    @property
    def ends(self) -> tuple[float, float]:
        """The least and the greatest number of a range."""
        assert self.low is not None, "choices have no ends"
        assert self.high is not None, "choices have no ends"
        return self.low, self.high

    def narrowed(self, interval: Range) -> ParameterSpec:
        """The same range between the ends of a command line; it stays logarithmic where they allow that."""
        log = interval.log or (self.log and interval.low > 0 and interval.step is None)
        return ParameterSpec(low=interval.low, high=interval.high, log=log, step=interval.step, label=self.label)


class StudyFile(BaseModel):
    """The contents of a file of `configs/study/`."""

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


def read(name: str) -> StudyFile:
    """The study file with a name; InputError where it contradicts itself."""
    try:
        file = StudyFile.model_validate(grammar.load("study", name))
    except ValidationError as error:
        first = error.errors()[0]
        value = f"{'.'.join(map(str, first['loc']))}: {first['msg'].removeprefix('Value error, ')}"
        key = key_complaint(error, "a study", StudyFile, {"parameters": ParameterSpec})
        raise InputError(f"{choice_file('study', name)}: {key or value}") from error
    for key in file.parameters:
        check_key(key, f"setting in {choice_file('study', name)}")
    return file


def asked_of(request: SearchRequest) -> StudyFile:
    """The study file that a request names; an empty one where it names none."""
    return read(request.study) if request.study else StudyFile(question="", parameters={})


def space_of(file: StudyFile, request: SearchRequest) -> tuple[dict[str, ParameterSpec], dict[str, Any]]:
    """The parameters of the file with the command line's changes, and the fixed settings."""
    parameters, fixed = dict(file.parameters), dict(file.set)
    for key, values in request.settings.items():
        label = parameters[key].label if key in parameters else ""
        if len(values) == 1:
            parameters.pop(key, None)
            fixed[key] = values[0]
        elif not all(isinstance(value, (bool, int, float, str)) for value in values):
            raise InputError(f"{key}: choices of a search are names or numbers, got {values[0]!r}")
        else:
            fixed.pop(key, None)
            if len(set(map(str, values))) < len(values):
                raise InputError(f"{key}: choices must differ, got {', '.join(map(str, values))}")
            parameters[key] = ParameterSpec(choices=values, label=label)
    for key, interval in request.ranges.items():
        if not interval.low < interval.high or (interval.log and interval.low <= 0):
            above = "0 < low < high" if interval.log else "low < high"
            raise InputError(f"{key} needs an interval with {above}, got {interval.low:g} and {interval.high:g}")
        fixed.pop(key, None)
        parameters[key] = parameters.get(key, ParameterSpec(low=0, high=1)).narrowed(interval)
    for key in parameters:
        if key in FIXED or key.split(".")[0] in FIXED:
            raise InputError(f"{key} is alike for all trials of a search, which it would not compare: give one value")
        fixed.pop(key, None)
    return parameters, fixed
