"""answers.json: what was found of a grid as data for other programs; `docs/answers.md` explains every key.

    Answers ─▶ AnswersFile ─▶ results/<grid>/answers.json ─▶ AnswersFile

The entries of the file are read off the findings by pydantic. A grid that was not run in rounds has no key `round`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError, field_validator

from analysis.errors import InputError
from analysis.exports.judged import (
    AnsweredAverage,
    AnsweredClaim,
    AnsweredComparison,
    AnsweredCourse,
    AnsweredEffect,
    AnsweredFront,
    AnsweredHeadline,
    AnsweredOptimism,
    AnsweredRow,
    AnsweredWeight,
)
from analysis.exports.measured import (
    AnsweredAxis,
    AnsweredCell,
    AnsweredCost,
    AnsweredEstimate,
    AnsweredMetric,
    AnsweredReference,
    AnsweredRound,
    AnsweredRung,
    Entry,
    Measure,
    Place,
)
from analysis.files import write_json
from analysis.findings.answers import Answers
from analysis.findings.costs import Cost
from analysis.findings.declared import Declared
from analysis.findings.summary import known_values
from analysis.words.cells import noted, shortfalls
from analysis.words.claims import claim_sentence
from analysis.words.rounds import banner
from analysis.words.search import optimism_sentence
from analysis.words.verdicts import comparison_sentence, headline

FILE = "answers.json"
VERSION = 3


class AnswersFile(Entry):
    """All of answers.json."""

    version: int
    """The version of this schema, 3. It is raised when a key is renamed, goes, or means something else; a key that is
    added leaves it."""
    grid: str
    """The grid's name."""
    question: str
    """The question that it was run for."""
    data: str
    """The data set."""
    seeds: tuple[int, ...]
    """The seeds that cells were run at; with `seeds=auto` a cell has the first so many of them."""
    continued: bool
    """True where other seeds were asked for after results were there, so that no verdict is a confirmation."""
    axes: tuple[AnsweredAxis, ...]
    """The axes that the grid varies."""
    metrics: tuple[AnsweredMetric, ...]
    """The metrics that were measured."""
    cells: tuple[AnsweredCell, ...]
    """The cells."""
    baseline: Place | None
    """The cell that others are compared with where not each is compared with each; null where it did not finish."""
    headlines: tuple[AnsweredHeadline, ...]
    """The answers."""
    estimates: tuple[AnsweredEstimate, ...]
    """Every metric of every cell."""
    references: tuple[AnsweredReference, ...]
    """Values known beforehand."""
    comparisons: tuple[AnsweredComparison, ...]
    """Cells compared in pairs."""
    claims: tuple[AnsweredClaim, ...]
    """Papers' claims."""
    effects: tuple[AnsweredEffect, ...]
    """The axes that matter."""
    averages: tuple[AnsweredAverage, ...]
    """Levels averaged over the other axes."""
    costs: tuple[AnsweredCost, ...]
    """The costs of the cells."""
    fronts: tuple[AnsweredFront, ...]
    """The cells that no cheaper one is known to be better than."""
    weights: tuple[AnsweredWeight, ...]
    """The weight of each t, where it differs too."""
    optimism: tuple[AnsweredOptimism, ...]
    """The best values of a search, and the same cells at fresh seeds."""
    rungs: tuple[AnsweredRung, ...] = ()
    """Trainings on their way."""
    courses: tuple[AnsweredCourse, ...] = ()
    """Comparisons on the way."""
    rows: tuple[AnsweredRow, ...] = ()
    """The answers within each row, where declared comparisons are within rows; else empty."""
    round: AnsweredRound | None = None
    """The round of its command that the file is of; absent where nothing was done in rounds."""

    @field_validator("version")
    @classmethod
    def _of_this_version(cls, version: int) -> int:
        if version != VERSION:
            raise ValueError(f"version is {version}, and this code reads {VERSION}")
        return version


class _Entry:
    """A finding with further attributes, as an entry of the file needs them."""

    def __init__(self, finding: object, **more: Any) -> None:
        self.__dict__.update(more, _finding=finding)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._finding, name)


def answers_file(answers: Answers) -> AnswersFile:
    """The content of answers.json of a grid."""
    places = {id(cell): i for i, cell in enumerate(answers.cells)}
    meta, of_metrics = answers.meta, answers.findings
    content = {
        "version": VERSION,
        "grid": meta.name,
        "question": meta.question,
        "data": meta.data,
        "seeds": meta.seeds,
        "continued": meta.continued,
        "axes": answers.axes,
        "metrics": answers.metrics,
        "cells": list(_cells(answers)),
        "baseline": answers.baseline,
        "headlines": [_Entry(answer, sentence=headline(answer)) for answer in of_metrics],
        "rows": list(_rows(answers, places)),
        "estimates": list(_estimates(answers)),
        "references": [
            {"metric": metric.name, "label": label, "value": value}
            for metric in answers.metrics
            for label, value in known_values(meta, metric).items()
        ],
        "comparisons": list(_comparisons(answers)),
        "claims": list(_claims(answers)),
        "effects": list(_effects(answers)),
        "averages": [_Entry(entry, metric=of.metric.name) for of in answers.effects for entry in of.averages],
        "costs": list(_costs(answers)),
        "fronts": list(_fronts(answers)),
        "weights": [_Entry(difference, axis=axis) for axis, difference in answers.weight_check.differences.items()],
        "optimism": [
            _Entry(entry, n=len(entry.fresh.values), sentence=optimism_sentence(entry))
            for entry in answers.optimism or ()
        ],
        "rungs": list(_rungs(answers)),
        "courses": list(_courses(answers)),
        "round": _round(answers),
    }
    return AnswersFile.model_validate(content, context={"places": places})


