"""One value of each axis, and the rules on values that make no sense together.

Every rule states what was asked for, why it has no meaning, and the nearest choice that has one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import torch

from diffusion_core.conditioning import Conditioning, Unconditional
from diffusion_core.couplings import Coupling, Independent
from diffusion_core.denoiser import TIME_SCALE, TimeInput
from diffusion_core.forward import Step
from diffusion_core.gamma import Gamma
from diffusion_core.named import choice_name
from diffusion_core.networks.network import Network
from diffusion_core.networks.unet import UNet
from diffusion_core.objectives import NoiseLevels, Objective, Simple
from diffusion_core.parameterizations import Epsilon, Parameterization
from diffusion_core.schedules import Linear, Schedule
from diffusion_core.spacings import Spacing, UniformSpacing
from diffusion_core.timesteps import Timesteps, Uniform
from diffusion_core.variances import Beta, Variance

__all__ = ["Choices", "FirstStepRule", "Time", "chain_refusal", "flow_refusal", "level_refusal", "refusal"]

FirstStepRule = Literal["schedule", "beta_1"]
Time = Literal["auto", "continuous"]


@dataclass(frozen=True)
class Choices:
    """The choices that a `Diffusion` is built from, by default those of DDPM (Ho et al. 2020, arXiv:2006.11239).

    `parameterization`, `variance`, `schedule`, `objective`, `timesteps`, `network`, `coupling` and `conditioning` are
    one value of each axis, `horizon` is T. `time_input` is how the network is told the time: as 1000 t/T, or as the
    noise level, on a scale that is the same for all fixed schedules and does not move with a learned one. `first_step`
    is the rule for σ_1²: the schedule's own, or β_1. `time` says which times training draws: 1..T wherever the
    objective has a meaning there, or real ones. `spacing` chooses the times of a chain of fewer than T steps, and has
    no part in training.
    """

    parameterization: Parameterization = field(default_factory=Epsilon)
    variance: Variance = field(default_factory=Beta)
    schedule: Schedule = field(default_factory=Linear)
    objective: Objective = field(default_factory=Simple)
    timesteps: Timesteps = field(default_factory=Uniform)
    network: Network = field(default_factory=UNet)
    horizon: int = 1000
    time_input: TimeInput = "t"
    first_step: FirstStepRule = "schedule"
    time: Time = "auto"
    spacing: Spacing = field(default_factory=UniformSpacing)
    coupling: Coupling = field(default_factory=Independent)
    conditioning: Conditioning = field(default_factory=Unconditional)

    @property
    def in_continuous_time(self) -> bool:
        """True where training draws real times."""
        return self.time == "continuous" or not self.objective.discrete

    @property
    def knows_between(self) -> bool:
        """True where the network can be asked between the times 1..T: its output needs no step, and training drew real
        times, or whole ones that it is told at most 1 apart, as fine as its embedding of time.

        Noise levels (`time_input=log_snr`) lie further apart near an end. A network of digits that was told times 20
        apart (T = 50) errs between them by up to 8 times as much as at them.
        """
        dense = self.in_continuous_time or (self.time_input == "t" and self.horizon >= TIME_SCALE)
        return dense and not self.parameterization.needs_step


def refusal(choices: Choices) -> str | None:
    """The reason for which these choices cannot be trained; None if they can."""
    return next((reason for rule in RULES if (reason := rule(choices)) is not None), None)


def sensible(choices: Choices) -> Choices:
    """The choices; ValueError where they cannot be trained."""
    reason = refusal(choices)
    if reason is not None:
        raise ValueError(reason)
    return choices


def chain_refusal(choices: Choices, steps: int | None, *, reads_variance: bool = True) -> str | None:
    """The reason for which a chain of `steps` steps (None: all) cannot be taken, or None.

    `reads_variance` tells whether σ² matters to it.
    """
    if steps is None or steps == choices.horizon:
        return None
    if not 1 <= steps <= choices.horizon:
        return f"{steps} steps do not fit horizon={choices.horizon}: take 1 to {choices.horizon}"
    if reads_variance and not choices.variance.strided:
        return (
            f"variance={choice_name(choices.variance)} belongs to the steps it was trained on and cannot be strided "
            f"({steps} of {choices.horizon} steps): take all steps, or variance=beta, beta_tilde or learned"
        )
    return None


def level_refusal(choices: Choices) -> str | None:
    """The reason for which the network's output has no meaning at a noise level alone; None if it has one."""
    if choices.parameterization.needs_step:
        return (
            f"parameterization={choice_name(choices.parameterization)} predicts a mean between two times and has no "
            "meaning in continuous time: take parameterization=epsilon, x0 or v"
        )
    return None


