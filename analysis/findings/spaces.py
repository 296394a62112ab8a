"""What the cells of a grid diffuse in, and so which metrics they can have at all.

    pixels                   no autoencoder, hence no reconstructions, no code and nothing that these cost
    latents                  the metrics of pixels and those of the autoencoder
    latents at horizon = 0   the autoencoder alone, as a VAE: no diffusion is trained, so it has nothing of a training

A value that a cell cannot have is no shortfall of it, and neither is one that its runs call not comparable.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

import pandas as pd

from analysis.findings.cells import CellRuns
from analysis.format.grid_json import Axis, ShownMetric
from analysis.format.names import AUTOENCODER
from analysis.read.runs import GridResults

SPACE, FACTOR = "space", "space.f"
RECONSTRUCTION, ENTROPY = "nll/test_reconstruction", "nll/test_entropy"
"""E −log p(x | z) and E log q(z | x)."""
PSNR, RFID = "psnr/test", "rfid/"


def in_latents(cell: CellRuns) -> bool:
    """Whether the images of a cell go through an autoencoder."""
    return bool((cell.runs[AUTOENCODER] != "").any())


def is_vae(cell: CellRuns) -> bool:
    """Whether a cell is an autoencoder without a diffusion of its own."""
    return in_latents(cell) and cell.parameter("horizon") == "0"


def applies(cell: CellRuns, metric: ShownMetric) -> bool:
    """Whether a run of this cell that finished has this metric."""
    if metric.part == "autoencoder":
        return in_latents(cell)
    return not (metric.part == "diffusion" and is_vae(cell))


def space_axes(axes: Sequence[Axis], changes: Mapping[str, Set[str]]) -> list[Axis]:
    """The axes that change the space that is diffused in, or its size; not those of how its autoencoder is taught."""
    return [axis for axis in axes if {SPACE, FACTOR} & changes[axis.name]]


def autoencoder_axes(grid: GridResults, runs: pd.DataFrame) -> list[Axis]:
    """The axes along which the autoencoder changes, among these runs, which are of one seed and have one."""
    return [axis for axis in grid.meta.axes if _tells(runs, axis, grid.meta.axes)]


def _tells(runs: pd.DataFrame, axis: Axis, axes: Sequence[Axis]) -> bool:
    others = [f"axis.{other.name}" for other in axes if other is not axis]
    groups = [rows for _, rows in runs.groupby(others, sort=False)] if others else [runs]
    return any(rows[AUTOENCODER].nunique() > 1 for rows in groups)
