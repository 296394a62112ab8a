"""One value of each axis, and the rules on values that make no sense together.

Every rule states what was asked for, why it has no meaning, and the nearest choice that has one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any, Literal

import torch

from diffusion_core.chain import Spacing, UniformSpacing
from diffusion_core.conditioning import Conditioning, Unconditional
from diffusion_core.couplings import Coupling, Independent
from diffusion_core.forward import Step
from diffusion_core.networks.network import TIME_SCALE, Network
from diffusion_core.networks.unet import UNet
from diffusion_core.objectives import NoiseLevels, Objective, Simple
from diffusion_core.parameterizations import Epsilon, Parameterization
from diffusion_core.refusing import choice_name, refuse
from diffusion_core.schedules import Linear, Schedule
from diffusion_core.timesteps import Timesteps, Uniform
from diffusion_core.variances import Beta, Variance

TimeInput = Literal["t", "log_snr"]
FirstStepRule = Literal["schedule", "beta_1"]
Time = Literal["auto", "continuous"]


@dataclass(frozen=True)
class Choices:
    """The choices that a `Diffusion` is built from, by default those of DDPM (Ho et al. 2020, arXiv:2006.11239).

    `parameterization`, `variance`, `schedule`, `objective`, `timesteps`, `network`, `coupling` and `conditioning` are
    one value of each axis, `horizon` is T. `time_input` is how the network is told the time: as 1000 t/T, or as the
    noise level, on a scale that is the same for all fixed schedules and does not move with a learned one. `first_step`
    is the rule for σ_1² of grey levels: the schedule's own, or β_1, which real values always have. `time` says which
    times training draws: 1..T wherever the objective has a meaning there, or real ones. `spacing` chooses the times of
    a chain of fewer than T steps, and has no part in training.
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

    @classmethod
    def of(cls, whole: Any) -> Choices:
        """The choices among the fields of something larger, by their names."""
        return cls(**{choice.name: getattr(whole, choice.name) for choice in fields(cls)})

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
        return dense and not self.parameterization.needs_step and not self.network.whole_times

    @property
    def ends_in_noise(self) -> bool:
        """True where x_T holds nothing of x_0."""
        return _ends_in_noise(self.schedule, self.horizon)

    @property
    def from_bound(self) -> str:
        """The choice that learns from the bound, with its axis; "" where none does."""
        if self.objective.is_bound or self.objective.learns_variance:
            return f"objective={choice_name(self.objective)}"
        return f"schedule={choice_name(self.schedule)}" if self.schedule.learned else ""

    def formatted(self, text: str) -> str:
        """A text with the names of these choices in place of their axes in braces."""
        named: dict[str, str | int] = {"from_bound": self.from_bound}
        for axis in fields(self):
            value = getattr(self, axis.name)
            named[axis.name] = value if isinstance(value, str | int) else choice_name(value)
        return text.format_map(named)


NEEDS_STEP = (
    "parameterization={parameterization} predicts a mean between two times and has no meaning in continuous time: take "
    "parameterization=epsilon, x0 or v"
)
TO_NOISE = "schedule={schedule} ends in noise alone (x_T holds nothing of x_0), "
LESS_NOISE = ", or let the schedule end before it (schedule.zero_terminal=false, or schedule.end=0.999 of rectified)"
FROM_BOUND = "{from_bound} learns from the bound, a mean over "