def flow_refusal(choices: Choices) -> str | None:
    """The reason for which no integral over all noise levels exists (continuous bound, flow likelihood), or None."""
    if _schedule(choices) is None and choices.schedule.gamma(choices.horizon).ends_in_noise:
        return (
            f"schedule={choice_name(choices.schedule)} ends in noise alone, at an infinite noise level that no "
            "integral over noise levels reaches: take a schedule that ends before it, or score it by its steps"
        )
    return level_refusal(choices)


def _horizon(choices: Choices) -> str | None:
    try:
        choices.schedule.check(choices.horizon)
    except ValueError as error:
        return str(error)
    return None


def _learned_variance(choices: Choices) -> str | None:
    if not choices.variance.learned or choices.objective.learns_variance:
        return None
    instead = "objective=hybrid (its mean follows the unweighted error)"
    return (
        f"objective={choice_name(choices.objective)} teaches no variance, so variance={choice_name(choices.variance)} "
        f"would stay as it was drawn: take {instead} or objective=vlb, or variance=beta or beta_tilde"
    )


def _hybrid(choices: Choices) -> str | None:
    if not choices.objective.needs_learned or choices.variance.learned:
        return None
    return (
        f"objective={choice_name(choices.objective)} differs from objective=simple only in what a learned variance "
        f"learns, and variance={choice_name(choices.variance)} learns nothing: take objective=simple, or "
        "variance=learned"
    )


def _continuous(choices: Choices) -> str | None:
    if not choices.in_continuous_time:
        return None
    if not choices.objective.continuous:
        instead = "objective=vlb_continuous" if choices.objective.is_bound else "time=auto"
        return (
            f"objective={choice_name(choices.objective)} sums terms of a chain of steps, which time={choices.time} has "
            f"not: take {instead}"
        )
    return level_refusal(choices)


def _importance(choices: Choices) -> str | None:
    if not choices.timesteps.adapts:
        return None
    name = f"timesteps={choice_name(choices.timesteps)}"
    if choices.in_continuous_time:
        asked = f"time={choices.time}" if choices.objective.discrete else f"objective={choice_name(choices.objective)}"
        return (
            f"{name} keeps a history per t in 1..T, and {asked} draws real t: take timesteps=low_discrepancy or uniform"
        )
    if choices.schedule.learned:
        return (
            f"{name} would follow losses whose noise levels schedule={choice_name(choices.schedule)} moves: take "
            "timesteps=low_discrepancy or uniform"
        )
    return None


def _learning_from_the_bound(choices: Choices) -> str:
    """The choice that learns from the bound, with its axis; "" where none does."""
    if choices.objective.is_bound or choices.objective.learns_variance:
        return f"objective={choice_name(choices.objective)}"
    return f"schedule={choice_name(choices.schedule)}" if choices.schedule.learned else ""


def _biased_bound(choices: Choices) -> str | None:
    """The reason for which a bound would be biased, or None: it is a mean over uniform t and independent noise, which
    neither reweighted t nor a coupling gives."""
    timesteps, coupling = choices.timesteps, choices.coupling
    for unbiased, over, other, instead in (
        (
            timesteps.reweighted,
            "uniform t",
            f"timesteps={choice_name(timesteps)} weights each t by its density",
            "timesteps=uniform, low_discrepancy or importance",
        ),
        (
            coupling.independent,
            "noise that is independent of x_0",
            f"coupling={choice_name(coupling)} pairs the two",
            "coupling=independent, or objective=simple on a fixed schedule",
        ),
    ):
        learner = "" if unbiased else _learning_from_the_bound(choices)
        if learner:
            return f"{learner} learns from the bound, a mean over {over}, and {other}: take {instead}"
    return None


