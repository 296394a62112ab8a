"""What is said of a round: which it is, what it rests on, and that no verdict is due yet."""

from __future__ import annotations

from analysis.findings.answers import Answers
from analysis.format.notation import percent
from analysis.read.view import Basis

FRACTIONS = {0.5: "half of the training", 0.25: "a quarter of the training", 0.125: "an eighth of the training"}
NEAR = 0.01
"""What a share may be off one that has a word."""


def round_of(answers: Answers) -> str:
    """Which round the pages are of: round 2 of 3; "" where there was one alone."""
    now = answers.meta.round
    return "" if now is None or now.of == 1 else f"round {now.number} of {now.of}"


def banner(answers: Answers) -> str:
    """What a preliminary page rests on, and what it says; "" of a page with verdicts."""
    basis = answers.grid.basis
    if basis is None or not answers.preliminary:
        return ""
    known = [round_of(answers), _on_the_way(basis), _seeds(len(answers.meta.seeds), basis)]
    due = "each planned look" if basis.looks else "the end of the plan"
    return f"Preliminary: {', '.join(word for word in known if word)}. It names who leads; verdicts come with {due}."


def at_rungs(answers: Answers) -> str:
    """What a metric is at a rung; "" where trainings were whole."""
    if not answers.meta.at_rungs:
        return ""
    renamed = [metric for metric in answers.metrics if metric.decides and metric.name.endswith("/val")]
    of_codes = "; codes without a network are scored on test images"
    known = of_codes if any(answers.meta.baselines.get(metric.name) for metric in renamed) else ""
    bounds = [
        f"{metric.label} is the bound on validation images, by fewer draws than the end takes" for metric in renamed
    ]
    return "".join(f"{text}{known}. " for text in bounds) + "Values are those of each training's first rung."


def _on_the_way(basis: Basis) -> str:
    """After a quarter of the training (125 of 500 steps); "" of whole trainings."""
    if basis.steps is None or basis.of_steps is None:
        return ""
    low, high = (taken / whole for taken, whole in zip(basis.steps, basis.of_steps, strict=True))
    share = _share(low) if abs(high - low) <= NEAR else "a part of the training"
    return f"after {share} ({_span(basis.steps)} of {_span(basis.of_steps)} steps)"


def _share(share: float) -> str:
    word = next((word for known, word in FRACTIONS.items() if abs(share - known) <= NEAR), "")
    return word or f"{percent(share)} of the training"


def _span(ends: tuple[int, int]) -> str:
    return f"{ends[0]}" if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"


def _seeds(n: int, basis: Basis) -> str:
    """3 of 5 seeds, of which there may be up to so many where they are added while one looks."""
    if n == basis.planned:
        return "one seed" if n == 1 else f"all {n} seeds"
    return f"{n} of up to {basis.planned} seeds" if basis.looks else f"{n} of {basis.planned} seeds"
