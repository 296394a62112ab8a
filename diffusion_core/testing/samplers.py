"""Properties of every sampler: a sample belongs to its seed and number, and visits the times of its chain.

They are checked with networks of random weights, for points and for images, and with networks that are given functions.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from functools import cache

import torch
from torch import Tensor

from diffusion_core.choices import Choices
from diffusion_core.diffusion import Diffusion
from diffusion_core.encodings import Continuous, GreyLevels
from diffusion_core.networks.mlp import Mlp
from diffusion_core.networks.unet import UNet
from diffusion_core.objectives import Simple
from diffusion_core.parameterizations import X0, Epsilon
from diffusion_core.randomness import BLOCK, seeded
from diffusion_core.samplers import Sampler
from diffusion_core.schedules import Linear, LogSnrLinear, Schedule
from diffusion_core.spacings import LogSnrSpacing
from diffusion_core.testing.choices import OF_EVERY_CHOICE
from diffusion_core.testing.problems import DATA, Output, diffusion, exact_model
from diffusion_core.testing.saying import Property, fail, nowhere, require, require_close, require_equal, require_flag
from diffusion_core.testing.variants import name
from diffusion_core.timesteps import Uniform
from diffusion_core.variances import Beta, BetaTilde

Seen = list[tuple[Tensor, Tensor]]
"""The inputs x_t and t of each call of a network."""


@cache
def model(kind: str) -> Diffusion:
    """A diffusion of "points" or "images" whose weights have moved from their start."""
    network = {"points": Mlp(width=16, layers=1), "images": UNet(channels=8, multipliers=(1,), groups=4)}[kind]
    plan = Choices(Epsilon(), Beta(), Linear(rescale=False), Simple(), Uniform(), network, 10)
    made = Diffusion(plan, Continuous(), (2,)) if kind == "points" else Diffusion(plan, GreyLevels(), (1, 4, 4))
    made.initialise(0)
    generator = torch.Generator().manual_seed(0)
    for parameter in made.parameters():
        parameter.data += 0.05 * torch.randn(parameter.shape, generator=generator)
    return made.eval()


def models() -> tuple[Diffusion, Diffusion]:
    """A diffusion of points, and one of images."""
    return model("points"), model("images")


def calls(sampler: Sampler, horizon: int, n: int, output: Output = lambda x_t, t: 0 * x_t) -> Seen:
    """The inputs of a network's calls while n samples are drawn."""
    seen: Seen = []

    def spy(x_t: Tensor, t: Tensor) -> Tensor:
        seen.append((x_t.clone(), t))
        return output(x_t, t)

    sampler.sample(diffusion(spy, horizon), n, seed=0, batch=max(n, 64))
    return seen


def at_sample(index: tuple[int, ...]) -> str:
    """The place of an index that counts samples."""
    return f"in sample {index[0]}"


def a_sample_does_not_depend_on_how_many_are_drawn_or_in_which_batches(sampler: Sampler) -> None:
    """Sample i of a seed is the same whatever is drawn beside it, up to how a batch is computed."""
    n = BLOCK + 6
    for made in models():
        every = sampler.sample(made, n, seed=3)
        shape = (n, *made.shape)
        require(sampler, f"{n} samples must be {list(shape)}", every.shape == shape, f"they are {list(every.shape)}")
        for words, part in (
            ("however many are drawn", sampler.sample(made, 10, seed=3)),
            ("in whichever batches", sampler.sample(made, n, seed=3, batch=50)),
        ):
            rule = f"a sample must be the same {words}"
            require_close(sampler, rule, part, every[: len(part)], rtol=1e-5, atol=1e-5, place=at_sample)
        different = len(torch.unique(every, dim=0))
        require(sampler, "samples of a seed must differ", different == n, f"of {n} only {different} do")


def seeds_are_repeatable_and_different(sampler: Sampler) -> None:
    """All randomness follows from the seed, whatever torch's global generator."""
    for made in models():
        drawn = []
        for seed, around in ((0, 1), (0, 2), (1, 1)):
            with seeded(around, "the global generator"):
                drawn.append(sampler.sample(made.with_clip(False), 5, seed=seed))
        rule = "samples must follow from the seed alone: call the noise that step is given"
        require_equal(sampler, rule, drawn[1], drawn[0], at_sample)
        alike = torch.isclose(drawn[0], drawn[2]).any()
        require(sampler, "another seed must give other samples", not alike, "seeds 0 and 1 share numbers")


def samples_do_not_see_autocast_around_them(sampler: Sampler) -> None:
    """All that is reported is computed in float32."""
    for made in models():
        free = made.with_clip(False)
        plain = sampler.sample(free, 5, seed=0)
        with torch.autocast("cpu", torch.bfloat16):
            inside = sampler.sample(free, 5, seed=0)
        require_equal(sampler, "samples must be the same under autocast", inside, plain, at_sample)


