"""Curves of the lecture that follow from formulas alone.

    alpha_bar, log_snr    of every fixed schedule over t/T
    prior                 KL(q(x_t | x_0) ‖ N(0, I)) over t/T: that it vanishes is why sampling may start from N(0, I)
    prior_end             the same at t = T, which is L_T, over T, β rescaled to T or not
    beta_ratio            β̃_t/β_t over t/T: the two choices of σ² part at the first steps only (Nichol & Dhariwal 2021,
                          Fig. 1)
    eps_weight            what each objective makes of ‖ε − ε̂‖² at t, over its mean over t

A curve is (x, y), drawn by some of its t.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ablations.data.base import Data
from diffusion_core import objectives
from diffusion_core.chain import Chain, strided_times
from diffusion_core.parameterizations import Epsilon
from diffusion_core.randomness import uniform
from diffusion_core.schedules import Cosine, Linear, LogSnrLinear, Rectified, Schedule, Sigmoid
from diffusion_core.terms import bits_per_nat, prior_term

Curve = tuple[list[float], list[float]]

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
    return nats.mean() * bits_per_nat(math.prod(x0.shape[1:]))


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
