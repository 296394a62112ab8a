"""The check of a choice from outside: what ships passes, and what is wrong on purpose is told in one line."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest
import torch
from torch import nn

import diffusion_core as dc
from diffusion_core.gamma import Knots
from tests.axes import name


class Waves(Knots):
    def curve(self, u):
        return super().curve(u) + 2 * torch.sin(20 * u)


class Wavy(dc.LogSnrLinear):
    """Falls where its wave is steep."""

    def build(self, horizon):
        return Waves(horizon, (-10.0, 5.0))


class SumOfBoth(dc.Epsilon):
    """x_0 + ε, which forgets that x̂_0 is told x_t."""

    def target(self, x0, eps, x_t, step):
        return x0 + eps

    def x0(self, output, x_t, step):
        return output - x_t


class Head(nn.Module):
    def __init__(self, dims, channels_out, wrong):
        super().__init__()
        self.out = nn.Linear(dims + 1, channels_out)
        if wrong != "loud":
            nn.init.zeros_(self.out.weight)
            nn.init.zeros_(self.out.bias)

    def forward(self, x, time):
        return self.out(torch.cat([x, time[:, None] / 1000], dim=1))


@dataclass(frozen=True)
class Fitting(dc.Network):
    """A network of points, wrong in one thing."""

    wrong: str = "nothing"

    def build(self, shape, channels_out):
        if len(shape) != 1:
            raise ValueError(f"got {list(shape)}")
        return Head(shape[0], shape[0] if self.wrong == "narrow" else channels_out, self.wrong)


class OwnNoise(dc.Ancestral):
    """Draws its noise from the global generator."""

    def step(self, diffusion, x_t, chain, k, noise):
        return super().step(diffusion, x_t, chain, k, lambda: torch.randn_like(x_t))


class MuAtAnyLevel(dc.Mu):
    needs_step = False


class EpsilonOfNoise(dc.Epsilon):
    reads_noise = True


class BlindAncestral(dc.Ancestral):
    reads_variance = False


class BlindBound(dc.Vlb):
    reads_variance = False


WRONG = [
    (Wavy(), "schedule=wavy: expected γ to rise from −∞ at t = 0, found a fall at t=.*"),
    (SumOfBoth(), r"parameterization=sum_of_both: expected a bound on N\(0, I\) of 2.047096 bits/dim, found .*"),
    (Fitting("narrow"), r"network=fitting: expected an output \[2, 4\] at channels_out=4, found \[2, 2\]"),
    (
        Fitting("loud"),
        "network=fitting: expected an output that starts at 0: let the last layer be zero, found another",
    ),
    (MuAtAnyLevel(), ".*not to depend on s, as needs_step=False says, found other values at another s"),
    (EpsilonOfNoise(), ".*expected a finite x̂_0 where ᾱ_t = 0, as reads_noise=True says, found another"),
    (BlindAncestral(), ".*expected samples that σ² does not change, as reads_variance=False says, found others"),
    (BlindBound(), ".*expected losses that σ² does not change, as reads_variance=False says, found others"),
    (OwnNoise(), "sampler=own_noise: expected samples to follow from the seed alone, found others the second time"),
]


@pytest.mark.parametrize(("choice", "line"), WRONG, ids=[name(choice) for choice, _ in WRONG])
def test_what_is_wrong_is_told_in_one_line(choice, line):
    with pytest.raises(AssertionError) as caught:
        dc.check(choice)
    assert re.fullmatch(line, str(caught.value))


IMAGES_ALONE = dc.Dit(patch=4, width=4, depth=1, heads=1)
RIGHT = (
    *(dc.LearnedSchedule(), dc.Rectified(), dc.AnalyticMse(), dc.Hybrid(), dc.OptimalSpacing()),
    *(dc.Class(self_conditioning=True), dc.Heun(), Fitting(), IMAGES_ALONE),
)


@pytest.mark.parametrize("choice", RIGHT, ids=name)
def test_what_ships_passes(choice):
    dc.check(choice)


def test_what_is_of_no_axis_is_told_so():
    with pytest.raises(TypeError, match="int is a choice of no axis"):
        dc.check(3)
