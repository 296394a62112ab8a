"""A grid's answers → the contents of answers.json."""

from __future__ import annotations

from collections.abc import Iterator

from analysis.exports.schema import (
    VERSION,
    AnsweredAverage,
    AnsweredCell,
    AnsweredClaim,
    AnsweredComparison,
    AnsweredCost,
    AnsweredCourse,
    AnsweredEffect,
    AnsweredEstimate,
    AnsweredFront,
    AnsweredHeadline,
    AnsweredOptimism,
    AnsweredReference,
    AnsweredRound,
    AnsweredRung,
    AnsweredWeight,
    AnswersFile,
    Measure,
)
from analysis.findings.answers import Answers
from analysis.findings.comparisons import CellComparison
from analysis.findings.costs import Cost
from analysis.findings.expectations import ClaimOutcome
from analysis.findings.search import Optimism
from analysis.findings.summary import known_values
from analysis.findings.verdicts import Findings
from analysis.statistics.families import Open
from analysis.words.cells import noted, shortfalls
from analysis.words.claims import claim_sentence
from analysis.words.rounds import banner
from analysis.words.search import optimism_sentence
from analysis.words.verdicts import comparison_sentence, headline


def answers_file(answers: Answers) -> AnswersFile:
    """What answers.json says of a grid."""
    meta = answers.meta
    return AnswersFile(
        version=VERSION,
        grid=meta.name,
        question=meta.question,
        data=meta.data,
        seeds=meta.seeds,
        exploratory=meta.continued,
        axes=answers.axes,
        metrics=tuple(answers.metrics),
        cells=tuple(_cells(answers)),
        baseline=None if answers.baseline is None else answers.cells.index(answers.baseline),
        headlines=tuple(_headline(found) for found in answers.findings),
        estimates=tuple(_estimates(answers)),
        references=tuple(
            AnsweredReference(metric.name, label, value)
            for metric in answers.metrics
            for label, value in known_values(meta, metric).items()
        ),
        comparisons=tuple(_comparisons(answers)),
        claims=tuple(_claim(one, first_look=meta.auto is not None) for one in answers.claims),
        effects=tuple(_effects(answers)),
        averages=tuple(
            AnsweredAverage(
                found.metric.name,
                one.axis.name,
                one.level,
                one.estimate.mean,
                one.estimate.low,
                one.estimate.high,
                one.note,
            )
            for found in answers.effects
            for one in found.averages
        ),
        costs=tuple(_costs(answers)),
        fronts=tuple(_fronts(answers)),
        weights=tuple(AnsweredWeight(axis, w.factor, w.t) for axis, w in answers.weight_check.differences.items()),
        optimism=tuple(map(_optimism, answers.optimism or ())),
        rungs=tuple(_rungs(answers)),
        courses=tuple(_courses(answers)),
        round=_round(answers),
    )


def _round(answers: Answers) -> AnsweredRound | None:
    now, basis = answers.meta.round, answers.grid.basis
    if now is None or basis is None:
        return None
    told = now.number, now.of, now.seeds, basis.planned, now.rung, basis.steps, now.preliminary, banner(answers)
    return AnsweredRound(*told)


def _cells(answers: Answers) -> Iterator[AnsweredCell]:
    known = zip(answers.cells, shortfalls(answers.cells), noted(answers.cells), strict=True)
    for cell, shortfall, notes in known:
        levels = dict(zip((axis.name for axis in answers.axes), cell.levels, strict=True))
        ended = {str(status): int(n) for status, n in cell.runs["status"].value_counts(sort=False).items()}
        yield AnsweredCell(cell.name, cell.cell_id, levels, dict(sorted(ended.items())), shortfall, tuple(notes))


def _headline(found: Findings) -> AnsweredHeadline:
    decides = found.metric.decides or ""
    leaders, as_good, rivals = (tuple(sorted(one)) for one in (found.leading, found.as_good, found.rivals))
    return AnsweredHeadline(found.metric.name, decides, found.best, leaders, as_good, headline(found), rivals)


def _estimates(answers: Answers) -> Iterator[AnsweredEstimate]:
    summary = answers.summary
    for metric in answers.metrics:
        leading = summary.standing[metric.name].leading
        for i, (cell, one) in enumerate(zip(answers.cells, summary.estimates[metric.name], strict=True)):
            seeds, comparable = {str(seed): value for seed, value in one.values.items()}, cell.comparable(metric.name)
            yield AnsweredEstimate(
                metric.name, i, one.mean, one.half_width, len(seeds), seeds, comparable, may_be_best=i in leading
            )


