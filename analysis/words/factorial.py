"""The words for a factorial grid: a sentence per effect, those that matter first; then what the tests leave out."""

from __future__ import annotations

from analysis.findings.factorial import Factorial, shown
from analysis.format.notation import Rounding, probability, some
from analysis.statistics.effects import Effect


def factorial_sentences(factorial: Factorial) -> list[str]:
    """The effects, how they were tested, and what the tests do not know."""
    sentences = [_effect_sentence(factorial, effect) for effect in factorial.ranked]
    return [*sentences, *factorial.found.notes, *_cautions(factorial)]


def _effect_sentence(factorial: Factorial, effect: Effect) -> str:
    """One effect with its test; an axis that matters between two cells is said to, though it may not on average."""
    labels, label = effect.factors, factorial.metric.label
    test = f"F({effect.df}, {effect.df_error:g}) = {Rounding().number(effect.F)}"
    sure = f"p {probability(effect.adjusted)}, adjusted for the number of effects"
    numbers = f"({test}, {sure}; {100 * effect.share:.0f} % of the variance among the cells of a seed)"
    if len(labels) > 1:
        said = "depend on each other" if factorial.matters(effect) else "are not shown to depend on each other"
        return f"{label}: {labels[0]} and {labels[1]} {said} {numbers}."
    if factorial.matters(effect) and not shown(effect):
        pair = factorial.told[labels[0]]
        return (
            f"{label}: {labels[0]} matters between {pair.a.name} and {pair.b.name}; on average over the other axes it "
            f"is not shown to {numbers}."
        )
    said = "matters" if factorial.matters(effect) else "is not shown to matter"
    return f"{label}: {labels[0]} {said} {numbers}."


def _cautions(factorial: Factorial) -> list[str]:
    """The cells that the tests leave out."""
    names = [cell.name for cell in factorial.apart]
    return [f"Not compared, though finished: {some(names, len(names))}."] if names else []
