"""The power of the number of fresh seeds, by simulation, as Markdown. It rebuilds `evidence/prospects.md`:

    python -m evidence.prospects replicates=100 out=evidence/prospects.md

Grids whose truth is known are drawn and judged. Each comparison that they cannot tell comes with a number of fresh
seeds; a fresh grid of so many is drawn and judged, and tells or not. The truth of the fresh grid is either what the old
one looks like, or what the old one was drawn from, which is what a reader gets.

    alone    the number of a textbook: of one comparison by itself, at an even share, if it is what it looks like
    grid     that of `analysis.statistics.prospects`
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ablations.settings.exits import exit_code
from analysis.statistics.families import ALPHA, judge
from analysis.statistics.prospects import NUMBERS, POWER, Prospects
from analysis.statistics.variances import Array
from evidence.inference_tables import generator, plain
from evidence.page_command import page_command, replicates

Numbers = list[int | None]
Fresh = Callable[[int], Array]
"""Draws the differences [k, n (, m)] of a fresh grid of n seeds."""


@dataclass(frozen=True)
class Kind:
    """A kind of grid: its cells and their old seeds, and how it is judged.

    The cells' means differ by the SD `spread`, where a cell's values have an SD of exp(noise · z) between seeds. With
    `images`, a difference varies by an SD of 0.3 over the means of so many, which are the same at all seeds.
    """

    name: str
    cells: int = 11
    seeds: int = 3
    spread: float = 2.0
    primary: int = 0
    margin: float = math.nan
    images: int = 0
    noise: float = 0.0

    @property
    def rule(self) -> dict[str, Any]:
        """The arguments of the judge, for the comparisons with the baseline."""
        k = self.cells - 1
        return {"margins": [self.margin] * k, "resolution": 0.0, "primary": [i < self.primary for i in range(k)]}


KINDS = (
    *(
        Kind(f"{cells} cells, {seeds} seeds, effects of {spread:g} SD", cells, seeds, spread)
        for cells in (3, 11, 27)
        for seeds in (3, 5)
        for spread in (1.0, 2.0, 4.0)
    ),
    Kind("11 cells, 3 seeds, effects of 2 SD, 3 are primary", primary=3),
    Kind("11 cells, 3 seeds, effects of 2 SD, a margin of 0.5 SD", margin=0.5),
    Kind("11 cells, 3 seeds, effects of 2 SD, 50 images", images=50),
    Kind("11 cells, 3 seeds, effects of 2 SD, SDs exp(0.4 z)", noise=0.4),
    Kind("11 cells, 3 seeds, effects of 2 SD, SDs exp(1.2 z)", noise=1.2),
)
HEAD = ("given", "median", "told, as it looks", "told, as drawn")


@dataclass(frozen=True)
class Followed:
    """The comparisons that grids could not tell: the numbers given, and of each whether it was told, where the truth is
    what it looks like and where it is what was drawn."""

    untold: int
    given: tuple[int, ...]
    looks: tuple[bool, ...]
    drawn: tuple[bool, ...]

    @property
    def rates(self) -> tuple[float, float, float, float]:
        """The share that have a number, its median, and the shares told; the latter in %."""
        if not self.given:
            return 0.0, math.nan, math.nan, math.nan
        share = 100 * len(self.given) / self.untold
        return share, float(np.median(self.given)), 100 * float(np.mean(self.looks)), 100 * float(np.mean(self.drawn))


def lines(count: int) -> list[str]:
    """The table, with what it holds."""
    rows = {}
    for i, kind in enumerate(KINDS):
        grids = math.ceil(10 * count / (kind.cells - 1))
        rates = [followed(kind, rule, generator(11, i), grids).rates for rule in (alone, within)]
        rows[kind.name] = [rate for two in zip(*rates, strict=True) for rate in two]
    return [
        "# How often the number of fresh seeds tells",
        "",
        f"By `python -m evidence.prospects replicates={count} out=evidence/prospects.md`; the seed is fixed.",
        "",
        f"Cells are compared with a baseline that is one of them, {10 * count} comparisons a row. Of those that",
        f"cannot be told: the share in % that is given a number, {NUMBERS[-1]} at most; its median; and how often in",
        f"% a fresh grid of so many seeds tells them. The number aims at {100 * POWER:.0f}. *Alone* is a textbook's:",
        "of one comparison by itself, at an even share of the error rate, if it is what it looks like. *Grid* is the",
        "one that pages give. *As it looks*: the truth is the means and the covariance that the old seeds show; the",
        "grid's number does not rely on that, so it tells more often. *As drawn*: it is what the old seeds were drawn",
        "from, around which what they show varies; this is what a reader gets. SD is that of a cell's values between",
        "seeds. A share that is told is known to about ± 2.",
        "",
        *plain(["cells", *(f"{word}: {rule}" for word in HEAD for rule in ("alone", "grid"))], rows),
    ]


def followed(
    kind: Kind,
    rule: Callable[[Kind, list[Array]], Numbers],
    rng: np.random.Generator,
    replicates: int,
) -> Followed:
    """The fate of a rule's numbers, over grids that are drawn."""
    untold, given, told = 0, [], []
    for _ in range(replicates):
        drawn = truth(kind, rng)
        old = drawn(kind.seeds)
        open_ = [i for i, one in enumerate(judge(list(old), **kind.rule)) if one.verdict(1) == "cannot tell"]
        numbers = rule(kind, list(old)) if open_ else []
        worlds = (partial(alike, old, rng), drawn)
        untold += len(open_)
        for n in sorted({n for i in open_ if (n := numbers[i]) is not None}):
            asked = [i for i in open_ if numbers[i] == n]
            given += [n] * len(asked)
            told += list(zip(*(tells(kind, world(n))[asked] for world in worlds), strict=True))
    return Followed(untold, tuple(given), *(tuple(part) for part in (zip(*told, strict=True) if told else ((), ()))))


