"""What every objective weighs: its loss against the errors that it names, by its paper's weights."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

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
from diffusion_core.parameterizations import EdmParameterization, Mu, Parameterization
from diffusion_core.schedules import LearnedSchedule, Linear, Rectified, Schedule
from diffusion_core.testing import check_objective, objectives
from diffusion_core.testing.objectives import HORIZON, Batch, D, Partners, batch_of, batches
from diffusion_core.testing.problems import diffusion
from diffusion_core.testing.variants import name
from diffusion_core.variances import Beta, BetaTilde, LearnedDiagonal, LearnedVariance, Variance
from tests.axes import across, members

TWO = (Linear(), LearnedSchedule())
"""Schedules by a table and of real times: identities of weights read nothing of them but noise levels."""
SPACES = ("epsilon", "x0", "v")
PARTNERS = Partners(members(Parameterization), members(Variance))
WEIGHED = (
    *(Weighted(space, power) for space, power in itertools.product(SPACES, (0.0, 1.0, -0.5))),
    *(MinSnr(5.0), MinSnr(0.3), P2(1.0, 1.0), P2(0.5, 2.0), P2(1.0, 0.0)),
    *(EdmObjective(0.5), EdmObjective(1.0), EdmObjective(2.0)),
)
OBJECTIVES = (*members(Objective), Weighted("x0", 1), Weighted("v", 0.5), MinSnr(0.3), P2(0.5, 2), Hybrid(10))


@pytest.mark.parametrize("objective", OBJECTIVES, ids=name)
def test_every_objective_keeps_what_objectives_keep(objective):
    check_objective(objective)


@across(schedule=TWO, objective=OBJECTIVES)
def test_every_objective_is_asked_with_all_that_it_goes_with(schedule, objective):
    """A learned variance wants the bound or the hybrid, the hybrid a learned variance; continuous time has no μ.

    All but the bound of a chain's steps, and the hybrid, which holds it, are asked in continuous time.
    """
    asked = batches(objective, schedule)
    alone = isinstance(objective, Hybrid | Vlb | VlbContinuous)
    assert [batch.time for batch in asked] == (["auto"] if alone else ["auto", "continuous"])
    for batch in asked:
        continuous = batch.time == "continuous" or isinstance(objective, VlbContinuous)
        assert objectives.cases(objective, batch, PARTNERS) == [
            (parameterization, variance, objective)
            for parameterization in members(Parameterization)
            for variance in members(Variance)
            if not (continuous and isinstance(parameterization, Mu))
            and (isinstance(objective, Vlb) or isinstance(objective, Hybrid) == variance.learned)
        ]
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


def weighed(objective: Objective, batch: Batch) -> Tensor:
    """The error in an objective's space by the weight of its paper, σ² = 1/SNR in that of EDM's Table 1."""
    match objective:
        case Weighted(space=space, power=power):
            return batch.snr**power * batch.squares[space]
        case MinSnr(gamma=gamma):
            return batch.snr.clamp(max=gamma) * batch.squares["x0"]
        case P2(k=k, gamma=gamma):
            return batch.squares["epsilon"] / (k + batch.snr) ** gamma
        case EdmObjective(sigma_data=sigma_data):
            sigma = batch.snr.rsqrt()
            return (sigma**2 + sigma_data**2) / (sigma * sigma_data) ** 2 * batch.squares["x0"]
    raise ValueError(objective)


@across(parameterization=members(Parameterization), schedule=TWO, objective=WEIGHED)
def test_an_error_is_weighed_as_the_paper_says_whatever_is_predicted(parameterization, schedule, objective):
    batch = batch_of(schedule)
    loss = batch.loss(parameterization, Beta(), objective)
    torch.testing.assert_close(loss, weighed(objective, batch), rtol=1e-8, atol=0)


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


@across(parameterization=members(Parameterization), variance=members(Variance))
def test_vlb_is_the_bounds_own_term_times_the_horizon(parameterization, variance):
    """In bits/dim. A fitted variance has not been fitted yet while it trains: β̃ stands for it."""
    batch = batch_of(members(Schedule)[0])
    batch.answer = batch.output(parameterization, variance)
    model = batch.model(parameterization, BetaTilde() if variance.fitted else variance, Vlb()).diffusion
    term = model.term(batch.x0, batch.eps, model.chain(), batch.t)
    torch.testing.assert_close(
        batch.loss(parameterization, variance, Vlb()), HORIZON * term / (D * math.log(2)), rtol=1e-12, atol=0
    )


@across(parameterization=members(Parameterization), schedule=TWO, variance=(LearnedVariance(), LearnedDiagonal()))
def test_hybrid_is_simple_for_the_mean_and_a_share_of_the_bound_for_the_variance(parameterization, schedule, variance):
    """At a weight at which any trace of the bound in the mean's gradient would drown the rest."""
    batch = batch_of(schedule)
    prediction, _ = batch.output(parameterization, variance).chunk(2, dim=1)
    output = torch.cat([prediction, batch.raw], dim=1).requires_grad_()
    simple = batch.loss_at(parameterization, Beta(), Simple(), output[:, :D])
    bound = batch.loss_at(parameterization, variance, Vlb(), output)
    hybrid = batch.loss_at(parameterization, variance, Hybrid(1e3), output)
    torch.testing.assert_close(hybrid, simple + 1e3 * bound, rtol=1e-12, atol=0)
    by_simple, by_bound, by_hybrid = (torch.autograd.grad(loss.sum(), output)[0] for loss in (simple, bound, hybrid))
    assert torch.equal(by_hybrid[:, :D], by_simple[:, :D])
    torch.testing.assert_close(by_hybrid[:, D:], 1e3 * by_bound[:, D:])
    assert (by_bound[:, :D] != 0).all()