def visits_the_chains_times_from_the_last_to_the_first(sampler: Sampler) -> None:
    """All T, or the strided ones of `steps`, each in one time for all the batch, and none besides unless it says so."""
    for steps, times in ((4, [31, 21, 11, 1]), (None, list(range(31, 0, -1)))):
        seen = [t for _, t in calls(replace(sampler, steps=steps, skip=0.0), 31, 3)]
        mixed = any(bool((t != t[0]).any()) for t in seen)
        require(sampler, "a step must be at one time for all samples", not mixed, "the network is asked at several")
        visited = [t for t in dict.fromkeys(int(t[0]) for t in seen) if t in times or not sampler.between_times]
        rule = f"with steps={steps} of T=31 the network must be asked at t={times[0]}, {times[1]}, … {times[-1]}"
        require(sampler, rule, visited == times, f"it is asked at t={', '.join(map(str, visited))}")


def visits_real_times_as_they_are(sampler: Sampler) -> None:
    """The network is asked at the real times of a chain even in log-SNR (T = 1000), to float32's digits."""
    times_told: list[float] = []

    def spy(x_t: Tensor, t: Tensor) -> Tensor:
        times_told.append(float(t[0]))
        return 0 * x_t

    made = diffusion(spy, 1000, real=True, spacing=LogSnrSpacing())
    replace(sampler, steps=5, skip=0.0).sample(made, 3, seed=0)
    times = made.chain(5, real=True).times[1:].flip(0).tolist()
    near = [next((time for time in times if math.isclose(t, time, rel_tol=1e-6)), t) for t in times_told]
    visited = [t for t in dict.fromkeys(near) if t in times or not sampler.between_times]
    fact = f"it is asked at t={', '.join(f'{t:g}' for t in visited)}"
    rule = f"with steps=5 of T=1000, even in log-SNR, the network must be asked at t={times[0]:g}, {times[1]:g}, …"
    require(sampler, rule, visited == times, fact)


def calls_is_how_often_the_network_is_called(sampler: Sampler) -> None:
    """The cost of sampling is counted in calls."""
    for skip, steps in ((0.0, 31), (0.5, 15)):
        count = len(calls(replace(sampler, steps=None, skip=skip), 31, 3))
        fact = f"{steps} steps call it {count} times, and calls({steps}) is {sampler.calls(steps)}"
        require(sampler, "calls must be how often the network is called", count == sampler.calls(steps), fact)


def start_of(sampler: Sampler, n: int) -> Tensor:
    """The noise that n paths over some of 31 steps start from; a sampler may add noise to it before its first call."""
    return next(sampler.path(diffusion(lambda x_t, t: 0 * x_t, 31), 0, n, seed=0))


def paths_of_any_length_start_from_the_same_noise(sampler: Sampler) -> None:
    """x_K belongs to a sample: cells that differ in their steps, or in what they skip, stay paired."""
    whole = start_of(replace(sampler, steps=None, skip=0.0), 8)
    for steps, skip in ((4, 0.0), (30, 0.0), (4, 0.5)):
        part = start_of(replace(sampler, steps=steps, skip=skip), 8)
        require_equal(sampler, f"the start must be the same with steps={steps}, skip={skip}", part, whole, at_sample)


def clipped_samples_of_bounded_data_stay_within_their_range(sampler: Sampler) -> None:
    """Clipping acts on x̂_0, in which every sampler ends."""
    loud = diffusion(lambda x_t, t: 5 * x_t, 25, parameterization=X0(), encoding=GreyLevels(), shape=(1, 2, 2))
    held, free = (float(sampler.sample(loud.with_clip(clip), 20, seed=0).abs().max()) for clip in (True, False))
    require(sampler, "with x0 clipped, samples of images must lie in [-1, 1]", held <= 1, f"they go to {held:.3g}")
    rule = "with x0 not clipped, samples must be left as they are"
    require(sampler, rule, free > 1, f"a network that says 5 x_t is held to {free:.3g}")


def progress_rises_to_one_in_equal_shares(sampler: Sampler) -> None:
    """A share is told after each step of each batch."""
    shares: list[float] = []
    idle = diffusion(lambda x_t, t: 0 * x_t, 25)
    whole = replace(sampler, steps=None, skip=0.0)
    whole.sample(idle, 100, seed=0, batch=64, progress=shares.append)
    rule = "progress must be told a rising share after each of 25 steps of both batches"
    rising = len(shares) == 50 and shares == sorted(shares)
    require(sampler, rule, rising, f"it is told {len(shares)} shares from {shares[:1]} to {shares[-1:]}")
    expected = torch.tensor([0.64, 1.0], dtype=torch.float64)
    told_shares = torch.tensor([shares[24], shares[-1]], dtype=torch.float64)
    rule = "progress must be the share of samples that is done: 64 of 100 after the first batch"
    require_close(sampler, rule, told_shares, expected, rtol=1e-6, place=nowhere)


def refuses_a_chain_without_steps(sampler: Sampler) -> None:
    """A ValueError in one line, from the base class's __post_init__."""
    wrong: tuple[tuple[str, float], ...] = (("steps", 0), ("steps", -3), ("skip", 1.0), ("skip", -0.1))
    for field, value in wrong:
        try:
            replace(sampler, **{field: value})  # type: ignore[arg-type]
        except ValueError:
            continue
        fail(sampler, f"{field}={value} must be refused", "it is not: call super().__post_init__() in one's own")


