"""A compiled network trains, samples and scores as it does uncompiled; on a CPU it is compiled only here."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
import torch

from diffusion_core import diffusion, trainer
from diffusion_core.compilation import is_compiled, resolve_compile
from diffusion_core.learner import DiffusionLearner
from diffusion_core.networks.dit import Dit
from diffusion_core.networks.mlp import Mlp
from diffusion_core.samplers import Ancestral
from diffusion_core.trainer import training_reports
from diffusion_core.training import Training
from tests.diffusion_core.learners import BASE, DIGITS, GreyLevels, learner_of_points

PLAN = Training(steps=4, batch=8, warmup=1, report_every=1, precision="float32")
DEVICES = {"cpu": "none", "cuda": "auto"}


@pytest.mark.parametrize("device", DEVICES)
def test_auto_compiles_on_a_gpu_alone(device):
    assert resolve_compile("auto", torch.device(device)) == DEVICES[device]
    assert resolve_compile("none", torch.device(device)) == "none"


def learner_of(network):
    if isinstance(network, Mlp):
        return learner_of_points(replace(BASE, network=network))
    learner = DiffusionLearner.of(replace(BASE, network=network), GreyLevels(17), (1, 8, 8))
    learner.diffusion.initialise(0)
    return learner, DIGITS


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="no compiler here builds the kernel")
@pytest.mark.parametrize(
    "network",
    [Mlp(width=16, layers=1), Dit(width=8, depth=1, heads=1)],
    ids=lambda network: type(network).__name__,
)
@pytest.mark.filterwarnings("ignore")
def test_losses_and_samples_of_a_compiled_network_are_those_of_the_network(network, monkeypatch):
    found = []
    for compile in ("none", "auto"):
        for module in (trainer, diffusion):
            monkeypatch.setattr(module, "resolve_compile", lambda asked, device: asked)
        learner, data = learner_of(network)
        losses = [
            report.losses["network"] for report in training_reports(learner, data, replace(PLAN, compile=compile), 0)
        ]
        with learner.diffusion.eval().network_in("float32", compile):
            samples = Ancestral(steps=3).sample(learner.diffusion, 5, seed=0)
        assert is_compiled(learner.diffusion.network) == (compile == "auto")
        found.append((losses, samples))
    (eager, drawn), (compiled, again) = found
    assert compiled == pytest.approx(eager, abs=1e-4)
    torch.testing.assert_close(again, drawn, rtol=1e-3, atol=1e-3)
