"""Error rates of variances that are borrowed from other cells, by simulation, as Markdown. It rebuilds
`evidence/pooled.md`:

    python -m evidence.pooled replicates=4000 out=evidence/pooled.md

Grids none of whose cells differ are drawn, and each cell is compared with the baseline by rules that look alike where
all cells are equally noisy:

    pooled       one variance of all cells, the residual one of cells × seeds, by Holm's procedure
    moderated    each difference's variance shrunk towards all others' (Smyth 2004), by Holm's procedure

The suite's rule, under the same noise, is in `evidence.inference`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import special

from ablations.settings.exits import exit_code
from analysis.statistics.families import ALPHA
from analysis.statistics.variances import Array
from evidence.inference_grids import DRAWN as EVERY
from evidence.inference_grids import SHARED, Draw, chunks
from evidence.inference_rules import Bools, against_first, settled
from evidence.inference_tables import CELLS, MOST, Table, generator, numbered
from evidence.page_command import page_command, replicates

SEEDS = (3, 5, 8)
DRAWN = {name: draw for name, draw in EVERY.items() if name != SHARED}
"""All kinds of noise but that of cells that share a training."""


def lines(count: int) -> list[str]:
    """The table, with what it holds."""
    rows = {
        name: [worst(rule, draw, n, count) for rule in RULES.values() for n in SEEDS] for name, draw in DRAWN.items()
    }
    return [
        "# Variances that are borrowed from other cells",
        "",
        f"By `python -m evidence.pooled replicates={count} out=evidence/pooled.md`; the seed is fixed.",
        "",
        "The share of grids in % that claim a difference from the baseline where there is none, by Holm's procedure.",
        "*Pooled*: with one variance of all cells. *Moderated*: with each difference's variance, shrunk towards those",
        "of all (Smyth 2004, doi 10.2202/1544-6115.1027). The worst of k = "
        f"{', '.join(map(str, CELLS))} cells, {count} grids each;",
        f"✗ is above {MOST:g}, **bold** the worst. The suite's rule takes each difference's own variance: its errors",
        "[under the same noise](inference.md#false-claims-of-a-difference-in-a-family).",
        "",
        *Table(rows, MOST).lines(["cells", *(f"{rule}, {n}" for rule in RULES for n in numbered("n", SEEDS))]),
    ]


def worst(rule: Callable[[Array], Bools], draw: Draw, n: int, replicates: int) -> float:
    """The worst share of grids, over numbers of cells, in which a rule claims a difference."""
    return max(false_claims(rule, draw, (replicates, k + 1, n)) for k in CELLS)


def false_claims(rule: Callable[[Array], Bools], draw: Draw, shape: tuple[int, int, int]) -> float:
    """The share of grids [grids, cells, seeds] in which a rule claims any difference."""
    rng, wrong = generator(12, *shape[1:]), 0
    for count in chunks(shape[0], shape[1] * shape[2]):
        wrong += int(rule(draw(rng, (count, *shape[1:]))).any(-1).sum())
    return 100 * wrong / shape[0]


def pooled(values: Array) -> Bools:
    """The differences from the first cell [grids, k] that are claimed with one variance of all cells."""
    cells, n = values.shape[1:]
    around = values - values.mean(2, keepdims=True) - values.mean(1, keepdims=True) + values.mean((1, 2), keepdims=True)
    free = (cells - 1) * (n - 1)
    error = np.sqrt(2 * np.square(around).sum((1, 2)) / free / n)
    return by_holm(against_first(values).mean(-1) / error[:, None], free)


def moderated(values: Array) -> Bools:
    """The differences from the first cell [grids, k] that are claimed with variances shrunk towards all others'."""
    differences = against_first(values)
    k, n = differences.shape[1:]
    variance, free = differences.var(-1, ddof=1), n - 1
    prior, towards = prior_of(variance, free)
    finite = np.where(np.isinf(prior), 1, prior)
    shrunk = np.where(np.isinf(prior), towards, (finite * towards + free * variance) / (finite + free))
    return by_holm(differences.mean(-1) / np.sqrt(shrunk / n), np.minimum(free + prior, k * free))


def prior_of(variance: Array, free: int) -> tuple[Array, Array]:
    """The degrees of freedom and the variance [grids, 1] of the prior of variances [grids, k], by the moments of their
    logarithms; the former are infinite where these vary no more than equal variances' would."""
    logs = np.log(variance) - special.digamma(free / 2) + math.log(free / 2)
    left = logs.var(-1, ddof=1, keepdims=True) - special.polygamma(1, free / 2)
    halves = np.geomspace(1e-3, 1e6, 4000)
    known = np.interp(-np.log(np.maximum(left, 1e-300)), -np.log(special.polygamma(1, halves)), halves)
    prior = np.where(left > 0, 2 * known, np.inf)
    return prior, np.exp(logs.mean(-1, keepdims=True) + np.where(left > 0, special.digamma(known) - np.log(known), 0))


def by_holm(t: Array, free: Any) -> Bools:
    """The comparisons [grids, k] that Holm's procedure claims at 5 %, of their t and its degrees of freedom."""
    return settled(2 * special.stdtr(free, -np.abs(t)), np.ones(t.shape), ALPHA)


RULES = {"pooled": pooled, "moderated": moderated}

main = page_command(
    "evidence.pooled",
    "Error rates of borrowed variances.",
    replicates("grids drawn for each figure", 4000),
    lambda given: "\n".join(lines(given["replicates"])),
)
"""The command; its exit code."""

if __name__ == "__main__":
    raise SystemExit(exit_code(main))
