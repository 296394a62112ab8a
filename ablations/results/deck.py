"""The deck's own files: curves that follow from formulas alone, and strips of images on their way to noise and back.

    formulas.csv    (figure, series, x, y), with the figures of `mixture` and
        alpha_bar, log_snr    of every fixed schedule over t/T
        prior                 KL(q(x_t | x_0) ‖ N(0, I)) over t/T: that it vanishes is why sampling may start from
                              N(0, I)
        prior_end             the same at t = T, which is L_T, over T, β rescaled to T or not
        beta_ratio            β̃_t/β_t over t/T: the two choices of σ² part at the first steps only (Nichol & Dhariwal
                              2021, Fig. 1)
        eps_weight            what each objective makes of ‖ε − ε̂‖² at t, over its mean over t
    strips/         forward-<schedule>.png, and backward-<schedule>.png of a trained cell

A grid with `deck: true` in its file leaves both in its results folder, and `analysis.figures` draws them. A curve is
(x, y), drawn by some of its t. A strip is `FRAMES` images side by side at even t/T, forward from x_0 and backward from
x_T. All forward strips show one image with one noise; a backward strip is the first sample of the cell that it is of.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from ablations.data.base import Data
from ablations.engine.journal import Journal
from ablations.results import mixture
from ablations.results.csv_text import csv_text, number
from ablations.results.mixture import Curve
from ablations.results.records import Record
from ablations.results.sample_sheets import write_strip
from ablations.settings.cell import Cell
from ablations.settings.registry import parameters
from ablations.stages.restore import load
from analysis.files import write_text
from diffusion_core import objectives
from diffusion_core.chain import Chain, strided_times
from diffusion_core.diffusion import Diffusion
from diffusion_core.encodings import GreyLevels
from diffusion_core.forward import diffuse
from diffusion_core.gamma import Gamma
from diffusion_core.parameterizations import Epsilon
from diffusion_core.precision import resolve_precision
from diffusion_core.randomness import normal, uniform
from diffusion_core.refusing import choice_name
from diffusion_core.schedules import Cosine, Linear, LogSnrLinear, Rectified, Schedule, Sigmoid
from diffusion_core.terms import bits_per_dim, prior_term

FRAMES = 11
IMAGE = 0
HORIZON = 1000
POINTS = 200
STEEP = 10
"""The number of values of t at which a curve is drawn, and the number up to which all of them are."""

SCHEDULES: dict[str, Schedule] = {
    "linear": Linear(),
    "cosine": Cosine(),
    "sigmoid": Sigmoid(),
    "log-SNR linear": LogSnrLinear(),
    "straight path": Rectified(end=0.999),
}
OBJECTIVES: dict[str, objectives.Objective] = {
    "simple, hybrid": objectives.Simple(),
    "x₀-space MSE": objectives.Weighted("x0"),
    "v-space MSE": objectives.Weighted("v"),
    "min-SNR": objectives.MinSnr(),
    "P2": objectives.P2(),
    "EDM's λ(σ)": objectives.EdmObjective(),
    "bound at σ² = β": objectives.Vlb(),
    "bound, continuous time": objectives.VlbContinuous(),
}
ENDS = {"1000/T times 1e-4 to 0.02": Linear(), "1e-4 to 0.02": Linear(rescale=False)}
HORIZONS = (25, 50, 100, 250, 500, 1000, 2000, 4000)
RATIO_HORIZONS = (25, 100, 1000, 4000)


def formula_figures(data: Data) -> dict[str, dict[str, Curve]]:
    """figure → series → curve; the prior's terms are of the data's test images, in bits/dim."""
    gammas = {name: schedule.gamma(HORIZON) for name, schedule in SCHEDULES.items()}
    raw = data.images["test"]
    x0 = data.encoding.encode(raw, uniform(0, 0, "bound/dequantise", tuple(raw.shape), raw.device))
    t = _times(HORIZON)
    return {
        "alpha_bar": {name: _over_time(torch.sigmoid(-gamma(t))) for name, gamma in gammas.items()},
        "log_snr": {name: _over_time(-gamma(t)) for name, gamma in gammas.items()},
        "prior": {
            name: _over_time(torch.stack([prior_bits(x0, level) for level in gamma(t)]))
            for name, gamma in gammas.items()
        },
        "prior_end": {name: _prior_end(schedule, x0) for name, schedule in ENDS.items()},
        "beta_ratio": {f"T = {horizon}": _ratio(horizon) for horizon in RATIO_HORIZONS},
        "eps_weight": {name: _weight(objective) for name, objective in OBJECTIVES.items()},
    }


def prior_bits(x0: Tensor, gamma: Tensor) -> Tensor:
    """KL(q(x_t | x_0) ‖ N(0, I)) at the noise level γ, in bits/dim, mean over x_0 [N, …]."""
    nats = prior_term(x0.double(), gamma.expand(len(x0)))
    return bits_per_dim(nats.mean(), math.prod(x0.shape[1:]))


def _weight(objective: objectives.Objective) -> Curve:
    """The objective's weight of ‖ε − ε̂‖² over its mean, at t = 1..T of the linear schedule and σ² = β."""
    t = torch.arange(1, HORIZON + 1)
    gamma = Linear().gamma(HORIZON)
    step = Chain(gamma, strided_times(HORIZON, HORIZON), "beta_1").step(t)
    levels = objectives.NoiseLevels(step, Epsilon().kappa(step), HORIZON, lambda: gamma.rate(t)[1])
    weights = objective.eps_weight(levels, step.log_beta)
    kept = _times(HORIZON)
    return kept.tolist(), (weights / weights.mean())[kept - 1].tolist()


def _times(horizon: int) -> Tensor:
    """int64 times among 1..T: every one near t = 1, where curves are steep, then evenly spaced ones."""
    even = strided_times(horizon, min(horizon, POINTS))[1:].tolist()
    return torch.tensor(sorted({*range(1, min(horizon, STEEP) + 1), *even}))


def _over_time(values: Tensor) -> Curve:
    return (_times(HORIZON) / HORIZON).tolist(), values.tolist()


def _prior_end(schedule: Schedule, x0: Tensor) -> Curve:
    ends = [prior_bits(x0, schedule.gamma(horizon)(torch.tensor(horizon))) for horizon in HORIZONS]
    return [float(horizon) for horizon in HORIZONS], [float(end) for end in ends]


def _ratio(horizon: int) -> Curve:
    t = _times(horizon)
    gamma = Linear().gamma(horizon)
    step = Chain(gamma, strided_times(horizon, horizon), "beta_1").step(t)
    return (t / horizon).tolist(), (step.beta_tilde / step.beta).tolist()


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


def write_deck(folder: Path, records: Sequence[Record], journal: Journal, data: Data) -> None:
    """formulas.csv and strips/ in a results folder, from what has finished."""
    lines = [
        {"figure": figure, "series": series, "x": number(x), "y": number(y)}
        for figure, curves in {**formula_figures(data), **mixture.figures()}.items()
        for series, (xs, ys) in curves.items()
        for x, y in zip(xs, ys, strict=True)
    ]
    write_text(folder / "formulas.csv", csv_text(("figure", "series", "x", "y"), lines))
    write_strips(folder / "strips", records, journal, data)
