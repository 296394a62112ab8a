"""Self-conditioning: two passes at one x_t, in closed form where they are linear, and by hand where they are not."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

import diffusion_core as dc
from diffusion_core.checking import expected_bound
from diffusion_core.forward import diffuse
from tests.axes import members, name
from tests.diffusion_core.learners import BASE, stirred
from tests.diffusion_core.problems import DATA, diffusion, exact_model

SHOWN = dc.Unconditional(self_conditioning=True)
HORIZON = 40
SCHEDULE = dc.LogSnrLinear()
POINTS = torch.randn(12, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def gain(t: Tensor) -> Tensor:
    """E[x_0 | x_t]/x_t of Gaussian data [B, 2]."""
    return DATA.denoise(torch.ones(len(t), 2, dtype=torch.float64), torch.sigmoid(-SCHEDULE.gamma(HORIZON)(t))[:, None])


def linear(share: float) -> dc.Diffusion:
    """x̂_0 = a x_t + b x̂_0' with x̂_0' = a x_t, so that a (1 + b) x_t is exact: b = `share`."""

    def x0(seen: Tensor, t: Tensor) -> Tensor:
        x_t, shown = seen.chunk(2, 1)
        alpha = torch.sigmoid(-SCHEDULE.gamma(HORIZON)(t)).sqrt()[:, None]
        return gain(t).to(seen) / (1 + share) * x_t + share * (shown / alpha).to(seen)

    return diffusion(x0, HORIZON, parameterization=dc.X0(), schedule=SCHEDULE, conditioning=SHOWN, real=True)


EXACT = exact_model(HORIZON, dc.Beta(), parameterization=dc.X0(), schedule=SCHEDULE)
REAL = diffusion(lambda x, t: gain(t).to(x) * x, HORIZON, parameterization=dc.X0(), schedule=SCHEDULE, real=True)


def test_a_network_that_needs_its_estimate_to_be_exact_has_the_exact_models_bound():
    """By one pass it has not: the estimate counts in each term, for clean data and for noise."""
    for share in (-0.5, 3.0):
        assert expected_bound(linear(share), DATA) == pytest.approx(expected_bound(EXACT, DATA), abs=1e-9)


def test_all_that_is_scored_and_sampled_is_one_model():
    """That of both passes; the flow's divergence goes through the estimate as well."""
    for score in (
        lambda model: dc.bound(model, POINTS, dc.Stratification(2, 2), seed=0, batch=5).total,
        lambda model: dc.flow_likelihood(model, POINTS, steps=8, probes=2, seed=0).total,
        lambda model: dc.Heun(steps=7, churn=3.0).sample(model, 6, seed=0),
    ):
        torch.testing.assert_close(score(linear(1.0)), score(REAL), rtol=1e-3, atol=1e-4)


def moved(choices: dc.Choices, encoding, shape) -> dc.Diffusion:
    """A diffusion whose weights have moved from their start."""
    made = dc.Diffusion(choices, encoding, shape, 3)
    made.initialise(0)
    stirred(made.network)
    return made.eval()


@pytest.mark.parametrize("parameterization", members(dc.Parameterization), ids=name)
def test_the_network_is_shown_x_t_and_its_own_estimate_from_zeros(parameterization):
    """By hand: what the first pass says is x̂_0', in the words of each target, and √ᾱ x̂_0' is shown."""
    choices = replace(BASE, parameterization=parameterization, conditioning=dc.Class(self_conditioning=True))
    made, x = moved(choices, dc.Continuous(), (2,)), POINTS.float()
    chain = made.chain()
    k, labels = torch.arange(1, 13) * 4, torch.arange(12) % 4
    step = chain.step(k)
    shown, time = parameterization.network_input(x, step), (k * 20.0)
    first = made.network(torch.cat([shown, 0 * x], 1), time, labels)
    estimate = parameterization.x0(first, x, step)
    part = step.alpha_bar_t.sqrt().float()[:, None] * estimate
    second = made.network(torch.cat([shown, part], 1), time, labels)
    expected = parameterization.x0(second, x, step)
    p = made.with_labels(labels).reverse(x, chain, k)
    torch.testing.assert_close(p.x0, expected, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(p.x0, estimate, rtol=1e-2)
    if isinstance(parameterization, dc.EdmParameterization):
        assert not torch.equal(shown, x)


def test_an_estimate_of_bounded_data_is_shown_within_their_bounds_whether_x0_is_clipped_or_not():
    """Of two halves, where a variance is learned, it is the mean's."""
    taught = {"variance": dc.LearnedVariance(), "objective": dc.Hybrid()}
    network = dc.UNet(channels=8, groups=4, attention=())
    made = moved(replace(BASE, network=network, conditioning=SHOWN, **taught), dc.GreyLevels(), (1, 8, 8))
    x = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    seen: list[tuple[Tensor, Tensor]] = []
    made.network.register_forward_hook(lambda _, given, out: seen.append((given[0][:, 1:], out[:, :1])))
    with torch.no_grad():
        p = made.with_clip(False).reverse(x, made.chain(), torch.tensor([1, 20, 50]))
    (blank, first), (shown, _) = seen
    alpha_bar = p.step.alpha_bar_t.float()[:, None, None, None]
    estimate = (x - (1 - alpha_bar).sqrt() * first) / alpha_bar.sqrt()
    assert not blank.any()
    torch.testing.assert_close(shown, estimate.clamp(-1, 1), rtol=1e-4, atol=1e-4)
    assert estimate.abs().max() > 1
    assert p.x0.abs().max() > 1


def learner_of(choices: dc.Choices = BASE) -> dc.DiffusionLearner:
    return dc.DiffusionLearner(moved(replace(choices, conditioning=SHOWN), dc.Continuous(), (2,))).train()


def test_training_shows_an_estimate_to_half_of_the_examples_and_takes_no_gradient_through_it():
    """Losses and gradients are those of the second pass alone, its input held: by hand, in the words of ε."""
    learner = learner_of()
    made, raw = learner.diffusion, POINTS.float().repeat(20, 1)
    draws = learner.batch_draws(raw, None, 3, 5)
    own = draws["self_conditioned"]
    assert 80 < int(own.sum()) < 160
    t, eps = draws["t"], draws["eps"]
    step = dc.Step.level(made.gamma(t))
    x_t, time = diffuse(raw, eps, step.gamma_t), (t * 20).float()
    with torch.no_grad():
        first = made.network(torch.cat([x_t, 0 * x_t], 1), time)
        estimate = (x_t - step.one_minus_alpha_bar_t.sqrt().float()[:, None] * first) * own[:, None]
    second = made.network(torch.cat([x_t, estimate], 1), time)
    expected = ((second - eps) ** 2).mean(1)
    losses = learner.example_losses(raw, draws)["network"]
    torch.testing.assert_close(losses, expected)
    parameters = list(made.network.parameters())
    ours, truth = (torch.autograd.grad(loss.mean(), parameters) for loss in (losses, expected))
    for mine, theirs in zip(ours, truth, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)
