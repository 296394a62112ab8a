"""Checks that every choice of an axis must pass, for authors to run on their own classes, like `numpy.testing`.

    from diffusion_core.testing import check_schedule
    check_schedule(Wavy(depth=0.1))

Each takes one choice, and returns or raises an AssertionError, whose one line says which rule the choice breaks and by
what numbers. The module of an axis has its properties, a function each; `problems` has problems with known answers, on
which some rest. `variants.variants(Wavy)` gives a choice for every value of the fields that take one of a few words.

    check_schedule            γ rises, dγ/du is right, the bound on Gaussian data is no less than its entropy, …
    check_parameterization    target and x̂_0 undo each other, κ is true, …
    check_variance            σ² starts between β̃ and β, reads what it says it reads, …
    check_objective           its loss weighs an error of ε as its `eps_weight` says, …
    check_timesteps           times are drawn as the density says, no expectation moves, …
    check_network             starts at zero and from its seed, in float32, trains on as if never stopped, …
    check_sampler             a sample belongs to its seed and number, …
    check_spacing             as many times as asked for, T among them, …
    check_coupling            a noise for each x_0, which knows it only if the class says so, …
    check_conditioning        labels matter only if the class says so, …
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from diffusion_core.conditioning import Conditioning
from diffusion_core.couplings import Coupling
from diffusion_core.networks.network import Network
from diffusion_core.objectives import Objective
from diffusion_core.parameterizations import Parameterization
from diffusion_core.samplers import Sampler
from diffusion_core.schedules import Cosine, LearnedSchedule, Linear, LogSnrLinear, Rectified, Schedule
from diffusion_core.spacings import Spacing
from diffusion_core.testing import (
    conditionings,
    couplings,
    labelled,
    networks,
    objectives,
    parameterizations,
    samplers,
    schedules,
    spacings,
    timesteps,
    variances,
)
from diffusion_core.testing.saying import run
from diffusion_core.timesteps import Timesteps
from diffusion_core.variances import Variance

__all__ = [
    "CHECKS",
    "check_conditioning",
    "check_coupling",
    "check_network",
    "check_objective",
    "check_parameterization",
    "check_sampler",
    "check_schedule",
    "check_spacing",
    "check_timesteps",
    "check_variance",
]

SCHEDULES: tuple[Schedule, ...] = (Linear(), Cosine(), LogSnrLinear(), LearnedSchedule())
"""The schedules, of every kind, at whose noise levels the choices of other axes are checked."""


def check_schedule(schedule: Schedule) -> None:
    """AssertionError, in one line, unless this is a noise schedule."""
    run(schedules.PROPERTIES, schedule)


def check_parameterization(parameterization: Parameterization) -> None:
    """AssertionError, in one line, unless this is something that a network can predict."""
    run(parameterizations.ALONE, parameterization)
    for schedule in (*SCHEDULES, *((Rectified(),) if parameterization.reads_noise else ())):
        run(parameterizations.PROPERTIES, parameterization, schedule)


def check_variance(variance: Variance) -> None:
    """AssertionError, in one line, unless this is a variance of the reverse step."""
    run(variances.ALONE, variance)
    for schedule in SCHEDULES:
        run(variances.PROPERTIES, variance, schedule)


def check_objective(objective: Objective) -> None:
    """AssertionError, in one line, unless this is a training objective."""
    run(objectives.ALONE, objective)
    for schedule in SCHEDULES:
        run(objectives.PROPERTIES, objective, schedule)


def check_timesteps(density: Timesteps) -> None:
    """AssertionError, in one line, unless this is a density of training times."""
    run(timesteps.PROPERTIES, density)


def check_network(network: Network) -> None:
    """AssertionError, in one line, unless this is a network, of images or of points."""
    run(networks.ALONE, network)
    for shape in networks.taken(network):
        run(networks.PROPERTIES, network, shape)
        run(labelled.PROPERTIES, network, shape)


def check_sampler(sampler: Sampler) -> None:
    """AssertionError, in one line, unless this is a sampler."""
    run(samplers.PROPERTIES, sampler)


def check_spacing(spacing: Spacing) -> None:
    """AssertionError, in one line, unless this is a spacing of steps."""
    run(spacings.PROPERTIES, spacing)


def check_coupling(coupling: Coupling) -> None:
    """AssertionError, in one line, unless this is a coupling of data and noise."""
    run(couplings.PROPERTIES, coupling)


def check_conditioning(conditioning: Conditioning) -> None:
    """AssertionError, in one line, unless this is something that a network can be told."""
    run(conditionings.PROPERTIES, conditioning)


CHECKS: dict[type, Callable[[Any], None]] = {
    Schedule: check_schedule,
    Parameterization: check_parameterization,
    Variance: check_variance,
    Objective: check_objective,
    Timesteps: check_timesteps,
    Network: check_network,
    Sampler: check_sampler,
    Spacing: check_spacing,
    Coupling: check_coupling,
    Conditioning: check_conditioning,
}
"""The check of each axis, by the base class of its choices."""
