"""Properties of every σ²: it starts between β̃ and β of the step, full and strided, and reads what it says it reads."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from diffusion_core.chain import Chain, FirstStep, strided_times
from diffusion_core.forward import Pair
from diffusion_core.schedules import Schedule
from diffusion_core.testing.choices import OF_EVERY_CHOICE
from diffusion_core.testing.saying import Property, require, require_close, require_flag
from diffusion_core.variances import Fitted, Moments, Variance

HORIZON = 40
STEPS = (HORIZON, 9)


@dataclass(frozen=True)
class Truth:
    """β [K], β̃ [K − 1] for k = 2..K and 1 − ᾱ_1 [1] of a chain, without a difference of nearly equal numbers."""

    beta: Tensor
    beta_tilde: Tensor
    beta_1: Tensor

    @classmethod
    def of(cls, gamma: Tensor) -> Truth:
        beta = -torch.expm1(-torch.log1p(gamma.exp()).diff())
        noise = 1 / (1 + (-gamma).exp())
        return cls(beta, beta[1:] * noise[1:-1] / noise[2:], noise[1:2])


def chain_of(schedule: Schedule, steps: int, rule: FirstStep | None = None) -> tuple[Pair, Truth]:
    """The pairs of a chain, and their true variances."""
    gamma = schedule.gamma(HORIZON).requires_grad_(False)
    chain = Chain(gamma, strided_times(HORIZON, steps), rule or schedule.first_step)
    return chain.pair(torch.arange(1, steps + 1)), Truth.of(gamma(chain.times))


def log_variance_at(variance: Variance, pair: Pair, raw: float = 0.0, share: float = 0.5) -> Tensor:
    """log σ² [K] if the network outputs `raw`, and Var(x_0 | x_t) is `share` times its value for N(0, I)."""
    like = torch.zeros(len(pair.gamma_t), 3, dtype=torch.float64)
    x0_variance = share * pair.one_minus_alpha_bar_t
    value = variance.log_variance(pair, torch.full_like(like, raw), like, x0_variance).expand_as(like)
    fact = "it is not where the network says the same of each"
    require(variance, "log_variance must be alike in all dimensions", torch.equal(value[:, 0], value[:, 2]), fact)
    return value[:, 0]


def starts_between_beta_tilde_and_beta(variance: Variance, schedule: Schedule) -> None:
    """log β̃ ≤ log σ² ≤ log β if the network outputs 0, at every step after the first (Ho et al. 2020, §3.2)."""
    for steps in STEPS:
        pair, truth = chain_of(schedule, steps)
        value = log_variance_at(variance, pair)
        rule = "log_variance must be finite"
        require(
            variance, rule, value.isfinite().all(), f"it is {float(value[~value.isfinite()].sum()):g} in {steps} steps"
        )
        for way, limit, beyond in (
            ("above beta", truth.beta[1:], value[1:] > truth.beta[1:].log() + 1e-9),
            ("below beta_tilde", truth.beta_tilde, value[1:] < truth.beta_tilde.log() - 1e-9),
        ):
            _within(variance, way, steps, value[1:].exp(), limit, beyond)


def _within(variance: Variance, way: str, steps: int, value: Tensor, limit: Tensor, beyond: Tensor) -> None:
    def fact() -> str:
        i = int(beyond.nonzero()[0])
        return f"it is {float(value[i]):.6g}, {way} = {float(limit[i]):.6g} at step {i + 2} of {steps}"

    rule = "where the network says 0, sigma^2 must lie between beta_tilde and beta"
    require(variance, rule, not beyond.any(), fact)


def reads_the_network_only_if_it_is_learned_and_then_per_dimension(variance: Variance, schedule: Schedule) -> None:
    """∂ log σ²_i/∂ raw_j is not 0 where i = j and `learned` is set, and 0 elsewhere."""
    pair, _ = chain_of(schedule, HORIZON)
    raw = torch.zeros(HORIZON, 3, dtype=torch.float64, requires_grad=True)
    value = variance.log_variance(pair, raw, raw.detach(), pair.one_minus_alpha_bar_t)
    fact = f"sigma^2 {'reads' if value.requires_grad else 'does not read'} the network"
    require_flag(variance, "learned", "sigma^2 reads the network", value.requires_grad, fact)
    if not variance.learned:
        return
    (gradient,) = torch.autograd.grad(value[:, 1].sum(), raw)
    own, others = gradient[:, 1], gradient[:, [0, 2]]
    # Under the rule σ_1² = β_1 a variance between two bounds may have one value at t = 1.
    first = 0 if schedule.first_step == "beta_tilde_2" else 1
    idle = [t for t in range(first, HORIZON) if own[t] == 0]
    rule = "a learned sigma^2 must follow its channel at every t"
    require(variance, rule, not idle, lambda: f"it does not at t={idle[0] + 1} of T={HORIZON}")
    rule = "a learned sigma^2 of a dimension must read that dimension's channel alone"
    require(variance, rule, not others.any(), "it reads others too")


def float32_data_get_a_float32_variance(variance: Variance, schedule: Schedule) -> None:
    """The coefficients are float64, what multiplies data takes the data's type."""
    pair, _ = chain_of(schedule, HORIZON)
    like = torch.zeros(HORIZON, 3)
    dtype = variance.log_variance(pair, like, like, pair.one_minus_alpha_bar_t).dtype
    require(variance, "log_variance must be float32 for float32 data", dtype == torch.float32, f"it is {dtype}")