def _comparisons(answers: Answers) -> Iterator[AnsweredComparison]:
    numbers = {id(cell): i for i, cell in enumerate(answers.cells)}
    for pair in (pair for found in answers.findings for pair in found.pairs):
        yield _comparison(pair, numbers[id(pair.a)], numbers[id(pair.b)])


def _comparison(pair: CellComparison, a: int, b: int) -> AnsweredComparison:
    found = pair.comparison
    return AnsweredComparison(
        pair.metric.name,
        a,
        b,
        pair.primary,
        pair.metric.scale,
        found.difference,
        found.half_width,
        found.n,
        found.p,
        *_sure(pair),
        pair.verdict,
        pair.fresh_seeds,
        comparison_sentence(pair),
    )


def _sure(pair: CellComparison) -> tuple[float | None, float | None, int | None]:
    """The adjusted p of a difference and of equality, or the number of seeds at which looks settled it; none of these
    where no verdict is due."""
    if pair.sequential is not None:
        looked = pair.sequential
        return None, None, looked.equal if pair.verdict == "equal" else looked.different
    if isinstance(pair.decision, Open):
        return None, None, None
    return pair.decision.different, pair.decision.equal, None


def _rungs(answers: Answers) -> Iterator[AnsweredRung]:
    for found in answers.findings:
        for rung in found.budget.rungs if found.budget is not None else ():
            means = tuple(rung.mean(i) for i in range(len(answers.cells)))
            best, leaders = rung.best(found.metric.sign), tuple(sorted(rung.leading))
            yield AnsweredRung(found.metric.name, rung.steps, means, best, leaders)


def _courses(answers: Answers) -> Iterator[AnsweredCourse]:
    numbers = {id(cell): i for i, cell in enumerate(answers.cells)}
    for found in answers.findings:
        for one in found.budget.courses if found.budget is not None else ():
            ahead = (None, None) if one.ahead is None else (one.ahead.difference, one.ahead.half_width)
            both, verdicts = (numbers[id(one.pair.a)], numbers[id(one.pair.b)]), (*one.verdicts, one.pair.verdict)
            yield AnsweredCourse(found.metric.name, *both, verdicts, one.settled, *ahead)


def _claim(outcome: ClaimOutcome, *, first_look: bool) -> AnsweredClaim:
    claim, test = outcome.claim, outcome.test
    return AnsweredClaim(
        claim.claim,
        claim.source,
        claim.metric if outcome.metric is None else outcome.metric.name,
        outcome.fate,
        outcome.obstacle,
        None if test is None else test.found.difference,
        None if test is None else test.found.half_width,
        None if test is None else test.margin,
        None if test is None else test.different,
        None if test is None else test.equal,
        claim_sentence(outcome, first_look=first_look),
    )


def _effects(answers: Answers) -> Iterator[AnsweredEffect]:
    names = {axis.label: axis.name for axis in answers.axes}
    for found in answers.effects:
        for one in found.ranked:
            axes = tuple(names[label] for label in one.factors)
            tested = one.df, one.df_error, one.F, one.p, one.adjusted, one.share
            yield AnsweredEffect(found.metric.name, axes, *tested, matters=found.matters(one))


def _costs(answers: Answers) -> Iterator[AnsweredCost]:
    costs = answers.costs
    measures: dict[Measure, Cost] = {
        "train_flops": costs.train_flops,
        "train_seconds": costs.train_seconds,
        "sample_seconds": costs.sampling,
    }
    for name, cost in measures.items():
        if any(cost.values):
            means = tuple(cost.mean(i) for i in range(len(answers.cells)))
            yield AnsweredCost(name, cost.label, cost.unit, cost.on, means, cost.differs)


def _fronts(answers: Answers) -> Iterator[AnsweredFront]:
    costs = answers.costs
    names: dict[int, Measure] = {id(costs.train_flops): "train_flops", id(costs.train_seconds): "train_seconds"}
    for one in answers.purchases:
        on = tuple(i for i, kept in enumerate(one.front) if kept)
        yield AnsweredFront(one.found.metric.name, names.get(id(one.cost), "sample_seconds"), on)


def _optimism(one: Optimism) -> AnsweredOptimism:
    test = None if one.test is None else one.test.mean
    fresh = one.fresh.mean, one.fresh.half_width, len(one.fresh.values)
    told = optimism_sentence(one)
    return AnsweredOptimism(
        one.winner.label, one.objective.name, one.searched, *fresh, test, one.gap, one.half_width, told
    )
