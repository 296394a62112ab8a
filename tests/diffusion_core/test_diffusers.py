"""Samplers and schedules against those of the library `diffusers`: one denoiser, one start, the same times and noise.

Its time t is our t + 1. Where a scheduler reads ᾱ or σ from a table of float32, it is given ours in float64, so that a
step is compared and not the rounding of a table, which has tests of its own (`test_diffusers_schedules.py`). DDPM, DDIM
and Heun then agree to rounding in float64. The other schedulers round a sample to float32 before each step: 6e-8 of it,
some dozen times.

The library is imported where it is used: every worker of a parallel run reads this file, and one needs the library.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from diffusion_core.diffusion import Diffusion
from diffusion_core.parameterizations import X0, EdmParameterization, Epsilon, Parameterization, V, Velocity
from diffusion_core.samplers import Ancestral, Ddim, Sampler
from diffusion_core.schedules import Cosine, Linear, LogSnrLinear, Rectified, Schedule
from diffusion_core.solvers import DpmSolver, Heun
from diffusion_core.testing.problems import GaussianData, MixtureData, Output, denoiser_output, diffusion
from diffusion_core.variances import Beta, BetaTilde, Variance
from tests.axes import across, paired

HORIZON = 41
STEPS = 11
"""Of 41 times, 1, 5, … 41."""
EXACT = {"rtol": 1e-11, "atol": 1e-11}
"""What float64 leaves of a chain that divides by √ᾱ, at the least 1/830, and by √(1 − ᾱ); found: 3e-12."""
ROUNDED = {"rtol": 1e-6, "atol": 1e-6}
"""What is left of one that rounds x to float32 at each step; found: 7e-7."""

PREDICTIONS = {"epsilon": Epsilon(), "sample": X0(), "v_prediction": V()}
GAUSSIAN, MIXTURE = GaussianData((0.3, 1.7)), MixtureData(components=8, width=0.2)
PROBLEMS = (GAUSSIAN, MIXTURE)
SPOKEN = (
    (GAUSSIAN, "epsilon", Linear()),
    (MIXTURE, "epsilon", Cosine()),
    (GAUSSIAN, "sample", Cosine()),
    (MIXTURE, "sample", Linear()),
    (MIXTURE, "v_prediction", Cosine()),
)
"""Data, what a network predicts of it in the library's words, and a schedule."""
LENGTHS = (None, STEPS)


@dataclass(frozen=True)
class Case:
    """One denoiser as a network's output and as our diffusion, and the start and the noise of the steps k = 1..K."""

    output: Output
    model: Diffusion
    start: Tensor
    noise: Tensor

    def ours(self, sampler: Sampler) -> Tensor:
        """x_0 by our sampler."""
        chain = self.model.chain(sampler.steps)
        walk = sampler.walk(self.model, self.start, chain, chain.steps, lambda k: self.noise[k], clip=False)
        return list(walk)[-1]

    def asked(self, x: Tensor, t: int) -> Tensor:
        """The network's output at our time t."""
        return self.output(x, torch.full((len(x),), t))

    def times(self, steps: int | None) -> list[int]:
        """Our times from τ_K to τ_1."""
        return list(reversed(self.model.chain(steps).times[1:].tolist()))

    def alpha_bar(self) -> Tensor:
        """ᾱ_1..ᾱ_T, float64 [T]."""
        return torch.sigmoid(-self.model.gamma(self.model.all_times[1:]))

    def sigmas(self, steps: int | None) -> Tensor:
        """σ = √((1 − ᾱ)/ᾱ) at τ_K..τ_1, and 0, float64 [K + 1]."""
        return torch.exp(0.5 * self.model.gamma(self.model.chain(steps).times.flip(0)))


