"""Images on their way to noise and back, `FRAMES` side by side at even t/T.

forward     one image with one noise, from x_0, under every fixed schedule and those that were learned
backward    the first sample of a trained cell of each schedule, from x_T
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from ablations.data.base import Data
from ablations.driver.trained_cells import cell_in, trained
from ablations.engine.journal import journal_of
from ablations.results.csv_text import rows_of
from ablations.settings.cell import Cell
from diffusion_core.diffusion import Diffusion
from diffusion_core.forward import diffuse
from diffusion_core.gamma import Gamma
from diffusion_core.precision import resolve_precision
from diffusion_core.randomness import normal, uniform
from examples.lecture.formulas import HORIZON, SCHEDULES

FRAMES = 11
IMAGE = 0


def strips(folder: Path) -> dict[str, dict[str, Tensor]]:
    """direction → schedule → stored images [FRAMES, …], of the cells that were trained for a grid's folder."""
    gammas: dict[str, Gamma] = {name: schedule.gamma(HORIZON) for name, schedule in SCHEDULES.items()}
    cells = {name: (cell, diffusion) for name, cell, diffusion in trained_cells(folder)}
    gammas |= {name: diffusion.gamma for name, (cell, diffusion) in cells.items() if cell.schedule.learned}
    data = next(iter(cells.values()))[0].data.load()
    return {
        "forward": {name: data.encoding.decode(forward(gamma, data)) for name, gamma in gammas.items()},
        "backward": {name: data.encoding.decode(backward(*trained)) for name, trained in cells.items()},
    }


def trained_cells(folder: Path) -> Iterator[tuple[str, Cell, Diffusion]]:
    """The first finished run of each schedule with its network, on the CPU."""
    rows = [row for row in rows_of(folder / "runs.csv", ("schedule", "status")) if row["status"] == "finished"]
    firsts = dict[str, dict[str, str]]()
    for row in rows:
        firsts.setdefault(row["schedule"], row)
    for name, row in firsts.items():
        cell = cell_in(row)
        model = trained(cell, row, journal_of(folder.parent, ""), torch.device("cpu"))
        if isinstance(model, Diffusion):
            yield name, cell, model


@torch.no_grad()
def forward(gamma: Gamma, data: Data) -> Tensor:
    """x_t [FRAMES, …] of one image at t/T = 0 .. 1, with one noise."""
    raw = data.images["test"][IMAGE : IMAGE + 1]
    x0 = data.encoding.encode(raw, uniform(0, 0, "bound/dequantise", tuple(raw.shape), raw.device))
    t = (torch.linspace(0, 1, FRAMES) * gamma.horizon).round()
    eps = normal(0, 0, "deck/eps", tuple(x0.shape), x0.device)
    return diffuse(x0.expand(FRAMES, *x0.shape[1:]), eps.expand(FRAMES, *x0.shape[1:]), gamma(t))


def backward(cell: Cell, diffusion: Diffusion) -> Tensor:
    """x_t [FRAMES, …] of the cell's first sample at t/T = 1 .. 0."""
    with diffusion.network_in(resolve_precision(cell.training.precision, diffusion.device)):
        path = list(cell.sampler.path(diffusion, 0, 1, seed=cell.seed))
    kept = (torch.linspace(0, 1, FRAMES) * (len(path) - 1)).round().int()
    return torch.cat([path[i] for i in kept.tolist()])
