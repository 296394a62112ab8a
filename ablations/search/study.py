"""The request for a search: a file of `configs/study/`, with the command line's changes.

One value fixes a key, several are choices, an interval is a range. A parameter that only another choice has falls away
where a choice is fixed. Selection reads validation data only, and what judges the trials cannot be searched.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from ablations.grids.footnotes import equal_terms, terms_footnote
from ablations.metrics.registry import SHOWN, facts, names, objectives
from ablations.search.file import PRUNERS, SAMPLERS, ParameterSpec, asked_of, space_of
from ablations.search.space import Study, whole
from ablations.settings.cell import AXES, NUMBERS, WORDS, Cell
from ablations.settings.grammar import load
from ablations.settings.layers import check_word, choices_first
from ablations.settings.registry import all_fields, fields_of
from ablations.settings.request import SearchRequest
from ablations.settings.synonyms import no_such
from analysis.errors import InputError, unknown
from analysis.labels import listed
from diffusion_core.named import choice_name
from diffusion_core.variances import Fitted

MOST_OBJECTIVES = 2
FEWEST_SEEDS = 5
"""The fewest seeds for a pruner by a signed-rank test: after four values its least p is 1/16, which can spare the
fifth; after three it is 1/8, never below the pruner's 0.1."""


def make(request: SearchRequest) -> Study:
    """The study that a request asks for; InputError where its words contradict each other."""
    file = asked_of(request)
    changed = {
        name: getattr(request, name) for name in ("objective", "sampler", "pruner", "startup", "seed", "confirm")
    }
    file = file.model_copy(update={name: value for name, value in changed.items() if value is not None})
    for name, words in {"sampler": SAMPLERS, "pruner": PRUNERS}.items():
        if getattr(file, name) not in words:
            raise unknown(f"study.{name}", getattr(file, name), words)
    _check_objective(file.objective)
    parameters, fixed = space_of(file, request)
    terms = equal_terms(set(parameters), set(fixed))
    fixed = {**{key: value for key, (value, _) in terms.items()}, **fixed}
    if fixed.get("evaluation.sets") == "auto":
        raise InputError(
            "evaluation.sets=auto goes by the comparisons of a grid, and a search has none: give it a number of sets"
        )
    fixed = _judged(file.objective, fixed)
    asked_keys = {*request.settings, *request.ranges}
    ordered = [key for part in choices_first(parameters) for key in part]
    parameters = {key: parameters[key] for key in ordered if _possible(key, parameters, fixed, asked=key in asked_keys)}
    if not parameters:
        why = f" (no choice here has {listed(ordered)})" if ordered else ""
        raise InputError(
            f"nothing is searched{why}: give study=NAME, or a range, such as schedule.beta_T='interval(0.005,0.05)'"
        )
    seeds = request.seeds or file.seeds
    study = Study(
        request.title,
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


def _check_objective(objective: list[str]) -> None:
    for name in objective:
        if name not in objectives():
            raise unknown("study.objective", name, objectives())
        if objective.count(name) > 1:
            raise InputError(f"study.objective names {name} twice: give nll, fid, or nll,fid")
    if len(objective) > MOST_OBJECTIVES:
        raise InputError(
            f"study.objective takes one metric, or two for a Pareto front, got {len(objective)}: {', '.join(objective)}"
        )


def _of_samples(objective: list[str]) -> list[str]:
    """The objectives that judge samples."""
    return [name for name in objective if name in names()]


def _judged(objective: list[str], fixed: dict[str, Any]) -> dict[str, Any]:
    """The fixed settings with those that objectives need to be evaluated and shown: samples on validation data, these
    metrics."""
    judging = _of_samples(objective)
    if not judging:
        return fixed
    shown = [choice_name(metric) for metric in SHOWN]
    metrics = fixed.get("evaluation.metrics", [])
    more = [name for name in judging if name not in shown and name not in metrics]
    asked = {"evaluation.metrics": [*metrics, *more]} if more and isinstance(metrics, list) else {}
    return {"evaluation.quality": ["validation", "test"], **fixed, **asked}


def _possible(key: str, parameters: dict[str, ParameterSpec], fixed: dict[str, Any], *, asked: bool) -> bool:
    """True where some possible choice has such a field. InputError where none ever has, where it was `asked` for in
    vain, or where a choice is unknown."""
    parameter = parameters[key]
    group, _, field = key.partition(".")
    if not field:
        if not parameter.choices and key not in NUMBERS:
            raise InputError(f"{key} takes names, not numbers: give choices")
        if key in AXES:
            for choice in parameter.choices:
                load(key, str(choice))
        for word in parameter.choices if key in WORDS else ():
            check_word(key, word)
        return True
    options = parameters[group].choices if group in parameters else [fixed.get(group, AXES[group])]
    if any(field in fields_of(group, str(option)) for option in options):
        return True
    if field not in all_fields(group):
        raise no_such(f"field of {group}", field, all_fields(group), group=group)
    if asked:
        chosen = " or ".join(f"{group}={option}" for option in options)
        raise unknown(
            f"field of {chosen}", field, {name for option in options for name in fields_of(group, str(option))}
        )
    return False


def _named(parameters: dict[str, ParameterSpec]) -> str:
    return " and ".join(parameter.label or key for key, parameter in parameters.items())


def _check_evaluated(objective: list[str], cell: Cell) -> None:
    """InputError where a cell's evaluation does not measure these objectives on validation data."""
    for name in objective:
        fact = facts()[name]
        if name not in names() and not cell.space.likelihood:
            raise InputError("a vector-quantised code has no likelihood to search by: take study.objective=fid")
        if fact.asked_by and not getattr(cell.evaluation, fact.asked_by):
            raise InputError(
                f"study.objective={name} is measured where evaluation.{fact.asked_by}= asks for it: give it too"
            )
    for name in _of_samples(objective):
        if "validation" not in cell.evaluation.quality:
            raise InputError(f"study.objective={name} judges samples on validation data: leave evaluation.quality out")


def _check(study: Study) -> None:
    """InputError where the objective or the pruner needs something that the trials do not have."""
    cell = study.cell(study.default, study.seeds[0])
    file = study.file
    for key, parameter in study.parameters.items():
        ends = [end for end in (parameter.low, parameter.high) if end is not None]
        numbers = [*ends, parameter.step or 1]
        if whole(key, parameter) and not all(number == int(number) for number in numbers):
            raise InputError(f"{key} takes whole numbers, got the range {parameter}")
    _check_evaluated(file.objective, cell)
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
            f"study.pruner={file.pruner} reads the bound during training, which says little of "
            f"{facts()[file.objective[0]].label}: take "
            "study.pruner=none, or study.objective=nll"
        )
    searched = [key for key in ("training.steps", "training.report_every", "horizon") if key in study.parameters]
    if searched:
        raise InputError(f"{searched[0]} is searched, so trainings cannot be compared on their way: study.pruner=none")
    if isinstance(cell.variance, Fitted) or "variance" in study.parameters or cell.horizon == 0:
        reason = "horizon=0" if cell.horizon == 0 else "a variance that is fitted after training"
        raise InputError(f"{reason} has no bound during training: take study.pruner=none")
    if not study.rungs(cell):
        raise InputError(
            f"a training of {cell.training.steps} steps that reports every {cell.training.report_every} cannot be "
            "judged on its way: take a smaller training.report_every, or study.pruner=none"
        )
