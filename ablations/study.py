"""A study: a space of parameters over what all its trials share, and the cell at each of its points.

A file of `configs/study/` gives it, and the command line adds to it: one value fixes a key, several are choices, an
interval is a range. A field belongs to the choices that have it: where `schedule` is searched, `schedule.beta_1` is a
parameter of those trials only whose schedule has a β_1, and where it is fixed, a parameter of another one is none.

Selection reads validation data only. The yardstick itself cannot be searched.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from ablations.cell import Cell, content_hash
from ablations.choices import classes, field_names, fields_of, is_whole
from ablations.command_line import SearchRequest
from ablations.config import AXES, NUMBERS, WORDS, load
from ablations.grid import equal_terms, terms_footnote
from ablations.making import PLAIN, make_cell
from ablations.study_file import OBJECTIVES, PRUNERS, SAMPLERS, Parameter, StudyFile, read
from analysis.errors import InputError, unknown
from diffusion_core.variances import Fitted

Params = dict[str, Any]
"""A value per parameter that applies."""

DIGITS = 4
"""Significant digits of a number that is tried: a finer one would be no other choice, and hard to read."""
FEWEST_SEEDS = 5
"""Of four values the least p of a signed-rank test is 1/16; it is 1/8 of three, and none below the pruner's 0.1."""
NEAR_ONE = 0.9
"""Above it, up to 1, the distance from 1 has so many digits: a decay of 0.9996 is another than one of 0.9995."""
FIXED = ("data", "evaluation", "threads", "budget", "training.precision")
"""Groups and keys that are alike for all trials of a search: what they are judged on, and by."""


@dataclass(frozen=True)
class Study:
    """What is searched: `parameters` in order, choices before fields, over `fixed` settings."""

    name: str
    asked: str
    file: StudyFile
    parameters: dict[str, Parameter]
    fixed: dict[str, Any]
    seeds: list[int]
    trials: int | None
    hours: float | None
    footnotes: list[str]

    def applies(self, key: str, params: Params) -> bool:
        """Whether a key is a parameter of a trial with these choices."""
        group, _, field = key.partition(".")
        return not field or group not in self.parameters or field in fields_of(group, str(params[group]))

    def when(self, key: str) -> dict[str, list[str]]:
        """The choices that a parameter depends on, if any: {"schedule": ["cosine", "sigmoid"]}."""
        group, _, field = key.partition(".")
        if not field or group not in self.parameters:
            return {}
        names = [str(choice) for choice in self.parameters[group].choices]
        having = [name for name in names if field in fields_of(group, name)]
        return {} if having == names else {group: having}

    def cell(self, params: Params, seed: int) -> Cell:
        """The cell of a point; InputError where its values make none."""
        shared = {key: value for key, value in self.fixed.items() if self.applies(key, {**self.fixed, **params})}
        parts = [
            {k: v for k, v in part.items() if ("." in k) == dotted}
            for dotted in (False, True)
            for part in (shared, params)
        ]
        return make_cell(parts, seed)

    @property
    def default(self) -> Params:
        """The paper's default: of each parameter that applies, the value that it has where nothing is searched."""
        given: Params = {key: {**AXES, **PLAIN}[key] for key in self.parameters if "." not in key}
        cell = self.cell(given, self.seeds[0])
        for key in self.parameters:
            group, _, field = key.partition(".")
            if field and field in fields_of(group, str(given.get(group, self.fixed.get(group, AXES[group])))):
                given[key] = getattr(getattr(cell, group), field)
        return given

    @property
    def default_is_inside(self) -> bool:
        """Whether the paper's default lies in the ranges, so that the search begins with it."""
        return all(holds(self.parameters[key], value) for key, value in self.default.items())

    @property
    def limit(self) -> int | None:
        """How many trials there are to be; None where hours decide."""
        if self.file.sampler != "grid":
            return self.trials
        every = math.prod(map(len, self.combinations().values()))
        return min(every, self.trials or every)

    def combinations(self) -> dict[str, list[Any]]:
        """The values of each parameter that the sampler `grid` combines; InputError where it has no list of them."""
        values: dict[str, list[Any]] = {}
        for name, parameter in self.parameters.items():
            if self.when(name):
                raise InputError(
                    f"study.sampler=grid cannot search {name}, which only some trials have: take another sampler"
                )
            step = parameter.step or (1 if whole(name, parameter) and not parameter.log else None)
            if not parameter.choices and step is None:
                raise InputError(f"study.sampler=grid needs choices or steps of {name}: give {name}=A,B,C")
            values[name] = list(parameter.choices) or stepped(*parameter.ends, step or 1)
        return values

    @property
    def prunes(self) -> bool:
        """Whether trainings are watched on their way, and may be ended."""
        return self.file.pruner not in ("none", "wilcoxon")

    def rungs(self, cell: Cell) -> list[int]:
        """The steps at which a training is watched: halves, quarters, eighths …, at its reports, once it is warm."""
        plan = cell.training
        reports = [round(plan.steps / 2**k / plan.report_every) for k in range(1, self.file.rungs + 1)]
        marks = sorted({max(1, count) * plan.report_every for count in reports} & set(range(plan.steps)))
        return [mark for mark in marks if mark >= plan.warmup] or marks[-1:]

    def identity(self, cell_id: str) -> str:
        """A name for what is searched and how; `cell_id` is the default cell's. The budget is no part of it."""
        how = ("objective", "sampler", "startup", "seed", "pruner", "rungs")
        content = {name: value for name, value in self.file.model_dump().items() if name in how}
        space = {key: parameter.model_dump(exclude={"label"}) for key, parameter in self.parameters.items()}
        fixed = {key: value for key, value in self.fixed.items() if key.split(".")[0] not in FIXED}
        content |= {"space": space, "fixed": fixed, "cell": cell_id, "seeds": self.seeds}
        names = [(key, str(choice)) for key, parameter in self.parameters.items() for choice in parameter.choices]
        found = {name: load(key, name) for key, name in names if key in AXES and name.startswith("found/")}
        return content_hash(content | ({"found": found} if found else {}))


