"""What every objective weighs: its loss against the errors that it names, and its effective ε-weight."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from diffusion_core.learner import DiffusionLearner
from diffusion_core.objectives import (
    P2,
    EdmObjective,
    Hybrid,
    MinSnr,
    NoiseLevels,
    Objective,
    Simple,
    Vlb,
    VlbContinuous,
    Weighted,
)
from diffusion_core.parameterizations import EdmParameterization, Epsilon, Mu, Parameterization
from diffusion_core.schedules import LearnedSchedule, Linear, Schedule
from diffusion_core.testing import SCHEDULES, check_objective, objectives
from diffusion_core.testing.objectives import HORIZON, Batch, D, Partners, batch_of, batches
from diffusion_core.testing.problems import bayes, diffusion
from diffusion_core.testing.saying import run
from diffusion_core.testing.variants import name
from diffusion_core.variances import Beta, BetaTilde, LearnedDiagonal, LearnedVariance, Variance
from tests.axes import across, before_noise, ends_in_noise, members

TWO = (Linear(), LearnedSchedule())
"""Schedules by a table and of real times: identities of weights read nothing of them but noise levels."""
SPACES = ("epsilon", "x0", "v")
PARTNERS = Partners(members(Parameterization), members(Variance))
LEARNED = (LearnedVariance(), LearnedDiagonal())
OBJECTIVES = (
    *members(Objective),
    Weighted("x0", 1),
    Weighted("v", 0.5),
    MinSnr(0.3),
    P2(0.5, 2),
    Hybrid(10),
    EdmObjective(1.2),
)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=name)
def test_every_objective_keeps_what_objectives_keep(objective):
    check_objective(objective)


@pytest.mark.slow
@across(objective=OBJECTIVES, schedule=[s for s in before_noise() if s not in SCHEDULES])
def test_every_objective_keeps_it_under_every_other_schedule_with_all_that_it_goes_with(objective, schedule):
    run(objectives.PROPERTIES, objective, schedule, PARTNERS)


@across(schedule=TWO, objective=OBJECTIVES)
def test_every_objective_is_asked_with_all_that_it_goes_with(schedule, objective):
    """A learned variance wants the bound or the hybrid, the hybrid a learned variance; continuous time has no μ.

    All but the bound of a chain's steps, and the hybrid, which holds it, are asked in continuous time.
    """
    asked = batches(objective, schedule)
    times = {
        Hybrid: ["auto"],
        Vlb: ["auto"],
        VlbContinuous: ["auto"],
    }.get(type(objective), ["auto", "continuous"])
    assert [batch.time for batch in asked] == times
    for batch in asked:
        continuous = batch.time == "continuous" or isinstance(objective, VlbContinuous)
        expected = [
            (parameterization, variance, objective)
            for parameterization in members(Parameterization)
            for variance in members(Variance)
            if not (continuous and isinstance(parameterization, Mu))
            and (isinstance(objective, Vlb) or isinstance(objective, Hybrid) == variance.learned)
        ]
        assert objectives.cases(objective, batch, PARTNERS) == expected
    assert objective.reads_decoder == isinstance(objective, Vlb)
    assert objective.needs_learned == isinstance(objective, Hybrid)


@across(schedule=TWO)
def test_simple_is_the_mean_square_error_of_what_is_predicted(schedule):
    batch = batch_of(schedule)
    for parameterization in members(Parameterization):
        eps = batch.eps + batch.delta
        target = parameterization.target(batch.x0, batch.eps, batch.x_t, batch.pair)
        output = parameterization.target(batch.x0_of(eps), eps, batch.x_t, batch.pair)
        expected = ((target - output) ** 2).mean(1)
        torch.testing.assert_close(batch.loss(parameterization, Beta(), Simple()), expected, rtol=1e-12, atol=0)


@across(parameterization=members(Parameterization), schedule=TWO)
def test_weighted_is_the_error_in_its_space_times_a_power_of_the_snr(parameterization, schedule):
    batch = batch_of(schedule)
    for space, power in itertools.product(SPACES, (0.0, 1.0, -0.5)):
        loss = batch.loss(parameterization, Beta(), Weighted(space, power))
        torch.testing.assert_close(loss, batch.snr**power * batch.squares[space], rtol=1e-8, atol=0)


@across(parameterization=members(Parameterization), schedule=TWO)
def test_the_error_of_x0_times_the_snr_is_that_of_eps(parameterization, schedule):
    batch = batch_of(schedule)
    one, other = (batch.loss(parameterization, Beta(), o) for o in (Weighted("x0", 1), Weighted("epsilon")))
    torch.testing.assert_close(one, other, rtol=1e-12, atol=0)


@across(parameterization=members(Parameterization), schedule=TWO, gamma=(5.0, 0.3))
def test_min_snr_is_the_error_of_x0_times_the_snr_up_to_its_cap(parameterization, schedule, gamma):
    batch = batch_of(schedule)
    loss = batch.loss(parameterization, Beta(), MinSnr(gamma))
    torch.testing.assert_close(loss, batch.snr.clamp(max=gamma) * batch.squares["x0"], rtol=1e-8, atol=0)
    assert (batch.snr > gamma).any()
    assert (batch.snr < gamma).any()


@across(parameterization=members(Parameterization), schedule=TWO)
def test_p2_is_the_error_of_eps_over_a_power_of_k_plus_the_snr(parameterization, schedule):
    batch = batch_of(schedule)
    for k, gamma in ((1.0, 1.0), (0.5, 2.0), (1.0, 0.0)):
        expected = batch.squares["epsilon"] / (k + batch.snr) ** gamma
        torch.testing.assert_close(batch.loss(parameterization, Beta(), P2(k, gamma)), expected, rtol=1e-8, atol=0)


@across(parameterization=[p for p in members(Parameterization) if not p.needs_pair], schedule=TWO, after=(0.37, 0.0))
def test_vlb_continuous_is_the_error_of_eps_times_half_the_rate_of_gamma_in_bits(parameterization, schedule, after):
    """dγ/du, u = (t − 1)/(T − 1), by differences: central ones between the times of a chain, at them to the left."""
    objective = VlbContinuous()
    batch = batch_of(schedule, after=after)
    high = batch.t + (1e-4 if after else 0)
    low = (batch.t - (1e-4 if after else 1e-6)).clamp(min=1)
    inside = high > low
    rate = ((batch.gamma(high) - batch.gamma(low)) / (high - low))[inside] * (HORIZON - 1)
    loss = batch.loss(parameterization, Beta(), objective)[inside]
    weight = 0.5 * rate / math.log(2)
    torch.testing.assert_close(loss, weight * batch.squares["epsilon"][inside], rtol=2e-6, atol=0)
    levels = NoiseLevels(batch.pair, parameterization.kappa(batch.pair), HORIZON, lambda: batch.gamma.rate(batch.t)[1])
    torch.testing.assert_close(objective.eps_weight(levels, batch.pair.gamma_t)[inside], weight, rtol=2e-6, atol=0)


@across(schedule=TWO)
def test_vlb_at_beta_tilde_is_simple_times_half_expm1_of_the_rise_of_gamma(schedule):
    """In bits/dim times T, for t ≥ 2."""
    batch = batch_of(schedule)
    simple = batch.loss(Epsilon(), BetaTilde(), Simple())[1:]
    expected = HORIZON * 0.5 * torch.expm1(-batch.snr.log().diff()) * simple / math.log(2)
    torch.testing.assert_close(batch.loss(Epsilon(), BetaTilde(), Vlb())[1:], expected, rtol=1e-8, atol=0)


@across(schedule=TWO)
def test_vlb_at_beta_is_simple_times_the_weight_of_ho_et_al_and_a_constant(schedule):
    """β/(2 α (1 − ᾱ_t)) ‖ε − ε̂‖²/D + ½ (log β/β̃ + β̃/β − 1), in bits and times T, for t ≥ 2."""
    batch = batch_of(schedule)
    alpha = batch.alpha_bar[2:] / batch.alpha_bar[1:-1]
    ratio = (1 - batch.alpha_bar[1:-1]) / (1 - batch.alpha_bar[2:])
    weight = (1 - alpha) / (2 * alpha * (1 - batch.alpha_bar[2:]))
    simple = batch.loss(Epsilon(), Beta(), Simple())[1:]
    expected = HORIZON * (weight * simple + 0.5 * (-ratio.log() + ratio - 1)) / math.log(2)
    torch.testing.assert_close(batch.loss(Epsilon(), Beta(), Vlb())[1:], expected, rtol=1e-8, atol=0)


@across(parameterization=members(Parameterization), variance=members(Variance))
def test_vlb_is_the_bounds_own_term_times_the_horizon(parameterization, variance):
    """In bits/dim. A fitted variance has not been fitted yet while it trains: β̃ stands for it."""
    batch = batch_of(members(Schedule)[0])
    batch.answer = batch.output(parameterization, variance)
    model = batch.model(parameterization, BetaTilde() if variance.fitted else variance, Vlb()).diffusion
    term = model.term(batch.x0, batch.eps, model.chain(), batch.t, clip=False)
    torch.testing.assert_close(
        batch.loss(parameterization, variance, Vlb()), HORIZON * term / (D * math.log(2)), rtol=1e-12, atol=0
    )


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


@across(parameterization=members(Parameterization), schedule=TWO, variance=LEARNED)
def test_over_all_times_hybrid_is_the_simple_loss_and_a_thousandth_of_the_bound(parameterization, schedule, variance):
    """E_t hybrid = L_simple + 1e-3 (L_0 + Σ L_{t−1}), by torch.distributions."""
    batch = batch_of(schedule)
    spoken = Spoken(batch, parameterization, variance)
    simple = batch.loss(parameterization, Beta(), Simple())
    hybrid = batch.loss_at(parameterization, variance, Hybrid(), spoken.output)
    expected = simple.mean() + 1e-3 * spoken.terms().sum()
    torch.testing.assert_close(hybrid.mean(), expected, rtol=1e-8, atol=0)


@across(parameterization=members(Parameterization), schedule=TWO, variance=LEARNED)
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


@across(variance=LEARNED)
def test_under_the_bound_alone_the_mean_learns_from_it_too(variance):
    batch = batch_of(members(Schedule)[0])
    spoken = Spoken(batch, Epsilon(), variance)
    loss = batch.loss_at(Epsilon(), variance, Vlb(), spoken.output)
    torch.testing.assert_close(loss, HORIZON * spoken.terms(), rtol=1e-8, atol=0)
    (taught,) = torch.autograd.grad(loss.sum(), spoken.output)
    torch.testing.assert_close(taught[:, D:], HORIZON * spoken.slopes(), rtol=1e-6, atol=1e-9)
    assert (taught[:, :D] != 0).all()


@across(schedule=TWO, sigma_data=(0.5, 1.0, 2.0))
def test_edm_is_the_error_of_x0_times_karras_et_als_lambda(schedule, sigma_data):
    """(σ² + σ_d²)/(σ σ_d)², σ² = (1 − ᾱ)/ᾱ (Table 1); it makes the error of F, which is x_0's over c_out², count 1."""
    batch = batch_of(schedule)
    sigma = batch.snr.rsqrt()
    expected = (sigma**2 + sigma_data**2) / (sigma * sigma_data) ** 2 * batch.squares["x0"]
    for parameterization in members(Parameterization):
        loss = batch.loss(parameterization, Beta(), EdmObjective(sigma_data))
        torch.testing.assert_close(loss, expected, rtol=1e-8, atol=0)
    f = batch.loss(EdmParameterization(sigma_data), Beta(), Simple())
    torch.testing.assert_close(f, expected, rtol=1e-8, atol=0)