def _round(answers: Answers) -> _Entry | None:
    now, basis = answers.meta.round, answers.grid.basis
    if now is None or basis is None:
        return None
    return _Entry(now, planned_seeds=basis.planned, steps=basis.steps, sentence=banner(answers.grid))


def _cells(answers: Answers) -> Iterator[_Entry]:
    words = zip(answers.cells, shortfalls(answers.cells), noted(answers.cells), strict=True)
    for cell, shortfall, notes in words:
        ended = {str(status): int(n) for status, n in cell.runs["status"].value_counts(sort=False).items()}
        yield _Entry(
            cell,
            levels=cell.levels_of(answers.axes),
            runs=dict(sorted(ended.items())),
            shortfall=shortfall,
            notes=notes,
        )


def _rows(answers: Answers, places: Mapping[int, int]) -> Iterator[_Entry]:
    for answer in answers.findings:
        for row in answer.rows:
            findings = row.answer
            here = [places[id(cell)] for cell in findings.cells]
            numbers = {name: [here[i] for i in getattr(findings, name)] for name in ("leading", "as_good")}
            best = None if findings.best is None else here[findings.best]
            yield _Entry(findings, levels=row.levels, cells=here, best=best, sentence=headline(findings), **numbers)


def _estimates(answers: Answers) -> Iterator[_Entry]:
    summary = answers.summary
    for name in (metric.name for metric in answers.metrics):
        marks = summary.marks[name]
        for i, (cell, estimate) in enumerate(zip(answers.cells, summary.estimates[name], strict=True)):
            may = marks[i] in ("good", "open")
            more = {"n": len(estimate.values), "comparable": cell.comparable(name), "may_be_best": may}
            yield _Entry(estimate, metric=name, cell=i, **more)


def _comparisons(answers: Answers) -> Iterator[_Entry]:
    pairs = [pair for answer in answers.findings for pair in answer.pairs]
    for pair, declared in zip(pairs, answers.declared_pairs, strict=True):
        yield _Entry(pair, sentence=comparison_sentence(pair), **_declared(declared))


def _claims(answers: Answers) -> Iterator[_Entry]:
    first_look = answers.meta.auto is not None
    for outcome, declared in zip(answers.claims, answers.declared_claims, strict=True):
        metric = outcome.claim.metric if outcome.metric is None else outcome.metric.name
        sentence = claim_sentence(outcome, first_look=first_look)
        yield _Entry(outcome, metric=metric, sentence=sentence, **_declared(declared))


def _declared(when: Declared) -> dict[str, Any]:
    return {"declared": when, "exploratory": when != "beforehand"}


def _effects(answers: Answers) -> Iterator[_Entry]:
    names = {axis.label: axis.name for axis in answers.axes}
    for factorial in answers.effects:
        for effect in factorial.ranked:
            axes = [names[label] for label in effect.factors]
            yield _Entry(effect, metric=factorial.metric.name, axes=axes, matters=factorial.matters(effect))


def _costs(answers: Answers) -> Iterator[_Entry]:
    for name, cost in _measures(answers).items():
        if any(cost.values):
            yield _Entry(cost, name=name, means=[cost.mean(i) for i in range(len(answers.cells))])


def _measures(answers: Answers) -> dict[Measure, Cost]:
    costs = answers.costs
    return {"train_flops": costs.train_flops, "train_seconds": costs.train_seconds, "sample_seconds": costs.sampling}


def _fronts(answers: Answers) -> Iterator[dict[str, Any]]:
    names = {id(cost): name for name, cost in _measures(answers).items()}
    for purchase in answers.purchases:
        on = [i for i, kept in enumerate(purchase.front) if kept]
        yield {"metric": purchase.answer.metric.name, "cost": names[id(purchase.cost)], "cells": on}


def _rungs(answers: Answers) -> Iterator[_Entry]:
    for answer in answers.findings:
        for rung in answer.budget.rungs if answer.budget is not None else ():
            means = [rung.mean(i) for i in range(len(answers.cells))]
            yield _Entry(rung, metric=answer.metric.name, means=means, best=rung.best(answer.metric.sign))


def _courses(answers: Answers) -> Iterator[_Entry]:
    for answer in answers.findings:
        for course in answer.budget.courses if answer.budget is not None else ():
            yield _Entry(course, metric=answer.metric.name, verdicts=(*course.verdicts, course.pair.verdict))


def answers_json(answers: Answers) -> dict[str, Any]:
    """The content of answers.json as plain data."""
    content = answers_file(answers).model_dump(mode="json")
    return {key: value for key, value in content.items() if key != "round" or value is not None}


def write_answers(answers: Answers, folder: Path | str) -> None:
    """Write answers.json of a results folder."""
    write_json(Path(folder) / FILE, answers_json(answers))


def read_answers(path: Path | str) -> AnswersFile:
    """An answers.json, without keys that its schema lacks; InputError where it is missing or of another version."""
    file = Path(path)
    if not file.is_file():
        raise InputError(f"{file} is missing: `python -m ablations.run grid=NAME` writes it at the end of a grid")
    try:
        return AnswersFile.model_validate_json(file.read_bytes(), by_alias=False, by_name=True)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise InputError(f"{file} is no answers.json of this version: {where}: {first['msg']}") from error
