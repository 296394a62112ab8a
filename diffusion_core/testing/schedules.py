"""Properties of every noise schedule: γ rises from clean data, at the times of a chain and between them.

They are checked at each of several horizons that the schedule allows; it must allow at least one.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from diffusion_core.chain import Chain, strided_times
from diffusion_core.gamma import LARGEST, Gamma, GammaTable, LearnedGamma
from diffusion_core.schedules import Schedule
from diffusion_core.testing.choices import OF_EVERY_CHOICE
from diffusion_core.testing.problems import GaussianData, exact_model, expected_bound
from diffusion_core.testing.saying import Property, at_times, fail, require, require_close, require_equal, require_flag
from diffusion_core.variances import Beta, BetaTilde

HORIZONS = (25, 50, 1000, 4000)
TRIED = (100, 1000, 4000, 16_000, 10, 2)
"""The horizons that are tried if a schedule allows none of those asked for."""


def allowed(schedule: Schedule, horizons: tuple[int, ...]) -> dict[int, Gamma]:
    """γ by horizon, at those of `horizons` that the schedule allows, or at another one; a ValueError refuses a
    horizon."""
    gammas: dict[int, Gamma] = {}
    refused = ""
    for horizon in (*horizons, *TRIED):
        if gammas and horizon not in horizons:
            continue
        try:
            schedule.check(horizon)
            built = schedule.build(horizon)
            if not isinstance(built, Gamma):
                fail(schedule, "build must give a Gamma (diffusion_core.gamma)", f"it gives a {type(built).__name__}")
            gammas[horizon] = schedule.gamma(horizon)
        except ValueError as error:
            refused = str(error)
    tried = ", ".join(map(str, sorted({*horizons, *TRIED})))
    require(schedule, "some horizon must be allowed", bool(gammas), f"it allows none of T={tried}: {refused}")
    return gammas


def stirred(gamma: Gamma) -> Gamma:
    """γ without gradients; a learned one is moved away from its start, so that its network has an effect."""
    gamma.requires_grad_(False)
    generator = torch.Generator().manual_seed(2)
    for parameter in gamma.parameters():
        parameter.data += 0.3 * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
    return gamma


def times_between(horizon: int) -> Tensor:
    """A time in each interval, away from the integers and from knots."""
    return torch.arange(1, horizon, dtype=torch.float64) + 0.37


def _rises(schedule: Schedule, what: str, t: Tensor, values: Tensor, horizon: int) -> None:
    steps = values.diff() > 0

    def fact() -> str:
        i = int((~steps).nonzero()[0])
        way = "falls" if values[i + 1] < values[i] else "does not rise"
        return (
            f"{way} at t={float(t[i + 1]):g} of T={horizon} (from {float(values[i]):.6g} to {float(values[i + 1]):.6g})"
        )

    require(schedule, f"{what} must rise strictly", bool(steps.all()), fact)


@torch.no_grad()
def starts_from_clean_data_and_is_finite_after(schedule: Schedule) -> None:
    """γ_0 = −∞, and γ_1..γ_T are finite float64 numbers, up to what float32 can divide by: 1/√ᾱ = e^{γ/2}.

    γ_T alone may be ∞: noise alone.
    """
    for horizon, built in allowed(schedule, HORIZONS).items():
        gamma = built(torch.arange(horizon + 1))
        require(schedule, "gamma must be float64", gamma.dtype == torch.float64, f"it is {gamma.dtype}")
        require(schedule, "gamma_0 must be -inf", gamma[0] == -math.inf, f"it is {float(gamma[0]):g} at T={horizon}")
        end = float(gamma[-1])
        broken = [t for t in range(1, horizon + (end != math.inf)) if not math.isfinite(gamma[t])]
        fact = f"it is {float(gamma[broken[0]])} at t={broken[0]} of T={horizon}" if broken else ""
        require(schedule, "gamma must be finite from t=1 on", not broken, fact)
        allowed_end = end <= LARGEST or end == math.inf
        rule = f"gamma_T must be at most {LARGEST:g}, or infinite"
        require(schedule, rule, allowed_end, f"it is {end:g} at T={horizon}")
        says = f"ends_in_noise={built.ends_in_noise}, and gamma_T is {end:g} at T={horizon}"
        rule = "ends_in_noise must say whether gamma_T is infinite"
        require(schedule, rule, built.ends_in_noise == (end == math.inf), says)


@torch.no_grad()
def rises_strictly(schedule: Schedule) -> None:
    """γ_0 < γ_1 < … < γ_T."""
    for horizon, gamma in allowed(schedule, HORIZONS).items():
        t = torch.arange(horizon + 1)
        _rises(schedule, "gamma", t, gamma(t), horizon)


@torch.no_grad()
def signal_to_noise_ratio_falls(schedule: Schedule) -> None:
    """ᾱ_0 = 1, ᾱ_t ∈ (0, 1) for t ≥ 1, and ᾱ_t/(1 − ᾱ_t) falls, in float64; ᾱ_T alone may be 0."""
    for horizon, gamma in allowed(schedule, HORIZONS).items():
        t = torch.arange(horizon + 1)
        alpha_bar = torch.sigmoid(-gamma(t))
        require(schedule, "alpha_bar_0 must be 1", alpha_bar[0] == 1, f"it is {float(alpha_bar[0]):g} at T={horizon}")
        alone = torch.isposinf(gamma(t[1:]))
        inside = ((alpha_bar[1:] > 0) | alone) & (alpha_bar[1:] < 1)
        ends = f"alpha_bar goes from {float(alpha_bar[1]):g} to {float(alpha_bar[-1]):g} at T={horizon}"
        require(schedule, "alpha_bar must lie between 0 and 1 from t=1 on", inside.all(), ends)
        _rises(schedule, "(1 - alpha_bar)/alpha_bar", t[1:], -(alpha_bar[1:] / (1 - alpha_bar[1:])), horizon)


def rises_between_the_times_of_a_chain(schedule: Schedule) -> None:
    """γ(t) rises over real t in [1, T] too, which objectives in continuous time draw; γ(0) = −∞."""
    for horizon, built in allowed(schedule, HORIZONS).items():
        gamma = stirred(built)
        t = torch.cat([torch.arange(1, horizon + 1), times_between(horizon)]).sort().values
        finite = gamma(t[:-1]).isfinite().all()
        require(schedule, "gamma must be finite between times", finite, f"it is not at T={horizon}")
        _rises(schedule, "gamma", t, gamma(t), horizon)
        start = float(gamma(torch.tensor(0.0)))
        require(schedule, "gamma must be -inf at the real time 0", start == -math.inf, f"it is {start:g}")


def integer_times_are_real_times_bit_for_bit(schedule: Schedule) -> None:
    """γ(t) is one number whether t is int64 or float64."""
    for built in allowed(schedule, (60,)).values():
        gamma = stirred(built)
        t = torch.arange(gamma.horizon + 1)
        rule = "gamma must be the same at an integer time and at the real time equal to it"
        require_equal(schedule, rule, gamma(t.double()), gamma(t), lambda i: f"at t={i[0]}")
        if isinstance(gamma, GammaTable):
            require_equal(
                schedule, "gamma must be its table's", gamma(t.double()), gamma.gamma, lambda i: f"at t={i[0]}"
            )


def rate_is_the_derivative_in_u(schedule: Schedule) -> None:
    """`rate` gives γ and dγ/du, u = (t − 1)/(T − 1): by autograd, and by central differences."""
    for horizon, built in allowed(schedule, (2, 50, 400)).items():
        gamma = stirred(built)
        t = times_between(horizon).requires_grad_()
        (slope,) = torch.autograd.grad(gamma(t).sum(), t)
        with torch.no_grad():
            values, rate = gamma.rate(t)
            differences = (gamma(t + 1e-4) - gamma(t - 1e-4)) / 2e-4
        place = at_times(t.detach(), horizon)
        require_equal(schedule, "the gamma of rate must be that of forward", values, gamma(t), place)
        rule = "rate must be dgamma/du with u = (t - 1)/(T - 1)"
        require_close(schedule, f"{rule}, by autograd", rate, slope * (horizon - 1), rtol=1e-12, place=place)
        require_close(schedule, f"{rule}, by differences", rate, differences * (horizon - 1), rtol=1e-6, place=place)


def inverse_finds_the_time_of_a_noise_level(schedule: Schedule) -> None:
    """inverse(γ(t)) = t."""
    for horizon, built in allowed(schedule, (50, 1000)).items():
        gamma = stirred(built)
        t = torch.cat([torch.arange(1, horizon + 1), times_between(horizon)])
        require_close(schedule, "inverse must find t from gamma(t)", gamma.inverse(gamma(t)), t, rtol=1e-9)


def knows_its_horizon_and_takes_times_of_any_shape(schedule: Schedule) -> None:
    """`horizon` is the T that it was built for, and γ is a function of each t alone."""
    for horizon, gamma in allowed(schedule, (60,)).items():
        require(
            schedule, "horizon must be that of build", gamma.horizon == horizon, f"{gamma.horizon} is not {horizon}"
        )
        t = torch.tensor([[1, horizon, 7], [2, 0, 5]]).clamp(max=horizon)
        alone = torch.stack([gamma(u) for u in t.flatten()])
        require_equal(schedule, "gamma must be a function of each t alone", gamma(t).flatten(), alone)


def noise_levels_travel_in_the_state_dict(schedule: Schedule) -> None:
    """Weights on file say which noise levels they belong to; two builds are the same."""
    for horizon, built in allowed(schedule, (30,)).items():
        state, other = built.state_dict(), schedule.gamma(horizon).state_dict()
        require(
            schedule, "gamma must be in the state_dict", bool(state), "that is empty: register a buffer or parameter"
        )
        for key, value in state.items():
            require_equal(schedule, f"two builds must have the same {key}", value, other[key])


def learns_as_it_says(schedule: Schedule) -> None:
    """`learned` is set where γ has parameters, and then it is a `LearnedGamma`, whose groups training knows."""
    for gamma in allowed(schedule, (30,)).values():
        count = len(list(gamma.parameters()))
        require_flag(schedule, "learned", "gamma has parameters", count > 0, f"gamma has {count} parameters")
        right_kind = isinstance(gamma, LearnedGamma) == schedule.learned
        require(
            schedule,
            "a learned gamma, and no other, must be a LearnedGamma",
            right_kind,
            f"it is a {type(gamma).__name__}",
        )


def is_moved_by_its_shift_and_to_noise_alone(schedule: Schedule) -> None:
    """With `shift` s, σ = √((1 − ᾱ)/ᾱ) is s times as large; with `zero_terminal`, √ᾱ is shifted and scaled.

    A schedule that learns must refuse both.
    """
    if schedule.learned:
        for field in ({"shift": 2.0}, {"zero_terminal": True}):
            try:
                replace(schedule, **field).gamma(60)
            except ValueError as error:
                if "moves noise levels" in str(error):
                    continue
            fail(schedule, f"one that learns must refuse {field}", "it does not: let `check` call the base's")
        return
    for horizon, gamma in allowed(replace(schedule, zero_terminal=False), (60,)).items():
        t = torch.cat([torch.arange(1, horizon + 1), times_between(horizon)])
        place = at_times(t, horizon)
        sigma = torch.exp(0.5 * gamma(t)).detach()
        more = torch.exp(0.5 * replace(schedule, zero_terminal=False, shift=2 * schedule.shift).gamma(horizon)(t))
        rule = "twice the shift must be twice the sigma: call `build` nowhere but in the base"
        require_close(schedule, rule, more, 2 * sigma, rtol=1e-12, place=place)
        if gamma.ends_in_noise:
            continue
        root = (1 + sigma**2) ** -0.5
        first, last = root[0], root[horizon - 1]
        expected = (root - last) * first / (first - last)
        moved = torch.sigmoid(-replace(schedule, zero_terminal=True).gamma(horizon)(t)).sqrt()
        rule = "zero_terminal must be Algorithm 1 of Lin et al. 2024"
        require_close(schedule, rule, moved, expected, rtol=1e-9, atol=1e-12, place=place)


def names_a_rule_for_the_first_step(schedule: Schedule) -> None:
    """`first_step` is "beta_tilde_2" (σ_1² = β̃_2) or "beta_1", and gives a variance."""
    first = schedule.first_step
    require(
        schedule, "first_step must be beta_tilde_2 or beta_1", first in ("beta_tilde_2", "beta_1"), f"it is {first!r}"
    )
    for horizon, gamma in allowed(schedule, (60,)).items():
        chain = Chain(gamma.requires_grad_(False), strided_times(horizon, horizon), first)
        log_first = float(chain.pair(torch.tensor([1])).log_first)
        require(
            schedule,
            "the variance of the first step must be a number",
            math.isfinite(log_first),
            f"its log is {log_first}",
        )


@torch.no_grad()
def beta_makes_the_bound_on_standard_normal_data_its_entropy(schedule: Schedule) -> None:
    """β is the true reverse variance there, at any horizon (Ho et al. 2020, §3.2)."""
    data = GaussianData((1.0, 1.0))
    for horizon in allowed(schedule, (25, 400)):
        bound = expected_bound(exact_model(horizon, Beta(), data, schedule=schedule), data)
        fact = f"it is {bound:.10f} at T={horizon} where the entropy is {data.entropy:.10f}"
        require(schedule, "with beta the bound on N(0, I) must be its entropy", abs(bound - data.entropy) <= 1e-9, fact)


@torch.no_grad()
def the_bound_is_never_below_the_entropy(schedule: Schedule) -> None:
    """E[bound] ≥ H of Gaussian data, whatever its variances, T, and σ²."""
    for horizon in allowed(schedule, (25, 100, 1000)):
        for data in (GaussianData((0.02, 0.3)), GaussianData((0.3, 1.7)), GaussianData((1.0, 6.0))):
            for variance in (Beta(), BetaTilde()):
                bound = expected_bound(exact_model(horizon, variance, data, schedule=schedule), data)
                fact = f"it is {bound:.10f} at T={horizon} where the entropy is {data.entropy:.10f}"
                require(schedule, "no bound may be below the entropy", bound >= data.entropy - 1e-9, fact)


PROPERTIES: tuple[Property, ...] = (
    *OF_EVERY_CHOICE,
    starts_from_clean_data_and_is_finite_after,
    rises_strictly,
    signal_to_noise_ratio_falls,
    rises_between_the_times_of_a_chain,
    integer_times_are_real_times_bit_for_bit,
    rate_is_the_derivative_in_u,
    inverse_finds_the_time_of_a_noise_level,
    knows_its_horizon_and_takes_times_of_any_shape,
    noise_levels_travel_in_the_state_dict,
    learns_as_it_says,
    is_moved_by_its_shift_and_to_noise_alone,
    names_a_rule_for_the_first_step,
    beta_makes_the_bound_on_standard_normal_data_its_entropy,
    the_bound_is_never_below_the_entropy,
)
