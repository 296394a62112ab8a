"""Rates of wrong claims, for `evidence.inference`: coverage of intervals, false differences, false equalities."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from analysis.statistics.families import ALPHA, Decision, judge
from analysis.statistics.variances import Array
from evidence.inference_grids import (
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
from evidence.inference_rules import against_first, claimed, every_pair, moments_of
from evidence.inference_tables import CELLS, COVERAGE, MOST, SEEDS, Table, generator, numbered

# 1. Coverage


def coverage_tables(replicates: int) -> list[str]:
    """Share of intervals of a difference that hold the truth."""
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
        parts.name: [covered(generator(1, n), parts.draw, (replicates, 2, n), IMAGES) for n in SEEDS]
        for parts in COMPONENTS
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
    """Share of intervals that hold 0, of the difference of two cells of equal means."""
    held = 0
    for count in chunks(shape[0], shape[1] * shape[2] * images):
        moments = moments_of(against_first(draw(rng, (count, *shape[1:]))))
        held += int((np.abs(moments.mean) <= moments.half_width(ALPHA)).sum())
    return 100 * held / shape[0]


# 2. False claims


def error_tables(replicates: int) -> list[str]:
    """Share of families that claim a difference that is none."""
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
        *Table({name: [rate(n, replicates) for n in SEEDS] for name, rate in JUDGED.items()}, MOST).lines(head),
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
    """Share of grids in which a difference is claimed where there is none."""
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
    """Share of so many grids in which `judge` claims a difference among 11 cells and a baseline, at n seeds."""

    def rate(n: int, replicates: int) -> float:
        if missing and n == 2:
            return math.nan
        grids = draw(generator(3, n), (replicates, 12, n))
        return 100 * float(np.mean([any_claim(family(item, missing), resolution, primary) for item in grids]))

    def family(values: Array, missing: bool) -> list[Array]:
        differences = list(values[1:] - values[0])
        return [np.delete(item, i % len(item)) if missing and i % 3 else item for i, item in enumerate(differences)]

    return rate


def any_claim(differences: list[Array], resolution: float, primary: Sequence[bool]) -> bool:
    """True where `judge` says of any that it differs."""
    decisions: list[Decision] = judge(differences, resolution=resolution, primary=primary)
    return any(decision.verdict(1) in ("better", "worse") for decision in decisions)


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
    """Share of families that claim a difference that is none, or an equality that is none."""
    rows = {}
    regimes = {name: (draw, False) for name, draw in DRAWN.items()}
    regimes["one cell × 10, all others at the margin"] = (one_other(-1, 10.0), True)
    for name, (draw, most) in regimes.items():
        for sd in (0.25, 0.5, 1.0):
            rates = np.array([worst_with_margin(draw, n, sd, replicates, most) for n in SEEDS])
            rows[f"{name}, {sd:g}"] = [*rates[:, 2].tolist(), *rates[:, :2].max(0).tolist()]
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
    rates = []
    for k in CELLS:
        rng, margin, moved = generator(4, k, n), 1 / sd, k if most else 1 + k // 2
        values = draw(rng, (replicates, k + 1, n))
        values[:, 1:moved] += margin
        different, same = claimed(moments_of(against_first(values)), margin)
        wrong = different[:, moved - 1 :].any(-1), same[:, : moved - 1].any(-1)
        rates.append([100 * float(false.mean()) for false in (*wrong, wrong[0] | wrong[1])])
    worst = np.max(rates, axis=0)
    return float(worst[0]), float(worst[1]), float(worst[2])


def image_errors(replicates: int) -> list[str]:
    """Share of families, with values known per image, that claim a difference that is none."""
    regimes = [*COMPONENTS, *(replace(parts, spread=1.2) for parts in COMPONENTS[3:8])]
    shapes = [(3, 3), (11, 3), (24, 3), (11, 5), (24, 8)]
    rows = {parts.name: [false_with_images(parts, n, k, replicates) for k, n in shapes] for parts in regimes}
    return [
        "## False claims of a difference where values are known per image",
        "",
        f"Nothing differs, {IMAGES} images, {replicates} grids each; ratios as above. Target: at most {MOST:g}.",
        "",
        *Table(rows, MOST).lines(["seeds : images : rest", *(f"k = {k}, n = {n}" for k, n in shapes)]),
    ]


def false_with_images(parts: Components, n: int, k: int, replicates: int) -> float:
    """Share of grids in which a difference is claimed where there is none."""
    rng, wrong = generator(5, k, n), 0
    for count in chunks(replicates, (k + 1) * n * IMAGES):
        different, _ = claimed(moments_of(against_first(parts.draw(rng, (count, k + 1, n)))))
        wrong += int(different.any(-1).sum())
    return 100 * wrong / replicates
