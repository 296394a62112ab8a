"""Properties of every predicted quantity, at all times of a schedule: its two functions undo each other, κ is true."""

from __future__ import annotations

import torch
from torch import Tensor

from diffusion_core.chain import Chain, strided_times
from diffusion_core.forward import Pair
from diffusion_core.parameterizations import Parameterization
from diffusion_core.schedules import Schedule
from diffusion_core.testing.choices import OF_EVERY_CHOICE
from diffusion_core.testing.problems import GaussianData, exact_model, expected_bound
from diffusion_core.testing.saying import Property, at_t, require, require_close, require_equal, require_flag
from diffusion_core.variances import Beta

HORIZON = 60
PLACE = at_t(HORIZON)


class Draw:
    """x_0, ε and x_t at every t of a schedule, in a space of 4 dimensions."""

    def __init__(self, schedule: Schedule) -> None:
        chain = Chain(schedule.gamma(HORIZON), strided_times(HORIZON, HORIZON), schedule.first_step)
        self.pair: Pair = chain.pair(torch.arange(1, HORIZON + 1))
        gamma = chain.gamma(torch.arange(HORIZON + 1))
        self.alpha_bar = torch.sigmoid(-gamma)[:, None]
        generator = torch.Generator().manual_seed(0)
        self.x0, self.eps = torch.randn(2, HORIZON, 4, generator=generator, dtype=torch.float64)
        self.x_t = self.alpha_bar[1:].sqrt() * self.x0 + (1 - self.alpha_bar[1:]).sqrt() * self.eps

    def eps_of(self, x0: Tensor) -> Tensor:
        """The ε that leads to x_t from another x_0."""
        eps: Tensor = (self.x_t - self.alpha_bar[1:].sqrt() * x0) / (1 - self.alpha_bar[1:]).sqrt()
        return eps


def a_perfect_output_stands_for_the_true_x0(parameterization: Parameterization, schedule: Schedule) -> None:
    """x0(target(x_0, ε)) = x_0; it comes back through 1/√ᾱ_T at the worst (about 800 for cosine at this horizon)."""
    draw = Draw(schedule)
    output = parameterization.target(draw.x0, draw.eps, draw.x_t, draw.pair)
    x0 = parameterization.x0(output, draw.x_t, draw.pair)
    require_close(
        parameterization, "x0 of a perfect output must be x_0", x0, draw.x0, rtol=1e-11, atol=1e-11, place=PLACE
    )


def kappa_is_the_squared_error_of_the_target_per_squared_error_of_x0(
    parameterization: Parameterization, schedule: Schedule
) -> None:
    """At fixed x_t an error δ of x_0 moves ε, and with both the target, which is linear in them."""
    draw = Draw(schedule)
    delta = torch.ones_like(draw.x0)
    at = [parameterization.target(x, draw.eps_of(x), draw.x_t, draw.pair) for x in (draw.x0 + delta, draw.x0)]
    ratio = ((at[0] - at[1]) ** 2).sum(1) / (delta**2).sum(1)
    rule = "kappa must be the squared error of the target per squared error of x_0"
    require_close(parameterization, rule, parameterization.kappa(draw.pair), ratio, rtol=1e-9, place=PLACE)


def an_error_of_the_output_becomes_the_error_of_x0_that_kappa_tells(
    parameterization: Parameterization, schedule: Schedule
) -> None:
    """‖target − output‖² = κ ‖x_0 − x̂_0‖²: an output that is off by √κ is off by 1, however large the target is."""
    draw = Draw(schedule)
    output = parameterization.target(draw.x0, draw.eps, draw.x_t, draw.pair)
    x0 = parameterization.x0(output + parameterization.kappa(draw.pair).sqrt()[:, None], draw.x_t, draw.pair)
    error = ((draw.x0 - x0) ** 2).mean(1)
    rule = "an error of sqrt(kappa) in the output must be one of 1 in x_0"
    require_close(parameterization, rule, error, torch.ones(HORIZON, dtype=torch.float64), rtol=1e-7, place=PLACE)