def tells(kind: Kind, differences: Array) -> NDArray[np.bool_]:
    """The comparisons [k] of which a grid shows that they differ."""
    return np.array([one.different <= ALPHA for one in judge(list(differences), **kind.rule)])


def truth(kind: Kind, rng: np.random.Generator) -> Fresh:
    """A grid whose cells' means are drawn; its images are the same whenever it is run."""
    means, sds = kind.spread * rng.normal(size=(kind.cells, 1)), np.exp(kind.noise * rng.normal(size=(kind.cells, 1)))
    images = 0.3 * math.sqrt(max(kind.images, 1)) * rng.normal(size=(kind.cells, 1, kind.images)) / math.sqrt(2)

    def drawn(n: int) -> Array:
        values = means + sds * rng.normal(size=(kind.cells, n))
        if kind.images:
            values = values[..., None] + images + rng.normal(size=(kind.cells, n, kind.images))
        return np.asarray(values[1:] - values[0])

    return drawn


def alike(old: Array, rng: np.random.Generator, n: int) -> Array:
    """The differences of n seeds of a grid that is in truth what the old one looks like; its images are the same."""
    by_seed = old.mean(-1) if old.ndim == 3 else old
    around = by_seed - by_seed.mean(1, keepdims=True)
    seeds = around @ rng.normal(size=(old.shape[1], n)) / math.sqrt(old.shape[1] - 1)
    if old.ndim == 2:
        return np.asarray(by_seed.mean(1, keepdims=True) + seeds)
    rest = rng.normal(size=(len(old), n, old.shape[2])) * math.sqrt(2)
    return np.asarray(old.mean(1, keepdims=True) + seeds[..., None] + rest - rest.mean(-1, keepdims=True))


def within(kind: Kind, differences: list[Array]) -> Numbers:
    """The numbers that pages give."""
    prospects = Prospects(differences, **kind.rule)
    return [prospects.of(i) for i in range(len(differences))]


def alone(kind: Kind, differences: list[Array]) -> Numbers:
    """The numbers of each comparison by itself, at an even share, by the noncentral t distribution."""
    n = np.arange(2, NUMBERS[-1] + 1)
    critical = stats.t.ppf(1 - ALPHA / len(differences) / 2, n - 1)
    numbers: Numbers = []
    for one in judge(differences, **kind.rule):
        error = np.hypot(one.found.seed_sd / np.sqrt(n), one.found.image_error)
        # Further out the power is 1 to many digits, and the distribution is not computed reliably.
        shift = np.minimum(abs(one.found.difference) / error, 10 * critical)
        enough = np.asarray(stats.nct.sf(critical, n - 1, shift)) >= POWER
        numbers.append(int(n[enough.argmax()]) if enough.any() else None)
    return numbers


main = page_command(
    "evidence.prospects",
    "How often the number of fresh seeds tells.",
    replicates("grids of 11 cells of each kind; others have as many comparisons", 100),
    lambda given: "\n".join(lines(given["replicates"])),
)
"""The command; its exit code."""

if __name__ == "__main__":
    raise SystemExit(exit_code(main))
