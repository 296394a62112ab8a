"""The space in which the diffusion of each cell runs, the metrics that a cell can have there, and where its bits go.

    pixels                   no autoencoder, so no reconstructions, no code, and no costs of these
    latents                  the metrics of pixels and those of the autoencoder
    latents at horizon = 0   the autoencoder alone, as a VAE: no diffusion is trained, so it has no metrics of one

Only cells with labels, or with a tuned guidance scale, have metrics of these. A value that a cell cannot have does not
count as missing, and neither does one that the cell's runs call not comparable.

The bits of an image in a cell's bound, as means over its seeds:

    pixels     L_0                       + L_1 to L_T
    latents    E −log p(x | z)           + E log q(z | x) + (L_0 + L_1 to L_T of z)
               the reconstruction          the rate, which is what the latents cost: E log q(z | x) / p(z)

For dequantised data, L_0 is of a density and includes the constant that states the bound for fewer grey levels, so it
can be below 0. Shares of a bound leave out this constant: they are of the values that the network sees.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass

import pandas as pd

from analysis.findings.cells import CellRuns
from analysis.grid_json import Axis, ShownMetric
from analysis.schema import AUTOENCODER

SPACE, FACTOR = "space", "space.f"
RECONSTRUCTION, ENTROPY = "nll/test_reconstruction", "nll/test_entropy"
"""E −log p(x | z) and E log q(z | x)."""
PSNR, RFID = "psnr/test", "rfid/"
_ASKED_BY = {
    "nll_unlabelled": ("conditioning", "class"),
    "class_memorisation": ("conditioning", "class"),
    "guidance": ("guidance.scale", "auto"),
}
"""Kind of metric → the parameter, and its value, of the cells that have it."""
FIRST, MIDDLE, LAST = "nll/test_L0", "nll/test_Lt", "nll/test_LT"


def in_latents(cell: CellRuns) -> bool:
    """True where the images of a cell go through an autoencoder."""
    return bool((cell.runs[AUTOENCODER] != "").any())


def is_vae(cell: CellRuns) -> bool:
    """True where a cell is an autoencoder without a diffusion of its own."""
    return in_latents(cell) and cell.parameter("horizon") == "0"


def applies(cell: CellRuns, metric: ShownMetric) -> bool:
    """True where a finished run of this cell should have this metric."""
    if metric.part == "autoencoder":
        return in_latents(cell)
    parameter, value = _ASKED_BY.get(metric.kind, ("", ""))
    if cell.parameter(parameter) != value:
        return False
    return not (metric.part == "diffusion" and is_vae(cell))


def space_axes(axes: Sequence[Axis], changes: Mapping[str, Set[str]]) -> list[Axis]:
    """The axes that change the space of the diffusion, or its size; not those that only change an autoencoder's
    training."""
    return [axis for axis in axes if {SPACE, FACTOR} & changes[axis.name]]


def autoencoder_axes(axes: Sequence[Axis], runs: pd.DataFrame) -> list[Axis]:
    """The axes along which the autoencoder changes; all `runs` must be of one seed and have an autoencoder."""
    return [axis for axis in axes if _tells(runs, axis, axes)]


def _tells(runs: pd.DataFrame, axis: Axis, axes: Sequence[Axis]) -> bool:
    others = [f"axis.{other.name}" for other in axes if other is not axis]
    groups = [rows for _, rows in runs.groupby(others, sort=False)] if others else [runs]
    return any(rows[AUTOENCODER].nunique() > 1 for rows in groups)


@dataclass(frozen=True)
class Bits:
    """The parts of a cell's NLL by name, in bits/dim; for latents, `rate` is split into the code's and the prior's."""

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
    """A cell's bits, split by where they go; None where a part is not known at any seed."""
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
    """The shares of L_0, L_1 to L_{T−1} and L_T in their sum. L_0 is that of the values the network sees, which is the
    first point of the curve `bound` [t, seed], the contributions of each t.

    None where a term is unknown or below 0, and in latents, where the terms are of the latents.
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
    """Name → mean over the seeds that have all of these values; None if there are no such seeds."""
    seeds: Collection[int] = set.intersection(*(set(of_seeds) for of_seeds in values.values()))
    if not seeds:
        return None
    return {name: sum(of_seeds[seed] for seed in seeds) / len(seeds) for name, of_seeds in values.items()}
