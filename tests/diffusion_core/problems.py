"""Diffusions whose network is a given function, or the exact denoiser of Gaussian data."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

import diffusion_core as dc
from diffusion_core.checking import Function, GaussianData, Output, denoiser_output

DATA = GaussianData((0.3, 1.7))


def diffusion(
    output: Output,
    horizon: int,
    *,
    encoding: dc.Encoding | None = None,
    shape: tuple[int, ...] = (2,),
    real: bool = False,
    classes: int = 0,
    **others: Any,
) -> dc.Diffusion:
    """A `Diffusion` whose network is `output`, which gets t as an integer unless `real` is set, and a label if
    `classes`.

    `others` are fields of `Choices`; those left out or None have its defaults. A fitted variance is half-way between β̃
    and β at every t, until a test fits it.
    """
    named = {name: choice for name, choice in others.items() if choice is not None}
    if classes:
        named.setdefault("conditioning", dc.Class())
    choices = dc.Choices(network=Function(output, horizon, real), horizon=horizon, **named)
    if choices.schedule.learned and choices.in_continuous_time:
        choices = replace(choices, time_input="log_snr")
    model = dc.Diffusion(choices, encoding or dc.Continuous(), shape, classes)
    with torch.no_grad():
        model.fit(0.5 * torch.sigmoid(model.gamma(model.all_times[1:])))
    return model


def exact_model(
    horizon: int,
    variance: dc.Variance,
    data: GaussianData = DATA,
    parameterization: dc.Parameterization | None = None,
    schedule: dc.Schedule | None = None,
) -> dc.Diffusion:
    """A diffusion whose network knows E[x_0 | x_t], and predicts ε, or v if the schedule ends in noise alone."""
    schedule = schedule or dc.Linear()
    parameterization = parameterization or (dc.V() if schedule.gamma(horizon).ends_in_noise else dc.Epsilon())
    output = denoiser_output(data.denoise, parameterization, schedule, horizon)
    return diffusion(output, horizon, parameterization=parameterization, variance=variance, schedule=schedule)
