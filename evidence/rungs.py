"""The forecasts of a straight line over the budget, on curves whose end is known. It rebuilds `evidence/rungs.md`:

    python -m evidence.rungs out=evidence/rungs.md

    d(S)_s                          a difference at S steps, at seed s
    d(S) + (d(S) − d(S/2^h))/h      what 2S steps would leave, if it went on changing like that

A verdict at S *holds* where the 95 % interval of this lies on the side of 0 where d(S) does; else it *may turn*. The
curves are the committed ones that were scored three times or oftener, their end among these, and simulated power laws.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ablations.settings.exits import exit_code
from analysis.findings.answers import Answers
from analysis.options import Option
from analysis.read.runs import read_folder
from analysis.statistics.families import ALPHA
from analysis.statistics.paired import LEVEL
from analysis.statistics.variances import over_seeds
from evidence import markdown
from evidence.page_command import page_command

Array = NDArray[np.float64]
ROOT = Path(__file__).parents[1] / "results" / "committed"
SEEDS, NOISES = 5, (0.01, 0.03)
LATER = (2, 8, math.inf)
"""Times the steps at which it is looked what became of a verdict."""
OPTIONS = {
    "pairs": Option("pairs of simulated curves for each row", 20_000, int),
}


@dataclass(frozen=True, eq=False)
class Foretold:
    """Differences [pairs, seeds] at S/2^h and at S steps, of such as are told from none at S; and what came later, the
    truth [pairs] or a mean over seeds."""

    before: Array
    end: Array
    halvings: float
    later: Sequence[Array]

    @property
    def ahead(self) -> tuple[Array, Array]:
        """The mean of what twice the steps would leave, and half its 95 % interval."""
        line = over_seeds(self.end + (self.end - self.before) / self.halvings, 0.0)
        return line.mean, line.half_width(1 - LEVEL)

    @property
    def holds(self) -> NDArray[np.bool_]:
        """True of verdicts that would hold at twice the steps."""
        mean, half = self.ahead
        return np.asarray((mean * self.end.mean(1) > 0) & (abs(mean) > half))

    @property
    def reversed(self) -> list[NDArray[np.bool_]]:
        """True of verdicts that were the other way round, each time later."""
        return [self.end.mean(1) * later < 0 for later in self.later]

    @property
    def covered(self) -> NDArray[np.bool_]:
        """True where the interval holds what came at twice the steps."""
        mean, half = self.ahead
        return np.asarray(abs(self.later[0] - mean) <= half)


def told_apart(before: Array, end: Array, halvings: float, later: Sequence[Array]) -> Foretold:
    """The pairs that are told from none at S, by a paired test alone."""
    kept = over_seeds(end, 0.0).two_sided() <= ALPHA
    return Foretold(before[kept], end[kept], halvings, [of[kept] for of in later])


def committed() -> Iterator[Foretold]:
    """Each three points in turn of the curves of all committed grids that were scored at as many, the last of them what
    came later, of all pairs of trainings."""
    grids = [read_folder(folder) for folder in sorted(ROOT.iterdir())]
    for grid in grids:
        for answer in Answers.of(grid).findings if grid.meta.rungs > 1 else ():
            rungs = () if answer.budget is None else answer.budget.rungs
            for first, second, third in zip(rungs, rungs[1:], rungs[2:], strict=False):
                values = [rung.values for rung in (first, second, third)]
                seeds = sorted(set.intersection(*(set(of) for at in values for of in at if of)))
                cells = [i for i in range(len(answer.cells)) if all(at[i] for at in values)]
                tables = np.array([[[at[i][s] for s in seeds] for i in cells] for at in values])
                # Cells that share a training have one curve.
                tables = np.unique(tables, axis=1)
                scaled = np.log(tables) if answer.metric.scale == "log" else tables
                pairs = np.array(list(combinations(range(tables.shape[1]), 2)))
                before, end, later = (at[pairs[:, 0]] - at[pairs[:, 1]] for at in scaled)
                yield told_apart(before, end, first.halvings - second.halvings, [later.mean(1)])


def simulated(pairs: int, noise: float) -> Foretold:
    """Pairs of curves a + b S^−c, with the noise of seeds, scored at S/2 and at S."""
    rng = np.random.default_rng([20_241, round(1000 * noise)])
    a, b, c = rng.normal(0, 0.05, (2, pairs)), rng.uniform(0.2, 1.0, (2, pairs)), rng.uniform(0.3, 1.0, (2, pairs))

    def at(steps: float) -> Array:
        curves = a + (b * steps**-c if math.isfinite(steps) else 0.0)
        return np.asarray(curves[0] - curves[1])

    own = noise * rng.normal(size=(pairs, SEEDS))
    before, end = (at(steps)[:, None] + own + noise / 3 * rng.normal(size=own.shape) for steps in (0.5, 1.0))
    return told_apart(before, end, 1.0, [at(later) for later in LATER])


def _row(name: str, of: Sequence[Foretold]) -> list[str]:
    """The numbers of verdicts that hold or may turn, how many of each were the other way round later, and the
    coverage."""
    holds, covered = (np.concatenate([getattr(one, part) for one in of]) for part in ("holds", "covered"))
    times = [np.concatenate(turned) for turned in zip(*(one.reversed for one in of), strict=True)]
    shares = [f"{int(turned[part].sum())} of {int(part.sum())}" for part in (holds, ~holds) for turned in times]
    return [name, *shares, f"{100 * covered.mean():.0f} %"]


def page(pairs: int) -> str:
    """The page."""
    heads = ["pairs", "held, reversed at 2 S", "may turn, reversed at 2 S", "interval covers 2 S"]
    later = [f"{what}, reversed {at}" for what in ("held", "may turn") for at in ("at 2 S", "at 8 S", "in the limit")]
    of_law = ["noise of a seed", *later, "interval covers 2 S"]
    return "\n".join(
        [
            "# What a straight line over the budget foretells",
            "",
            f"By `python -m evidence.rungs pairs={pairs} out=evidence/rungs.md`; the seed is fixed. Two cells that are",
            "told apart at S steps, by their paired difference alone, have a verdict that *holds* at twice the steps,",
            "or one that *may turn*: `docs/statistics.md` says how. Here it is known what came later.",
            "",
            "Curves of all committed grids, each three points in a row of all pairs of trainings:",
            "",
            *markdown.table(heads, [_row("committed", list(committed()))]),
            "",
            f"Curves a + b S^−c at {SEEDS} seeds, a of a standard deviation of 0.05, b from 0.2 to 1, c from 0.3 to 1:",
            "",
            *markdown.table(of_law, (_row(f"{noise:g}", [simulated(pairs, noise)]) for noise in NOISES)),
            "",
            "A verdict that holds is seldom reversed at twice the steps. Of where curves end it says nothing.",
            "The interval covers what came far too seldom for 95 %, since a curve bends; so pages do not show it.",
        ]
    )


main = page_command(
    "evidence.rungs", "What rungs foretell, where it is known what came.", OPTIONS, lambda given: page(given["pairs"])
)
"""The command; its exit code."""

if __name__ == "__main__":
    raise SystemExit(exit_code(main))
