"""The whole of the core at once: a trained network's bound on data of known density comes close to the entropy."""

from __future__ import annotations

import math

import pytest
import torch

import diffusion_core as dc
from diffusion_core.checking import denoiser_output
from diffusion_core.trainer import part, training_reports
from tests.diffusion_core.mixture import MixtureData
from tests.diffusion_core.problems import diffusion

DATA = MixtureData()


@pytest.fixture(scope="module")
def trained() -> dc.Diffusion:
    """The average of an ε-network with β after its training on the mixture."""
    choices = dc.Choices(network=dc.Mlp(width=32, layers=2), horizon=200)
    learner = dc.DiffusionLearner.of(choices, dc.Continuous(), (2,))
    learner.diffusion.initialise(0)
    plan = dc.Training(steps=1200, batch=768, learning_rate=1.2e-2, ema=0.995, report_every=1200)
    (report,) = training_reports(learner, DATA.sample(20_000, 1).float(), plan, 0)
    learner.load_state_dict(part(report.state(), "average"))
    return learner.eval().diffusion


@pytest.mark.slow
def test_bound_of_a_trained_network_is_within_a_twentieth_of_a_bit_of_the_entropy(trained):
    """On held-out points, less their own −log2 p, whose mean is the entropy: what is left is the bound's gap."""
    points = DATA.sample(20_000, 2)
    exact = -DATA.density.log_prob(points) / (2 * math.log(2))
    gap = dc.bound(trained, points.float(), dc.Stratification(10, 30), seed=0, batch=20_000).total - exact
    error = gap.std().item() / len(gap) ** 0.5
    assert error < 0.01
    assert -3 * error < gap.mean().item() < 0.05


@pytest.mark.slow
def test_samples_of_a_trained_network_have_the_mixtures_radii_and_angles(trained):
    x = dc.Ancestral().sample(trained, 4000, seed=0, batch=4000).double()
    true = DATA.sample(4000, 3)
    assert DATA.density.log_prob(x).mean().item() == pytest.approx(DATA.density.log_prob(true).mean().item(), abs=0.15)
    nearest = torch.cdist(x, DATA.density.component_distribution.base_dist.loc).argmin(1)
    share = torch.bincount(nearest, minlength=DATA.components).double() / len(x)
    torch.testing.assert_close(share, torch.full_like(share, 1 / DATA.components), rtol=0, atol=0.04)


def test_with_the_exact_score_the_continuous_bound_has_no_gap():
    """½ ∫ E‖ε − ε̂‖² dγ is the information that the noise takes away (Guo et al. 2005): with the density at γ_1 and L_T
    it makes up the entropy of data with noise of variance e^{γ_1}, under every schedule.
    """
    points = DATA.sample(2000, 8)
    output = denoiser_output(DATA.denoise, dc.Epsilon(), dc.Linear(), 1000)
    model = diffusion(output, 1000, schedule=dc.Linear(), real=True)
    total = dc.continuous_bound(model, points, draws=64, seed=0, batch=4000).total
    gap = total + DATA.density.log_prob(points) / (2 * math.log(2))
    error = gap.std().item() / len(gap) ** 0.5
    assert error < 0.03
    assert abs(gap.mean().item()) < 3.5 * error
