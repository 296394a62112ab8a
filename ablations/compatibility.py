"""Which values of two axes go together: the tables of docs/choices.md, and few cells that show every pair which does.

    python -m ablations.compatibility > docs/choices.md

A pair is refused if none of a few cells, of which one suits every value, takes both of its values (`SUITABLE`). Every
other pair is in one of the cells of `covering`, which the tests train, score and sample. Of `TRIPLES`, three values
may be refused together though no two of them are.
"""

from __future__ import annotations

import inspect
import itertools
import random
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from ablations.metrics.registry import DEFAULT, metric_of, names
from ablations.settings.cell import AXES, NUMBERS, WORDS
from ablations.settings.grammar import options_of
from ablations.settings.making import make_cell
from ablations.settings.rules import refusal as cell_refusal

HORIZON, STEPS = 25, 5
TRIES = 30

VARIANTS: dict[str, list[dict[str, Any]]] = {
    "sampler": [
        {"sampler": "ancestral", "sampler.steps": STEPS},
        {"sampler": "ddim", "sampler.steps": STEPS, "sampler.eta": 1},
        {"sampler": "heun", "sampler.churn": 10, "sampler.skip": 0.2},
    ],
    "schedule": [
        {"schedule": "cosine", "schedule.zero_terminal": True},
    ],
    "space": [
        {"space": "latents", "space.f": 4},
        {"space": "latents", "space.regularization": "vq"},
    ],
    "evaluation": [
        {"evaluation.continuous": 2},
        {"evaluation.ode": 1},
        {"evaluation.horizon": STEPS},
    ],
}
"""Values of an axis beside its files."""

KINDS = {"data": ("digits", "mixture2d")}
"""Axes of which some values stand for all: digits for images, the mixture for points."""

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
        if axis == "training":
            continue
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
    """What these values set."""
    return {key: entry for one in values for key, entry in one.settings}


@cache
def refusal(suitable: int, values: frozenset[Value]) -> str | None:
    """Why a suitable cell does not take these values; None if it does."""
    return cell_refusal(make_cell([{"horizon": HORIZON, **SUITABLE[suitable], **settings_of(values)}], 0))


@dataclass(frozen=True)
class Pairs:
    """The values of all axes, and why pairs of them are refused."""

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

    def _fits(self, one: Value, row: Combination) -> bool:
        """Whether a value goes together with those of a row."""
        values = {one, *row.values()}
        alone = not any(frozenset((one, other)) in self.refused for other in row.values())
        return alone and not any(triple <= values for triple in self.refused_triples)

    def _all(self) -> Iterator[tuple[Value, Value]]:
        for first, second in itertools.combinations(self.axes.values(), 2):
            yield from itertools.product(first, second)

    def _reason(self, *values: Value) -> str | None:
        """Why no cell holds all of these, said of one that takes each of them if there is one; None if one does."""
        reasons = {}
        for i in range(len(SUITABLE)):
            reason = refusal(i, frozenset(values))
            if reason is None:
                return None
            reasons[i] = reason
        return reasons[min(reasons, key=lambda i: sum(refusal(i, frozenset((one,))) is not None for one in values))]

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
        order = [axis for axis in self.axes if axis not in {one.axis for one in pair}]
        dice.shuffle(order)
        row = self._completed({one.axis: one for one in pair}, order, missing, dice)
        assert row is not None, f"{' and '.join(one.label for one in pair)} go together, but in no cell of these values"
        return row

    def _completed(
        self, row: Combination, rest: list[str], missing: Missing, dice: random.Random
    ) -> Combination | None:
        if not rest:
            return row
        axis, *others = rest
        fitting = [one for one in self.axes[axis] if self._fits(one, row)]
        # Ties fall at random, not always to the first value.
        dice.shuffle(fitting)
        gain = {one: sum(frozenset((one, other)) in missing for other in row.values()) for one in fitting}
        for one in sorted(fitting, key=lambda one: -gain[one]):
            done = self._completed({**row, axis: one}, others, missing, dice)
            if done is not None:
                return done
        return None


def _new(row: Combination, missing: Missing) -> list[frozenset[Value]]:
    """The missing pairs of a row."""
    return [pair for pair in map(frozenset, itertools.combinations(row.values(), 2)) if pair in missing]


HEAD = """# Choices

What each axis offers, and which values of two axes do not go together. Written from the configuration files and the
rules of refusal by `python -m ablations.compatibility > docs/choices.md`.
"""

METRICS = """## metrics

Of samples; tables show what is asked for by `evaluation.metrics=[NAME,NAME]`.

| | | of | better | |
|---|---|---|---|---|"""

REFUSED = f"""## Refused pairs

Shown at horizon={HORIZON}, with digits for all images and mixture2d for all points. Every other pair of these values is
in a cell that the tests train, score and sample.

| | | why |
|---|---|---|
"""


def document() -> str:
    """docs/choices.md."""
    sections = []
    for axis in AXES:
        options = {option: line for option, line in options_of(axis).items() if "/" not in option}
        if axis == "schedule":
            options["saved/NAME"] = "a learned one, kept by `python -m ablations.export cell=ID name=NAME`"
        sections.append(_section(axis, options))
    sections += [_section(axis, words) for axis, words in WORDS.items()]
    sections.append(_metrics())
    pairs = Pairs(all_values())
    rows = []
    for values, reason in [*pairs.refused.items(), *pairs.refused_triples.items()]:
        first, *others = sorted((one.label for one in values), key=lambda label: _position(re.split("[.=]", label)[0]))
        rows.append(f"| `{first}` | {' with '.join(f'`{label}`' for label in others)} | {_escaped(reason)} |\n")
    return "\n".join([HEAD, *sections, REFUSED]) + "".join(rows)


def _position(axis: str) -> int:
    return [*AXES, *NUMBERS, *WORDS].index(axis)


def _metrics() -> str:
    """The metrics of samples, each by what its class says of it."""
    rows = []
    for name in names():
        metric = metric_of(name)
        always = "always measured" if metric in DEFAULT else "where asked for"
        line = (inspect.getdoc(metric) or "").splitlines()[0].rstrip(".")
        rows.append(f"| `{name}` | {_escaped(line)} | {' and '.join(metric.of)} | {metric.direction} | {always} |")
    return "\n".join([METRICS, *rows, ""])


def _section(axis: str, options: dict[str, str]) -> str:
    rows = [f"| `{option}` | {_escaped(line)} |" for option, line in options.items()]
    return "\n".join([f"## {axis}", "", f"| `{axis}=` | |", "|---|---|", *rows, ""])


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    print(document(), end="")
