"""Error rates and savings of `seeds=auto`, by simulation, as Markdown. It rebuilds `evidence/looks.md`:

    python -m evidence.looks repeats=10000 out=evidence/looks.md

Grids of m cells and a baseline are made up, m = 3, 10, 23, whose noise is of eight kinds, and go through the looks of
`analysis.statistics.looks` as a command takes them: a comparison that is settled or has no prospect gets no more seeds.

    errors      any false claim in a grid, where no cell differs; and with a margin, where half of the cells differ by
                exactly that margin, so that "different" and "equal" can both be false
    intervals   all repeated intervals of a grid, at each look, hold what is true
    trainings   beside those of a fixed number of seeds that finds as many of the cells that differ
"""

from __future__ import annotations

import math
import platform
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from ablations.grids.grid import looks_of
from ablations.settings.exits import exit_code
from analysis.errors import InputError
from analysis.options import Option
from analysis.statistics.families import ALPHA, settle
from analysis.statistics.looks import FUTILE, Looks, claims
from analysis.statistics.variances import Array, over_seeds, quantile
from evidence.examples import LOOKS
from evidence.page_command import page_command

Flags = NDArray[np.bool_]

OPTIONS = {
    "repeats": Option("grids of each kind", 10000, int),
}
COUNTS = (3, 10, 23)
"""Comparisons with a baseline."""
MARGIN = 1.2
"""The margin, in standard deviations of a difference: about 4 standard errors at 12 seeds."""
RELEVANT = 0.3
"""The margin where trainings are counted: too small to be shown, it only takes its part of the error."""
FIXED = (3, 4, 5, 6, 8, 10, 12, 16, 20)
"""Fixed numbers of seeds whose power is known; between them it is interpolated."""
ENOUGH = 0.99
"""Beyond this power it cannot be told how many seeds give it."""
FEWER = 20
"""The rule for fixed seeds is slower: one grid in so many is judged by it."""


@dataclass(frozen=True)
class Noise:
    """A kind of noise: the standard deviations [R, m + 1] of cells, the baseline's first, and draws of a shape."""

    name: str
    deviations: Callable[[np.random.Generator, int, int], Array]
    draws: Callable[[np.random.Generator, tuple[int, ...]], Array] = lambda rng, shape: rng.normal(size=shape)


def scaled(place: int, factor: float) -> Callable[[np.random.Generator, int, int], Array]:
    """Equal standard deviations but for one cell's."""

    def deviations(rng: np.random.Generator, repeats: int, cells: int) -> Array:
        factors = np.ones((repeats, cells))
        factors[:, place] = factor
        return factors

    return deviations


def unequal(by: float) -> Callable[[np.random.Generator, int, int], Array]:
    """Standard deviations exp(by · z), z normal."""
    return lambda rng, repeats, cells: np.exp(by * rng.normal(size=(repeats, cells)))


