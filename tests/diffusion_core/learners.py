"""Small learners with their data, one of each kind that a training tells apart."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

import diffusion_core as dc
from diffusion_core.autoencoder import Autoencoder

BASE = dc.Choices(network=dc.Mlp(width=16, layers=1), horizon=50)
CLASSES = 3
DIGITS = torch.randint(17, (40, 1, 8, 8), generator=torch.Generator().manual_seed(0)).to(torch.uint8)


def learner_of_points(choices: dc.Choices) -> tuple[dc.DiffusionLearner, Any]:
    """Of points, which have labels where the network is told any."""
    learner = dc.DiffusionLearner.of(choices, dc.Continuous(), (2,), CLASSES)
    learner.diffusion.initialise(0)
    points = torch.randn(40, 2, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(-1, 39) % (CLASSES + 1) - 1
    return learner, dc.Labelled(points, labels) if learner.classes else points


def points_learner() -> tuple[dc.DiffusionLearner, Tensor]:
    return learner_of_points(replace(BASE, variance=dc.LearnedDiagonal(), objective=dc.Vlb()))


def adapting_learner() -> tuple[dc.DiffusionLearner, Tensor]:
    """Its times follow its losses, from the second report on at the latest."""
    choices = replace(BASE, variance=dc.LearnedVariance(), schedule=dc.Cosine(), objective=dc.Hybrid(), horizon=4)
    return learner_of_points(replace(choices, timesteps=dc.Importance(history=2)))


def schedule_learner() -> tuple[dc.DiffusionLearner, Tensor]:
    """A loss for the network, one for the schedule's ends and one for what lies between them."""
    choices = replace(
        BASE, schedule=dc.LearnedSchedule(width=4), objective=dc.VlbContinuous(), timesteps=dc.LowDiscrepancy()
    )
    return learner_of_points(replace(choices, time_input="log_snr"))


def paired_learner() -> tuple[dc.DiffusionLearner, Tensor]:
    """Its noise is paired with its data."""
    return learner_of_points(replace(BASE, coupling=dc.Optimal()))


def told_learner() -> tuple[dc.DiffusionLearner, dc.Labelled]:
    """Its network is told labels, and its own estimate."""
    return learner_of_points(replace(BASE, conditioning=dc.Class(self_conditioning=True, dropout=0.3)))


def image_learner() -> tuple[dc.DiffusionLearner, Tensor]:
    choices = replace(BASE, network=dc.UNet(channels=4, multipliers=(1,), groups=2, heads=1, dropout=0.3))
    learner = dc.DiffusionLearner.of(choices, dc.GreyLevels(17), (1, 8, 8))
    learner.diffusion.initialise(0)
    return learner, DIGITS


def vq_learner() -> tuple[Autoencoder, Tensor]:
    learner = dc.Latents(2, width=8, regularization="vq").build(dc.GreyLevels(17), (1, 8, 8))
    learner.initialise(0)
    return learner, DIGITS


def stirred(module: nn.Module, by: float = 0.1) -> nn.Module:
    """The module with every weight moved from its start, as after training."""
    generator = torch.Generator().manual_seed(0)
    for parameter in module.parameters():
        parameter.data += by * torch.randn(parameter.shape, generator=generator)
    return module


@cache
def random_model(kind: str) -> dc.Diffusion:
    """A diffusion of "points" or "images" whose weights have moved from their start."""
    network = {"points": dc.Mlp(width=16, layers=1), "images": dc.UNet(channels=8, multipliers=(1,), groups=4)}[kind]
    choices = dc.Choices(schedule=dc.Linear(rescale=False), network=network, horizon=10)
    made = (
        dc.Diffusion(choices, dc.Continuous(), (2,))
        if kind == "points"
        else dc.Diffusion(choices, dc.GreyLevels(), (1, 4, 4))
    )
    made.initialise(0)
    stirred(made, 0.05)
    return made.eval()