IN_NOISE = {
    EdmObjective(): 4,
    Weighted("x0"): 1,
    Weighted("v"): 1,
    **dict.fromkeys((MinSnr(), P2(), Weighted("epsilon"), *(Weighted(space, 0.5) for space in SPACES)), 0),
}
"""Weights of an error of x_0 at SNR = 0."""


@across(
    schedule=(Rectified(), Linear(zero_terminal=True)),
    parameterization=[p for p in members(Parameterization) if p.reads_noise],
    objective=(*IN_NOISE, Simple(), Vlb()),
)
def test_every_objective_weighs_an_error_of_x0_where_xt_is_noise_alone(schedule, parameterization, objective):
    """The loss is w ‖x̂_0 − x_0‖²/D more than without an error, w finite at ᾱ_T = 0, where x_t = ε whatever x_0 is."""
    x0, error, eps = torch.randn(3, 4, D, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    t, said = torch.full((4,), HORIZON), {}
    choices = {"parameterization": parameterization, "schedule": schedule, "objective": objective}
    learner = DiffusionLearner(diffusion(lambda x_t, t: said["output"], HORIZON, **choices, shape=(D,)))
    pair = learner.diffusion.chain().pair(t)
    assert pair.alpha_bar_t.tolist() == [0] * 4

    def loss(share: float) -> Tensor:
        said["output"] = parameterization.target(x0 + share * error, eps, eps, pair)
        return learner.losses(x0, t, eps)["network"]

    alpha_bar_s = torch.sigmoid(-learner.diffusion.gamma(t - 1))
    # Of a mean the posterior of a step from noise alone: β = 1, c_0 = √ᾱ_s.
    kappa = {Mu: alpha_bar_s, EdmParameterization: 4}.get(type(parameterization), 1)
    of_step = {Simple(): kappa, Vlb(): HORIZON * alpha_bar_s / (2 * math.log(2))}
    weight = torch.as_tensor((IN_NOISE | of_step)[objective], dtype=torch.float64)
    for share in (1.0, 2.0):
        expected = share**2 * weight * (error**2).mean(1)
        torch.testing.assert_close(loss(share) - loss(0.0), expected, rtol=1e-9, atol=1e-12)


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
