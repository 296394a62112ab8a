"""Where the bits of an image go in a cell's bound, as means over its seeds.

    pixels     L_0                       + L_1 to L_T
    latents    E −log p(x | z)           + E log q(z | x) + (L_0 + L_1 to L_T of z)
               the reconstruction          the rate, which is what the latents cost: E log q(z | x) / p(z)

Of dequantised data L_0 is of a density, with the constant that states the bound for fewer grey levels: it can be below
0. Shares of a bound are of the values that the network sees, without that constant.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import pandas as pd

from analysis.findings.cells import CellRuns
from analysis.findings.spaces import ENTROPY, RECONSTRUCTION, in_latents

FIRST, MIDDLE, LAST = "nll/test_L0", "nll/test_Lt", "nll/test_LT"


@dataclass(frozen=True)
class Bits:
    """The parts of a cell's NLL by name in bits/dim; `rate` is that of latents, as the code's and the prior's part."""

    parts: dict[str, float]
    rate: tuple[float, float] | None = None

    @property
    def total(self) -> float:
        """The NLL."""
        return sum(self.parts.values())

    @property
    def ends(self) -> tuple[float, float]:
        """The sums of the parts below 0 and of those above."""
        return sum(min(part, 0.0) for part in self.parts.values()), sum(max(p, 0.0) for p in self.parts.values())


def bits_of(cell: CellRuns) -> Bits | None:
    """Where a cell's bits go; None where a part is not known at any seed."""
    latents = in_latents(cell)
    needed = [*((RECONSTRUCTION, ENTROPY) if latents else ()), FIRST, MIDDLE, LAST]
    mean = _means({name: cell.estimate(name).values for name in needed})
    if mean is None:
        return None
    first, rest = mean[FIRST], mean[MIDDLE] + mean[LAST]
    if not latents:
        return Bits({"L_0": first, "L_1 to L_T": rest})
    rate = mean[ENTROPY], first + rest
    return Bits({"reconstruction": mean[RECONSTRUCTION], "rate of the latents": sum(rate)}, rate)


def shares_of(cell: CellRuns, bound: pd.DataFrame) -> tuple[float, float, float] | None:
    """The shares of L_0, L_1 to L_{T−1} and L_T in their sum, L_0 being that of the values the network sees, which is
    the first point of what each t adds to the `bound`, [t, seed].

    None where one is unknown or below 0, and in latents, whose terms are of the latents.
    """
    if in_latents(cell):
        return None
    start = {int(str(seed)): float(value) for seed, value in bound.iloc[0].items()} if len(bound) else {}
    mean = _means({FIRST: start} | {name: cell.estimate(name).values for name in (MIDDLE, LAST)})
    if mean is None:
        return None
    parts, total = (mean[FIRST], mean[MIDDLE], mean[LAST]), sum(mean.values())
    if not math.isfinite(total) or min(parts) < 0 or total == 0:
        return None
    return parts[0] / total, parts[1] / total, parts[2] / total


def _means(values: Mapping[str, Mapping[int, float]]) -> dict[str, float] | None:
    """Name → mean over the seeds that have a value of each; None where there are none."""
    seeds: Collection[int] = set.intersection(*(set(of_seeds) for of_seeds in values.values()))
    if not seeds:
        return None
    return {name: sum(of_seeds[seed] for seed in seeds) / len(seeds) for name, of_seeds in values.items()}