def stepped(low: float, high: float, step: float) -> list[float]:
    """From low to high."""
    return [low + i * step for i in range(round((high - low) / step) + 1)]


def tried(parameter: Parameter, value: Any) -> Any:
    """A value that was drawn, as it is tried: what a range draws is rounded, near 1 by its distance from there."""
    if parameter.choices or not isinstance(value, float):
        return value
    low, high = parameter.ends
    near_one = NEAR_ONE < value < 1
    rounded = 1 - float(f"{1 - value:.{DIGITS}g}") if near_one else float(f"{value:.{DIGITS}g}")
    return min(max(float(f"{rounded:.12g}"), low), high)


def holds(parameter: Parameter, value: Any) -> bool:
    """Whether a value could be drawn."""
    if parameter.choices:
        return any(
            choice == value and isinstance(choice, bool) == isinstance(value, bool) for choice in parameter.choices
        )
    low, high = parameter.ends
    inside = isinstance(value, (int, float)) and low <= value <= high
    steps = (value - low) / parameter.step if inside and parameter.step else 0.0
    return inside and abs(steps - round(steps)) < 1e-9


def make(request: SearchRequest) -> Study:
    """The study that a request asks for; InputError where its words have no meaning together."""
    file = read(request.study) if request.study else StudyFile(question="", parameters={})
    changed = {
        name: getattr(request, name) for name in ("objective", "sampler", "pruner", "startup", "seed", "confirm")
    }
    file = file.model_copy(update={name: value for name, value in changed.items() if value is not None})
    for name, words in {"sampler": SAMPLERS, "pruner": PRUNERS, "objective": OBJECTIVES}.items():
        for value in _listed(getattr(file, name)):
            if value not in words:
                raise unknown(f"study.{name}", value, words)
    _check_objective(file.objective)
    parameters, fixed = _space(file, request)
    terms = equal_terms(set(parameters), set(fixed))
    fixed = {**{key: value for key, (value, _) in terms.items()}, **fixed}
    if "fid" in file.objective:
        fixed = {"evaluation.quality": ["validation", "test"], **fixed}
    given = {*request.settings, *request.ranges}
    parameters = {
        key: parameters[key] for key in _in_order(parameters) if _possible(key, parameters, fixed, asked=key in given)
    }
    if not parameters:
        raise InputError(
            "nothing is searched: give study=NAME, or a range, such as schedule.beta_T='interval(0.005,0.05)'"
        )
    seeds = request.seeds or file.seeds
    study = Study(
        request.name or f"search-{request.study or 'custom'}",
        request.study or "",
        file.model_copy(update={"question": file.question or f"Which values of {_named(parameters)} are best?"}),
        parameters,
        fixed,
        list(range(request.first_seed, request.first_seed + seeds)),
        request.trials or (None if request.hours or file.sampler == "grid" else file.trials),
        request.hours,
        terms_footnote(list(terms)),
    )
    _check(study)
    return study


def _listed(value: Any) -> list[str]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _check_objective(objective: list[Any]) -> None:
    if len(set(objective)) < len(objective):
        raise InputError(f"study.objective names {objective[0]} twice: give nll, fid, or nll,fid")