RULES: tuple[tuple[Callable[[Choices], object], str], ...] = (
    (
        lambda c: c.variance.learned and not c.objective.learns_variance,
        "objective={objective} teaches no variance, so variance={variance} would stay as it was drawn: take "
        "objective=hybrid (its mean follows the unweighted error) or objective=vlb, or variance=beta or beta_tilde",
    ),
    (
        lambda c: c.objective.needs_learned and not c.variance.learned,
        "objective={objective} differs from objective=simple only in what a learned variance learns, and "
        "variance={variance} learns nothing: take objective=simple, or variance=learned",
    ),
    (
        lambda c: c.in_continuous_time and not c.objective.continuous,
        "objective={objective} sums terms of a chain of steps, which time={time} has not: take time=auto, or "
        "objective=vlb_continuous for a bound",
    ),
    (lambda c: c.in_continuous_time and c.parameterization.needs_step, NEEDS_STEP),
    (
        lambda c: c.timesteps.adapts and c.in_continuous_time,
        "timesteps={timesteps} keeps a history per t in 1..T, and objective={objective} with time={time} draws real t: "
        "take timesteps=low_discrepancy or uniform",
    ),
    (
        lambda c: c.timesteps.adapts and c.schedule.learned,
        "timesteps={timesteps} would follow losses whose noise levels schedule={schedule} moves: take "
        "timesteps=low_discrepancy or uniform",
    ),
    (
        lambda c: c.from_bound and not c.timesteps.reweighted,
        FROM_BOUND + "uniform t, and timesteps={timesteps} weights each t by its density: take timesteps=uniform, "
        "low_discrepancy or importance",
    ),
    (
        lambda c: c.from_bound and not c.coupling.independent,
        FROM_BOUND + "noise that is independent of x_0, and coupling={coupling} pairs the two: take "
        "coupling=independent, or objective=simple on a fixed schedule",
    ),
    # E‖ε‖² − E‖ε̂‖² is the error of ε̂ for independent noise alone.
    (
        lambda c: c.variance.needs_independent and not c.coupling.independent,
        "variance={variance} takes for the error of the noise what is left of its square, which holds for noise that "
        "is independent of x_0, and coupling={coupling} pairs the two: take variance=analytic_mse",
    ),
    (
        lambda c: c.schedule.learned and c.in_continuous_time and c.time_input == "t",
        "the bound in continuous time does not depend on schedule={schedule} between its ends only if the network is "
        "told the noise level, and time_input={time_input} does not tell it: take time_input=log_snr",
    ),
    # The bound is that of f(x_t, x̂_0'), but training shows zeros to some, and takes x̂_0' as a constant for the others.
    (
        lambda c: c.schedule.learned and c.conditioning.self_conditioning,
        "schedule={schedule} learns from the bound, and conditioning.self_conditioning=true trains half of all "
        "examples without the estimate that the bound is of, and the others without its gradient: take a schedule that "
        "is fixed, or leave it out",
    ),
    (
        lambda c: not c.parameterization.reads_noise and c.ends_in_noise,
        TO_NOISE + "where parameterization={parameterization} says nothing of x_0: take parameterization=v, velocity, "
        "edm, x0 or mu" + LESS_NOISE,
    ),
    (
        lambda c: c.time_input == "log_snr" and c.ends_in_noise,
        TO_NOISE
        + "and time_input=log_snr would tell the network an infinite noise level: take time_input=t"
        + LESS_NOISE,
    ),
    (
        lambda c: not c.in_continuous_time and c.ends_in_noise and not math.isfinite(_last_weight(c)),
        TO_NOISE
        + "where objective={objective} has no finite weight: take an objective.power of 0 or more"
        + LESS_NOISE,
    ),
)
"""Where choices make no sense together, and the reason as a text to format; the first that holds is told."""


def refusal(choices: Choices) -> str | None:
    """The reason for which these choices cannot be trained; None if they can."""
    try:
        reason = next((reason for holds, reason in RULES if holds(choices)), None)
        if reason is None:
            choices.timesteps.build(choices.schedule.gamma(choices.horizon))
    except ValueError as error:
        return str(error)
    return reason and choices.formatted(reason)


def sensible(choices: Choices) -> Choices:
    """The choices; ValueError where they cannot be trained."""
    refuse(refusal(choices))
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
        return choices.formatted(
            "variance={variance} belongs to the steps it was trained on and cannot be strided "
            f"({steps} of {choices.horizon} steps): take all steps, or variance=beta, beta_tilde or learned"
        )
    return None


def level_refusal(choices: Choices) -> str | None:
    """The reason for which the network's output has no meaning at a noise level alone; None if it has one."""
    return choices.formatted(NEEDS_STEP) if choices.parameterization.needs_step else None


def flow_refusal(choices: Choices) -> str | None:
    """The reason for which no integral over all noise levels exists (continuous bound, flow likelihood), or None."""
    if refusal(choices) is None and choices.ends_in_noise:
        return choices.formatted(
            "schedule={schedule} ends in noise alone, at an infinite noise level that no integral over noise levels "
            "reaches: take a schedule that ends before it, or score it by its steps"
        )
    return level_refusal(choices)


@cache
def _ends_in_noise(schedule: Schedule, horizon: int) -> bool:
    return schedule.gamma(horizon).ends_in_noise


def _last_weight(choices: Choices) -> float:
    """The objective's weight of ‖x_0 − x̂_0‖² at t = T, where σ² = 1."""
    times = torch.tensor([choices.horizon, choices.horizon - 1])
    gamma_t, gamma_s = choices.schedule.gamma(choices.horizon)(times)[:, None]
    step = Step(gamma_t, gamma_s, gamma_t)
    levels = NoiseLevels(step, choices.parameterization.kappa(step), choices.horizon, lambda: torch.zeros(1))
    return float(choices.objective.x0_weight(levels, torch.zeros(1)))
