"""The host waits for a CUDA device at reports and at the ends of loops, and at no step between them.

That a recorded step does not either is in `test_recorded.py`.
"""

from __future__ import annotations

import warnings
from dataclasses import replace

import pytest
import torch

from diffusion_core.denoiser import TimeInput
from diffusion_core.encodings import GreyLevels
from diffusion_core.fitting import bound_terms, noise_moments
from diffusion_core.learner import DiffusionLearner
from diffusion_core.likelihood import bound, continuous_bound
from diffusion_core.objectives import Hybrid, Objective, Simple, Vlb, VlbContinuous
from diffusion_core.ode import flow_likelihood
from diffusion_core.parameterizations import Mu, Parameterization, V
from diffusion_core.randomness import send
from diffusion_core.samplers import Sampler
from diffusion_core.schedules import Cosine, LearnedSchedule, Linear, LogSnrLinear, Schedule
from diffusion_core.testing.variants import name
from diffusion_core.timesteps import LowDiscrepancy, Timesteps, Uniform
from diffusion_core.trainer import Trainer, batch_indices, train
from diffusion_core.training import Training
from diffusion_core.variances import Analytic, Beta, LearnedVariance, Variance
from tests.axes import members, thinned
from tests.diffusion_core.test_gpu import CUDA, DIGITS, LATENTS, model
from tests.sampling import sampled

pytestmark = pytest.mark.cuda

TOLD: TimeInput = "log_snr"
RECIPES = [
    *({"objective": objective} for objective in members(Objective)),
    *({"objective": objective, "schedule": LearnedSchedule()} for objective in (Simple(), Vlb(), VlbContinuous())),
    *({"timesteps": timesteps} for timesteps in members(Timesteps)),
    {"objective": VlbContinuous(), "timesteps": LowDiscrepancy()},
    *({"variance": variance, "objective": Vlb()} for variance in members(Variance)),
    *({"parameterization": parameterization} for parameterization in members(Parameterization)),
    *({"schedule": schedule} for schedule in members(Schedule)),
]
"""What differs from v, simple and a linear schedule."""


def recipe_name(recipe):
    return "-".join(name(choice) for choice in recipe.values())


def learner(recipe):
    """The learner of a recipe on the device; hybrid needs a σ² that is learned, and what continues in t is told γ."""
    others = {"parameterization": V(), "variance": Beta(), "schedule": Linear(), "timesteps": Uniform()} | recipe
    if isinstance(recipe.get("objective"), Hybrid):
        others["variance"] = LearnedVariance()
    told = TOLD if isinstance(recipe.get("objective"), VlbContinuous) else "t"
    return DiffusionLearner(model(CUDA, **others, time_input=told)).to(CUDA)


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
    data, plan = DIGITS.to(CUDA), Training(steps=steps, batch=32, report_every=100, captured=False)
    return waits(lambda: list(train(of, data, plan, 0)))


@pytest.mark.parametrize("recipe", thinned(RECIPES, 18, [recipe_name(recipe) for recipe in RECIPES]))
def test_a_training_waits_at_its_reports_alone(recipe):
    few, more = (training_waits(learner(recipe), steps) for steps in (1, 3))
    assert more == few > 0


@pytest.mark.parametrize("space", LATENTS, ids=name)
def test_an_autoencoder_waits_at_its_reports_alone(space):
    autoencoders = [space.build(GreyLevels(17), (1, 8, 8)).to(CUDA) for _ in range(2)]
    few, more = (training_waits(one, steps) for one, steps in zip(autoencoders, (1, 3), strict=True))
    assert more == few > 0


@pytest.mark.parametrize("rounding", ["float32", "bf16"])
def test_a_step_waits_for_nothing_at_all(rounding):
    trainer = Trainer(learner({}), Training(precision=rounding, captured=False), CUDA)
    data = DIGITS.to(CUDA)

    def steps(first, last):
        for step in range(first, last):
            trainer.step(data[send(batch_indices(0, step, len(data), 32), CUDA)], 0, step)

    steps(0, 1)
    assert waits(lambda: steps(1, 4)) == 0


@pytest.mark.parametrize(
    "schedule", [Linear(), pytest.param(Cosine(zero_terminal=True), marks=pytest.mark.slow)], ids=name
)
@pytest.mark.parametrize("sampler", sampled(members(Sampler), 4, [*map(name, members(Sampler))]))
def test_a_sampler_waits_at_no_step(sampler, schedule):
    diffusion = model(CUDA, V(), schedule=schedule, horizon=25)

    def waits_of(steps):
        strided = replace(sampler, steps=steps)
        return waits(lambda: strided.sample(diffusion, 8, seed=0, clip=True))

    assert waits_of(5) == waits_of(2)


@pytest.mark.parametrize("parameterization", [V(), Mu()], ids=name)
def test_a_bound_waits_at_no_draw(parameterization):
    diffusion, raw = model(CUDA, parameterization, horizon=25), DIGITS[:8].to(CUDA)
    few, more = (waits(lambda n=n: bound(diffusion, raw, exact=n, strata=n, seed=0, clip=True)) for n in (1, 2))
    assert more == few


def test_likelihoods_in_continuous_time_wait_at_no_draw_and_no_step():
    diffusion, raw = model(CUDA, V(), horizon=25, time_input=TOLD), DIGITS[:8].to(CUDA)
    few, more = (waits(lambda n=n: continuous_bound(diffusion, raw, draws=n, seed=0, clip=True)) for n in (1, 2))
    assert more == few
    few, more = (waits(lambda n=n: flow_likelihood(diffusion, raw, steps=n, probes=1, seed=0)) for n in (1, 2))
    assert more == few


@pytest.mark.parametrize("fit", [noise_moments, bound_terms], ids=lambda fit: fit.__name__)
@pytest.mark.parametrize(
    "variance", sampled([Analytic(), Beta(), LearnedVariance()], 3, ["Analytic", "Beta", "LearnedVariance"])
)
def test_a_fit_waits_at_no_level_and_no_draw(variance, fit):
    def waits_of(horizon, draws):
        diffusion, raw = model(CUDA, V(), variance, Vlb(), LogSnrLinear(), horizon=horizon), DIGITS.to(CUDA)
        return waits(lambda: fit(diffusion, raw, draws=draws, seed=0, clip=True))

    assert waits_of(2, 4) == waits_of(3, 4) == waits_of(2, 12)
