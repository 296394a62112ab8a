"""What every objective weighs: its loss against the errors that it names, and its effective ε-weight."""

from __future__ import annotations

import math
from functools import cache, cached_property

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from diffusion_core.diffusion import Diffusion
from diffusion_core.forward import Pair
from diffusion_core.objectives import P2, Hybrid, MinSnr, NoiseLevels, Objective, Simple, Vlb, VlbContinuous, Weighted
from diffusion_core.parameterizations import Epsilon, Mu, Parameterization
from diffusion_core.schedules import Schedule
from diffusion_core.testing.problems import bayes, diffusion
from diffusion_core.testing.variants import name
from diffusion_core.variances import Beta, BetaTilde, LearnedDiagonal, LearnedVariance, Variance
from tests.axes import members

HORIZON = 50
D = 3
PARAMETERIZATIONS = pytest.mark.parametrize("parameterization", members(Parameterization), ids=name)
SCHEDULES = pytest.mark.parametrize("schedule", members(Schedule), ids=name)
LEARNED = pytest.mark.parametrize("variance", [LearnedVariance(), LearnedDiagonal()], ids=name)
OBJECTIVES = pytest.mark.parametrize(
    "objective",
    [*members(Objective), Weighted("x0", 1), Weighted("v", 0.5), MinSnr(0.3), P2(0.5, 2), Hybrid(10)],
    ids=name,
)


def goes_with(objective: Objective, variance: Variance, parameterization: Parameterization | None = None) -> bool:
    """A learned variance wants the bound or the hybrid, the hybrid a learned variance; continuous time has no μ."""
    if isinstance(objective, VlbContinuous) and isinstance(parameterization, Mu):
        return False
    return isinstance(objective, Vlb) or isinstance(objective, Hybrid) == variance.learned


class Batch:
    """x_0 and ε at every t, or at real times between them, and what a network that errs by δ in ε is worth there."""

    def __init__(self, schedule: Schedule, *, real: bool = False) -> None:
        generator = torch.Generator().manual_seed(3)
        self.schedule = schedule
        self.gamma = schedule.build(HORIZON).requires_grad_(False)
        self.t = torch.arange(1, HORIZON) + 0.37 if real else torch.arange(1, HORIZON + 1)
        gamma_t = self.gamma(self.t)
        self.pair = Pair.level(gamma_t) if real else Pair(gamma_t, self.gamma(self.t - 1), gamma_t)
        self.snr = torch.exp(-gamma_t)
        self.alpha_bar = torch.sigmoid(-self.gamma(torch.arange(HORIZON + 1)))
        self.root, self.rest = torch.sigmoid(-gamma_t)[:, None].sqrt(), torch.sigmoid(gamma_t)[:, None].sqrt()
        self.x0, self.eps, self.delta, self.raw = torch.randn(
            4, len(self.t), D, generator=generator, dtype=torch.float64
        )
        self.x_t = self.root * self.x0 + self.rest * self.eps
        self.said = torch.zeros(0)
        self.models: dict[tuple[Parameterization, Variance, Objective], Diffusion] = {}

    def x0_of(self, eps: Tensor) -> Tensor:
        return (self.x_t - self.rest * eps) / self.root

    @cached_property
    def squares(self) -> dict[str, Tensor]:
        """Mean square errors [B] at ε̂ = ε + δ, in the words of each space."""
        x0 = self.x0_of(self.eps + self.delta)
        differences = {
            "epsilon": self.delta,
            "x0": x0 - self.x0,
            "v": self.root * self.delta - self.rest * (x0 - self.x0),
        }
        return {space: (difference**2).mean(1) for space, difference in differences.items()}

    def output(self, parameterization: Parameterization, variance: Variance, error: float | Tensor = 1) -> Tensor:
        """The output of a network that errs by `error` · δ in ε, and says 0 of a learned variance."""
        eps = self.eps + error * self.delta
        prediction = parameterization.target(self.x0_of(eps), eps, self.x_t, self.pair)
        return torch.cat([prediction, torch.zeros_like(prediction)], dim=1) if variance.learned else prediction

    def model(self, parameterization: Parameterization, variance: Variance, objective: Objective) -> Diffusion:
        """A diffusion of these choices whose network says `said`."""
        case = (parameterization, variance, objective)
        if case not in self.models:
            self.models[case] = diffusion(
                lambda x_t, t: self.said,
                HORIZON,
                parameterization=parameterization,
                variance=variance,
                schedule=self.schedule,
                objective=objective,
                shape=(D,),
            )
        return self.models[case]

    def loss_at(
        self, parameterization: Parameterization, variance: Variance, objective: Objective, output: Tensor
    ) -> Tensor:
        self.said = output
        return self.model(parameterization, variance, objective).losses(self.x0, self.t, self.eps)["network"]

    def loss(
        self, parameterization: Parameterization, variance: Variance, objective: Objective, error: float | Tensor = 1
    ) -> Tensor:
        return self.loss_at(parameterization, variance, objective, self.output(parameterization, variance, error))

    def slopes(
        self, parameterization: Parameterization, variance: Variance, objective: Objective, errors: tuple[float, ...]
    ) -> Tensor:
        """d loss/d error [E, B] at each of E errors, from one loss of all of them."""
        n, rows = len(errors), len(self.t)
        at = torch.tensor(errors, dtype=torch.float64)[:, None, None].repeat(1, rows, 1).requires_grad_()
        self.said = torch.cat([self.output(parameterization, variance, error) for error in at])
        model = self.model(parameterization, variance, objective)
        losses = model.losses(self.x0.repeat(n, 1), self.t.repeat(n), self.eps.repeat(n, 1))
        return torch.autograd.grad(losses["network"].sum(), at)[0][..., 0]


