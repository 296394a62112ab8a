"""Pairs of values of two axes: those that are refused, with the reason, and few cells that show every pair that is not.

A pair is refused if none of a few cells, of which one suits every value, takes both of its values (`SUITABLE`). Every
other pair is in one of the cells of `covering`, which the tests train, score and sample. Of `TRIPLES`, three values
may be refused together though no two of them are.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from ablations.settings.cell import AXES, WORDS
from ablations.settings.grammar import options_of
from ablations.settings.making import make_cell
from ablations.settings.making import refusal as cell_refusal

HORIZON, STEPS = 25, 5
TRIES = 60

VARIANTS: dict[str, list[dict[str, Any]]] = {
    "data": [{"data": "patches", "data.size": 8, "training.flips": True}],
    "sampler": [
        {"sampler": "ancestral", "sampler.steps": STEPS},
        {"sampler": "ddim", "sampler.steps": STEPS, "sampler.eta": 1},
        {"sampler": "heun", "sampler.churn": 10, "sampler.skip": 0.2},
    ],
    "schedule": [{"schedule": "cosine", "schedule.zero_terminal": True, "schedule.shift": 3.0}],
    "space": [
        {"space": "latents", "space.f": 4},
        {"space": "latents", "space.regularization": "vq"},
    ],
    "training": [
        {"training.rate": "wsd"},
        {"training.rate": "inverse_sqrt", "training.optimizer": "muon"},
        {"training.clip": 0.1},
    ],
    "conditioning": [{"conditioning": "unconditional", "conditioning.self_conditioning": True}],
    "guidance": [
        {"guidance.scale": 2.0},
        {"guidance.scale": 2.0, "guidance.by": "rung", "evaluation.rungs": 1},
        {
            "guidance.scale": "auto",
            "guidance.scales": (1.0, 2.0),
            "guidance.by": "cell",
            "guidance.guide": ("training.ema=0.9",),
            "guidance.high": 5.0,
        },
    ],
    "evaluation": [
        {"evaluation.continuous": 2},
        {"evaluation.ode": 1},
        {"evaluation.iwae": 2},
        {"evaluation.horizon": STEPS, "evaluation.reference": "train"},
        {"evaluation.n": 20, "evaluation.reference": "test"},
    ],
}
"""Values of an axis beside its files."""

KINDS = {"data": ("digits", "mixture2d"), "training": ("default",), "network": ("unet", "dit", "mlp")}
"""Axes of which some values stand for all: digits for images, patches for those that may be mirrored, the mixture for
points, one recipe for its lengths. A published network is a file's, and has tests of its own."""

TRIPLES = [("schedule", "objective", "time_input"), ("schedule", "time", "time_input")]
"""Axes whose values a rule reads three at a time."""

SUITABLE: list[dict[str, Any]] = [
    {
        "data": data,
        "network": network,
        "parameterization": "v",
        "variance": variance,
        "objective": objective,
        "schedule": "log_snr_linear",
    }
    for data, network in (("digits", "unet"), ("mixture2d", "mlp"))
    for variance, objective in (("beta", "simple"), ("learned", "hybrid"))
]
SUITABLE += [{**cell, "space": "latents"} for cell in SUITABLE if cell["data"] == "digits"]
SUITABLE += [{**cell, "conditioning": "class"} for cell in SUITABLE]
"""Cells, elsewhere at the defaults, of which one takes any value."""


@dataclass(frozen=True)
class Value:
    """A value of an axis, and what it sets."""

    axis: str
    settings: tuple[tuple[str, Any], ...]

    @property
    def label(self) -> str:
        return " ".join(f"{key}={value}" for key, value in self.settings)


Combination = dict[str, Value]
"""A value of each axis."""

Missing = dict[frozenset[Value], None]
"""Pairs that are in no row yet, in a fixed order."""


def value(axis: str, settings: dict[str, Any]) -> Value:
    return Value(axis, tuple(settings.items()))