STATED = [
    *(Simple(), EdmObjective(), MinSnr(), P2(), Vlb()),
    *(Weighted(space, power) for space in SPACES for power in (0.0, 0.5)),
]


@across(
    schedule=[s for s in members(Schedule) if ends_in_noise(s)],
    parameterization=[p for p in members(Parameterization) if p.reads_noise],
    objective=STATED,
)
def test_every_objective_weighs_an_error_of_x0_where_xt_is_noise_alone(schedule, parameterization, objective):
    """d loss/d x̂_0 is 2 w (x̂_0 − x_0)/D with w of x_0 finite at SNR = 0, and at ᾱ_T = 0 too x̂_0 may differ from x_0."""
    x0, error, eps = torch.randn(3, 4, D, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    t = torch.full((4,), HORIZON)
    said = {}
    learner = DiffusionLearner(
        diffusion(
            lambda x_t, t: said["output"],
            HORIZON,
            parameterization=parameterization,
            schedule=schedule,
            objective=objective,
            shape=(D,),
        )
    )
    pair = learner.diffusion.chain().pair(t)
    assert pair.alpha_bar_t.tolist() == [0] * 4

    def loss(share: float) -> Tensor:
        # x_t = ε at ᾱ_T = 0, whatever x_0 is.
        said["output"] = parameterization.target(x0 + share * error, eps, eps, pair)
        return learner.losses(x0, t, eps)["network"]

    alpha_bar_s = torch.sigmoid(-learner.diffusion.gamma(t - 1))
    kappa = {"V": 1, "Velocity": 1, "EdmParameterization": 4, "X0": 1}.get(type(parameterization).__name__)
    # The posterior of a step from noise alone: β = 1, c_0 = √ᾱ_s.
    kappa = alpha_bar_s if kappa is None else kappa
    weight = {
        "Simple": kappa,
        "EdmObjective": 4,
        "MinSnr": 0,
        "P2": 0,
        "Weighted": 1 if getattr(objective, "space", "") == "x0" and objective.power == 0 else 0,
        "Vlb": HORIZON * alpha_bar_s / (2 * math.log(2)),
    }[type(objective).__name__]
    if objective == Weighted("v", 0):
        weight = 1
    square = (error**2).mean(1)
    torch.testing.assert_close(loss(1.0) - loss(0.0), weight * square + 0 * square, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(loss(2.0) - loss(0.0), 4 * weight * square + 0 * square, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (lambda: Hybrid(0.0), "hybrid needs weight > 0, got 0.0"),
        (lambda: EdmObjective(0.0), "edm needs sigma_data > 0, got 0.0"),
        (lambda: MinSnr(-1.0), "min_snr needs gamma > 0, got -1.0"),
        (lambda: P2(k=0.0), "p2 needs k > 0 and gamma >= 0, got k=0.0 and gamma=1.0"),
        (lambda: P2(gamma=math.nan), "p2 needs k > 0 and gamma >= 0, got k=1.0 and gamma=nan"),
    ],
)
def test_fields_out_of_range_are_refused(build, reason):
    with pytest.raises(ValueError, match=reason):
        build()
