"""A study: a space of parameters over fixed settings, and the cell at each of its points; and the study that a request
asks for: a file of `configs/study/`, with the command line's changes.

One value fixes a key, several are choices, an interval is a range. A field belongs to the choices that have it: where
`schedule` is searched, `schedule.beta_1` is a parameter only of trials whose schedule has a β_1, and where a choice is
fixed, parameters that only another one has fall away. What judges the trials cannot be searched.
"""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ablations.grids.grid import equal_terms, terms_footnote
from ablations.metrics.registry import SHOWN, facts, names, objectives
from ablations.settings import grammar
from ablations.settings.budget import rungs
from ablations.settings.cell import AXES, PLAIN, Cell
from ablations.settings.grammar import choice_file, no_such
from ablations.settings.layers import check_key, choices_first
from ablations.settings.making import make_cell
from ablations.settings.registry import all_fields, complaint, fields_of, is_whole
from ablations.settings.request import NOTHING, SearchRequest
from analysis.errors import InputError, unknown
from diffusion_core.refusing import choice_name
from diffusion_core.variances import Fitted

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

    def rounded(self, value: Any) -> Any:
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
    sampler: Literal["tpe", "gp", "random"] = "tpe"
    startup: int = Field(default=10, ge=0)
    seed: int = Field(default=0, ge=0)
    pruner: Literal["none", "median", "halving", "hyperband"] = "none"
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
        return self.cell(self.default, self.seeds[0])

    @property
    def default_is_inside(self) -> bool:
        """True where the default lies in the ranges, so that the search begins with it."""
        pairs = [(self.parameters[key].distribution(key), value) for key, value in self.default.items()]
        with suppress(ValueError):
            return all(drawn._contains(drawn.to_internal_repr(value)) for drawn, value in pairs)
        return False

    def rungs(self, cell: Cell) -> list[int]:
        """The steps at which the training of a trial's first seed is judged on its way."""
        return rungs(cell.training, self.file.rungs) if self.file.pruner != "none" else []


def as_text(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def make(request: SearchRequest) -> Study:
    """The study that a request asks for; InputError where it makes no sense."""
    file, fixed = _requested(request)
    terms = equal_terms(set(file.parameters), set(fixed))
    fixed = _judged(file.objective, {**{key: value for key, (value, _) in terms.items()}, **fixed})
    ordered = [key for part in choices_first(file.parameters) for key in part]
    asked = {*request.settings, *request.ranges}
    parameters = {key: file.parameters[key] for key in ordered if _possible(key, file, fixed, asked=key in asked)}
    if not parameters:
        raise InputError(NOTHING)
    seeds = list(range(request.first_seed, request.first_seed + file.seeds))
    study = Study(request.title, request.study or "", file, parameters, fixed, seeds, terms_footnote(list(terms)))
    _check(study)
    return study


def _requested(request: SearchRequest) -> tuple[StudyFile, dict[str, Any]]:
    """The file of the study with the command line's words, and the fixed settings. A range stays logarithmic as in the
    file where its ends allow that."""
    file = StudyFile(question="", parameters={})
    if request.study:
        file = _valid(grammar.load("study", request.study), f"{choice_file('study', request.study)}: ")
    space = {key: spec.model_dump() for key, spec in file.parameters.items()}
    fixed = {key: values[0] for key, values in request.settings.items() if len(values) == 1}
    several = {key: {"choices": values} for key, values in request.settings.items() if key not in fixed}
    for key, bounds in [*several.items(), *((key, vars(it)) for key, it in request.ranges.items())]:
        before = space.get(key, {})
        log = before.get("log") and bounds.get("low", 0) > 0
        space[key] = bounds | {"label": before.get("label", "")} | ({"log": True} if log else {})
    words = {name: value for name in StudyFile.model_fields if (value := getattr(request, name, None)) is not None}
    searched = {key: spec for key, spec in space.items() if key not in fixed}
    question = file.question or f"Which values of {' and '.join(searched)} are best?"
    asked = _valid({**file.model_dump(), **words, "parameters": searched, "question": question}, "study.")
    return asked, {key: value for key, value in {**file.set, **fixed}.items() if key not in searched}


def _valid(fields: dict[str, Any], place: str) -> StudyFile:
    """The study of these fields; InputError, which begins with their `place`, where one of them is wrong."""
    try:
        file = StudyFile.model_validate(fields)
    except ValidationError as error:
        raise InputError(f"{place}{complaint(error)}") from error
    for key in file.parameters:
        check_key(key, f"setting in {place}parameters")
        if key in FIXED or key.split(".")[0] in FIXED:
            raise InputError(f"{key} is alike for all trials of a search, which it would not compare: give one value")
    for objective in set(file.objective) - set(objectives()):
        raise unknown("study.objective", objective, objectives())
    return file


def _judged(objective: list[str], fixed: dict[str, Any]) -> dict[str, Any]:
    """The fixed settings with those that objectives need to be evaluated and shown: samples on validation data, these
    metrics."""
    scoring, shown = [name for name in objective if name in names()], [*map(choice_name, SHOWN)]
    more = [name for name in scoring if name not in shown]
    asked = {"evaluation.metrics": list(dict.fromkeys([*fixed.get("evaluation.metrics", []), *more]))} if more else {}
    return {"evaluation.quality": ["validation", "test"], **fixed, **asked} if scoring else fixed


def _possible(key: str, file: StudyFile, fixed: dict[str, Any], *, asked: bool) -> bool:
    """True where some choice here has such a field. InputError where none has what was `asked` for, or none ever."""
    group, _, field = key.partition(".")
    if not field:
        return True
    options = file.parameters[group].choices if group in file.parameters else [fixed.get(group, AXES[group])]
    having = {name for option in options for name in fields_of(group, str(option))}
    allowed, what = (having, "/".join(map(str, options))) if asked else (all_fields(group), "any")
    if field not in allowed:
        raise no_such(f"field of {group}={what}", field, allowed)
    return field in having


def _check(study: Study) -> None:
    """InputError where an objective, the sampler or the pruner needs something that these trials do not have."""
    file, cell = study.file, study.default_cell
    for name in file.objective:
        asked, judges = facts()[name].asked_by, name in names()
        if asked and not getattr(cell.evaluation, asked):
            raise InputError(f"study.objective={name} is measured where evaluation.{asked}= asks for it: give it too")
        if judges and "validation" not in cell.evaluation.quality:
            raise InputError(f"study.objective={name} judges samples on validation data: leave evaluation.quality out")
        if not judges and not cell.space.likelihood:
            raise InputError("a vector-quantised code has no likelihood to search by: take study.objective=fid")
    searched = study.parameters.keys() & {"training.steps", "training.report_every", "horizon", "variance"}
    rungs = study.rungs(cell) and file.objective == ["nll"] and not searched and not isinstance(cell.variance, Fitted)
    if file.pruner != "none" and not rungs:
        raise InputError(
            f"study.pruner={file.pruner} compares bounds of trainings on their way: that needs study.objective=nll, "
            "one horizon=, one variance= that is not fitted, one training.steps= with reports on its way; or take none"
        )