batch_of = cache(Batch)
"""The batch of a schedule, which its tests share."""


@SCHEDULES
@OBJECTIVES
def test_an_error_of_eps_costs_the_effective_weight_times_its_square(schedule, objective):
    """d/de of w ‖e δ‖²/D is 2 w e ‖δ‖²/D, whatever is predicted and learned; at t = 1 the bound has its decoder."""
    batch = batch_of(schedule)
    first = 1 if isinstance(objective, Vlb) else 0
    square = (batch.delta**2).mean(1)
    for parameterization in members(Parameterization):
        for variance in members(Variance):
            if not goes_with(objective, variance, parameterization):
                continue
            case = (parameterization, variance, objective)
            weight = batch.model(*case).curves()["eps_weight"]
            errors = (0.3, 1.0)
            torch.testing.assert_close(
                batch.slopes(*case, errors)[:, first:],
                torch.stack([2 * error * weight * square for error in errors])[:, first:],
                rtol=1e-7,
                atol=1e-11,
                msg=lambda text, case=case: f"{', '.join(map(name, case))}: {text}",
            )


@SCHEDULES
@OBJECTIVES
def test_nothing_but_the_square_of_the_error_enters_the_loss(schedule, objective):
    """The rise of the loss over that at ε̂ = ε, but for the hybrid, whose second part knows the error as a number."""
    if isinstance(objective, Hybrid):
        return
    batch = batch_of(schedule)
    variance = BetaTilde()
    for parameterization in members(Parameterization):
        if not goes_with(objective, variance, parameterization):
            continue
        case = (parameterization, variance, objective)
        weight = batch.model(*case).curves()["eps_weight"]
        cost = batch.loss(*case) - batch.loss(*case, error=0)
        torch.testing.assert_close(cost[1:], (weight * (batch.delta**2).mean(1))[1:], rtol=1e-7, atol=1e-11)


@SCHEDULES
def test_simple_is_the_mean_square_error_of_what_is_predicted(schedule):
    batch = batch_of(schedule)
    for parameterization in members(Parameterization):
        eps = batch.eps + batch.delta
        target = parameterization.target(batch.x0, batch.eps, batch.x_t, batch.pair)
        output = parameterization.target(batch.x0_of(eps), eps, batch.x_t, batch.pair)
        expected = ((target - output) ** 2).mean(1)
        torch.testing.assert_close(batch.loss(parameterization, Beta(), Simple()), expected, rtol=1e-12, atol=0)


