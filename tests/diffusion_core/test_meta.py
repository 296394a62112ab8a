"""Devices never mix, and no step waits for one: with all tensors on torch's `meta` device, which has no values.

There, an operation on tensors of two devices raises, and so does all that reads a value (`.item()`, `.tolist()`, a
condition, a mask of rows), as it would make the host wait for a card at each step.
"""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch

from diffusion_core.learner import DiffusionLearner
from diffusion_core.samplers import Ancestral, Ddim
from diffusion_core.trainer import Trainer
from diffusion_core.training import Training
from tests.diffusion_core.test_gpu import RECIPES, model

META, PLAN = torch.device("meta"), Training(batch=16, precision="float32", clip=1.0, snapshots=1, micro_batch=8)


@pytest.fixture(autouse=True)
def autocast(monkeypatch):
    """Autocast knows nothing of `meta`."""
    known, made = torch.is_autocast_enabled, torch.autocast
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda kind="cpu": kind != "meta" and known(kind))
    monkeypatch.setattr(
        torch, "autocast", lambda kind, *of, **more: nullcontext() if kind == "meta" else made(kind, *of, **more)
    )


@pytest.mark.parametrize("recipe", ["hybrid", "vlb_continuous", "flow"])
def test_a_step_stays_on_its_device_and_reads_no_value(recipe):
    """A training step, a term of the bound and a step of a sampler by these choices."""
    learner = DiffusionLearner(model(torch.device("cpu"), **RECIPES[recipe])).to(META)
    made, raw = learner.diffusion, torch.zeros(16, 1, 8, 8, dtype=torch.uint8, device=META)
    losses = Trainer(learner, PLAN, META).step(raw, 0, 1)
    x, k, chain = torch.zeros(16, 1, 8, 8, device=META), torch.full((16,), 3, device=META), made.chain()
    with torch.no_grad():
        term = made.term(x, x, chain, k)
        drawn = [of.step(made, x, chain, 3, lambda: torch.zeros_like(x)) for of in (Ancestral(), Ddim())]
    assert {value.device for value in (*losses.values(), term, *drawn)} == {META}
