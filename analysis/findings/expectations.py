"""The fate of papers' claims: what a grid shows of what its file expects.

    direction    D has the better sign                     as published · contrary to the paper; neither where the list
                                                           shows that D is less than what matters
    equality     |D| ≤ margin by two one-sided tests       as published; contrary where |D| is shown to be larger

One hypothesis has one verdict: claims are of one family with the comparisons of their metric (`family`), and one that
is about two cells of the list has its decision. Where the looks decide on these two, equality is read off their
interval, which holds at all looks.

A contrary fate needs trainings that could have shown the claim. It is *too early to say* where D moved towards the
claim between the last rung and the end (95 % interval over seeds, not adjusted: it takes claims back and makes none),
or where the better end of D is worse than a code without a network, or further from real data than `FAR` floors.
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
from analysis.format.grid_json import Expectation, KnownValue, Meta, ShownMetric
from analysis.format.names import LIKELIHOOD
from analysis.statistics.families import ALPHA, Decision
from analysis.statistics.paired import Comparison

Fate = Literal["as published", "contrary to the paper", "too early to say", "no difference that matters", "cannot tell"]
PUBLISHED: Fate = "as published"
CONTRARY: Fate = "contrary to the paper"
EARLY: Fate = "too early to say"
EQUAL: Fate = "no difference that matters"
UNTOLD: Fate = "cannot tell"

FAR = 5.0
"""Times the floor, which real data have, above which a metric of samples says nothing of what a paper trained."""


@dataclass(frozen=True)
class ClaimTest:
    """The test of a claim: D, the margin of a claim of equality (else nan), and p in its family.

    `different` is that of D ≠ 0, or of a claim of equality that |D| > margin, whose `equal` is that |D| < margin; both
    are nan where looks decided.
    """

    comparison: Comparison
    margin: float
    different: float
    equal: float = math.nan

    @property
    def p(self) -> float:
        """The p of what is said of the claim: the smaller one."""
        return float(np.fmin(self.different, self.equal))


@dataclass(frozen=True)
class ClaimOutcome:
    """The outcome of a claim: its fate, the metric that it is about (None where the grid has none such), and the test
    of it, or why there was none; the comparison that it is about, where it is `listed`; and why it is too early to say:
    how D `moved`, or the value which the cells do not `reach`."""

    claim: Expectation
    metric: ShownMetric | None
    fate: Fate = UNTOLD
    test: ClaimTest | None = None
    obstacle: Obstacle = ""
    listed: CellComparison | None = None
    moved: Change | None = None
    reach: KnownValue | None = None

    @property
    def is_listed(self) -> bool:
        """True where it is about two cells of the list."""
        return self.listed is not None


def outcomes(
    claims: Sequence[Claim], judged: Iterable[JudgedClaim], findings: Mapping[str, Findings], meta: Meta
) -> list[ClaimOutcome]:
    """The fate of every claim, in order, as they were `judged`; `findings` are those of each metric that decides."""
    by_claim = {id(one.claim): one for one in judged}
    return [
        _outcome(by_claim[id(claim)], findings, meta)
        if id(claim) in by_claim and not claim.obstacle
        else ClaimOutcome(claim.said, claim.metric, obstacle=claim.obstacle)
        for claim in claims
    ]


def _outcome(judged: JudgedClaim, findings: Mapping[str, Findings], meta: Meta) -> ClaimOutcome:
    claim, metric = judged.claim, judged.claim.metric
    assert metric is not None, "it was judged by a metric"
    # The decision is the list's of a claim of direction, and of any where looks decide.
    as_listed = not judged.claim.of_equality or judged.decision is None
    decided = _by_the_list if judged.listed is not None and as_listed else _by_the_family
    fate, test = decided(judged, metric)
    outcome = ClaimOutcome(claim.said, metric, fate, test, listed=judged.listed)
    if fate != CONTRARY:
        return outcome
    answer = findings.get(metric.name)
    moved = change_of(metric, answer.cells, answer.budget, claim.terms) if answer and answer.budget else None
    if moved is not None and holds(moved.since, -test.comparison.difference):
        return replace(outcome, fate=EARLY, moved=moved)
    reach = _unreached(claim, metric, answer, meta)
    return outcome if reach is None else replace(outcome, fate=EARLY, reach=reach)


def _by_the_list(judged: JudgedClaim, metric: ShownMetric) -> tuple[Fate, ClaimTest]:
    """The fate by the verdict on the claim's two cells, or by its interval; D has the claim's own sign."""
    pair, claim = judged.listed, judged.claim
    assert pair is not None, "the list decides"
    same = _same_side(claim, pair)
    found = replace(pair.comparison, difference=pair.comparison.difference * (1 if same else -1))
    if claim.of_equality:
        size, half = abs(found.difference), found.half_width
        within, beyond = size + half <= claim.margin, size - half > claim.margin
        return PUBLISHED if within else CONTRARY if beyond else UNTOLD, ClaimTest(found, claim.margin, math.nan)
    p = math.nan if pair.adjusted_p is None else pair.adjusted_p
    test = ClaimTest(found, math.nan, p)
    if pair.verdict not in TOLD_APART:
        return EQUAL if pair.verdict == "equal" else UNTOLD, test
    return PUBLISHED if (pair.verdict == "better") == same else CONTRARY, test


def _same_side(claim: Claim, pair: CellComparison) -> bool:
    """True where the first of the pair is the one that the claim calls the better one."""
    assert claim.metric is not None, "it is of no metric"
    better = next(cell for c, cell in claim.terms if c > 0)
    name = claim.metric.name
    return better.estimate(name).by_seed == pair.a.estimate(name).by_seed


def _by_the_family(judged: JudgedClaim, metric: ShownMetric) -> tuple[Fate, ClaimTest]:
    """The fate by the claim's own hypothesis among the comparisons and claims of its metric."""
    decision, claim = judged.decision, judged.claim
    assert isinstance(decision, Decision), "the family decides"
    test = ClaimTest(decision.found, claim.margin, decision.different, decision.equal)
    # Of equal values at every seed there is no test, and two that are claimed to be equal are.
    if decision.equal <= ALPHA or (claim.of_equality and math.isnan(decision.equal)):
        return PUBLISHED, test
    if not decision.different <= ALPHA:
        return UNTOLD, test
    better = not claim.of_equality and metric.sign * decision.found.difference > 0
    return PUBLISHED if better else CONTRARY, test


def _unreached(claim: Claim, metric: ShownMetric, answer: Findings | None, meta: Meta) -> KnownValue | None:
    """The value that even the best of the claim's cells does not reach: of the best code without a network, or of so
    many floors; None where it does, or none is known."""
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