@PARAMETERIZATIONS
@SCHEDULES
@pytest.mark.parametrize("space", ["epsilon", "x0", "v"])
@pytest.mark.parametrize("power", [0.0, 1.0, -0.5])
def test_weighted_is_the_error_in_its_space_times_a_power_of_the_snr(parameterization, schedule, space, power):
    batch = batch_of(schedule)
    loss = batch.loss(parameterization, Beta(), Weighted(space, power))
    torch.testing.assert_close(loss, batch.snr**power * batch.squares[space], rtol=1e-8, atol=0)


@PARAMETERIZATIONS
@SCHEDULES
def test_the_error_of_x0_times_the_snr_is_that_of_eps(parameterization, schedule):
    batch = batch_of(schedule)
    one, other = (batch.loss(parameterization, Beta(), o) for o in (Weighted("x0", 1), Weighted("epsilon")))
    torch.testing.assert_close(one, other, rtol=1e-12, atol=0)


@PARAMETERIZATIONS
@SCHEDULES
@pytest.mark.parametrize("gamma", [5.0, 0.3])
def test_min_snr_is_the_error_of_x0_times_the_snr_up_to_its_cap(parameterization, schedule, gamma):
    batch = batch_of(schedule)
    loss = batch.loss(parameterization, Beta(), MinSnr(gamma))
    torch.testing.assert_close(loss, batch.snr.clamp(max=gamma) * batch.squares["x0"], rtol=1e-8, atol=0)
    assert (batch.snr > gamma).any()
    assert (batch.snr < gamma).any()


@PARAMETERIZATIONS
@SCHEDULES
@pytest.mark.parametrize(("k", "gamma"), [(1.0, 1.0), (0.5, 2.0), (1.0, 0.0)])
def test_p2_is_the_error_of_eps_over_a_power_of_k_plus_the_snr(parameterization, schedule, k, gamma):
    batch = batch_of(schedule)
    expected = batch.squares["epsilon"] / (k + batch.snr) ** gamma
    torch.testing.assert_close(batch.loss(parameterization, Beta(), P2(k, gamma)), expected, rtol=1e-8, atol=0)


@PARAMETERIZATIONS
@SCHEDULES
@pytest.mark.parametrize("real", [True, False])
def test_vlb_continuous_is_the_error_of_eps_times_half_the_rate_of_gamma_in_bits(parameterization, schedule, real):
    """dγ/du, u = (t − 1)/(T − 1), by differences: central ones between the times of a chain, at them to the left."""
    objective = VlbContinuous()
    if not goes_with(objective, Beta(), parameterization):
        return
    batch = batch_of(schedule, real=real)
    after = batch.t + (1e-4 if real else 0)
    before = (batch.t - (1e-4 if real else 1e-6)).clamp(min=1)
    inside = after > before
    rate = ((batch.gamma(after) - batch.gamma(before)) / (after - before))[inside] * (HORIZON - 1)
    loss = batch.loss(parameterization, Beta(), objective)[inside]
    weight = 0.5 * rate / math.log(2)
    torch.testing.assert_close(loss, weight * batch.squares["epsilon"][inside], rtol=2e-6, atol=0)
    levels = NoiseLevels(batch.pair, parameterization.kappa(batch.pair), HORIZON, lambda: batch.gamma.rate(batch.t)[1])
    torch.testing.assert_close(objective.eps_weight(levels, batch.pair.gamma_t)[inside], weight, rtol=2e-6, atol=0)


@SCHEDULES
def test_vlb_at_beta_tilde_is_simple_times_half_expm1_of_the_rise_of_gamma(schedule):
    """In bits/dim times T, for t ≥ 2."""
    batch = batch_of(schedule)
    simple = batch.loss(Epsilon(), BetaTilde(), Simple())[1:]
    expected = HORIZON * 0.5 * torch.expm1(-batch.snr.log().diff()) * simple / math.log(2)
    torch.testing.assert_close(batch.loss(Epsilon(), BetaTilde(), Vlb())[1:], expected, rtol=1e-8, atol=0)