def skipping_starts_from_unit_noise_at_the_first_kept_step(sampler: Sampler) -> None:
    """The share is of the kept steps: of 31, 6 are left out; of 10 kept times, 2, and the eighth is 1 + 7 · 30/9."""
    n = 4000
    for steps, skip, first in ((None, 0.2, 25), (10, 0.2, 24), (10, 0.0, 31), (4, 0.9, 1)):
        seen = calls(replace(sampler, steps=steps, skip=skip), 31, n)
        t = int(seen[0][1][0])
        rule = f"with steps={steps}, skip={skip} of T=31 it must start at t={first}"
        require(sampler, rule, t == first or sampler.between_times, f"it starts at t={t}")
        latest = max(int(t[0]) for _, t in seen[1:] or seen)
        require(sampler, rule, latest <= first, f"it comes back to t={latest}")
        x = start_of(replace(sampler, steps=steps, skip=skip), n)
        mean, spread = float(x.mean(0).abs().max()), float((x.var(0) - 1).abs().max())
        rule = "it must start from N(0, I)"
        require(sampler, rule, mean < 5 / n**0.5, f"the mean of {n} starts is {mean:.3g}")
        require(
            sampler, rule, spread < 5 * (2 / n) ** 0.5, f"the variance of {n} starts differs from 1 by {spread:.3g}"
        )


def reads_the_variance_only_if_it_says_so(sampler: Sampler) -> None:
    """`reads_variance` decides which cells share their samples, and which may be strided."""
    for made in models():
        x, noise = torch.randn(2, 4, *made.shape, generator=torch.Generator().manual_seed(0))
        free = made.with_clip(False)
        with torch.no_grad():
            first, second = (
                sampler.step(free.with_variance(variance), x, free.chain(), 4, noise.clone)
                for variance in (Beta(), BetaTilde())
            )
        reads = not torch.equal(first, second)
        fact = f"a step {'differs' if reads else 'is the same'} at beta_tilde"
        require_flag(sampler, "reads_variance", "sigma^2 enters a step", reads, fact)


def variance_of_samples(sampler: Sampler, model: Diffusion) -> Tensor:
    """Variance of the sampled x_0 [2]: a linear sampler's x_0 = A x_K + Σ B_k z_k has A² + Σ B_k².

    Its factors are the derivatives of one walk; each dimension has its own.
    """
    chain = model.chain(sampler.steps)
    drawn = [torch.zeros(1, 2, dtype=torch.float64, requires_grad=True) for _ in range(chain.steps + 1)]
    *_, x0 = sampler.walk(model, drawn[0], chain, chain.steps, lambda k: drawn[k])
    factors = torch.autograd.grad(x0.sum(), drawn, allow_unused=True)
    return torch.cat([factor**2 for factor in factors if factor is not None]).sum(0)


def variance_of_samples_tends_to_the_datas_as_the_horizon_grows(
    sampler: Sampler, schedules: tuple[Schedule, ...] = (Linear(), LogSnrLinear())
) -> None:
    """On Gaussian data with the exact denoiser, where every step is linear; to T = 400 under the first schedule."""
    whole = replace(sampler, steps=None, skip=0.0)
    variances = (Beta(), BetaTilde()) if sampler.reads_variance else (Beta(),)
    for schedule, variance in itertools.product(schedules, variances):
        horizons = (25, 100, 400) if schedule == schedules[0] else (25, 100)
        errors = []
        for horizon in horizons:
            ratio = variance_of_samples(whole, exact_model(horizon, variance, schedule=schedule)) / DATA.variance
            errors.append(float((ratio - 1).abs().max()))
        rule = "the variance of samples of Gaussian data must tend to the data's as T grows"
        off = ", ".join(f"{100 * error:.3g} %" for error in errors)
        at = ", ".join(map(str, horizons))
        fact = f"at T={at} it is off by {off} with {name(schedule)} and {name(variance)}"
        falls = all(later < earlier for earlier, later in itertools.pairwise(errors))
        require(sampler, rule, falls and errors[-1] < 16 / horizons[-1], fact)


PROPERTIES: tuple[Property, ...] = (
    *OF_EVERY_CHOICE,
    a_sample_does_not_depend_on_how_many_are_drawn_or_in_which_batches,
    seeds_are_repeatable_and_different,
    samples_do_not_see_autocast_around_them,
    visits_the_chains_times_from_the_last_to_the_first,
    visits_real_times_as_they_are,
    calls_is_how_often_the_network_is_called,
    paths_of_any_length_start_from_the_same_noise,
    clipped_samples_of_bounded_data_stay_within_their_range,
    progress_rises_to_one_in_equal_shares,
    refuses_a_chain_without_steps,
    skipping_starts_from_unit_noise_at_the_first_kept_step,
    reads_the_variance_only_if_it_says_so,
    variance_of_samples_tends_to_the_datas_as_the_horizon_grows,
)
