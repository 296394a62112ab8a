"""The words on rounds and seeds: the round and its basis, that no verdict is due yet, and the number of seeds."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.grid_json import Meta, ShownMetric
from analysis.labels import counted, listed, percent
from analysis.read.runs import GridResults
from analysis.read.view import Basis

FRACTIONS = {0.5: "half of the training", 0.25: "a quarter of the training", 0.125: "an eighth of the training"}
NEAR = 0.01
"""The largest distance at which a share takes the words of one of these fractions."""


def round_of(meta: Meta) -> str:
    """The round that the pages are of, such as "round 2 of 3"; "" if there is only one."""
    now = meta.round
    return "" if now is None or now.of == 1 else f"round {now.number} of {now.of}"


def banner(grid: GridResults) -> str:
    """A sentence that says what a preliminary page rests on and what it tells; "" for a page with verdicts."""
    basis = grid.basis
    if basis is None or not grid.meta.preliminary:
        return ""
    parts = [_on_the_way(basis), _seeds(len(grid.meta.seeds), basis)]
    due = "each planned look" if basis.looks else "the end of the plan"
    return f"Preliminary: {', '.join(word for word in parts if word)}; no verdict yet. Verdicts come with {due}."


def at_rungs(meta: Meta, metrics: Sequence[ShownMetric]) -> str:
    """A sentence that explains the metrics at a rung; "" where trainings were whole."""
    if not meta.at_rungs:
        return ""
    renamed = [metric for metric in metrics if metric.decides and metric.name.endswith("/val")]
    of_codes = "; codes without a network are scored on test images"
    about_codes = of_codes if any(meta.baselines.get(metric.name) for metric in renamed) else ""
    bounds = [
        f"{metric.label} is the bound on validation images, by fewer draws than the end takes" for metric in renamed
    ]
    return "".join(f"{text}{about_codes}. " for text in bounds) + "Values are those of each training's first rung."


def _on_the_way(basis: Basis) -> str:
    """The share of the training, such as "after a quarter of the training (125 of 500 steps)"; "" if it is whole."""
    if basis.steps is None or basis.of_steps is None:
        return ""
    low, high = (steps / whole for steps, whole in zip(basis.steps, basis.of_steps, strict=True))
    share = _share(low) if abs(high - low) <= NEAR else "a part of the training"
    return f"after {share} ({_span(basis.steps)} of {_span(basis.of_steps)} steps)"


def _share(share: float) -> str:
    word = next((word for fraction, word in FRACTIONS.items() if abs(share - fraction) <= NEAR), "")
    return word or f"{percent(share)} of the training"


def _span(ends: tuple[int, int]) -> str:
    return f"{ends[0]}" if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"


def _seeds(n: int, basis: Basis) -> str:
    """The number of seeds, such as "3 of 5 seeds"; with looks, "3 of up to 5 seeds"."""
    if n == basis.planned:
        return "one seed" if n == 1 else f"all {n} seeds"
    return f"{n} of up to {basis.planned} seeds" if basis.looks else f"{n} of {basis.planned} seeds"


def seeds_taken(meta: Meta) -> str:
    """The number of seeds of each cell; also that of the grid's own file, if a finished plan has fewer."""
    if meta.auto is None:
        n, own = len(meta.seeds), meta.own_seeds or 0
        fewer = f" (the grid's file asks for {own})" if n < own and not meta.preliminary else ""
        return f"{counted(n, 'paired seed' if n > 1 else 'seed')}{fewer}"
    numbers = sorted(set(meta.auto.stopped.values()) or {meta.auto.looks[0]})
    return f"{numbers[0]} to {numbers[-1]} paired seeds" if len(numbers) > 1 else f"{numbers[0]} paired seeds"


def looked(meta: Meta) -> str:
    """The way in which seeds were added; "" where their number was fixed."""
    if meta.auto is None:
        return ""
    looks = listed([str(n) for n in meta.auto.looks])
    return f", added where the declared comparisons needed them (looks at {looks} were planned)"