def _learned_schedule(choices: Choices) -> str | None:
    if not (choices.schedule.learned and choices.in_continuous_time) or choices.time_input == "log_snr":
        return None
    return (
        f"the bound in continuous time does not depend on schedule={choice_name(choices.schedule)} "
        f"between its ends only if the network is told the noise level, and time_input={choices.time_input} does not "
        "tell it: take time_input=log_snr"
    )


def _own_estimate(choices: Choices) -> str | None:
    """The reason against self-conditioning with a learned schedule, or None: the bound is that of f(x_t, x̂_0'), but
    training shows some examples zeros, and takes x̂_0' as a constant for the others."""
    if not (choices.conditioning.self_conditioning and choices.schedule.learned):
        return None
    return (
        f"schedule={choice_name(choices.schedule)} learns from the bound, and conditioning.self_conditioning=true "
        "trains half of all examples without the estimate that the bound is of, and the others without its gradient: "
        "take a schedule that is fixed, or leave it out"
    )


def _schedule(choices: Choices) -> str | None:
    try:
        choices.timesteps.build(choices.schedule.gamma(choices.horizon))
    except ValueError as error:
        return str(error)
    return None


def _pure_noise(choices: Choices) -> str | None:
    """The reason for which the choices have no meaning at ᾱ_T = 0, or None."""
    gamma = choices.schedule.gamma(choices.horizon)
    if not gamma.ends_in_noise:
        return None
    schedule = f"schedule={choice_name(choices.schedule)} ends in noise alone (x_T holds nothing of x_0)"
    other = "or let the schedule end before it (schedule.zero_terminal=false, or schedule.end=0.999 of rectified)"
    if not choices.parameterization.reads_noise:
        return (
            f"{schedule}, where parameterization={choice_name(choices.parameterization)} says nothing of x_0: take "
            f"parameterization=v, velocity, edm, x0 or mu, {other}"
        )
    if choices.time_input == "log_snr":
        return (
            f"{schedule}, and time_input=log_snr would tell the network an infinite noise level: take time_input=t, "
            f"{other}"
        )
    if choices.in_continuous_time or math.isfinite(_last_weight(choices, gamma)):
        return None
    name = f"objective={choice_name(choices.objective)}"
    return f"{schedule}, where {name} has no finite weight: take an objective.power of 0 or more, {other}"


def _paired_noise(choices: Choices) -> str | None:
    """The reason against noise that depends on x_0, or None: E‖ε‖² − E‖ε̂‖² is then not the error of ε̂."""
    if choices.coupling.independent or not choices.variance.needs_independent:
        return None
    return (
        f"variance={choice_name(choices.variance)} takes for the error of the noise what is left of its square, which "
        f"holds for noise that is independent of x_0, and coupling={choice_name(choices.coupling)} pairs the two: take "
        "variance=analytic_mse"
    )


def _last_weight(choices: Choices, gamma: Gamma) -> float:
    """The objective's weight of ‖x_0 − x̂_0‖² at t = T, where σ² = 1."""
    gamma_t, gamma_s = gamma(torch.tensor([choices.horizon, choices.horizon - 1]))[:, None]
    step = Step(gamma_t, gamma_s, gamma_t)
    levels = NoiseLevels(step, choices.parameterization.kappa(step), choices.horizon, lambda: torch.zeros(1))
    return float(choices.objective.x0_weight(levels, torch.zeros(1)))


RULES = (
    _horizon,
    _learned_variance,
    _hybrid,
    _continuous,
    _importance,
    _biased_bound,
    _learned_schedule,
    _own_estimate,
    _schedule,
    _pure_noise,
    _paired_noise,
)
"""The first that has a reason tells it; later ones may rely on what earlier ones let through."""