def fitted_is_beta_tilde_where_x0_is_known_and_beta_where_it_is_standard_normal(
    variance: Variance, schedule: Schedule
) -> None:
    """Var(x_0 | x_t) = 0 and 1 − ᾱ_t (Ho et al. 2020, §3.2); at the first step β̃ = 0, so σ_1² = Var(x_0 | x_1)."""
    if not variance.fitted:
        return
    fact = f"it is a {type(variance).__name__}"
    require(variance, "a fitted variance must be a Fitted, which says what it fits", isinstance(variance, Fitted), fact)
    for steps in STEPS:
        pair, truth = chain_of(schedule, steps)
        point, half, normal = (log_variance_at(variance, pair, share=share).exp() for share in (0.0, 0.5, 1.0))
        for where, value, expected in (
            ("where x_0 is known sigma^2 must be beta_tilde", point[1:], truth.beta_tilde),
            ("half-way between it must be their mean", half[1:], (truth.beta[1:] + truth.beta_tilde) / 2),
            ("where x_0 is N(0, I) sigma^2 must be beta", normal[1:], truth.beta[1:]),
            ("sigma_1^2 must be Var(x_0 | x_1)", normal[:1], truth.beta_1),
        ):
            require_close(variance, where, value, expected, rtol=1e-10, place=lambda i: f"at step {i[0] + 2}")


def trains_as_a_variance_that_needs_no_fit(variance: Variance, schedule: Schedule) -> None:
    """A fitted variance has a stand-in while it trains; every other variance stands for itself.

    A fit gives a Var(x_0 | x_t) ≥ 0 at every t, whatever the draws, also where x_t is noise alone.
    """
    stand_in = variance.trained_as
    require(variance, "trained_as must need no fit", not stand_in.fitted, f"it is {type(stand_in).__name__}")
    if not isinstance(variance, Fitted):
        require(variance, "only a fitted variance may train as another", stand_in == variance, f"it is {stand_in}")
        return
    values = [[0.75, -0.1, 1.3, 0.0], [0.0, 0.1, 0.0, math.inf], [0.75, 0.0, 1.3, 1.0]]
    noise, noise_se, error = torch.tensor(values, dtype=torch.float64)
    alpha_bar = torch.tensor([0.9, 0.5, 1e-9, 0.0], dtype=torch.float64)
    value = variance.x0_variance(Moments(noise, noise_se, error, alpha_bar, torch.tensor(0.8, dtype=torch.float64)))
    shaped = value.shape == noise.shape and value.dtype == torch.float64
    rule = "x0_variance must be float64 and one number per t"
    require(variance, rule, shaped, f"it is {value.dtype} {list(value.shape)} of 4")
    usable = bool((value >= 0).all() and value.isfinite().all())
    require(variance, "x0_variance must be finite and not negative", usable, f"it is {value.tolist()}")


PROPERTIES: tuple[Property, ...] = (
    starts_between_beta_tilde_and_beta,
    reads_the_network_only_if_it_is_learned_and_then_per_dimension,
    float32_data_get_a_float32_variance,
    fitted_is_beta_tilde_where_x0_is_known_and_beta_where_it_is_standard_normal,
    trains_as_a_variance_that_needs_no_fit,
)
"""The properties, each a function of a variance and a schedule."""

ALONE: tuple[Property, ...] = OF_EVERY_CHOICE
