"""The false claims of `seeds=auto`, and the seeds that it saves, by simulation. It rebuilds `evidence/looks.md`:

    nice python -m evidence.looks replicates=3000 out=evidence/looks.md

Grids of m cells and a baseline go through the looks as a command takes them: a comparison that is settled or has no
prospect gets no more seeds. Beside them are papers' claims that no look follows: of each cell with the next and the one
after it. As on a page, looks have four fifths of α, and claims a fifth.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np

from ablations.grids.grid import looks_of
from analysis.looks import FOLLOWED, SequentialDecision, follow
from analysis.shell import Option, exit_code
from analysis.statistics import ALPHA, Array, judge
from evidence.inference import Draw, unequal
from evidence.page_command import page_command, table

LOOKS = looks_of()
COUNTS, MARGIN = (3, 10), 2.0
NOISES: Mapping[str, Draw] = {
    "equal": lambda rng, k, n: rng.normal(size=(k, n)),
    "exp(1.2 z)": unequal(1.2),
    "baseline × 0.1": lambda rng, k, n: np.where(np.arange(k)[:, None] == 0, 0.1, 1) * rng.normal(size=(k, n)),
}
TRUTHS = {"by 0": (0.0, math.nan), "by 5 SD": (5.0, math.nan), "by the margin": (MARGIN, MARGIN)}


def decided(values: Array, margin: float) -> tuple[list[SequentialDecision], list[int]]:
    """The comparisons with the baseline after all looks, of values [m + 1, seeds], and the seeds of each."""
    differences = values[1:] - values[0]
    found, seeds = [SequentialDecision()] * len(differences), [0] * len(differences)

    def first(n: int) -> list[Array | None]:
        return [d[:n] if n <= taken else None for d, taken in zip(differences, seeds, strict=True)]

    for n in LOOKS:
        seeds = [n if one.undecided else taken for one, taken in zip(found, seeds, strict=True)]
        found = follow(LOOKS, len(differences), first, margin=margin, alpha=ALPHA * FOLLOWED)
    return found, seeds


def claimed(values: Array, truth: Array, margin: float) -> bool:
    """True where a claim that no look follows is wrong at the first look: that two cells differ, or are equal."""
    first, m = values[:, : LOOKS[0]], len(values) - 1
    pairs = [(i, j) for i in range(1, m) for j in (i + 1, i + 2) if j <= m]
    differences, no = [first[i] - first[j] for i, j in pairs], [False] * len(pairs)
    found = judge(differences, [margin] * len(pairs), beyond=no, primary=no, alpha=ALPHA * (1 - FOLLOWED))
    apart = (truth[i] - truth[j] for i, j in pairs)
    return wrong(((p.different <= ALPHA, p.equal <= ALPHA, d) for p, d in zip(found, apart, strict=True)), margin)


def wrong(claims: Iterable[tuple[bool, bool, float]], margin: float) -> bool:
    """True where any claim is false, that there is a difference or that there is none, of the true one beside it."""
    return any((different and not d) or (equal and abs(d) >= margin) for different, equal, d in claims)


def simulated(noise: str, truth: str, m: int, count: int) -> tuple[float, ...]:
    """% of grids whose list errs, in which it or a claim beside it does, and the seeds of a cell in the mean."""
    rng, (apart, margin), found = np.random.default_rng([m, count]), TRUTHS[truth], []
    means = np.where(np.arange(m + 1) % 2 == 1, apart, 0.0)
    for _ in range(count):
        values = means[:, None] + NOISES[noise](rng, m + 1, LOOKS[-1])
        ended, seeds = decided(values, margin)
        claims = ((p.different is not None, p.equal is not None, d) for p, d in zip(ended, means[1:], strict=True))
        listed = wrong(claims, margin)
        either = listed or claimed(values, means, margin)
        found.append((100 * listed, 100 * either, (sum(seeds) + max(seeds)) / (m + 1)))
    return tuple(np.mean(found, axis=0).tolist())


def page(given: Mapping[str, int]) -> str:
    """The page of so many grids a figure."""
    count, each = given["replicates"], "{:.1f}, {:.1f} ({:.1f})"
    words = (
        f"By `nice python -m evidence.looks replicates={count} out=evidence/looks.md`: % of {count} grids in which the "
        "list of m comparisons with a baseline makes a false claim, and in which it or one of papers' claims that no "
        "look follows does. Promised are at most 5 % for either; the standard error is "
        f"{100 * math.sqrt(0.0475 / count):.1f}. In parentheses: a cell's mean number of seeds, of {LOOKS[-1]}. Half "
        f"of the cells differ; at the margin, {MARGIN:g} SD, equality is false, too."
    )
    head = ["SD by cell", "half differ", *(f"m = {m}: list, either (seeds)" for m in COUNTS)]
    rows = [(x, y, *(each.format(*simulated(x, y, m, count)) for m in COUNTS)) for x in NOISES for y in TRUTHS]
    return "\n".join(["# What seeds=auto claims wrongly, and what it saves", "", words, "", *table(head, rows)])


OPTIONS = {"replicates": Option("grids drawn for each figure", 3000, int)}
main = page_command("evidence.looks", "Error rates and savings of seeds=auto.", OPTIONS, page)

if __name__ == "__main__":
    raise SystemExit(exit_code(main))