def case(
    data: GaussianData | MixtureData,
    parameterization: Parameterization,
    schedule: Schedule,
    horizon: int = HORIZON,
    variance: Variance | None = None,
) -> Case:
    """Five paths of 2-D data."""
    output = denoiser_output(data.denoise, parameterization, schedule, horizon)
    model = diffusion(output, horizon, parameterization=parameterization, schedule=schedule, variance=variance)
    noise = torch.randn(horizon + 1, 5, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return Case(output, model, noise[0], noise)


@paired(words=SPOKEN, variance=(Beta(), BetaTilde()), steps=LENGTHS)
def test_ancestral_sampling_is_ddpm_scheduler(words, variance, steps):
    """At their own draws of noise, which each step makes anew from a seed; the last step, at their t = 0, adds none."""
    from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

    data, prediction, schedule = words
    made = case(data, PREDICTIONS[prediction], schedule, variance=variance)
    theirs = "fixed_large" if variance == Beta() else "fixed_small"
    scheduler = DDPMScheduler(HORIZON, prediction_type=prediction, variance_type=theirs, clip_sample=False)
    scheduler.alphas_cumprod = made.alpha_bar()
    scheduler.set_timesteps(timesteps=[t - 1 for t in made.times(steps)])
    x = made.start
    for k, t in zip(range(len(scheduler.timesteps), 0, -1), scheduler.timesteps, strict=True):
        made.noise[k] = torch.randn(5, 2, generator=torch.Generator().manual_seed(k), dtype=torch.float64)
        generator = torch.Generator().manual_seed(k)
        x = scheduler.step(made.asked(x, int(t) + 1), t, x, generator=generator).prev_sample
    torch.testing.assert_close(made.ours(Ancestral(steps=steps)), x, **EXACT)


@paired(words=SPOKEN, eta=(0.0, 0.4, 1.0), steps=LENGTHS)
def test_ddim_is_ddim_scheduler(words, eta, steps):
    data, prediction, schedule = words
    made = case(data, PREDICTIONS[prediction], schedule)
    torch.testing.assert_close(made.ours(Ddim(steps=steps, eta=eta)), by_ddim(made, prediction, eta, steps), **EXACT)


@paired(data=PROBLEMS, prediction=("sample", "v_prediction"), eta=(0.0, 0.4), steps=LENGTHS)
def test_ddim_from_noise_alone_is_ddim_scheduler_where_the_terminal_snr_is_zero(data, prediction, eta, steps):
    """At η = 1 the root that it takes there is of 0, give or take the last digit, and not a number."""
    made = case(data, PREDICTIONS[prediction], Linear(zero_terminal=True))
    torch.testing.assert_close(made.ours(Ddim(steps=steps, eta=eta)), by_ddim(made, prediction, eta, steps), **EXACT)


def by_ddim(made: Case, prediction: str, eta: float, steps: int | None) -> Tensor:
    """x_0 by DDIMScheduler, which goes from t to t − ⌊T/n⌋: n is what makes that our stride."""
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler

    times = made.times(steps)
    scheduler = DDIMScheduler(HORIZON, prediction_type=prediction, clip_sample=False)
    scheduler.alphas_cumprod = made.alpha_bar()
    scheduler.set_timesteps(HORIZON // (times[0] - times[1]))
    x = made.start
    for k, t in zip(range(len(times), 0, -1), times, strict=True):
        x = scheduler.step(made.asked(x, t), t - 1, x, eta=eta, variance_noise=made.noise[k]).prev_sample
    return x


@paired(words=SPOKEN, equation=("ode", "sde"), order=(1, 2), steps=LENGTHS)
def test_dpm_solver_is_dpm_solver_multistep_scheduler(words, equation, order, steps):
    """Its "midpoint" and, for the last step, into σ = 0, first order: `final_sigmas_type="zero"` has no other, so that
    `lower_order_final` and `euler_at_final` change nothing.
    """
    from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler

    data, prediction, schedule = words
    made = case(data, PREDICTIONS[prediction], schedule)
    kind = "dpmsolver++" if equation == "ode" else "sde-dpmsolver++"
    scheduler = DPMSolverMultistepScheduler(
        HORIZON, prediction_type=prediction, algorithm_type=kind, solver_order=order, solver_type="midpoint"
    )
    times = made.times(steps)
    scheduler.set_timesteps(timesteps=[t - 1 for t in times])
    scheduler.sigmas = made.sigmas(steps)
    x = made.start
    for k, t in zip(range(len(times), 0, -1), times, strict=True):
        lower_where_too_long(scheduler, made.sigmas(steps), len(times) - k)
        x = scheduler.step(made.asked(x, t), t - 1, x, variance_noise=made.noise[k]).prev_sample
    torch.testing.assert_close(made.ours(DpmSolver(steps=steps, order=order, equation=equation)), x, **ROUNDED)


@across(words=SPOKEN, steps=LENGTHS)
def test_heun_is_heun_discrete_scheduler(words, steps):
    """It walks in y = x/√ᾱ, two calls for a step but for the last, and shows the network y/√(1 + σ²) = x."""
    from diffusers.schedulers.scheduling_heun_discrete import HeunDiscreteScheduler

    data, prediction, schedule = words
    made = case(data, PREDICTIONS[prediction], schedule)
    scheduler = HeunDiscreteScheduler(HORIZON, prediction_type=prediction)
    scheduler.set_timesteps(timesteps=[t - 1 for t in made.times(steps)])
    sigmas = made.sigmas(steps)
    scheduler.sigmas = torch.cat([sigmas[:1], sigmas[1:-1].repeat_interleave(2), sigmas[-1:]])
    y = made.start * (1 + sigmas[0] ** 2).sqrt()
    for t in scheduler.timesteps:
        y = scheduler.step(made.asked(scheduler.scale_model_input(y, t), int(t) + 1), t, y).prev_sample
    torch.testing.assert_close(made.ours(Heun(steps=steps)), y, **EXACT)


@across(data=PROBLEMS, sampler=(Ddim(), DpmSolver(order=1), DpmSolver(order=2)))
def test_edms_preconditioning_and_sigmas_are_those_of_the_edm_schedulers(data, sampler):
    """A network F told c_in y, x̂_0 = c_skip y + c_out F, and σ evenly spaced in its logarithm, from 80 to 0.002."""
    from diffusers.schedulers.scheduling_edm_dpmsolver_multistep import EDMDPMSolverMultistepScheduler
    from diffusers.schedulers.scheduling_edm_euler import EDMEulerScheduler

    ends = (2 * math.log(0.002), 2 * math.log(80))
    made = case(data, EdmParameterization(sigma_data=0.7), LogSnrLinear(*ends), horizon=STEPS)
    given = {"sigma_data": 0.7, "sigma_schedule": "exponential"}
    if isinstance(sampler, Ddim):
        scheduler = EDMEulerScheduler(**given)
    else:
        scheduler = EDMDPMSolverMultistepScheduler(**given, solver_order=sampler.order)
    scheduler.set_timesteps(STEPS)
    y = made.start * (1 + 80**2) ** 0.5
    for k, t in zip(range(STEPS, 0, -1), scheduler.timesteps, strict=True):
        y = scheduler.step(made.asked(scheduler.scale_model_input(y, t), k), t, y).prev_sample
    torch.testing.assert_close(made.ours(sampler), y, **ROUNDED)


def lower_where_too_long(scheduler, sigmas: Tensor, i: int) -> None:
    """Make step i one of first order, as ours, where it is more than twice as long in ln σ as the one before.

    Its counter of steps since the start is what says so.
    """
    length = sigmas[:-1].log() - sigmas[1:].log()
    if i > 0 and length[i] > 2 * length[i - 1]:
        scheduler.lower_order_nums = 0


def straight(made: Case, steps: int | None) -> Tensor:
    """u = σ/(1 + σ) at τ_K..τ_1, and 0: x_u = (1 − u) x_0 + u ε is x_t times √((1 − u)² + u²)."""
    return torch.sigmoid(0.5 * made.model.gamma(made.model.chain(steps).times.flip(0)))


def along_the_path(scheduler, made: Case, steps: int | None) -> Tensor:
    """x_0 by a scheduler that walks in x_u and asks for ε − x_0."""
    x = made.start
    places = zip(straight(made, steps)[:-1], scheduler.timesteps, made.times(steps), strict=True)
    for i, (u, theirs, t) in enumerate(places):
        shown = x / ((1 - u) ** 2 + u**2).sqrt()
        lower_where_too_long(scheduler, made.sigmas(steps), i)
        x = scheduler.step(made.asked(shown, t), theirs, x).prev_sample
    return x


@across(data=PROBLEMS, shift=(1.0, 3.0), steps=LENGTHS)
def test_ddim_on_the_straight_path_is_flow_match_euler_discrete_scheduler(data, shift, steps):
    """x_u ← x_u − (u − u') v, at its own u, which it shifts itself: float32 leaves 6e-8 of u, and as much of x."""
    from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler

    made = case(data, Velocity(), Rectified(shift=shift))
    scheduler = FlowMatchEulerDiscreteScheduler(HORIZON, shift=shift)
    scheduler.set_timesteps(sigmas=[t / HORIZON for t in made.times(steps)])
    torch.testing.assert_close(scheduler.sigmas.double(), straight(made, steps), rtol=3e-7, atol=0)
    torch.testing.assert_close(made.ours(Ddim(steps=steps)), along_the_path(scheduler, made, steps), **ROUNDED)


@across(data=PROBLEMS, order=(1, 2), steps=LENGTHS)
def test_dpm_solver_on_the_straight_path_is_the_schedulers_with_flow_sigmas(data, order, steps):
    from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler

    made = case(data, Velocity(), Rectified())
    scheduler = DPMSolverMultistepScheduler(
        HORIZON, prediction_type="flow_prediction", use_flow_sigmas=True, solver_order=order
    )
    scheduler.set_timesteps(len(made.times(steps)))
    scheduler.set_begin_index(0)
    scheduler.sigmas = straight(made, steps)
    ours = made.ours(DpmSolver(steps=steps, order=order))
    torch.testing.assert_close(ours, along_the_path(scheduler, made, steps), **ROUNDED)
