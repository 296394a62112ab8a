"""Error rates and power of the verdicts, by simulation, as Markdown. It rebuilds `evidence/inference.md`:

    nice python -m evidence.inference replicates=2500 out=evidence/inference.md

Grids whose truth is known are drawn, [cells, seeds] with the baseline first, and handed one by one to the functions
that pages are made with: `judge` for the list of comparisons, `beaten_by` for what may be the best.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from analysis.shell import Option, exit_code
from analysis.statistics import ALPHA, Array, Decision, Paired, beaten_by, judge, settle
from evidence.page_command import page_command, table

Draw = Callable[[np.random.Generator, int, int], Array]
"""Draws a grid [cells, seeds] of equal means, whose standard deviations are about 1."""
Test = Callable[[Array], bool]
SIZES = ((4, 3), (12, 3), (12, 5), (25, 5))
FEW = SIZES[1:3]


def unequal(spread: float) -> Draw:
    """Normal values whose standard deviations are exp(spread · z) by cell."""
    return lambda rng, k, n: np.exp(spread * rng.normal(size=(k, 1))) * rng.normal(size=(k, n))


def one_other(cell: int) -> Draw:
    """Normal values, those of one cell times 10."""
    return lambda rng, k, n: np.where(np.arange(k)[:, None] == cell % k, 10, 1) * rng.normal(size=(k, n))


def alike(rng: np.random.Generator, k: int, n: int) -> Array:
    """Values that groups of four cells share."""
    return rng.normal(size=(k // 4 + 1, n))[(np.arange(k) + 3) // 4]


def lacking(rng: np.random.Generator, k: int, n: int) -> Array:
    """Values of which two thirds of the cells lack one at some seed."""
    values, i = unequal(0.4)(rng, k, n), np.flatnonzero(np.arange(k) % 3)
    values[i, i % n] = math.nan
    return values


def counted(mean: float) -> Draw:
    """Counts."""
    return lambda rng, k, n: rng.poisson(mean, (k, n)).astype(float)


NOISES: Mapping[str, Draw] = {
    "equal": unequal(0.0),
    "exp(1.2 z)": unequal(1.2),
    "baseline × 10": one_other(0),
    "one cell × 10": one_other(-1),
    "t, 5 degrees": lambda rng, k, n: rng.standard_t(5, (k, n)) * math.sqrt(3 / 5),
}


def rate(happens: Test, draw: Draw, cells: int, seeds: int, count: int) -> float:
    """The share of grids in which something happens, in %."""
    rng = np.random.default_rng([20_240, cells, seeds])
    return 100 * float(np.mean([happens(draw(rng, cells, seeds)) for _ in range(count)]))


def decisions(values: Array, margin: float = math.nan, primary: float = 0, resolution: float = 0.0) -> list[Decision]:
    """The list against the baseline, its first so many comparisons primary, over the seeds that both cells have."""
    differences = [d[np.isfinite(d)] for d in values[1:] - values[0]]
    k = len(differences)
    first = [i < primary for i in range(k)]
    return judge(differences, [margin] * k, beyond=[False] * k, primary=first, resolution=resolution)


def false_difference(apart: float = 0.0, margin: float = math.nan, **more: float) -> Test:
    """A test of whether a difference is claimed that is none, or an equality that is none, where half of the cells are
    moved by `apart`."""

    def happens(values: Array) -> bool:
        moved = 1 + (len(values) - 1) // 2 if apart else 1
        values[1:moved] += apart
        found = decisions(values, margin, **more)
        equal = any(one.equal <= ALPHA for one in found[: moved - 1]) if apart >= margin else False
        return equal or any(one.different <= ALPHA for one in found[moved - 1 :])

    return happens


def lost(values: Array) -> bool:
    """True where the last cell, as good as any, is said not to be the best."""
    return bool(beaten_by(values, 1)[-1])


def page(given: Mapping[str, int]) -> str:
    """The page of so many grids a figure."""
    count = given["replicates"]
    words = (
        f"By `nice python -m evidence.inference replicates={count} out=evidence/inference.md`: % of {count} grids "
        f"whose truth is known; 5 % has a standard error of {100 * math.sqrt(0.0475 / count):.1f}. Promised are at "
        "most 5 % of false claims in a metric and 95 % of intervals that hold; × is above 5.5 or below 94, as some "
        "figures of 5 are by chance. k cells are compared with a baseline at n seeds. Noise is normal, of SD 1, "
        "but for what a row says; z is normal."
    )
    lines = [line for part in (coverage, families, special, scales, power) for line in part(count)]
    return "\n".join(["# How often a verdict is wrong", "", words, "", *lines])


def coverage(count: int) -> list[str]:
    """The share of intervals of a difference that hold the truth, of twenty times as many differences."""
    draws = {name: NOISES[name] for name in ("equal", "t, 5 degrees", "baseline × 10")}
    rows = []
    for name, draw in draws.items():
        found = [draw(np.random.default_rng(n), 2, 20 * count * n).reshape(2, -1, n) for n in (2, 3, 5, 8)]
        each = [Paired.of(a - b) for a, b in found]
        rows.append((name, *(marked(float(100 * (abs(one.mean) <= one.half_width()).mean()), 100, 94) for one in each)))
    head = ["intervals that hold", *(f"n = {n}" for n in (2, 3, 5, 8))]
    return ["## Intervals", "", *table(head, rows), ""]


def families(count: int) -> list[str]:
    """The share of lists with a false claim, by noise."""
    tests = [*((false_difference(), size) for size in SIZES), *((false_difference(5.0), size) for size in FEW)]
    tests += [(test, FEW[0]) for test in (false_difference(4.0, 4.0), false_difference(2.0, 2.0), lost)]
    rows = [(name, *(marked(rate(test, draw, *size, count)) for test, size in tests)) for name, draw in NOISES.items()]
    head = ["SD by cell", *(f"{k - 1}, {n}" for k, n in SIZES), *(f"half, {k - 1}, {n}" for k, n in FEW)]
    words = (
        "Columns: k, n where nothing differs; where half of the cells differ by 5; where half lie exactly at a margin "
        "of 4 or 2 SD, so that equality is false, too (k = 11, n = 3); and the last: the true best cell, tied with "
        "all, may not be the best."
    )
    head += ["margin 4", "margin 2", "best lost"]
    return ["## A list with a false claim", "", words, "", *table(head, rows), ""]


def special(count: int) -> list[str]:
    """The share of lists with a false claim, where comparisons share values, count, lack seeds or are primary."""
    rows: dict[str, tuple[Test, Draw]] = {
        "four cells share values": (false_difference(), alike),
        "two thirds lack a seed": (false_difference(), lacking),
        "3 of 11 are primary": (false_difference(primary=3), unequal(0.0)),
        "… of SDs exp(1.2 z)": (false_difference(primary=3), unequal(1.2)),
        "counts of mean 0.3": (false_difference(resolution=1.0), counted(0.3)),
        "counts of mean 3": (false_difference(resolution=1.0), counted(3.0)),
    }
    found = [(name, *(marked(rate(*of, 12, n, 3 * count)) for n in (3, 5))) for name, of in rows.items()]
    return ["k = 11, nothing differs, three times as many grids:", "", *table(["", "n = 3", "n = 5"], found), ""]


def scales(count: int) -> list[str]:
    """The error rates that log-normal noise gives values that are compared as they are, and in logarithms."""
    rows = []
    for size in (0.05, 0.3, 1.0):
        tests = [(log_normal(size, logs=logs), test) for logs in (False, True) for test in (false_difference(), lost)]
        found = [max(rate(test, draw, 12, n, count) for n in (3, 8)) for draw, test in tests]
        rows.append((f"{size:g}", *map(marked, found)))
    head = ["SD of logs", "linear: list errs", "linear: best lost", "log: list errs", "log: best lost"]
    words = (
        "Log-normal noise, its SD times exp(0.6 z) by cell; k = 11, the worse of n = 3 and 8. So a metric whose noise "
        "grows with its value declares `scale: log`."
    )
    return ["## Scales", "", words, "", *table(head, rows), ""]


def log_normal(size: float, *, logs: bool) -> Draw:
    """Log-normal values of equal means, or their logarithms, of equal means."""

    def draw(rng: np.random.Generator, k: int, n: int) -> Array:
        sd = size * np.exp(0.6 * rng.normal(size=(k, 1)))
        values = sd * rng.normal(size=(k, n))
        return np.asarray(values if logs else np.exp(values - sd**2 / 2))

    return draw


def power(count: int) -> list[str]:
    """The rate at which the one cell that differs is found, by Holm's procedure and by spread weights."""
    rows = []
    for k, n in ((12, 3), (12, 5), (25, 3), (25, 5)):
        tests = [finds(apart, holm=holm) for apart in (2.0, 3.0, 5.0, 10.0) for holm in (True, False)]
        rows.append((f"{k - 1}, {n}", *(f"{rate(test, unequal(0.0), k, n, count):.0f}" for test in tests)))
    head = [f"{apart} SD, {name}" for apart in (2, 3, 5, 10) for name in ("Holm", "here")]
    words = "One cell of k differs. Found by Holm's equal shares, and by the shares here, by spread:"
    return ["## Power", "", words, "", *table(["k, n", *head], rows)]


def finds(apart: float, *, holm: bool) -> Test:
    """A test of whether the last cell is found to differ, which does by `apart`: by equal shares, or the product."""

    def happens(values: Array) -> bool:
        values[-1] += apart
        if holm:
            p = settle(Paired.of(values[1:] - values[0]).p(), np.ones(len(values) - 1))
            return bool(p[-1] <= ALPHA)
        return decisions(values)[-1].different <= ALPHA

    return happens


def marked(found: float, most: float = 5.5, least: float = 0.0) -> str:
    """A rate, marked where it is beyond what is promised."""
    return f"{found:.1f}{'' if least <= found <= most else ' ×'}"


OPTIONS = {"replicates": Option("grids drawn for each figure", 2500, int)}
main = page_command("evidence.inference", "Error rates and power of what is claimed.", OPTIONS, page)

if __name__ == "__main__":
    raise SystemExit(exit_code(main))