@SCHEDULES
def test_vlb_at_beta_is_simple_times_the_weight_of_ho_et_al_and_a_constant(schedule):
    """β/(2 α (1 − ᾱ_t)) ‖ε − ε̂‖²/D + ½ (log β/β̃ + β̃/β − 1), in bits and times T, for t ≥ 2."""
    batch = batch_of(schedule)
    alpha = batch.alpha_bar[2:] / batch.alpha_bar[1:-1]
    ratio = (1 - batch.alpha_bar[1:-1]) / (1 - batch.alpha_bar[2:])
    weight = (1 - alpha) / (2 * alpha * (1 - batch.alpha_bar[2:]))
    simple = batch.loss(Epsilon(), Beta(), Simple())[1:]
    expected = HORIZON * (weight * simple + 0.5 * (-ratio.log() + ratio - 1)) / math.log(2)
    torch.testing.assert_close(batch.loss(Epsilon(), Beta(), Vlb())[1:], expected, rtol=1e-8, atol=0)


@PARAMETERIZATIONS
@pytest.mark.parametrize("variance", members(Variance), ids=name)
def test_vlb_is_the_bounds_own_term_times_the_horizon(parameterization, variance):
    """In bits/dim. A fitted variance has not been fitted yet while it trains: β̃ stands for it."""
    batch = batch_of(members(Schedule)[0])
    batch.said = batch.output(parameterization, variance)
    model = batch.model(parameterization, BetaTilde() if variance.fitted else variance, Vlb())
    term = model.term(batch.x0, batch.eps, model.chain(), batch.t, clip=False)
    torch.testing.assert_close(
        batch.loss(parameterization, variance, Vlb()), HORIZON * term / (D * math.log(2)), rtol=1e-12, atol=0
    )


def test_an_objective_computes_the_bounds_term_only_if_it_reads_the_variance():
    batch = batch_of(members(Schedule)[0])
    for objective in members(Objective):
        variances = (LearnedVariance(), LearnedDiagonal()) if objective.needs_learned else (Beta(), BetaTilde())
        one, other = (batch.loss(Epsilon(), variance, objective)[1:] for variance in variances)
        assert torch.equal(one, other) != objective.reads_variance


class Spoken:
    """A network that errs by δ in ε and says `raw` of a learned variance: p_θ by hand, under the rule σ_1² = β_1."""

    def __init__(self, batch: Batch, parameterization: Parameterization, variance: Variance) -> None:
        self.batch = batch
        prediction, _ = batch.output(parameterization, variance).chunk(2, dim=1)
        self.output = torch.cat([prediction, batch.raw], dim=1).requires_grad_()
        alpha_bar_t, alpha_bar_s = batch.alpha_bar[1:, None], batch.alpha_bar[:-1, None]
        log_beta = (1 - alpha_bar_t / alpha_bar_s).log()
        log_beta_tilde = log_beta + ((1 - alpha_bar_s) / (1 - alpha_bar_t)).log()
        log_beta_tilde[0] = log_beta[0]
        if isinstance(variance, LearnedVariance):
            middle, self.per_raw = (log_beta + log_beta_tilde) / 2, (log_beta - log_beta_tilde) / 2
        else:
            middle, self.per_raw = log_beta, torch.ones_like(log_beta)
        self.log_variance = middle + batch.raw * self.per_raw
        x0_hat = batch.x0_of(batch.eps + batch.delta)
        levels = alpha_bar_t[1:], alpha_bar_s[1:]
        self.mean_q, self.variance_q = bayes(batch.x0[1:], batch.x_t[1:], *levels)
        self.mean_p, _ = bayes(x0_hat[1:], batch.x_t[1:], *levels)
        self.x0_hat = x0_hat[:1]

    def terms(self) -> Tensor:
        """L_0, L_1, … L_{T−1} in bits/dim [T]."""
        sigma = (self.log_variance / 2).exp()
        first = -Normal(self.x0_hat, sigma[:1]).log_prob(self.batch.x0[:1])
        rest = kl_divergence(Normal(self.mean_q, self.variance_q.sqrt()), Normal(self.mean_p, sigma[1:]))
        return torch.cat([first, rest]).mean(1) / math.log(2)

    def slopes(self) -> Tensor:
        """∂ term/∂o [T, D] in bits/dim: ½ (1 − (σ_q² + (μ_q − μ_p)²)/σ²) ∂ log σ²/∂o; at t = 1 q is the point x_0."""
        first = (self.batch.x0[:1] - self.x0_hat) ** 2
        rest = self.variance_q + (self.mean_q - self.mean_p) ** 2
        share = torch.cat([first, rest]) * torch.exp(-self.log_variance)
        return 0.5 * (1 - share) * self.per_raw / (D * math.log(2))