def in_logs(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Values that are log-normal, on the scale of their logarithms."""
    return np.asarray(np.log(rng.lognormal(size=shape)))


NOISES = (
    Noise("equal", scaled(0, 1.0)),
    Noise("exp(0.4 z)", unequal(0.4)),
    Noise("exp(1.2 z)", unequal(1.2)),
    Noise("one cell × 10", scaled(1, 10.0)),
    Noise("baseline × 5", scaled(0, 5.0)),
    Noise("baseline × 0.1", scaled(0, 0.1)),
    Noise("t with 5 degrees", scaled(0, 1.0), lambda rng, shape: rng.standard_t(5, shape) * math.sqrt(3 / 5)),
    Noise("log-normal, in logs", unequal(0.4), in_logs),
)


@dataclass(frozen=True)
class Ended:
    """R grids of m comparisons at their end.

    `different` and `equal` [R, m] are what is claimed, `seeds` [R, m] those of the cells, and `held` [R] says whether
    all intervals on the way did.
    """

    different: Flags
    equal: Flags
    seeds: NDArray[np.int64]
    held: Flags

    @property
    def trainings(self) -> float:
        """Trainings of a grid in the mean: the baseline goes along with the last cell."""
        return float((self.seeds.sum(-1) + self.seeds.max(-1)).mean())


def simulate(given: dict[str, Any]) -> str:
    """Simulate; the tables."""
    if given["repeats"] < FEWER:
        raise InputError(f"repeats must be at least {FEWER}")
    return tables(given["repeats"])


main = page_command("evidence.looks", "Simulate seeds=auto.", OPTIONS, simulate, "tables")
"""The command; its exit code."""


def tables(repeats: int) -> str:
    """All tables."""
    counts = ", ".join(map(str, COUNTS))
    lines = [
        "# What seeds=auto claims wrongly, and what it saves",
        "",
        f"By `python -m evidence.looks repeats={repeats} out=evidence/looks.md`, cpu ({platform.machine()}).",
        "",
        *LOOKS.splitlines(),
        "",
        "## Many grids",
        "",
        f"Looks at {', '.join(map(str, looks_of()))} seeds, α = {ALPHA:.0%}. Of {counts} comparisons with a "
        f"baseline, in % of grids; 5 % is known to ± {200 * math.sqrt(0.05 * 0.95 / repeats):.1f}.",
        "",
        "| noise of the cells | a false claim | a false claim, with a margin | all intervals hold |",
        "|---|---|---|---|",
        *(row(noise, repeats) for noise in NOISES),
        "",
        "Trainings of `seeds=auto`, and as a share of those of a fixed number of seeds with equal power: by Holm's "
        f"procedure, and by the suite's rule for fixed seeds. Power is the share found of the cells that differ; "
        f"beyond {ENOUGH:.0%} it is compared at {ENOUGH:.0%}. Cells differ in standard deviations of a difference; the "
        f"margin of `seeds=auto` is {RELEVANT}.",
        "",
        "| the cells differ by | m | up to | power | trainings | beside Holm | beside the suite's rule |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, shape in SHAPES.items():
        lines += [costs(name, shape(m), most, repeats) for m in COUNTS for most in (12, 20)]
    return "\n".join(lines)


def row(noise: Noise, repeats: int) -> str:
    """The errors and the coverage under a noise."""
    plain, mixed, held = [], [], []
    for m in COUNTS:
        rng = np.random.default_rng([m, repeats])
        grids = ended(differences(noise, np.zeros(m), repeats, rng), np.zeros(m), math.nan)
        plain.append(grids.different.any(-1).mean())
        held.append(grids.held.mean())
        differ = np.arange(m) % 2 == 1
        half = np.where(differ, MARGIN, 0.0)
        grids = ended(differences(noise, half, repeats, rng), half, MARGIN)
        mixed.append(np.where(differ, grids.equal, grids.different).any(-1).mean())
    rates = (", ".join(f"{100 * rate:.1f}" for rate in of_counts) for of_counts in (plain, mixed, held))
    return f"| {noise.name} | {' | '.join(rates)} |"


def differences(noise: Noise, truth: Array, repeats: int, rng: np.random.Generator, most: int = 12) -> Array:
    """Differences [R, m, n] from a baseline, each in standard deviations of its own."""
    deviations = noise.deviations(rng, repeats, len(truth) + 1)[..., None]
    values = deviations * noise.draws(rng, (repeats, len(truth) + 1, most))
    own = np.hypot(deviations[:, 1:], deviations[:, :1])
    return np.asarray((values[:, 1:] - values[:, :1]) / own + truth[:, None])


def ended(values: Array, truth: Array, margin: float, plan: Looks | None = None) -> Ended:
    """Grids taken through their looks, from the differences [R, m, n] that they would find."""
    plan = plan or Looks(looks_of(values.shape[-1]))
    repeats, m, _ = values.shape
    claimed: Flags = np.zeros((repeats, 2, m), bool)
    going, held = np.ones((repeats, m), bool), np.ones(repeats, bool)
    seeds = np.zeros((repeats, m), np.int64)
    for n in plan.seeds:
        seeds[going] = n
        means, spent = over_seeds(values[..., :n]), ALPHA * plan.weights[n]
        error = np.sqrt(means.by_seeds)
        p = np.stack([two_sided(means.mean / error, n), below(means.mean, error, margin, n)], axis=1)
        held &= (~going | (np.abs(means.mean - truth) <= quantile(spent / m, n - 1) * error)).all(-1)
        p = np.where(going[:, None], p, np.nan)
        claimed = claims(p, claimed, np.full(m, not math.isnan(margin)), spent)
        going = going & ~claimed.any(1) & (p[:, 0] <= FUTILE)
    return Ended(claimed[:, 0], claimed[:, 1], seeds, held)


def two_sided(t: Array, n: int) -> Array:
    """p of a difference."""
    return np.asarray(2 * special.stdtr(n - 1, -np.abs(t)))


def below(mean: Array, error: Array, margin: float, n: int) -> Array:
    """p of |δ| < margin, by two one-sided tests; nan where there is no margin."""
    return np.asarray(special.stdtr(n - 1, (np.abs(mean) - margin) / error))


def one_by(deviation: float) -> Callable[[int], Array]:
    """One cell that differs, and no other."""
    return lambda m: np.where(np.arange(m) == 0, deviation, 0.0)


SHAPES: dict[str, Callable[[int], Array]] = {
    "0 to 5, evenly": lambda m: np.linspace(0, 5, m),
    "one by 1, the others by 0": one_by(1.0),
    "one by 2, the others by 0": one_by(2.0),
    "0, all of them": one_by(0.0),
}


def costs(name: str, truth: Array, most: int, repeats: int) -> str:
    """The power and trainings of a kind of grid, and what fixed seeds of this power would take."""
    m, different = len(truth), truth > 0
    rng = np.random.default_rng([m, most, repeats])
    values = differences(NOISES[0], truth, repeats, rng, max(most, FIXED[-1]))
    auto = ended(values[..., :most], truth, RELEVANT)
    cells = f"| {name} | {m} | {most} |"
    if not different.any():
        return f"{cells} | {auto.trainings:.0f} | {auto.trainings / (most * (m + 1)):.2f} of {most} seeds | |"
    power = auto.different[:, different].mean()
    holm = [ended(values[..., :n], truth, math.nan, Looks((n,))).different[:, different].mean() for n in FIXED]
    weighted = [fixed(values[::FEWER, :, :n])[:, different].mean() for n in FIXED]
    shares = (beside(power, np.array(of_fixed), auto.trainings / (m + 1)) for of_fixed in (holm, weighted))
    return f"{cells} {power:.0%} | {auto.trainings:.0f} | {' | '.join(shares)} |"


def fixed(values: Array) -> Flags:
    """The differences [R, m, n] that the rule for fixed seeds claims: [R, m]."""
    means = over_seeds(values)
    p = two_sided(means.mean / np.sqrt(means.by_seeds), means.seeds)
    return np.array([settle(row, spread) <= ALPHA for row, spread in zip(p, means.spread, strict=True)])


def beside(power: float, of_fixed: Array, seeds: float) -> str:
    """Seeds in the mean as a share of the fixed number that has this power."""
    power = min(power, ENOUGH)
    if power < of_fixed[0]:
        return f"more than {seeds / FIXED[0]:.2f}"
    if power > of_fixed[-1]:
        return f"less than {seeds / FIXED[-1]:.2f}"
    rising = np.maximum.accumulate(of_fixed) + 1e-9 * np.arange(len(FIXED))
    return f"{seeds / np.interp(power, rising, FIXED):.2f}"


if __name__ == "__main__":
    raise SystemExit(exit_code(main))
