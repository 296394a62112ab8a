"""The deck's own files: curves that follow from formulas alone, and strips of images on their way to noise and back.

    formulas.csv    (figure, series, x, y)
    strips/         forward-<schedule>.png, and backward-<schedule>.png of a trained cell

A grid with `deck: true` in its file leaves both in its results folder, and `analysis.figures` draws them.

A strip is `FRAMES` images side by side at even t/T, forward from x_0 and backward from x_T. All forward strips show one
image with one noise; a backward strip is the first sample of the cell that it is of.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from ablations.data.base import Data
from ablations.engine.journal import Journal
from ablations.results.csv_text import csv_text, number
from ablations.results.deck import formulas, mixture
from ablations.results.deck.formulas import HORIZON, SCHEDULES
from ablations.results.records import Record
from ablations.results.sample_sheets import write_strip
from ablations.settings.cell import Cell
from ablations.settings.registry import parameters
from ablations.stages.restore import load
from analysis.files import write_text
from diffusion_core.diffusion import Diffusion
from diffusion_core.encodings import GreyLevels
from diffusion_core.forward import diffuse
from diffusion_core.gamma import Gamma
from diffusion_core.named import choice_name
from diffusion_core.precision import resolve_precision
from diffusion_core.randomness import normal, uniform

FRAMES = 11
IMAGE = 0
"""The test image that is noised."""


def write_strips(folder: Path, records: Sequence[Record], journal: Journal, data: Data) -> None:
    """forward-<schedule>.png and backward-<schedule>.png; none where the data are no images."""
    if not isinstance(data.encoding, GreyLevels):
        return
    folder.mkdir(parents=True, exist_ok=True)
    gammas: dict[str, Gamma] = {choice_name(schedule): schedule.gamma(HORIZON) for schedule in SCHEDULES.values()}
    for name, cell, diffusion in trained_cells(records, journal, data):
        write_strip(folder / f"backward-{name}.png", diffusion.encoding.decode(backward(cell, diffusion)), data)
        if cell.schedule.learned:
            gammas[name] = diffusion.gamma
    for name, gamma in gammas.items():
        write_strip(folder / f"forward-{name}.png", data.encoding.decode(forward(gamma, data)), data)


def trained_cells(records: Sequence[Record], journal: Journal, data: Data) -> Iterator[tuple[str, Cell, Diffusion]]:
    """The first finished record of each schedule with its network, on the CPU."""
    firsts: dict[str, Record] = {}
    for record in records:
        if record.status == "finished":
            firsts.setdefault(parameters(record.run.cell)["schedule"], record)
    for name, record in firsts.items():
        cell, parts = record.run.cell, record.run.parts
        assert parts is not None, "what is finished has learned something"
        model = load(cell, data, journal, parts, torch.device("cpu"))
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


COLUMNS = ("figure", "series", "x", "y")


def write_deck(folder: Path, records: Sequence[Record], journal: Journal, data: Data) -> None:
    """formulas.csv and strips/ in a results folder, from what has finished."""
    lines = [
        {"figure": figure, "series": series, "x": number(x), "y": number(y)}
        for figure, curves in {**formulas.figures(data), **mixture.figures()}.items()
        for series, (xs, ys) in curves.items()
        for x, y in zip(xs, ys, strict=True)
    ]
    write_text(folder / "formulas.csv", csv_text(COLUMNS, lines))
    write_strips(folder / "strips", records, journal, data)