def says_what_x0_is_in_noise_alone_if_it_says_so(parameterization: Parameterization) -> None:
    """At ᾱ = 0, x_t = ε: with `reads_noise` a perfect output still stands for x_0, and κ is finite and above 0."""
    x0, eps = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    infinite = torch.full((5,), torch.inf, dtype=torch.float64)
    pair = Pair(infinite, torch.linspace(-2, 2, 5, dtype=torch.float64), infinite)
    x0_again = parameterization.x0(parameterization.target(x0, eps, eps, pair), eps, pair)
    kappa = parameterization.kappa(pair)
    reads = bool(torch.isclose(x0_again, x0).all() and (kappa > 0).all() and kappa.isfinite().all())
    fact = f"x_0 {'comes' if reads else 'does not come'} back"
    require_flag(parameterization, "reads_noise", "an output tells x_0 where x_t is noise alone", reads, fact)


def shows_the_network_what_follows_from_the_level(parameterization: Parameterization, schedule: Schedule) -> None:
    """c_in x_t is x_t times a positive number per noise level, in the type of x_t."""
    draw = Draw(schedule)
    shown = parameterization.network_input(draw.x_t.float(), Pair.level(draw.pair.gamma_t))
    require(parameterization, "float32 data must be shown as float32", shown.dtype == torch.float32, f"{shown.dtype}")
    ratio = parameterization.network_input(draw.x_t, draw.pair) / draw.x_t
    alike = torch.isclose(ratio, ratio[:, :1]).all() and bool((ratio > 0).all())
    rule = "the network must be shown x_t times one positive number per noise level"
    require(parameterization, rule, alike, "it is not")


def reads_a_pair_only_if_it_says_so(parameterization: Parameterization, schedule: Schedule) -> None:
    """Without `needs_pair` target, x̂_0 and κ follow from the noise level γ_t alone, as continuous time needs."""
    if parameterization.needs_pair:
        return
    draw = Draw(schedule)
    level = Pair.level(draw.pair.gamma_t)
    rule = "unless needs_pair is set, what is predicted must follow from the noise level alone"
    for function in (
        lambda pair: parameterization.target(draw.x0, draw.eps, draw.x_t, pair),
        lambda pair: parameterization.x0(draw.eps, draw.x_t, pair),
        parameterization.kappa,
    ):
        require_equal(parameterization, rule, function(level), function(draw.pair), PLACE)


def float32_data_stay_float32(parameterization: Parameterization, schedule: Schedule) -> None:
    """Coefficients are float64, and what multiplies data takes the data's type."""
    draw = Draw(schedule)
    output = parameterization.target(draw.x0.float(), draw.eps.float(), draw.x_t.float(), draw.pair)
    x0 = parameterization.x0(output, draw.x_t.float(), draw.pair)
    for what, value in (("target", output), ("x0", x0)):
        fact = f"it is {value.dtype}: see diffusion_core.forward.expand"
        require(parameterization, f"{what} of float32 data must be float32", value.dtype == torch.float32, fact)


@torch.no_grad()
def beta_makes_the_bound_on_standard_normal_data_its_entropy(
    parameterization: Parameterization, schedule: Schedule
) -> None:
    """It holds with the exact denoiser in this parameterization, at any horizon (Ho et al. 2020, §3.2)."""
    data = GaussianData((1.0, 1.0))
    for horizon in (25, 400):
        bound = expected_bound(exact_model(horizon, Beta(), data, parameterization, schedule), data)
        fact = f"it is {bound:.10f} at T={horizon} where the entropy is {data.entropy:.10f}"
        rule = "with beta the bound of the exact denoiser on N(0, I) must be the entropy"
        require(parameterization, rule, abs(bound - data.entropy) <= 1e-9, fact)


PROPERTIES: tuple[Property, ...] = (
    a_perfect_output_stands_for_the_true_x0,
    kappa_is_the_squared_error_of_the_target_per_squared_error_of_x0,
    an_error_of_the_output_becomes_the_error_of_x0_that_kappa_tells,
    shows_the_network_what_follows_from_the_level,
    reads_a_pair_only_if_it_says_so,
    float32_data_stay_float32,
    beta_makes_the_bound_on_standard_normal_data_its_entropy,
)
"""The properties, each a function of a parameterization and a schedule."""

ALONE: tuple[Property, ...] = (*OF_EVERY_CHOICE, says_what_x0_is_in_noise_alone_if_it_says_so)
