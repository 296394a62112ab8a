"""The choices of a cell as the core takes them."""

from __future__ import annotations

from ablations.settings.cell import Cell
from diffusion_core.choices import Choices


def choices_of(cell: Cell) -> Choices:
    """The choices that a `Diffusion` is built from."""
    return Choices(
        cell.parameterization,
        cell.variance,
        cell.schedule,
        cell.objective,
        cell.timesteps,
        cell.network,
        cell.horizon,
        cell.time_input,
        cell.first_step,
        cell.time,
        cell.spacing,
        cell.coupling,
    )
