"""The host waits for a CUDA device at reports and at the ends of loops, and at no step between them."""

from __future__ import annotations

import warnings
from dataclasses import replace

import pytest
import torch

import diffusion_core as dc
from diffusion_core.trainer import training_reports
from tests.axes import name
from tests.diffusion_core.test_gpu import CUDA, DIGITS, RECIPES, model

pytestmark = pytest.mark.gpu


def learner(recipe: str) -> dc.DiffusionLearner:
    return dc.DiffusionLearner(model(CUDA, **RECIPES[recipe])).to(CUDA)


def waits(action):
    """How often the host waits for the device, as the debug mode of torch counts it."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            action()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return sum("synchronizing CUDA operation" in str(one.message) for one in told)


def training_waits(of, steps):
    """Waits of a whole training of so many steps that is reported once, its beginning included."""
    data, plan = DIGITS.to(CUDA), dc.Training(steps=steps, batch=32, report_every=100)
    return waits(lambda: list(training_reports(of, data, plan, 0)))


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_training_waits_at_its_reports_alone(recipe):
    few, more = (training_waits(learner(recipe), steps) for steps in (1, 3))
    assert more == few > 0


@pytest.mark.parametrize("sampler", [dc.Ancestral(), dc.Ddim(eta=0.5), dc.Heun(churn=10.0), dc.DpmSolver()], ids=name)
def test_a_sampler_waits_at_no_step(sampler):
    diffusion = model(CUDA, parameterization=dc.V(), schedule=dc.Cosine(zero_terminal=True), horizon=25)

    def waits_of(steps):
        strided = replace(sampler, steps=steps)
        return waits(lambda: strided.sample(diffusion, 8, seed=0))

    assert waits_of(5) == waits_of(2)


SCORES = {
    "bound": lambda model, raw, n: dc.bound(model, raw, dc.Stratification(n, n), seed=0),
    "continuous bound": lambda model, raw, n: dc.continuous_bound(model, raw, draws=n, seed=0),
    "flow": lambda model, raw, n: dc.flow_likelihood(model, raw, steps=n, probes=1, seed=0),
}


@pytest.mark.parametrize("score", SCORES)
def test_a_score_waits_at_no_draw_and_no_step(score):
    diffusion, raw = model(CUDA, parameterization=dc.V(), horizon=25, time_input="log_snr"), DIGITS[:8].to(CUDA)
    few, more = (waits(lambda n=n: SCORES[score](diffusion, raw, n)) for n in (1, 2))
    assert more == few
