"""The request for a search: a file of `configs/study/`, with the command line's changes; its plan, once it is known
where trials run.

One value fixes a key, several are choices, an interval is a range. A parameter that only another choice has falls away
where a choice is fixed. What judges the trials cannot be searched.
"""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from ablations.grids.grid import equal_terms, terms_footnote
from ablations.metrics.registry import SHOWN, facts, names, objectives
from ablations.search.space import FIXED, ParameterSpec, Study, StudyFile
from ablations.settings import grammar
from ablations.settings.cell import AXES
from ablations.settings.grammar import choice_file, no_such
from ablations.settings.layers import check_key, choices_first
from ablations.settings.registry import all_fields, fields_of, in_words
from ablations.settings.request import SearchRequest
from analysis.errors import InputError, unknown
from diffusion_core.refusing import choice_name
from diffusion_core.variances import Fitted


def make(request: SearchRequest) -> Study:
    """The study that a request asks for; InputError where it makes no sense."""
    file, fixed = _asked(request)
    terms = equal_terms(set(file.parameters), set(fixed))
    fixed = _judged(file.objective, {**{key: value for key, (value, _) in terms.items()}, **fixed})
    ordered = [key for part in choices_first(file.parameters) for key in part]
    asked = {*request.settings, *request.ranges}
    parameters = {key: file.parameters[key] for key in ordered if _possible(key, file, fixed, asked=key in asked)}
    if not parameters:
        raise InputError("nothing is searched: give study=NAME, or a range, schedule.beta_T='interval(0.005,0.05)'")
    seeds = list(range(request.first_seed, request.first_seed + file.seeds))
    study = Study(request.title, request.study or "", file, parameters, fixed, seeds, terms_footnote(list(terms)))
    _check(study)
    return study


def _asked(request: SearchRequest) -> tuple[StudyFile, dict[str, Any]]:
    """The file of the study with the command line's words, and the fixed settings. A range stays logarithmic as in the
    file where its ends allow that."""
    file = StudyFile(question="", parameters={})
    if request.study:
        file = _valid(grammar.load("study", request.study), f"{choice_file('study', request.study)}: ")
    space = {key: spec.model_dump() for key, spec in file.parameters.items()}
    one = {key: values[0] for key, values in request.settings.items() if len(values) == 1}
    several = {key: {"choices": values} for key, values in request.settings.items() if key not in one}
    for key, given in [*several.items(), *((key, vars(it)) for key, it in request.ranges.items())]:
        before = space.get(key, {})
        log = before.get("log") and given.get("low", 0) > 0
        space[key] = given | {"label": before.get("label", "")} | ({"log": True} if log else {})
    words = {name: value for name in StudyFile.model_fields if (value := getattr(request, name, None)) is not None}
    searched = {key: spec for key, spec in space.items() if key not in one}
    question = file.question or f"Which values of {' and '.join(searched)} are best?"
    asked = _valid({**file.model_dump(), **words, "parameters": searched, "question": question}, "study.")
    return asked, {key: value for key, value in {**file.set, **one}.items() if key not in searched}


def _valid(fields: dict[str, Any], place: str) -> StudyFile:
    """The study of these fields; InputError, which begins with their `place`, where one of them is wrong."""
    try:
        file = StudyFile.model_validate(fields)
    except ValidationError as error:
        raise InputError(f"{place}{in_words(error, 'a study', StudyFile, {'parameters': ParameterSpec})}") from error
    for key in file.parameters:
        check_key(key, f"setting in {place}parameters")
        if key in FIXED or key.split(".")[0] in FIXED:
            raise InputError(f"{key} is alike for all trials of a search, which it would not compare: give one value")
    for objective in set(file.objective) - set(objectives()):
        raise unknown("study.objective", objective, objectives(), ["nll"] if objective == "loss" else [])
    return file


def _judged(objective: list[str], fixed: dict[str, Any]) -> dict[str, Any]:
    """The fixed settings with those that objectives need to be evaluated and shown: samples on validation data, these
    metrics."""
    judging, shown = [name for name in objective if name in names()], [*map(choice_name, SHOWN)]
    more = [name for name in judging if name not in shown]
    asked = {"evaluation.metrics": list(dict.fromkeys([*fixed.get("evaluation.metrics", []), *more]))} if more else {}
    return {"evaluation.quality": ["validation", "test"], **fixed, **asked} if judging else fixed


def _possible(key: str, file: StudyFile, fixed: dict[str, Any], *, asked: bool) -> bool:
    """True where some choice here has such a field. InputError where none has what was `asked` for, or none ever."""
    group, _, field = key.partition(".")
    if not field:
        return True
    options = file.parameters[group].choices if group in file.parameters else [fixed.get(group, AXES[group])]
    having = {name for option in options for name in fields_of(group, str(option))}
    known, what = (having, "/".join(map(str, options))) if asked else (all_fields(group), "any")
    if field not in known:
        raise no_such(f"field of {group}={what}", field, known)
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
