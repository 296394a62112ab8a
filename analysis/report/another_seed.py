"""The report's answer to the question of one more seed: its effect on intervals and verdicts, and the time it takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from analysis.findings.answers import Answers
from analysis.findings.comparisons import CellComparison
from analysis.findings.verdicts import Findings
from analysis.grid_json import Auto
from analysis.labels import counted, duration, listed, percent
from analysis.schema import COUNTED
from analysis.statistics.paired import narrowing


def one_more_seed(answers: Answers) -> tuple[str, list[str]]:
    """The answer in few words, and in sentences; both empty where no cell has two seeds."""
    sizes = Counter(len(e.values) for answer in answers.findings for e in answer.estimates if len(e.values) > 1)
    if not sizes:
        return "", []
    ((typical, _),) = sizes.most_common(1)
    shares = [f"{percent(narrowing(n))} over {counted(n, 'seed')}" for n in dict.fromkeys((typical, max(sizes)))]
    work = seed_seconds(answers)
    time = f" For all {counted(len(answers.cells), 'cell')} it takes {duration(work)} of computing." if work else ""
    sentences = [
        f"It narrows a 95 % interval by about {listed(shares)}, should seeds go on to differ as much as these.{time}",
        *(
            _verdicts(answer, answers.meta.auto)
            for answer in answers.findings
            if any(pair.comparison.n > 1 for pair in answer.pairs)
        ),
        *_afterwards(answers),
    ]
    return f"one more seed narrows intervals by about {percent(narrowing(typical))}", sentences


def seed_seconds(answers: Answers) -> float:
    """The seconds that workers spent on a seed of every cell, on average; 0 where they are not known."""
    finished = int(answers.grid.runs["status"].isin(COUNTED).sum())
    return answers.costs.work * len(answers.cells) / finished if finished else 0.0


def _verdicts(answer: Findings, auto: Auto | None) -> str:
    """A sentence on the undecided comparisons, and on the seeds that the nearest of them needs."""
    undecided = [pair for pair in answer.pairs if pair.verdict == "cannot tell" and not pair.same]
    if not undecided:
        return f"{answer.metric.label}: every comparison of the list is decided."
    start = f"{answer.metric.label}: {len(undecided)} of {counted(len(answer.pairs), 'comparison')} undecided"
    if auto is not None:
        return f"{start}: {listed(_at_looks(undecided, auto.looks))}."
    needed = [pair.fresh_seeds for pair in undecided if pair.fresh_seeds]
    if not needed:
        return f"{start}, and as far as is known even 100 fresh seeds would probably show none of these differences."
    return f"{start}; the nearest would probably take {counted(min(needed), 'fresh seed')}."


def _at_looks(undecided: Sequence[CellComparison], looks: Sequence[int]) -> list[str]:
    """The numbers of comparisons that were given up at a look, wait for the next one, or are open after the last."""
    given_up = [pair for pair in undecided if pair.sequential is not None and pair.sequential.dropped]
    rest = [pair for pair in undecided if pair.sequential is None or not pair.sequential.dropped]
    seen = max((pair.comparison.n for pair in rest), default=0)
    coming = next((n for n in looks if n > seen), None)
    last = f"open after the last planned look ({looks[-1]} seeds)"
    waiting = f"to be looked at again with {coming} seeds" if coming else last
    parts = [(given_up, "given up, as further seeds would hardly have decided"), (rest, waiting)]
    return [f"{len(pairs)} {what}" for pairs, what in parts if pairs]


def _afterwards(answers: Answers) -> Sequence[str]:
    """A sentence on the effect of an unplanned seed on verdicts."""
    if answers.meta.auto is not None:
        return ["Looks were planned: a larger `seeds.max=` after these results makes verdicts exploratory."]
    return ["Asked for after these results were seen, it makes verdicts exploratory."]
