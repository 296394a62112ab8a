"""What the network predicts: targets by their definitions, back to x_0, and the scale κ of their errors."""

from __future__ import annotations

import torch

from diffusion_core.chain import Chain
from diffusion_core.forward import Pair
from diffusion_core.parameterizations import X0, Epsilon, Mu, Parameterization, V, Velocity
from diffusion_core.schedules import Schedule
from tests.axes import across, go_together, members
from tests.diffusion_core.mixture import bayes

HORIZON = 60
every = across(go_together, parameterization=members(Parameterization), schedule=members(Schedule))


class Draw:
    """x_0, ε and x_t [T, 4] at every t of a schedule."""

    def __init__(self, schedule: Schedule) -> None:
        chain = Chain(schedule.gamma(HORIZON).requires_grad_(False), torch.arange(HORIZON + 1), schedule.first_step)
        self.pair = chain.pair(torch.arange(1, HORIZON + 1))
        self.alpha_bar = torch.sigmoid(-chain.gamma(torch.arange(HORIZON + 1)))[:, None]
        generator = torch.Generator().manual_seed(0)
        self.x0, self.eps = torch.randn(2, HORIZON, 4, generator=generator, dtype=torch.float64)
        self.root, self.rest = self.alpha_bar[1:].sqrt(), (1 - self.alpha_bar[1:]).sqrt()
        self.x_t = self.root * self.x0 + self.rest * self.eps


@every
def test_a_perfect_output_stands_for_x0_and_an_error_of_it_for_one_of_x0_by_kappa(parameterization, schedule):
    """κ is ‖target(x_0 + δ) − target(x_0)‖²/‖δ‖² at fixed x_t, and an output off by √κ is x̂_0 off by 1.

    x_0 comes back through 1/√ᾱ_T at the worst (about 800 for cosine at this horizon).
    """
    draw, choice = Draw(schedule), parameterization
    target, kappa = choice.target(draw.x0, draw.eps, draw.x_t, draw.pair), choice.kappa(draw.pair)
    torch.testing.assert_close(choice.x0(target, draw.x_t, draw.pair), draw.x0, rtol=1e-11, atol=1e-11)
    off = choice.x0(target + kappa.sqrt()[:, None], draw.x_t, draw.pair)
    one = torch.ones(HORIZON, dtype=torch.float64)
    torch.testing.assert_close(((off - draw.x0) ** 2).mean(1), one, rtol=1e-7, atol=0)
    x0 = draw.x0 + 1
    far, near = (choice.target(x, (draw.x_t - draw.root * x) / draw.rest, draw.x_t, draw.pair) for x in (x0, draw.x0))
    torch.testing.assert_close(kappa, ((far - near) ** 2).mean(1), rtol=1e-9, atol=0)


@every
def test_what_is_shown_is_a_positive_multiple_of_xt_and_needs_pair_says_what_is_read(parameterization, schedule):
    """Without `needs_pair` all follows from γ_t alone, as continuous time needs. Float32 data stay float32."""
    draw, choice = Draw(schedule), parameterization
    level = Pair.level(draw.pair.gamma_t)
    ratio = choice.network_input(draw.x_t, draw.pair) / draw.x_t
    torch.testing.assert_close(ratio, ratio[:, :1].expand_as(ratio))
    assert (ratio > 0).all()
    if not choice.needs_pair:
        for function in (
            lambda pair: choice.target(draw.x0, draw.eps, draw.x_t, pair),
            lambda pair: choice.x0(draw.eps, draw.x_t, pair),
            choice.kappa,
        ):
            assert torch.equal(function(level), function(draw.pair))
    x0, eps, x_t = draw.x0.float(), draw.eps.float(), draw.x_t.float()
    target = choice.target(x0, eps, x_t, draw.pair)
    found = target, choice.x0(target, x_t, draw.pair), choice.network_input(x_t, level)
    assert {value.dtype for value in found} == {torch.float32}


@across(parameterization=members(Parameterization))
def test_reads_noise_says_whether_an_output_tells_x0_where_xt_is_noise_alone(parameterization):
    """At ᾱ = 0, x_t = ε: a perfect output stands for x_0, and κ is finite and above 0."""
    x0, eps = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    infinite = torch.full((5,), torch.inf, dtype=torch.float64)
    pair = Pair(infinite, torch.linspace(-2, 2, 5, dtype=torch.float64), infinite)
    again, kappa = (
        parameterization.x0(parameterization.target(x0, eps, eps, pair), eps, pair),
        parameterization.kappa(pair),
    )
    tells = torch.isclose(again, x0).all() and (kappa > 0).all() and kappa.isfinite().all()
    assert parameterization.reads_noise == tells


@across(schedule=members(Schedule))
def test_targets_are_those_of_the_papers(schedule):
    draw = Draw(schedule)
    arguments = draw.x0, draw.eps, draw.x_t, draw.pair
    torch.testing.assert_close(Epsilon().target(*arguments), draw.eps, rtol=0, atol=0)
    torch.testing.assert_close(X0().target(*arguments), draw.x0, rtol=0, atol=0)
    torch.testing.assert_close(
        V().target(*arguments), draw.root * draw.eps - draw.rest * draw.x0, rtol=1e-12, atol=1e-12
    )
    torch.testing.assert_close(Velocity().target(*arguments), draw.eps - draw.x0, rtol=0, atol=0)
    mean, _ = bayes(draw.x0[1:], draw.x_t[1:], draw.alpha_bar[2:], draw.alpha_bar[1:-1])
    torch.testing.assert_close(Mu().target(*arguments)[1:], mean, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(Mu().target(*arguments)[0], draw.x0[0], rtol=1e-12, atol=1e-12)
