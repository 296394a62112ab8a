"""No two draws share a stream: draws by one name are one and the same noise, which would tie what is independent."""

from __future__ import annotations

import pytest
import torch

from diffusion_core import randomness
from diffusion_core.batches import Labelled, permutation
from diffusion_core.choices import Choices
from diffusion_core.conditioning import Class
from diffusion_core.couplings import Immiscible
from diffusion_core.encodings import GreyLevels
from diffusion_core.fitting import noise_moments
from diffusion_core.iwae import importance_weighted
from diffusion_core.learner import DiffusionLearner
from diffusion_core.likelihood import bound, continuous_bound
from diffusion_core.networks.unet import UNet
from diffusion_core.ode import flow_likelihood
from diffusion_core.samplers import Ancestral
from diffusion_core.schedules import LogSnrLinear
from diffusion_core.stratified import Stratification
from diffusion_core.trainer import train
from diffusion_core.training import Training

CHOICES = Choices(
    network=UNet(channels=2, multipliers=(1,), attention=(), heads=1, groups=1),
    conditioning=Class(self_conditioning=True),
    coupling=Immiscible(k=3),
    schedule=LogSnrLinear(),
    time_input="log_snr",
    horizon=6,
)
RAW = torch.randint(17, (8, 1, 4, 4), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
LABELS = torch.arange(8) % 3


@pytest.fixture
def names(monkeypatch):
    """The names of all streams that are drawn from, in order."""
    given, state = [], randomness.state
    monkeypatch.setattr(randomness, "state", lambda name: given.append(name) or state(name))
    permutation.cache_clear()
    return given


def test_a_step_of_training_and_all_that_is_scored_and_sampled_draw_from_streams_of_their_own(names):
    learner = DiffusionLearner.of(CHOICES, GreyLevels(17), (1, 4, 4), classes=3)
    steps = train(learner, Labelled(RAW, LABELS), Training(steps=2, batch=8, report_every=1, flips=True), seed=0)
    next(steps)
    names.clear()
    next(steps)
    # t, ε and two further draws of it, dequantisation, self-conditioning, the label; the batch, its flips, dropout.
    assert len(names) == 10
    model = learner.diffusion.given(LABELS).eval()
    for score in (
        lambda: bound(model, RAW, Stratification(1, 2), seed=0),
        lambda: continuous_bound(model, RAW, draws=2, seed=0),
        lambda: importance_weighted(model, RAW, draws=2, seed=0),
        lambda: flow_likelihood(model, RAW, steps=1, probes=2, seed=0),
        lambda: noise_moments(model, RAW, draws=8, seed=0),
        lambda: Ancestral().sample(model, 8, seed=0),
    ):
        before = len(names)
        score()
        assert len(names) > before
    assert sorted(names) == sorted(set(names))
