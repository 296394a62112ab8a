"""`python -m benchmarks.inference`: how often the rules of `analysis/statistics` err, and what they find, as Markdown.

Grids whose truth is known are drawn and handed to the functions that the pages are made with, but for the steps of
`settle` and the loop of `may_be_best`, which `claimed` and `excluded` take for all grids at once: a test holds them to
`judge` and `may_be_best`. Where cells share values, count or lack seeds, `judge` itself is asked.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ablations.settings.exits import exit_code
from analysis import options
from analysis.errors import InputError
from analysis.options import Option
from analysis.statistics.families import ALPHA, Decision, judge
from analysis.statistics.variances import Array
from benchmarks.inference_grids import (
    COMPONENTS,
    DRAWN,
    IMAGES,
    RAW,
    Components,
    Draw,
    alike,
    chunks,
    counted,
    equal,
    heavy,
    one_other,
    unequal,
)
from benchmarks.inference_rules import (
    Bools,
    against_first,
    claimed,
    every_pair,
    excluded,
    moments_of,
)

OPTIONS = {
    "replicates": Option(
        "grids drawn for each figure; those that a rule's error is told by are five times as many", 4000, int
    ),
    "out": Option("a file to write the tables to as well"),
}

SEEDS = (2, 3, 5, 8)
CELLS = (3, 11, 24, 40)
"""Cells beside the baseline."""
COVERAGE = 94.0
MOST = 5.5


def main(arguments: list[str]) -> int:
    """The command; its exit code."""
    return options.run(
        "benchmarks.inference", "Error rates and power of what is claimed.", OPTIONS, simulate, arguments
    )


def simulate(given: dict[str, Any]) -> None:
    """Simulate, print, and write where asked."""
    if given["replicates"] < 1:
        raise InputError("replicates must be at least 1")
    text = "\n".join(lines(given["replicates"]))
    print(text)
    if given["out"]:
        Path(given["out"]).write_text(text + "\n", encoding="utf-8")


def lines(replicates: int) -> list[str]:
    """All tables, with what they hold."""
    return [
        "# What is claimed, and how often it is wrong",
        "",
        f"By `python -m benchmarks.inference replicates={replicates} out=benchmarks/inference.md`; the seed is fixed.",
        "",
        "Everything is in %. **Bold** is the worst of a table; ✗ is what misses its target. SD is that of a cell's",
        f"values between seeds. {replicates} grids make a Monte-Carlo error of {error(replicates):.2f} at 5 %, and",
        f"{5 * replicates} one of {error(5 * replicates):.2f}.",
        "",
        *coverage_tables(replicates),
        *error_tables(replicates),
        *equality_errors(replicates),
        *image_errors(replicates),
        *best_errors(replicates),
        *power_tables(replicates),
        *equality_power(replicates),
    ]


def error(replicates: int) -> float:
    """The Monte-Carlo error of a rate of 5 %, in %."""
    return 100 * math.sqrt(0.05 * 0.95 / replicates)


@dataclass(frozen=True)
class Table:
    """Rates in % by row and column, of which none may be beyond a target; a row in `free` has none."""

    rows: Mapping[str, Sequence[float]]
    target: float
    least: bool = False
    free: tuple[str, ...] = ()

    def lines(self, head: Sequence[str]) -> list[str]:
        """The table, its worst figure in bold."""
        held = [rate for name, rates in self.rows.items() if name not in self.free for rate in rates]
        worst = (min if self.least else max)(rate for rate in held if not math.isnan(rate))
        shown = [
            f"| {name} | {' | '.join(self._word(rate, worst, name in self.free) for rate in rates)} |"
            for name, rates in self.rows.items()
        ]
        return [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *shown, ""]

    def _word(self, rate: float, worst: float, free: bool) -> str:
        if math.isnan(rate):
            return ""
        word = f"**{rate:.1f}**" if rate == worst and not free else f"{rate:.1f}"
        missed = rate < self.target if self.least else rate > self.target
        return word + (" ✗" if missed and not free else "")


def plain(head: Sequence[str], rows: Mapping[str, Sequence[float]]) -> list[str]:
    """A table of rates in % that have no target."""
    shown = [f"| {name} | {' | '.join(f'{rate:.0f}' for rate in rates)} |" for name, rates in rows.items()]
    return [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *shown, ""]


def numbered(word: str, numbers: Sequence[int]) -> list[str]:
    """The heads of columns for numbers."""
    return [f"{word} = {number}" for number in numbers]


def generator(*key: int) -> np.random.Generator:
    """The generator of one figure."""
    return np.random.default_rng([20_240, *key])


# 1. Coverage


def coverage_tables(replicates: int) -> list[str]:
    """How often the interval of a difference holds the truth."""
    pairs: dict[str, Draw] = {
        "normal": equal,
        "t with 5 degrees of freedom": heavy,
        "one of two × 10": one_other(0, 10.0),
    }
    rows = {
        name: [covered(generator(1, n), draw, (5 * replicates, 2, n)) for n in SEEDS]
        for name, draw in {**pairs, **RAW}.items()
    }
    crossed = {
        one.name: [covered(generator(1, n), one.draw, (replicates, 2, n), IMAGES) for n in SEEDS] for one in COMPONENTS
    }
    head = numbered("n", SEEDS)
    return [
        "Values that are positive and skewed are compared in logs, where log-normal ones are normal. The rows that are",
        "not in logs show why, and have no target.",
        "",
        "## Coverage of the 95 % interval of a difference",
        "",
        f"Target: at least {COVERAGE:g}. Over n seeds, {5 * replicates} differences a figure:",
        "",
        *Table(rows, COVERAGE, least=True, free=tuple(RAW)).lines(["values", *head]),
        f"Over n seeds and {IMAGES} images, {replicates} differences a figure. The ratio is that of the SDs between",
        "seeds, of the mean over images, and of what is left in a seed's mean:",
        "",
        *Table(crossed, COVERAGE, least=True).lines(["seeds : images : rest", *head]),
    ]


def covered(rng: np.random.Generator, draw: Draw, shape: tuple[int, int, int], images: int = 1) -> float:
    """How often the interval of the difference of two cells of equal means holds 0."""
    held = 0
    for count in chunks(shape[0], shape[1] * shape[2] * images):
        found = moments_of(against_first(draw(rng, (count, *shape[1:]))))
        held += int((np.abs(found.mean) <= found.half_width(ALPHA)).sum())
    return 100 * held / shape[0]


# 2. False claims


def error_tables(replicates: int) -> list[str]:
    """How often a family claims a difference that is none."""
    many = 5 * replicates
    names = {**DRAWN, **RAW}
    null = {name: [worst_false(draw, n, CELLS, many) for n in SEEDS] for name, draw in names.items()}
    half = {name: [worst_false(draw, n, CELLS, replicates, 5.0) for n in SEEDS] for name, draw in names.items()}
    pairs = {
        name: [worst_false(draw, n, (3, 4, 6), many, family=every_pair) for n in SEEDS] for name, draw in names.items()
    }
    head = ["cells", *numbered("n", SEEDS)]
    return [
        "## False claims of a difference, in a family",
        "",
        f"Target: at most {MOST:g}. The list against a baseline, nothing differs: the worst of k = "
        f"{', '.join(map(str, CELLS))} cells,",
        f"{many} grids each.",
        "",
        *Table(null, MOST, free=tuple(RAW)).lines(head),
        "Half of the cells differ by 5, where SDs are 1 but for what a row says: false claims among the others,",
        f"{replicates} grids each.",
        "",
        *Table(half, MOST, free=tuple(RAW)).lines(head),
        f"Every pair of 3, 4 or 6 cells, nothing differs, the worst of them, {many} grids each.",
        "",
        *Table(pairs, MOST, free=tuple(RAW)).lines(head),
        f"By `judge` itself, grid by grid, {replicates} grids each: 11 cells against a baseline, nothing differs.",
        "",
        *Table({name: [one(n, replicates) for n in SEEDS] for name, one in JUDGED.items()}, MOST).lines(head),
    ]


def worst_false(
    draw: Draw,
    n: int,
    cells: Sequence[int],
    replicates: int,
    apart: float = 0.0,
    family: Callable[[Array], Array] = against_first,
) -> float:
    """The worst rate of false differences over numbers of cells, of which half are `apart` SDs from the baseline."""
    return max(false_differences(draw, (replicates, k + (family is against_first), n), apart, family) for k in cells)


def false_differences(
    draw: Draw, shape: tuple[int, int, int], apart: float, family: Callable[[Array], Array] = against_first
) -> float:
    """How often a difference is claimed where there is none."""
    rng, wrong = generator(2, *shape[1:]), 0
    moved = 1 + (shape[1] - 1) // 2 if apart else 0
    for count in chunks(shape[0], shape[1] ** (1 + (family is every_pair)) * shape[2]):
        values = draw(rng, (count, *shape[1:]))
        values[:, 1:moved] += apart
        different, _ = claimed(moments_of(family(values)))
        wrong += int(different[:, max(moved - 1, 0) :].any(-1).sum())
    return 100 * wrong / shape[0]


def judged(
    draw: Draw, *, resolution: float = 0.0, primary: Sequence[bool] = (), missing: bool = False
) -> Callable[[int, int], float]:
    """How often `judge` claims a difference among 11 cells and a baseline, at n seeds over so many grids."""

    def rate(n: int, replicates: int) -> float:
        if missing and n == 2:
            return math.nan
        grids = draw(generator(3, n), (replicates, 12, n))
        return 100 * float(np.mean([any_claim(family(one, missing), resolution, primary) for one in grids]))

    def family(values: Array, missing: bool) -> list[Array]:
        differences = list(values[1:] - values[0])
        return [np.delete(one, i % len(one)) if missing and i % 3 else one for i, one in enumerate(differences)]

    return rate


def any_claim(differences: list[Array], resolution: float, primary: Sequence[bool]) -> bool:
    """Whether `judge` says of any that it differs."""
    told: list[Decision] = judge(differences, resolution=resolution, primary=primary)
    return any(one.verdict(1) in ("better", "worse") for one in told)


JUDGED = {
    "four cells a training, equal values": judged(alike(0.0)),
    "SDs exp(1.2 z), 3 of 11 are primary": judged(unequal(1.2), primary=[i < 3 for i in range(11)]),
    "equal SDs, 3 of 11 are primary": judged(equal, primary=[i < 3 for i in range(11)]),
    "two thirds of the cells lack a seed": judged(unequal(0.4), missing=True),
    "counts of mean 0.3": judged(counted(0.3), resolution=1.0),
    "counts of mean 3": judged(counted(3.0), resolution=1.0),
    "counts of mean 30": judged(counted(30.0), resolution=1.0),
}


def equality_errors(replicates: int) -> list[str]:
    """How often a family claims a difference that is none, or an equality that is none."""
    rows = {}
    regimes = {name: (draw, False) for name, draw in DRAWN.items()}
    regimes["one cell × 10, all others at the margin"] = (one_other(-1, 10.0), True)
    for name, (draw, most) in regimes.items():
        for sd in (0.25, 0.5, 1.0):
            found = np.array([worst_with_margin(draw, n, sd, replicates, most) for n in SEEDS])
            rows[f"{name}, {sd:g}"] = [*found[:, 2].tolist(), *found[:, :2].max(0).tolist()]
    head = [*(f"either, n = {n}" for n in SEEDS), "difference, any n", "equal, any n"]
    numbers = ", ".join(map(str, CELLS))
    return [
        "## False claims with a margin",
        "",
        "Half of the cells lie exactly a margin above the baseline, the others do not differ; the number is an SD of 1",
        f"as a part of the margin. Target: at most {MOST:g}. The worst of k = {numbers}, {replicates}",
        "grids each.",
        "",
        *Table(rows, MOST).lines(["cells", *head]),
    ]


def worst_with_margin(draw: Draw, n: int, sd: float, replicates: int, most: bool) -> tuple[float, float, float]:
    """The worst rates of false differences, false equalities, and either, where a margin is 1/sd.

    Half of the cells are at the margin, or all but the last.
    """
    found = []
    for k in CELLS:
        rng, margin, moved = generator(4, k, n), 1 / sd, k if most else 1 + k // 2
        values = draw(rng, (replicates, k + 1, n))
        values[:, 1:moved] += margin
        different, same = claimed(moments_of(against_first(values)), margin)
        wrong = different[:, moved - 1 :].any(-1), same[:, : moved - 1].any(-1)
        found.append([100 * float(one.mean()) for one in (*wrong, wrong[0] | wrong[1])])
    worst = np.max(found, axis=0)
    return float(worst[0]), float(worst[1]), float(worst[2])


def image_errors(replicates: int) -> list[str]:
    """How often a family whose values are known per image claims a difference that is none."""
    regimes = [*COMPONENTS, *(replace(one, spread=1.2) for one in COMPONENTS[3:8])]
    shapes = [(3, 3), (11, 3), (24, 3), (11, 5), (24, 8)]
    rows = {one.name: [false_with_images(one, n, k, replicates) for k, n in shapes] for one in regimes}
    return [
        "## False claims of a difference where values are known per image",
        "",
        f"Nothing differs, {IMAGES} images, {replicates} grids each; ratios as above. Target: at most {MOST:g}.",
        "",
        *Table(rows, MOST).lines(["seeds : images : rest", *(f"k = {k}, n = {n}" for k, n in shapes)]),
    ]


def false_with_images(parts: Components, n: int, k: int, replicates: int) -> float:
    """How often a difference is claimed where there is none."""
    rng, wrong = generator(5, k, n), 0
    for count in chunks(replicates, (k + 1) * n * IMAGES):
        different, _ = claimed(moments_of(against_first(parts.draw(rng, (count, k + 1, n)))))
        wrong += int(different.any(-1).sum())
    return 100 * wrong / replicates


# 3. The best


BEHIND: dict[str, Callable[[int], NDArray[np.floating[Any]]]] = {
    "all tied": lambda k: np.zeros(k),
    "rivals 0.5 SD behind": lambda k: 0.5 * (np.arange(k) > 0),
    "half tied, half 8 SD behind": lambda k: 8.0 * (np.arange(k) >= (k + 1) // 2),
}
AMONG: dict[str, Draw] = {
    "equal SDs": equal,
    "SDs exp(1.2 z)": unequal(1.2),
    "the best × 10": one_other(0, 10.0),
    "the best × 0.1": one_other(0, 0.1),
    "a rival × 10": one_other(1, 10.0),
    "t with 5 degrees of freedom": heavy,
}


def best_errors(replicates: int) -> list[str]:
    """How often the true best is excluded."""
    many, rows = 5 * replicates, {}
    for behind, offsets in BEHIND.items():
        for name, draw in AMONG.items():
            figures = [worst_lost(draw, offsets, n, many if n < 8 else replicates) for n in (3, 5, 8)]
            rows[f"{behind}; {name}"] = [rate for two in figures for rate in two]
    for parts in COMPONENTS[3:8]:
        figures = [lost(parts.draw, np.zeros(11), (replicates, 11, n), IMAGES) for n in (3, 5, 8)]
        rows[f"all tied; images, {parts.name}"] = [rate for two in figures for rate in two]
    head = [f"n = {n}, {what}" for n in (3, 5, 8) for what in ("not among the best", "or worse")]
    return [
        "## The true best is lost",
        "",
        "Not among those that may be the best; or that, or the list says that it is worse than another: the worst of",
        "three, where another cell is the baseline, where the best itself is, and, for 3 cells, where the list is of",
        f"every pair. Target: at most {MOST:g}. The worst of k = 3, 11, 24 cells, {many} grids each ({replicates} at 8",
        f"seeds); with {IMAGES} images k = 11, {replicates} grids.",
        "",
        *Table(rows, MOST).lines(["cells", *head]),
    ]


def worst_lost(
    draw: Draw, behind: Callable[[int], NDArray[np.floating[Any]]], n: int, replicates: int
) -> tuple[float, float]:
    """The worst rates of `lost` over numbers of cells."""
    found = [lost(draw, behind(k), (replicates, k, n)) for k in (3, 11, 24)]
    return max(one[0] for one in found), max(one[1] for one in found)


def lost(
    draw: Draw, behind: NDArray[np.floating[Any]], shape: tuple[int, int, int], images: int = 1
) -> tuple[float, float]:
    """How often the first cell, which none is better than, is not among the best; and that or said to be worse."""
    rng, out, either = generator(6, *shape[1:]), 0, np.zeros(3)
    for count in chunks(shape[0], shape[1] * shape[2] * images):
        values = draw(rng, (count, *shape[1:]))
        values -= behind.reshape(-1, *[1] * (values.ndim - 2))
        gone = excluded(values, 0)
        out += int(gone.sum())
        lists = [said_worse(values), beaten(values)] + ([under(values)] if shape[1] <= 6 else [])
        either[: len(lists)] += [(gone | one).sum() for one in lists]
    return 100 * out / shape[0], 100 * float(either.max()) / shape[0]


def said_worse(values: Array) -> Bools:
    """Whether the list against the last cell says that the first is worse."""
    found = moments_of(values[:, :-1] - values[:, -1:])
    return claimed(found)[0][:, 0] & (found.mean[:, 0] < 0)


def beaten(values: Array) -> Bools:
    """Whether the list against the first cell says that any is better."""
    found = moments_of(against_first(values))
    return np.asarray((claimed(found)[0] & (found.mean > 0)).any(-1))


def under(values: Array) -> Bools:
    """Whether the list of every pair says that the first cell is worse than any."""
    found = moments_of(every_pair(values))
    return np.asarray((claimed(found)[0] & (found.mean < 0))[:, : values.shape[1] - 1].any(-1))


# 4. Power


def power_tables(replicates: int) -> list[str]:
    """How often one cell that differs is found, by Holm and by the rule here."""
    apart, listed, best = (2, 3, 5, 10), {}, {}
    for k in (11, 24):
        for n in (3, 5, 8):
            name = f"n = {n}, k = {k}"
            listed[name] = [rate for sds in apart for rate in found_in_list(n, k, sds, replicates)]
            best[name] = [rate for sds in apart for rate in found_below(n, k, sds, replicates)]
    head = [f"{sds} SD, {rule}" for sds in apart for rule in ("Holm", "here")]
    return [
        "## Power",
        "",
        f"One of k cells differs from the baseline and all others; SDs are equal, {replicates} grids each. How often",
        "it is found, by Holm's equal weights and by the rule here, where no margin is given:",
        "",
        *plain(["", *head], listed),
        "One of k cells is better than all others. The share of these that are not among those that may be the best,",
        "by a paired test against the best mean at 0.05/(k − 1), one-sided, and by the rule here.",
        "",
        *plain(["", *(word.replace("Holm", "best mean") for word in head)], best),
    ]


def found_in_list(n: int, k: int, sds: float, replicates: int) -> tuple[float, float]:
    """How often one cell of k is found, by Holm and here."""
    values = equal(generator(7, k, n), (replicates, k + 1, n))
    values[:, 1] += sds
    found = moments_of(against_first(values))
    holm = replace(found, spread=np.ones(found.spread.shape))
    rates = [100 * float(claimed(one)[0][:, 0].mean()) for one in (holm, found)]
    return rates[0], rates[1]


def found_below(n: int, k: int, sds: float, replicates: int) -> tuple[float, float]:
    """The share of k − 1 cells, `sds` behind the best, that are excluded against the best mean, and here."""
    values = equal(generator(8, k, n), (replicates, k, n))
    values[:, 0] += sds
    ours = np.mean([excluded(values, cell).mean() for cell in range(1, k)])
    leader = values.mean(-1).argmax(1)
    found = moments_of(values[np.arange(replicates), leader][:, None] - values)
    with np.errstate(invalid="ignore"):
        out = (found.mean > 0) & (found.two_sided() / 2 <= ALPHA / (k - 1))
    return 100 * float(out[:, 1:].mean()), 100 * float(ours)


# 5. Equality


def equality_power(replicates: int) -> list[str]:
    """How often cells that do not differ are said to be equal."""
    parts = (0.25, 0.5, 1.0)
    rows = {f"k = {k}": [said_equal(n, k, part, replicates) for n in (3, 5, 8) for part in parts] for k in (3, 11, 24)}
    return [
        "## Cells that do not differ, said to be equal",
        "",
        f"The share of k cells, all like the baseline, {replicates} grids each; the SD of a difference is told as a",
        "part of the margin.",
        "",
        *plain(["", *(f"n = {n}, SD = {part:g}" for n in (3, 5, 8) for part in parts)], rows),
    ]


def said_equal(n: int, k: int, part: float, replicates: int) -> float:
    """The share of comparisons that are said to be below a margin, where the differences' SD is a part of it."""
    values = equal(generator(9, k, n), (replicates, k + 1, n))
    return 100 * float(claimed(moments_of(against_first(values)), math.sqrt(2) / part)[1].mean())


if __name__ == "__main__":
    raise SystemExit(exit_code(main))
