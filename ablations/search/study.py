"""The request for a search: a file of `configs/study/`, with the command line's changes.

One value fixes a key, several are choices, an interval is a range. A parameter that only another choice has falls away
where a choice is fixed. Selection reads validation data only, and what judges the trials cannot be searched.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from typing import Any

from pydantic import ValidationError

from ablations.grids.footnotes import equal_terms, terms_footnote
from ablations.metrics.registry import SHOWN, facts, names, objectives
from ablations.search.space import FIXED, ParameterSpec, Study, StudyFile
from ablations.settings import grammar
from ablations.settings.cell import AXES, NUMBERS, WORDS, Cell
from ablations.settings.layers import check_key, check_word, choices_first
from ablations.settings.plugins.folders import choice_file
from ablations.settings.registry import all_fields, fields_of, is_whole, key_complaint
from ablations.settings.request import SearchRequest
from ablations.settings.synonyms import no_such
from analysis.errors import InputError, unknown
from analysis.labels import listed
from diffusion_core.named import choice_name
from diffusion_core.variances import Fitted

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
}


def make(request: SearchRequest) -> Study:
    """The study that a request asks for; InputError where its words contradict each other."""
    file = _file_of(request)
    parameters, fixed = _space_of(file, request)
    terms = equal_terms(set(parameters), set(fixed))
    fixed = _judged(file.objective, {**{key: value for key, (value, _) in terms.items()}, **fixed})
    asked = {*request.settings, *request.ranges}
    ordered = [key for part in choices_first(parameters) for key in part]
    parameters = {key: parameters[key] for key in ordered if _possible(key, parameters, fixed, asked=key in asked)}
    if not parameters:
        why = f" (no choice here has {listed(ordered)})" if ordered else ""
        raise InputError(
            f"nothing is searched{why}: give study=NAME, or a range, such as schedule.beta_T='interval(0.005,0.05)'"
        )
    labels = " and ".join(parameter.label or key for key, parameter in parameters.items())
    file = file.model_copy(update={"question": file.question or f"Which values of {labels} are best?"})
    seeds = list(range(request.first_seed, request.first_seed + (request.seeds or file.seeds)))
    notes = terms_footnote(list(terms))
    study = Study(request.title, request.study or "", file, parameters, fixed, seeds, request.trials, notes)
    _check(study)
    return study


def read(name: str) -> StudyFile:
    """The study file with a name; InputError where it contradicts itself."""
    try:
        file = StudyFile.model_validate(grammar.load("study", name))
    except ValidationError as error:
        key = key_complaint(error, "a study", StudyFile, {"parameters": ParameterSpec})
        raise InputError(f"{choice_file('study', name)}: {key or _complaint(error)}") from error
    for key in file.parameters:
        check_key(key, f"setting in {choice_file('study', name)}")
    return file


def _complaint(error: ValidationError) -> str:
    first = error.errors()[0]
    words = [".".join(map(str, first["loc"])), first["msg"].removeprefix("Value error, ")]
    return ": ".join(word for word in words if word)


def _file_of(request: SearchRequest) -> StudyFile:
    """The file of the study with the command line's words; InputError where one is unknown."""
    file = read(request.study) if request.study else StudyFile(question="", parameters={})
    given = {name: getattr(request, name) for name in ("objective", "sampler", "pruner", "startup", "seed", "confirm")}
    file = file.model_copy(update={name: value for name, value in given.items() if value is not None})
    asked: list[tuple[str, str, Iterable[str]]] = [
        ("sampler", file.sampler, SAMPLERS),
        ("pruner", file.pruner, PRUNERS),
    ]
    for name, word, known in [*asked, *(("objective", word, list(objectives())) for word in file.objective)]:
        if word not in set(known):
            raise unknown(f"study.{name}", word, known)
    if len(file.objective) > 2 or len(set(file.objective)) < len(file.objective):
        got = ", ".join(file.objective)
        raise InputError(f"study.objective takes one metric, or two that differ for a Pareto front, got {got}")
    return file


def _space_of(file: StudyFile, request: SearchRequest) -> tuple[dict[str, ParameterSpec], dict[str, Any]]:
    """The parameters of the file with the command line's changes, and the fixed settings. A range stays logarithmic as
    in the file where its ends allow that."""
    one = {key: values[0] for key, values in request.settings.items() if len(values) == 1}
    parameters = {key: spec for key, spec in file.parameters.items() if key not in one}
    given: dict[str, dict[str, Any]] = {key: {"choices": it} for key, it in request.settings.items() if key not in one}
    for key, asked in request.ranges.items():
        log = asked.log or (key in parameters and parameters[key].log and asked.low > 0 and asked.step is None)
        given[key] = {"low": asked.low, "high": asked.high, "log": log, "step": asked.step}
    for key, values in given.items():
        try:
            parameters[key] = ParameterSpec(**values, label=parameters[key].label if key in parameters else "")
        except ValidationError as error:
            raise InputError(f"{key}: {_complaint(error)}") from error
    for key in parameters:
        if key in FIXED or key.split(".")[0] in FIXED:
            raise InputError(f"{key} is alike for all trials of a search, which it would not compare: give one value")
    return parameters, {key: value for key, value in {**file.set, **one}.items() if key not in parameters}


