"""Sentences on what is exploratory because it was declared after its first results, or at an unknown time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from analysis.findings.answers import Answers
from analysis.findings.declared import Declared
from analysis.labels import begun, counted, listed
from analysis.words.verdicts import FEW

_WHY = {
    "after results": "{} declared after the first results were there",
    "not recorded": "when {} declared is not recorded",
}
COMPARISONS, CLAIMS = "comparisons", "papers' claims"


def exploratory(answers: Answers) -> list[str]:
    """Sentences that say that comparisons and claims were declared beforehand, or which are exploratory, and how many
    claims were withdrawn. If all are exploratory for one reason, one sentence says so."""
    if answers.preliminary:
        return []
    both = [(COMPARISONS, answers.declared_pairs), (CLAIMS, answers.declared_claims)]
    reasons = {when for _, declared in both for when in declared}
    if reasons == {"beforehand"} and not answers.meta.continued:
        names = listed([what for what, declared in both if declared])
        return [f"{begun(names)} were declared before their first results.", *_withdrawn(answers)]
    if len(reasons) == 1 and all(declared for _, declared in both):
        return [*_of_all(f"the {COMPARISONS} and the {CLAIMS}", reasons), *_withdrawn(answers)]
    return [*exploratory_comparisons(answers), *exploratory_claims(answers)]


def exploratory_comparisons(answers: Answers) -> list[str]:
    """Sentences on the exploratory comparisons: all, or how many, by name if few. None if no verdict is due."""
    if answers.preliminary:
        return []
    pairs = [pair for answer in answers.findings for pair in answer.pairs]
    return _told(COMPARISONS, answers.declared_pairs, [f"{pair.a.name} against {pair.b.name}" for pair in pairs])


def exploratory_claims(answers: Answers) -> list[str]:
    """Sentences on the exploratory claims, and on how many were withdrawn."""
    claims = [f"that {outcome.claim.claim}" for outcome in answers.claims]
    return [*_told(CLAIMS, answers.declared_claims, claims), *_withdrawn(answers)]


def _told(what: str, declared: Sequence[Declared], names: Sequence[str]) -> list[str]:
    if len(set(declared)) < 2:
        return _of_all(f"the {what}", declared)
    sentences = []
    for reason, why in _WHY.items():
        these = list(dict.fromkeys(name for name, when in zip(names, declared, strict=True) if when == reason))
        n = declared.count(reason)
        if n:
            which = f" ({'; '.join(these)})" if len(these) <= FEW else ""
            sentence = why.format(f"{n} of the {len(declared)} {what} {'was' if n == 1 else 'were'}")
            sentences.append(f"Exploratory: {sentence}{which}.")
    return sentences


def _of_all(what: str, declared: Iterable[Declared]) -> list[str]:
    """A sentence on a list whose entries were declared alike; none if that was beforehand."""
    reasons = [_WHY[when] for when in dict.fromkeys(declared) if when in _WHY]
    return [f"Exploratory: {why.format(f'{what} were')}." for why in reasons]


def _withdrawn(answers: Answers) -> list[str]:
    n = answers.declarations.withdrawn
    return (
        [f"{counted(n, 'claim')} once declared {'is' if n == 1 else 'are'} no longer in the grid's file."] if n else []
    )
