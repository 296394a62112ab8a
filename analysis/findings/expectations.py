"""The fates of papers' claims: the results of a grid, compared with what its file expects.

    direction    the sign of D                             as published, or contrary to the paper; neither where a
                                                           listed comparison shows |D| to be too small to matter
    equality     |D| ≤ margin by two one-sided tests       as published; contrary where |D| is shown to be larger

Claims and the comparisons of their metric form one family (`family`). A claim about the two cells of a listed
comparison takes over its decision, so that one hypothesis has one verdict. Where looks decide on these cells, equality
is read off their interval, which holds at all looks.

A contrary fate requires trainings that could have confirmed the claim. It is *too early to say* where D moved towards
the claim between the last rung and the end (95 % interval over seeds, not adjusted, since it only takes claims back),
or where the best cell of D is worse than a code without a network, or scores more than `FAR` times the floor.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from analysis.findings.budget import change_of
from analysis.findings.claims import Claim, Obstacle
from analysis.findings.comparisons import TOLD_APART, CellComparison, Change, holds
from analysis.findings.family import JudgedClaim
from analysis.findings.verdicts import Findings
from analysis.grid_json import Expectation, KnownValue, Meta, ShownMetric
from analysis.schema import LIKELIHOOD
from analysis.statistics.families import ALPHA, Decision
from analysis.statistics.paired import Comparison

Fate = Literal["as published", "contrary to the paper", "too early to say", "no difference that matters", "cannot tell"]
PUBLISHED: Fate = "as published"
CONTRARY: Fate = "contrary to the paper"
EARLY: Fate = "too early to say"
EQUAL: Fate = "no difference that matters"
UNTOLD: Fate = "cannot tell"

FAR = 5.0
"""The multiple of the floor (the score of real data) above which samples are too poor to test a paper's claim."""


@dataclass(frozen=True)
class ClaimTest:
    """The test of a claim: the difference D, the margin of a claim of equality (else nan), and p in its family.

    `different` tests D ≠ 0 or, for a claim of equality, |D| > margin; `equal` then tests |D| < margin. nan with looks.
    """

    comparison: Comparison
    margin: float
    different: float
    equal: float = math.nan

    @property
    def p(self) -> float:
        """The smaller of `different` and `equal`, which belongs to the statement that is made about the claim."""
        return float(np.fmin(self.different, self.equal))


@dataclass(frozen=True)
class ClaimOutcome:
    """The outcome of a claim: its `fate`; its `metric`, None where the grid lacks it; and its `test`, or the `obstacle`
    that prevented one. `sides` name D's two sides, `listed` is the listed comparison that it is about, if any. Where it
    is too early to say, the reason is `moved`, the change of D, or `reach`, a value that the cells do not reach."""

    claim: Expectation
    metric: ShownMetric | None
    fate: Fate = UNTOLD
    test: ClaimTest | None = None
    obstacle: Obstacle = ""
    sides: tuple[str, str] | None = None
    listed: CellComparison | None = None
    moved: Change | None = None
    reach: KnownValue | None = None

    @property
    def is_listed(self) -> bool:
        """True where the claim is about the two cells of a listed comparison."""
        return self.listed is not None


def outcomes(
    claims: Sequence[Claim], judged: Iterable[JudgedClaim], findings: Mapping[str, Findings], meta: Meta
) -> list[ClaimOutcome]:
    """The fate of every claim, in order, as they were `judged`; `findings` are those of each metric that decides."""
    by_claim = {id(of.claim): of for of in judged}
    return [
        _outcome(by_claim[id(claim)], findings, meta)
        if id(claim) in by_claim and not claim.obstacle
        else ClaimOutcome(claim.said, claim.metric, obstacle=claim.obstacle)
        for claim in claims
    ]