def _space(file: StudyFile, request: SearchRequest) -> tuple[dict[str, Parameter], dict[str, Any]]:
    """The parameters of the file as the command line changes them, and what is fixed."""
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
            parameters[key] = Parameter(choices=values, label=label)
    for key, given in request.ranges.items():
        if not given.low < given.high or (given.log and given.low <= 0):
            above = "0 < low < high" if given.log else "low < high"
            raise InputError(f"{key} needs an interval with {above}, got {given.low:g} and {given.high:g}")
        fixed.pop(key, None)
        parameters[key] = parameters.get(key, Parameter(low=0, high=1)).narrowed(given)
    for key in parameters:
        if key in FIXED or key.split(".")[0] in FIXED:
            raise InputError(f"{key} is alike for all trials of a search, which it would not compare: give one value")
        fixed.pop(key, None)
    return parameters, fixed


def _in_order(parameters: dict[str, Parameter]) -> list[str]:
    """Choices before the fields that depend on them."""
    return sorted(parameters, key=lambda key: "." in key)


def _possible(key: str, parameters: dict[str, Parameter], fixed: dict[str, Any], *, asked: bool) -> bool:
    """Whether some choice that may come has such a field.

    InputError where none ever has, where it was `asked` for in vain, or where a choice is unknown.
    """
    parameter = parameters[key]
    group, _, field = key.partition(".")
    if not field:
        if not parameter.choices and key not in NUMBERS:
            raise InputError(f"{key} takes names, not numbers: give choices")
        if key in AXES:
            for choice in parameter.choices:
                load(key, str(choice))
        elif key in WORDS and not set(map(str, parameter.choices)) <= set(WORDS[key]):
            raise unknown(key, ", ".join(map(str, parameter.choices)), WORDS[key])
        return True
    options = parameters[group].choices if group in parameters else [fixed.get(group, AXES[group])]
    if any(field in fields_of(group, str(option)) for option in options):
        return True
    everywhere = {name for cls in classes(group).values() for name in field_names(cls)}
    if field not in everywhere:
        raise unknown(f"field of {group}", field, everywhere)
    if asked:
        chosen = " or ".join(f"{group}={option}" for option in options)
        raise unknown(
            f"field of {chosen}", field, {name for option in options for name in fields_of(group, str(option))}
        )
    return False


def _named(parameters: dict[str, Parameter]) -> str:
    return " and ".join(parameter.label or key for key, parameter in parameters.items())


def whole(key: str, parameter: Parameter) -> bool:
    """Whether a range is of whole numbers."""
    return not parameter.choices and is_whole(key)


def _check(study: Study) -> None:
    """InputError where the objective or the pruner asks for what the trials have not."""
    cell = study.cell(study.default, study.seeds[0])
    file = study.file
    for key, parameter in study.parameters.items():
        ends = [end for end in (parameter.low, parameter.high) if end is not None]
        numbers = [*ends, parameter.step or 1]
        if whole(key, parameter) and not all(number == int(number) for number in numbers):
            raise InputError(f"{key} takes whole numbers, got the range {parameter}")
    if "nll" in file.objective and not cell.space.likelihood:
        raise InputError("a vector-quantised code has no likelihood to search by: take study.objective=fid")
    if "fid" in file.objective and "validation" not in cell.evaluation.quality:
        raise InputError("study.objective=fid judges samples on validation data: leave evaluation.quality out")
    if file.sampler == "grid":
        study.combinations()
    if file.sampler == "cmaes" and len(file.objective) > 1:
        raise InputError("study.sampler=cmaes has one objective: take tpe or gp, or study.objective=nll")
    if file.sampler == "cmaes" and find_spec("cmaes") is None:
        raise InputError("study.sampler=cmaes is not installed: pip install cmaes, or take another sampler")
    if file.pruner == "none":
        return
    if len(file.objective) > 1:
        raise InputError("a pruner needs one objective: take study.pruner=none, or study.objective=nll")
    if file.pruner == "wilcoxon":
        if len(study.seeds) < FEWEST_SEEDS:
            raise InputError(
                f"study.pruner=wilcoxon compares seeds, and fewer than {FEWEST_SEEDS} tell nothing in time: give "
                f"seeds={FEWEST_SEEDS} or more, got {len(study.seeds)}"
            )
        return
    if file.objective != ["nll"]:
        raise InputError(
            f"study.pruner={file.pruner} reads the bound during training, which says little of FID: take "
            "study.pruner=none, or study.objective=nll"
        )
    searched = [key for key in ("training.steps", "training.report_every", "horizon") if key in study.parameters]
    if searched:
        raise InputError(f"{searched[0]} is searched, so trainings cannot be compared on their way: study.pruner=none")
    if isinstance(cell.variance, Fitted) or "variance" in study.parameters or cell.horizon == 0:
        given = "horizon=0" if cell.horizon == 0 else "a variance that is fitted after training"
        raise InputError(f"{given} has no bound during training: take study.pruner=none")
    if not study.rungs(cell):
        raise InputError(
            f"a training of {cell.training.steps} steps that reports every {cell.training.report_every} cannot be "
            "watched on its way: take a smaller training.report_every, or study.pruner=none"
        )
