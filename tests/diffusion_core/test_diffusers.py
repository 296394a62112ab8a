"""Samplers and schedules against those of the library `diffusers`: one denoiser, one start, the same times and noise.

Its time t is our t + 1. Where a scheduler reads ᾱ or σ from a table of float32, it is given ours in float64, so that a
step is compared and not the rounding of a table. DDPM, DDIM and Heun then agree to rounding in float64. The other
schedulers round a sample to float32 before each step: 6e-8 of it, some dozen times.

The library is imported where it is used: every worker of a parallel run reads this file, and one needs the library.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

import diffusion_core as dc
from diffusion_core.checking import GaussianData, Output, denoiser_output
from tests.axes import across, paired
from tests.diffusion_core.mixture import MixtureData
from tests.diffusion_core.problems import diffusion

HORIZON = 41
STEPS = 11
"""Of 41 times, 1, 5, … 41."""
EXACT = {"rtol": 1e-11, "atol": 1e-11}
"""What float64 leaves of a chain that divides by √ᾱ, at the least 1/830, and by √(1 − ᾱ); found: 3e-12."""
ROUNDED = {"rtol": 1e-6, "atol": 1e-6}
"""What is left of one that rounds x to float32 at each step; found: 7e-7."""

PREDICTIONS = {"epsilon": dc.Epsilon(), "sample": dc.X0(), "v_prediction": dc.V()}
GAUSSIAN, MIXTURE = GaussianData((0.3, 1.7)), MixtureData(components=8, width=0.2)
SPOKEN = (
    (MIXTURE, "epsilon", dc.Linear()),
    (GAUSSIAN, "sample", dc.Cosine()),
    (MIXTURE, "v_prediction", dc.Cosine()),
)
"""Data, what a network predicts of it in the library's words, and a schedule."""
LENGTHS = (None, STEPS)


@dataclass(frozen=True)
class Case:
    """One denoiser as a network's output and as our diffusion, and the start and the noise of the steps k = 1..K."""

    output: Output
    model: dc.Diffusion
    start: Tensor
    noise: Tensor

    def ours(self, sampler: dc.Sampler) -> Tensor:
        """x_0 by our sampler."""
        chain = self.model.chain(sampler.steps)
        walk = sampler.walk(self.model, self.start, chain, chain.steps, lambda k: self.noise[k])
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
    parameterization: dc.Parameterization,
    schedule: dc.Schedule,
    variance: dc.Variance | None = None,
) -> Case:
    """Five paths of 2-D data."""
    output = denoiser_output(data.denoise, parameterization, schedule, HORIZON)
    model = diffusion(output, HORIZON, parameterization=parameterization, schedule=schedule, variance=variance)
    noise = torch.randn(HORIZON + 1, 5, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return Case(output, model, noise[0], noise)


@paired(words=SPOKEN, variance=(dc.Beta(), dc.BetaTilde()), steps=LENGTHS)
def test_ancestral_sampling_is_ddpm_scheduler(words, variance, steps):
    """At their own draws of noise, which each step makes anew from a seed; the last step, at their t = 0, adds none."""
    from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

    data, prediction, schedule = words
    made = case(data, PREDICTIONS[prediction], schedule, variance=variance)
    theirs = "fixed_large" if variance == dc.Beta() else "fixed_small"
    scheduler = DDPMScheduler(HORIZON, prediction_type=prediction, variance_type=theirs, clip_sample=False)
    scheduler.alphas_cumprod = made.alpha_bar()
    scheduler.set_timesteps(timesteps=[t - 1 for t in made.times(steps)])
    x = made.start
    for k, t in zip(range(len(scheduler.timesteps), 0, -1), scheduler.timesteps, strict=True):
        made.noise[k] = torch.randn(5, 2, generator=torch.Generator().manual_seed(k), dtype=torch.float64)
        generator = torch.Generator().manual_seed(k)
        x = scheduler.step(made.asked(x, int(t) + 1), t, x, generator=generator).prev_sample
    torch.testing.assert_close(made.ours(dc.Ancestral(steps=steps)), x, **EXACT)


@paired(words=SPOKEN, eta=(0.0, 0.4, 1.0), steps=LENGTHS)
def test_ddim_is_ddim_scheduler(words, eta, steps):
    """Which goes from t to t − ⌊T/n⌋: n is what makes that our stride."""
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler

    data, prediction, schedule = words
    made = case(data, PREDICTIONS[prediction], schedule)
    times = made.times(steps)
    scheduler = DDIMScheduler(HORIZON, prediction_type=prediction, clip_sample=False)
    scheduler.alphas_cumprod = made.alpha_bar()
    scheduler.set_timesteps(HORIZON // (times[0] - times[1]))
    x = made.start
    for k, t in zip(range(len(times), 0, -1), times, strict=True):
        x = scheduler.step(made.asked(x, t), t - 1, x, eta=eta, variance_noise=made.noise[k]).prev_sample
    torch.testing.assert_close(made.ours(dc.Ddim(steps=steps, eta=eta)), x, **EXACT)


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
    torch.testing.assert_close(made.ours(dc.DpmSolver(steps=steps, order=order, equation=equation)), x, **ROUNDED)


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
    torch.testing.assert_close(made.ours(dc.Heun(steps=steps)), y, **EXACT)


def lower_where_too_long(scheduler, sigmas: Tensor, i: int) -> None:
    """Make step i one of first order, as ours, where it is more than twice as long in ln σ as the one before.

    Its counter of steps since the start is what says so.
    """
    length = sigmas[:-1].log() - sigmas[1:].log()
    if i > 0 and length[i] > 2 * length[i - 1]:
        scheduler.lower_order_nums = 0