def _outcome(judged: JudgedClaim, findings: Mapping[str, Findings], meta: Meta) -> ClaimOutcome:
    claim, metric = judged.claim, judged.claim.metric
    assert metric is not None, "it was judged by a metric"
    # The listed comparison decides every claim of direction and, where looks decide, every claim.
    as_listed = not judged.claim.of_equality or judged.decision is None
    decided = _by_the_list if judged.listed is not None and as_listed else _by_the_family
    fate, test = decided(judged, metric)
    outcome = ClaimOutcome(claim.said, metric, fate, test, sides=claim.sides, listed=judged.listed)
    if fate != CONTRARY:
        return outcome
    answer = findings.get(metric.name)
    moved = change_of(metric, answer.cells, answer.budget, claim.terms) if answer and answer.budget else None
    if moved is not None and holds(moved.since, -test.comparison.difference):
        return replace(outcome, fate=EARLY, moved=moved)
    reach = _unreached(claim, metric, answer, meta)
    return outcome if reach is None else replace(outcome, fate=EARLY, reach=reach)


def _by_the_list(judged: JudgedClaim, metric: ShownMetric) -> tuple[Fate, ClaimTest]:
    """The fate by the listed comparison: by its verdict or, for equality, its interval. D gets the claim's sign."""
    pair, claim = judged.listed, judged.claim
    assert pair is not None, "the list decides"
    same = _same_side(claim, pair)
    signed = replace(pair.comparison, difference=pair.comparison.difference * (1 if same else -1))
    if claim.of_equality:
        size, half = abs(signed.difference), signed.half_width
        within, beyond = size + half <= claim.margin, size - half > claim.margin
        return PUBLISHED if within else CONTRARY if beyond else UNTOLD, ClaimTest(signed, claim.margin, math.nan)
    p = math.nan if pair.adjusted_p is None else pair.adjusted_p
    test = ClaimTest(signed, math.nan, p)
    if pair.verdict not in TOLD_APART:
        return EQUAL if pair.verdict == "equal" else UNTOLD, test
    return PUBLISHED if (pair.verdict == "better") == same else CONTRARY, test


def _same_side(claim: Claim, pair: CellComparison) -> bool:
    """True where the pair's cell `a` is the one that the claim calls better."""
    assert claim.metric is not None, "it is of no metric"
    better = next(cell for c, cell in claim.terms if c > 0)
    name = claim.metric.name
    return better.estimate(name).by_seed == pair.a.estimate(name).by_seed


def _by_the_family(judged: JudgedClaim, metric: ShownMetric) -> tuple[Fate, ClaimTest]:
    """The fate according to the claim's own hypothesis, in one family with the comparisons and claims of its metric."""
    decision, claim = judged.decision, judged.claim
    assert isinstance(decision, Decision), "the family decides"
    test = ClaimTest(decision.found, claim.margin, decision.different, decision.equal)
    # Equal values at every seed allow no test (nan); a claim of equality then holds.
    if decision.equal <= ALPHA or (claim.of_equality and math.isnan(decision.equal)):
        return PUBLISHED, test
    if not decision.different <= ALPHA:
        return UNTOLD, test
    better = not claim.of_equality and metric.sign * decision.found.difference > 0
    return PUBLISHED if better else CONTRARY, test


def _unreached(claim: Claim, metric: ShownMetric, answer: Findings | None, meta: Meta) -> KnownValue | None:
    """The value that even the best of the claim's cells does not reach: the best code without a network, or `FAR` times
    the floor. None where it is reached, or none is known."""
    if answer is None:
        return None
    best = max(metric.sign * cell.estimate(metric.name).mean for _, cell in claim.terms)
    codes = [code for code in answer.plain_codes if best < metric.sign * code.value]
    if codes:
        return max(codes, key=lambda code: metric.sign * code.value)
    floor = meta.floors.get(metric.name)
    if floor is None or metric.decides == LIKELIHOOD or metric.sign > 0 or -best <= FAR * floor.value:
        return None
    return replace(floor, value=FAR * floor.value)
