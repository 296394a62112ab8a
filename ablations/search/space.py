"""A study: a space of parameters over fixed settings, and the cell at each of its points.

A field belongs to the choices that have it: where `schedule` is searched, `schedule.beta_1` is a parameter only of
trials whose schedule has a β_1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ablations.metrics.registry import facts
from ablations.search.file import FIXED, ParameterSpec, StudyFile
from ablations.settings.budget import rungs
from ablations.settings.cell import AXES, PLAIN, Cell
from ablations.settings.grammar import load
from ablations.settings.identity import content_hash
from ablations.settings.layers import choices_first
from ablations.settings.making import make_cell
from ablations.settings.registry import fields_of, is_whole
from analysis.errors import InputError

Params = dict[str, Any]
"""A value per parameter that applies."""

DIGITS = 4
"""Significant digits of a number that is tried: more would make no real difference, and be hard to read."""
NEAR_ONE = 0.9
"""Above this, up to 1, the distance from 1 has so many digits: a decay of 0.9996 differs from one of 0.9995."""


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
    hours: float | None
    footnotes: list[str]

    def applies(self, key: str, params: Params) -> bool:
        """True where a key is a parameter of a trial with these choices."""
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

    def changed(self, values: Params) -> Params:
        """The default with other values of some parameters, without those that do not apply beside them."""
        numbers = {name: int(value) if whole(name, self.parameters[name]) else value for name, value in values.items()}
        params = {**self.default, **numbers}
        return {name: value for name, value in params.items() if self.applies(name, params)}

    @property
    def default_is_inside(self) -> bool:
        """True where the default lies in the ranges, so that the search begins with it."""
        return all(holds(self.parameters[key], value) for key, value in self.default.items())

    @property
    def limit(self) -> int | None:
        """The number of trials; None where hours decide."""
        if self.file.sampler != "grid":
            return self.trials
        every = math.prod(map(len, self.combinations().values()))
        return min(every, self.trials or every)

    def combinations(self) -> dict[str, list[Any]]:
        """The values of each parameter that the sampler `grid` combines; InputError where a parameter has no list of
        values."""
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
        """True where trainings are judged on their way, and may be ended early."""
        return self.file.pruner not in ("none", "wilcoxon")

    def rungs(self, cell: Cell) -> list[int]:
        """The steps at which a training is judged on its way."""
        return rungs(cell.training, self.file.rungs)

    def identity(self, cell_id: str) -> str:
        """A name for what is searched and how; `cell_id` is the default cell's. The budget is not part of it."""
        how = ("objective", "sampler", "startup", "seed", "pruner", "rungs")
        content = {name: value for name, value in self.file.model_dump().items() if name in how}
        space = {key: parameter.model_dump(exclude={"label"}) for key, parameter in self.parameters.items()}
        fixed = {key: value for key, value in self.fixed.items() if key.split(".")[0] not in FIXED}
        content |= {"space": space, "fixed": fixed, "cell": cell_id, "seeds": self.seeds}
        # An author may turn the direction of a metric of his own: what was told before would be read the wrong way.
        upwards = [name for name in self.file.objective if facts()[name].direction == "max"]
        content |= {"upwards": upwards} if upwards else {}
        names = [(key, str(choice)) for key, parameter in self.parameters.items() for choice in parameter.choices]
        saved = {name: load(key, name) for key, name in names if key in AXES and name.startswith("saved/")}
        return content_hash(content | ({"saved": saved} if saved else {}))


def stepped(low: float, high: float, step: float) -> list[float]:
    """Numbers from low to high, a step apart."""
    return [low + i * step for i in range(round((high - low) / step) + 1)]


def tried(parameter: ParameterSpec, value: Any) -> Any:
    """A drawn value in the form in which it is tried: numbers from ranges are rounded, near 1 by their distance from
    it."""
    if parameter.choices or not isinstance(value, float):
        return value
    low, high = parameter.ends
    near_one = NEAR_ONE < value < 1
    rounded = 1 - float(f"{1 - value:.{DIGITS}g}") if near_one else float(f"{value:.{DIGITS}g}")
    return min(max(float(f"{rounded:.12g}"), low), high)


def holds(parameter: ParameterSpec, value: Any) -> bool:
    """True where a value could be drawn."""
    if parameter.choices:
        return any(
            choice == value and isinstance(choice, bool) == isinstance(value, bool) for choice in parameter.choices
        )
    low, high = parameter.ends
    inside = isinstance(value, (int, float)) and low <= value <= high
    steps = (value - low) / parameter.step if inside and parameter.step else 0.0
    return inside and abs(steps - round(steps)) < 1e-9


def whole(key: str, parameter: ParameterSpec) -> bool:
    """True where a range has whole numbers only."""
    return not parameter.choices and is_whole(key)


def said(value: Any) -> str:
    """A value as text."""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