def all_values() -> dict[str, list[Value]]:
    """Every axis with its values, the default first; `saved` schedules, which are anyone's, left out."""
    axes: dict[str, list[Value]] = {}
    for axis, default in AXES.items():
        options = [option for option in options_of(axis) if "/" not in option]
        kept = [option for option in options if option in KINDS.get(axis, options)]
        ordered = sorted(kept, key=lambda option: option != default)
        axes[axis] = [value(axis, {axis: option}) for option in ordered]
        axes[axis] += [value(axis, settings) for settings in VARIANTS.get(axis, [])]
    axes["horizon"] = [value("horizon", {"horizon": horizon}) for horizon in (HORIZON, HORIZON // 2, 0)]
    for key, words in WORDS.items():
        axes[key] = [value(key, {key: word}) for word in words]
    return axes


def settings_of(values: Iterable[Value]) -> dict[str, Any]:
    """The settings of these values, by key."""
    return {key: entry for value in values for key, entry in value.settings}


@cache
def refusal(suitable: int, values: frozenset[Value]) -> str | None:
    """The reason why a suitable cell does not take these values; None if it does."""
    return cell_refusal(make_cell([{"horizon": HORIZON, **SUITABLE[suitable], **settings_of(values)}], 0))


@dataclass(frozen=True)
class Pairs:
    """The values of all axes, and the reasons why pairs of them are refused."""

    axes: dict[str, list[Value]]

    @cached_property
    def refused(self) -> dict[frozenset[Value], str]:
        """Every pair that no cell holds, with the reason."""
        reasons = ((frozenset(pair), self._reason(*pair)) for pair in self._all())
        return {pair: reason for pair, reason in reasons if reason is not None}

    @cached_property
    def refused_triples(self) -> dict[frozenset[Value], str]:
        """Every three values that no cell holds though each two of them go together, with the reason."""
        triples = itertools.chain(*(itertools.product(*(self.axes[axis] for axis in axes)) for axes in TRIPLES))
        together = (triple for triple in triples if not self._holds_refused(triple))
        reasons = ((frozenset(triple), self._reason(*triple)) for triple in together)
        return {triple: reason for triple, reason in reasons if reason is not None}

    def _holds_refused(self, values: Iterable[Value]) -> bool:
        return any(frozenset(pair) in self.refused for pair in itertools.combinations(values, 2))

    def _fits(self, value: Value, row: Combination) -> bool:
        """True where a value goes together with those of a row."""
        values = {value, *row.values()}
        alone = not any(frozenset((value, other)) in self.refused for other in row.values())
        return alone and not any(triple <= values for triple in self.refused_triples)

    def _all(self) -> Iterator[tuple[Value, Value]]:
        for first, second in itertools.combinations(self.axes.values(), 2):
            yield from itertools.product(first, second)

    def _reason(self, *values: Value) -> str | None:
        """The reason why no cell holds all of these, by one that takes each if there is one; None if a cell does."""
        reasons = {}
        for i in range(len(SUITABLE)):
            reason = refusal(i, frozenset(values))
            if reason is None:
                return None
            reasons[i] = reason
        return reasons[min(reasons, key=lambda i: sum(refusal(i, frozenset((value,))) is not None for value in values))]

    def covering(self) -> list[Combination]:
        """Combinations in which every pair that is not refused occurs; few, and the same ones each time.

        Greedy (Cohen et al. 1997): of some rows, each grown in an order of its own, the one that brings most is kept.
        """
        missing = dict.fromkeys(frozenset(pair) for pair in self._all())
        for pair in self.refused:
            del missing[pair]
        rows = []
        dice = random.Random(0)
        while missing:
            grown = [self._grown(missing, dice) for _ in range(TRIES)]
            row = max(grown, key=lambda row: len(_new(row, missing)))
            rows.append({axis: row[axis] for axis in self.axes})
            for pair in _new(row, missing):
                del missing[pair]
        return rows

    def _grown(self, missing: Missing, dice: random.Random) -> Combination:
        """A row with a missing pair, and of each other axis, in a random order, what brings most missing pairs."""
        pair = dice.choice(list(missing))
        order = [axis for axis in self.axes if axis not in {value.axis for value in pair}]
        dice.shuffle(order)
        row = self._completed({value.axis: value for value in pair}, order, missing, dice)
        assert row is not None, (
            f"{' and '.join(value.label for value in pair)} go together, but in no cell of these values"
        )
        return row

    def _completed(
        self, row: Combination, rest: list[str], missing: Missing, dice: random.Random
    ) -> Combination | None:
        if not rest:
            return row
        axis, *others = rest
        fitting = [value for value in self.axes[axis] if self._fits(value, row)]
        # Ties fall at random, not always to the first value.
        dice.shuffle(fitting)
        gain = {value: sum(frozenset((value, other)) in missing for other in row.values()) for value in fitting}
        for value in sorted(fitting, key=lambda value: -gain[value]):
            done = self._completed({**row, axis: value}, others, missing, dice)
            if done is not None:
                return done
        return None


def _new(row: Combination, missing: Missing) -> list[frozenset[Value]]:
    """The missing pairs of a row."""
    return [pair for pair in map(frozenset, itertools.combinations(row.values(), 2)) if pair in missing]
