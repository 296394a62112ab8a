"""What is said of a factorial grid: a sentence per effect, those that matter first; then what the tests leave out."""

from __future__ import annotations

from analysis.findings.factorial import Factorial, matters
from analysis.notation import Rounding, probability
from analysis.read.meta import ShownMetric
from analysis.statistics.effects import Effect


def factorial_sentences(found: Factorial) -> list[str]:
    """The effects, how they were tested, and what the tests do not know."""
    told = [_effect_sentence(found.metric, effect) for effect in found.ranked]
    return [*told, *found.found.notes, *_cautions(found)]


def _effect_sentence(metric: ShownMetric, effect: Effect) -> str:
    """One effect with its test."""
    labels = effect.factors
    test = f"F({effect.df}, {effect.df_error:g}) = {Rounding().number(effect.F)}, p {probability(effect.adjusted)}"
    share = f"{100 * effect.share:.0f} % of what seeds do not explain"
    if len(labels) == 1:
        said = "matters" if matters(effect) else "cannot be told to matter"
        return f"{metric.label}: {labels[0]} {said} ({test}; {share})."
    said = "depend on each other" if matters(effect) else "cannot be told to depend on each other"
    return f"{metric.label}: {' and '.join(labels)} {said} ({test}; {share})."


def _cautions(found: Factorial) -> list[str]:
    """What the tests do not know of a grid in latents."""
    names = "; ".join(cell.name for cell in found.apart)
    said = [f"Not compared, though finished: {names}."] if names else []
    if found.shared_autoencoders:
        said.append(
            "Cells that share an autoencoder share its luck at each seed, which these tests do not know: of the axes "
            "that change it they find too much."
        )
    return said
