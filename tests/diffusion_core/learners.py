"""Small learners with their data, one of each kind that a training tells apart."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import torch
from torch import Tensor

from diffusion_core.autoencoder import Autoencoder
from diffusion_core.batches import Labelled
from diffusion_core.choices import Choices
from diffusion_core.conditioning import Class
from diffusion_core.couplings import Optimal
from diffusion_core.diffusion import Diffusion
from diffusion_core.encodings import Continuous, GreyLevels
from diffusion_core.learner import DiffusionLearner
from diffusion_core.networks.mlp import Mlp
from diffusion_core.networks.unet import UNet
from diffusion_core.objectives import Hybrid, Vlb, VlbContinuous
from diffusion_core.schedules import Cosine, LearnedSchedule, Linear
from diffusion_core.spaces import Latents
from diffusion_core.timesteps import Importance, LowDiscrepancy
from diffusion_core.variances import LearnedDiagonal, LearnedVariance

BASE = Choices(network=Mlp(width=16, layers=1), horizon=50)
CLASSES = 3
DIGITS = torch.randint(17, (40, 1, 8, 8), generator=torch.Generator().manual_seed(0)).to(torch.uint8)


def learner_of_points(choices: Choices) -> tuple[DiffusionLearner, Any]:
    """Of points, which have labels where the network is told any."""
    learner = DiffusionLearner.of(choices, Continuous(), (2,), CLASSES)
    learner.diffusion.initialise(0)
    points = torch.randn(40, 2, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(-1, 39) % (CLASSES + 1) - 1
    return learner, Labelled(points, labels) if learner.classes else points


def points_learner() -> tuple[DiffusionLearner, Tensor]:
    return learner_of_points(replace(BASE, variance=LearnedDiagonal(), objective=Vlb()))


def adapting_learner() -> tuple[DiffusionLearner, Tensor]:
    """Its times follow its losses, from the second report on at the latest."""
    choices = replace(BASE, variance=LearnedVariance(), schedule=Cosine(), objective=Hybrid(), horizon=4)
    return learner_of_points(replace(choices, timesteps=Importance(history=2)))


def schedule_learner() -> tuple[DiffusionLearner, Tensor]:
    """A loss for the network, one for the schedule's ends and one for what lies between them."""
    choices = replace(BASE, schedule=LearnedSchedule(width=4), objective=VlbContinuous(), timesteps=LowDiscrepancy())
    return learner_of_points(replace(choices, time_input="log_snr"))


def paired_learner() -> tuple[DiffusionLearner, Tensor]:
    """Its noise is paired with its data."""
    return learner_of_points(replace(BASE, coupling=Optimal()))


def told_learner() -> tuple[DiffusionLearner, Labelled]:
    """Its network is told labels, and its own estimate."""
    return learner_of_points(replace(BASE, conditioning=Class(self_conditioning=True, dropout=0.3)))


def image_learner() -> tuple[DiffusionLearner, Tensor]:
    choices = replace(BASE, network=UNet(channels=8, groups=4, dropout=0.3))
    learner = DiffusionLearner.of(choices, GreyLevels(17), (1, 8, 8))
    learner.diffusion.initialise(0)
    return learner, DIGITS


def vq_learner() -> tuple[Autoencoder, Tensor]:
    learner = Latents(2, width=8, regularization="vq").build(GreyLevels(17), (1, 8, 8))
    learner.initialise(0)
    return learner, DIGITS


@cache
def random_model(kind: str) -> Diffusion:
    """A diffusion of "points" or "images" whose weights have moved from their start."""
    network = {"points": Mlp(width=16, layers=1), "images": UNet(channels=8, multipliers=(1,), groups=4)}[kind]
    choices = Choices(schedule=Linear(rescale=False), network=network, horizon=10)
    made = Diffusion(choices, Continuous(), (2,)) if kind == "points" else Diffusion(choices, GreyLevels(), (1, 4, 4))
    made.initialise(0)
    generator = torch.Generator().manual_seed(0)
    for parameter in made.parameters():
        parameter.data += 0.05 * torch.randn(parameter.shape, generator=generator)
    return made.eval()
