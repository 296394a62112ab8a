"""What the cells of a grid diffuse in, and so which metrics they can have at all.

    pixels                   no autoencoder, hence no reconstructions, no code and nothing that these cost
    latents                  the metrics of pixels and those of the autoencoder
    latents at horizon = 0   the autoencoder alone, as a VAE: no diffusion is trained, so it has nothing of a training

A value that a cell cannot have is no shortfall of it, and neither is one that its runs call not comparable.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from analysis.findings.cells import CellRuns
from analysis.findings.weights import changed_along
from analysis.read.meta import Axis, Metric
from analysis.read.runs import AUTOENCODER, GridResults

SPACE, FACTOR = "space", "space.f"
RECONSTRUCTION, ENTROPY = "nll/test_reconstruction", "nll/test_entropy"
"""E −log p(x | z) and E log q(z | x)."""
PSNR, RFID = "psnr/test", "rfid/"
UNCOMPARED = "not comparable"
"""What stands in the place of a value that there is none of."""
_OF_AUTOENCODERS = (RFID, "psnr/", RECONSTRUCTION, ENTROPY, "cost/autoencoder_")
_OF_DIFFUSION = ("cost/train_", "noise/", "bound_variance/", "nll_continuous/", "nll_ode/")


def in_latents(cell: CellRuns) -> bool:
    """Whether the images of a cell go through an autoencoder."""
    return bool((cell.runs[AUTOENCODER] != "").any())


def is_vae(cell: CellRuns) -> bool:
    """Whether a cell is an autoencoder without a diffusion of its own."""
    return in_latents(cell) and cell.parameter("horizon") == "0"


def applies(cell: CellRuns, metric: Metric) -> bool:
    """Whether a run of this cell that finished has this metric."""
    if metric.name.startswith(_OF_AUTOENCODERS):
        return in_latents(cell)
    return not (metric.name.startswith(_OF_DIFFUSION) and is_vae(cell))


def why_not_comparable(metric: Metric) -> str:
    """The footnote of a value that cannot be set beside others'."""
    if metric.kind.startswith("nll"):
        return (
            f"{UNCOMPARED}: a VQ code has no likelihood, since its encoder is no density, and a number would not "
            "be one of bits of the image"
        )
    return f"{UNCOMPARED}: what the run measured is not what the other cells' {metric.label} is"


def without_value(cell: CellRuns, metric: Metric) -> str:
    """Why a cell that finished has no value here, in words; "" where it cannot have one."""
    if not cell.comparable(metric.name):
        return why_not_comparable(metric)
    return "finished, but without this metric" if applies(cell, metric) else ""


def space_axes(grid: GridResults) -> list[Axis]:
    """The axes that change the space that is diffused in, or its size; not those of how its autoencoder is taught."""
    return [axis for axis in grid.meta.axes if {SPACE, FACTOR} & changed_along(grid, axis)]


def autoencoder_axes(grid: GridResults, runs: pd.DataFrame) -> list[Axis]:
    """The axes along which the autoencoder changes, among these runs, which are of one seed and have one."""
    return [axis for axis in grid.meta.axes if _tells(runs, axis, grid.meta.axes)]


def _tells(runs: pd.DataFrame, axis: Axis, axes: Sequence[Axis]) -> bool:
    others = [f"axis.{other.name}" for other in axes if other is not axis]
    groups = [rows for _, rows in runs.groupby(others, sort=False)] if others else [runs]
    return any(rows[AUTOENCODER].nunique() > 1 for rows in groups)


def share_autoencoders(grid: GridResults) -> bool:
    """Whether trainings of one seed share an autoencoder."""
    known = grid.runs[grid.runs[AUTOENCODER] != ""]
    return bool((known.groupby([AUTOENCODER, "seed"])["cell_id"].nunique() > 1).any())