@PARAMETERIZATIONS
@SCHEDULES
@LEARNED
def test_over_all_times_hybrid_is_the_simple_loss_and_a_thousandth_of_the_bound(parameterization, schedule, variance):
    """E_t hybrid = L_simple + 1e-3 (L_0 + Σ L_{t−1}), by torch.distributions."""
    batch = batch_of(schedule)
    spoken = Spoken(batch, parameterization, variance)
    simple = batch.loss(parameterization, Beta(), Simple())
    hybrid = batch.loss_at(parameterization, variance, Hybrid(), spoken.output)
    expected = simple.mean() + 1e-3 * spoken.terms().sum()
    torch.testing.assert_close(hybrid.mean(), expected, rtol=1e-8, atol=0)


@PARAMETERIZATIONS
@SCHEDULES
@LEARNED
def test_of_hybrid_the_mean_learns_from_simple_alone_and_the_variance_from_the_bound(
    parameterization, schedule, variance
):
    """At a weight at which any trace of the bound in the mean's gradient would drown the rest."""
    batch = batch_of(schedule)
    spoken = Spoken(batch, parameterization, variance)
    hybrid = batch.loss_at(parameterization, variance, Hybrid(1e6), spoken.output)
    plain = batch.loss_at(parameterization, Beta(), Simple(), spoken.output[:, :D])
    (taught,) = torch.autograd.grad(hybrid.sum(), spoken.output)
    (simple,) = torch.autograd.grad(plain.sum(), spoken.output)
    assert torch.equal(taught[:, :D], simple[:, :D])
    assert (simple[:, :D] != 0).all()
    torch.testing.assert_close(taught[:, D:], 1e6 * HORIZON * spoken.slopes(), rtol=1e-6, atol=1e-6)


@LEARNED
def test_under_the_bound_alone_the_mean_learns_from_it_too(variance):
    batch = batch_of(members(Schedule)[0])
    spoken = Spoken(batch, Epsilon(), variance)
    loss = batch.loss_at(Epsilon(), variance, Vlb(), spoken.output)
    torch.testing.assert_close(loss, HORIZON * spoken.terms(), rtol=1e-8, atol=0)
    (taught,) = torch.autograd.grad(loss.sum(), spoken.output)
    torch.testing.assert_close(taught[:, D:], HORIZON * spoken.slopes(), rtol=1e-6, atol=1e-9)
    assert (taught[:, :D] != 0).all()


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (lambda: Hybrid(0.0), "hybrid needs weight > 0, got 0.0"),
        (lambda: MinSnr(-1.0), "min_snr needs gamma > 0, got -1.0"),
        (lambda: P2(k=0.0), "p2 needs k > 0 and gamma >= 0, got k=0.0 and gamma=1.0"),
        (lambda: P2(gamma=math.nan), "p2 needs k > 0 and gamma >= 0, got k=1.0 and gamma=nan"),
    ],
)
def test_fields_out_of_range_are_refused(build, reason):
    with pytest.raises(ValueError, match=reason):
        build()
