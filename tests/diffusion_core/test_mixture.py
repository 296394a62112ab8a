"""The whole of the core at once: a trained network's bound on data of known density comes close to the entropy."""

from __future__ import annotations

import math

import pytest
import torch

from diffusion_core.choices import Choices
from diffusion_core.diffusion import Diffusion
from diffusion_core.likelihood import bound
from diffusion_core.networks.mlp import Mlp
from diffusion_core.objectives import Simple
from diffusion_core.parameterizations import Epsilon
from diffusion_core.samplers import Ancestral
from diffusion_core.schedules import Linear
from diffusion_core.spaces import Continuous
from diffusion_core.timesteps import Uniform
from diffusion_core.training import Training, part, train
from diffusion_core.variances import Beta
from tests.problems import MixtureData

DATA = MixtureData()


def test_entropy_of_the_mixture_agrees_with_its_samples():
    n = 200_000
    bits = -DATA.density.log_prob(DATA.sample(n, 0)) / (2 * math.log(2))
    assert DATA.entropy == pytest.approx(bits.mean().item(), abs=5 * bits.std().item() / n**0.5)


@pytest.fixture(scope="module")
def trained() -> Diffusion:
    """The average of an ε-network with β after its training on the mixture."""
    choices = Choices(Epsilon(), Beta(), Linear(), Simple(), Uniform(), Mlp(width=32, layers=2), 200)
    learner = Diffusion(choices, Continuous(), (2,))
    learner.initialise(0)
    plan = Training(steps=3000, batch=512, learning_rate=4e-3, ema=0.998, report_every=3000)
    (report,) = train(learner, DATA.sample(20_000, 1).float(), plan, 0)
    learner.load_state_dict(part(report.state(), "average"))
    return learner.eval()


def test_bound_of_a_trained_network_is_within_a_twentieth_of_a_bit_of_the_entropy(trained):
    """On held-out points, less their own −log2 p, whose mean is the entropy: what is left is the bound's gap."""
    points = DATA.sample(20_000, 2)
    exact = -DATA.density.log_prob(points) / (2 * math.log(2))
    gap = bound(trained, points.float(), exact=10, strata=30, seed=0, clip=False).total - exact
    error = gap.std().item() / len(gap) ** 0.5
    assert error < 0.01
    assert -3 * error < gap.mean().item() < 0.05


def test_samples_of_a_trained_network_have_the_mixtures_radii_and_angles(trained):
    x = Ancestral().sample(trained, 4000, seed=0, clip=False).double()
    true = DATA.sample(4000, 3)
    assert DATA.density.log_prob(x).mean().item() == pytest.approx(DATA.density.log_prob(true).mean().item(), abs=0.15)
    nearest = torch.cdist(x, DATA.density.component_distribution.base_dist.loc).argmin(1)
    share = torch.bincount(nearest, minlength=DATA.components).double() / len(x)
    torch.testing.assert_close(share, torch.full_like(share, 1 / DATA.components), rtol=0, atol=0.04)