def _judged(objective: list[str], fixed: dict[str, Any]) -> dict[str, Any]:
    """The fixed settings with those that objectives need to be evaluated and shown: samples on validation data, these
    metrics."""
    judging = [name for name in objective if name in names()]
    metrics = fixed.get("evaluation.metrics", [])
    known = [*map(choice_name, SHOWN), *(metrics if isinstance(metrics, list) else judging)]
    more = [name for name in judging if name not in known]
    asked = {"evaluation.metrics": [*metrics, *more]} if more else {}
    return {"evaluation.quality": ["validation", "test"], **fixed, **asked} if judging else fixed


def _possible(key: str, parameters: dict[str, ParameterSpec], fixed: dict[str, Any], *, asked: bool) -> bool:
    """True where some possible choice has such a field. InputError where none ever has, where it was `asked` for in
    vain, or where a choice is unknown."""
    choices = parameters[key].choices
    group, _, field = key.partition(".")
    if not field:
        if not choices and key not in NUMBERS:
            raise InputError(f"{key} takes names, not numbers: give choices")
        for choice in choices:
            if key in AXES:
                grammar.load(key, str(choice))
            elif key in WORDS:
                check_word(key, choice)
        return True
    options = parameters[group].choices if group in parameters else [fixed.get(group, AXES[group])]
    having = {name for option in options for name in fields_of(group, str(option))}
    if field not in all_fields(group):
        raise no_such(f"field of {group}", field, all_fields(group), group=group)
    if asked and field not in having:
        raise unknown(f"field of {' or '.join(f'{group}={option}' for option in options)}", field, having)
    return field in having


def _check(study: Study) -> None:
    """InputError where the objective, the sampler or the pruner needs something that the trials do not have."""
    cell = study.cell(study.default, study.seeds[0])
    if study.file.sampler == "grid":
        study.combinations()
    pruning = () if study.file.pruner == "none" else _against_pruning(study, cell)
    for complaint in (*_against_searching(study, cell), *pruning):
        raise InputError(complaint)


def _against_searching(study: Study, cell: Cell) -> Iterator[str]:
    for key, parameter in study.parameters.items():
        if is_whole(key) and any(number % 1 for number in (*parameter.ends, parameter.step or 1)):
            yield f"{key} takes whole numbers, got the range {parameter}"
    for name in study.file.objective:
        fact = facts()[name]
        if name not in names() and not cell.space.likelihood:
            yield "a vector-quantised code has no likelihood to search by: take study.objective=fid"
        if fact.asked_by and not getattr(cell.evaluation, fact.asked_by):
            yield f"study.objective={name} is measured where evaluation.{fact.asked_by}= asks for it: give it too"
        if name in names() and "validation" not in cell.evaluation.quality:
            yield f"study.objective={name} judges samples on validation data: leave evaluation.quality out"
    if study.file.sampler == "cmaes" and len(study.file.objective) > 1:
        yield "study.sampler=cmaes has one objective: take tpe or gp, or study.objective=nll"
    if study.file.sampler == "cmaes" and find_spec("cmaes") is None:
        yield "study.sampler=cmaes is not installed: pip install cmaes, or take another sampler"


def _against_pruning(study: Study, cell: Cell) -> Iterator[str]:
    pruner, objective, plan, instead = study.file.pruner, study.file.objective, cell.training, "take study.pruner=none"
    if len(objective) > 1:
        yield f"a pruner needs one objective: {instead}, or study.objective=nll"
    if objective != ["nll"]:
        what = f"the bound during training, which says little of {facts()[objective[0]].label}"
        yield f"study.pruner={pruner} reads {what}: {instead}, or study.objective=nll"
    for key in (key for key in ("training.steps", "training.report_every", "horizon") if key in study.parameters):
        yield f"{key} is searched, so trainings cannot be compared on their way: {instead}"
    if isinstance(cell.variance, Fitted) or "variance" in study.parameters or cell.horizon == 0:
        reason = "a variance that is fitted after training" if cell.horizon else "horizon=0"
        yield f"{reason} has no bound during training: {instead}"
    if not study.rungs(cell):
        training = f"a training of {plan.steps} steps that reports every {plan.report_every}"
        yield f"{training} cannot be judged on its way: take a smaller training.report_every, or {instead}"
