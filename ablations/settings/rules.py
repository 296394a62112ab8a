"""Which cells make no sense, and why: each reason says what was asked for, and the nearest thing that works.

Rules of the axes among themselves are the core's (`diffusion_core/choices.py`); those here also read the data, the
space, the evaluation, and a chain of no steps.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from ablations.settings.cell import NUMBERS, Cell
from ablations.settings.evaluation import LIKELIHOODS
from ablations.settings.identity import from_outside
from ablations.settings.origins import origin_of
from analysis.errors import InputError
from diffusion_core.choices import chain_refusal, choice_name, flow_refusal, level_refusal
from diffusion_core.choices import refusal as choices_refusal
from diffusion_core.diffusion import Diffusion
from diffusion_core.encodings import Continuous
from diffusion_core.networks.unet import UNet


def refusal(cell: Cell) -> str | None:
    """Why a cell makes no sense, or a class from outside that it has cannot be built; None if it does."""
    try:
        return _refusal(cell)
    except Exception as error:
        strangers = [f"{axis}={choice_name(c)} of {origin}" for axis, c, origin in from_outside(cell)]
        if not strangers or isinstance(error, InputError):
            raise
        return f"{' or '.join(strangers)} cannot be built here ({type(error).__name__}: {error})"


def _refusal(cell: Cell) -> str | None:
    """A chain of no steps reads nothing of the other choices, which must go together all the same."""
    if cell.horizon == 0:
        return _chainless_refusal(cell) or _refusal(replace(cell, horizon=NUMBERS["horizon"]))
    reason = (
        choices_refusal(cell.choices)
        or chain_refusal(cell.choices, cell.sampler.steps, reads_variance=cell.sampler.reads_variance)
        or chain_refusal(cell.choices, cell.evaluation.horizon)
        or between_refusal(cell)
        or continuous_refusal(cell)
    )
    return reason if reason is not None else _shape_refusal(cell)


def _shape_refusal(cell: Cell) -> str | None:
    """Why the data have no such code, or the network cannot take their shape."""
    data = cell.data.load()
    try:
        shape = cell.space.shape_of(data.shape)
    except ValueError as error:
        return str(error)
    try:
        model = Diffusion(cell.choices, Continuous() if cell.space.encoded else data.encoding, shape)
        if origin_of(type(cell.network)):
            return _misshapen(cell, model)
    except (ValueError, RuntimeError) as error:
        smaller = ", or a smaller space.f" if cell.space.encoded and isinstance(cell.network, UNet) else ""
        return str(error).splitlines()[0] + smaller
    return None


def _misshapen(cell: Cell, model: Diffusion) -> str | None:
    """Why a network from outside cannot be used: what it gives is not of the shape that it was asked for."""
    x = torch.zeros(1, *model.shape)
    channels = model.shape[0] * (2 if cell.variance.learned else 1)
    with torch.no_grad():
        given = model.network(x, torch.ones(1))
    wanted = [1, channels, *model.shape[1:]]
    if list(given.shape) == wanted:
        return None
    return f"network={choice_name(cell.network)} gives {list(given.shape)} for {list(x.shape)}, where {wanted} is asked"


def _chainless_refusal(cell: Cell) -> str | None:
    """Why a chain of no steps makes no sense: it is the autoencoder alone, with N(0, I) as its prior."""
    if not cell.space.encoded:
        return "horizon=0 is the autoencoder alone, which space=pixels has not: take space=latents, or horizon=1000"
    if not cell.space.likelihood:
        return (
            "horizon=0 draws codes from N(0, I), which teaches nothing of a vector-quantised one: take "
            "space.regularization=kl, or horizon=1000"
        )
    return continuous_refusal(cell)


def between_refusal(cell: Cell) -> str | None:
    """Why a sampler that asks the network between two times cannot."""
    reason = level_refusal(cell.choices) if cell.sampler.between_times else None
    asked = f"sampler={choice_name(cell.sampler)} with these fields"
    return f"{asked} asks the network between two times, and {reason}" if reason else None


def continuous_refusal(cell: Cell) -> str | None:
    """Why a likelihood that goes beyond the bound cannot be asked of a cell."""
    given = {name: getattr(cell.evaluation, name) for name in LIKELIHOODS}
    asked = [f"evaluation.{name}={value}" for name, value in given.items() if value]
    if not asked:
        return None
    if cell.horizon == 0:
        return f"{asked[0]} speaks of a chain, and horizon=0 has none: leave it out, or take horizon=1000"
    if not cell.space.likelihood:
        return (
            f"{asked[0]} asks for a likelihood, which a vector-quantised code has not: take "
            "space.regularization=kl, or leave it out"
        )
    reason = flow_refusal(cell.choices)
    in_time = [score for score in asked if not score.startswith("evaluation.estimates")]
    return f"{in_time[0]} scores the cell in continuous time, and {reason}" if in_time and reason else None
