"""The choices of a cell in the core's form, and the number of classes that its network is told."""

from __future__ import annotations

from dataclasses import fields

from ablations.settings.cell import Cell
from diffusion_core.choices import Choices
from diffusion_core.conditioning import Class


def choices_of(cell: Cell) -> Choices:
    """The choices that a `Diffusion` is built from."""
    return Choices(**{choice.name: getattr(cell, choice.name) for choice in fields(Choices)})


def classes_of(cell: Cell) -> int:
    """The number of classes of the data that a cell's network is told; 0 where it is told no labels."""
    return cell.data.described().classes if cell.told_labels else 0


def scored_unlabelled(cell: Cell) -> bool:
    """True where the cell's network is told labels and also has a bound without them: it has learned to do without
    labels, and σ² is not fitted to its errors with labels, which are smaller."""
    dropout = cell.conditioning.dropout if isinstance(cell.conditioning, Class) else 0
    return dropout > 0 and cell.told_labels and not cell.variance.fitted
