"""Learned schedules: monotone by construction, and taught by the bound alone.

The gradients of γ's ends and of its interior are held to those, by autograd, of the bound, and of the second moment of
its estimate, written here from their formulas.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor, nn

import diffusion_core as dc
from diffusion_core.trainer import Trainer, training_reports
from tests.axes import name

HORIZON = 12
LEARNED = pytest.mark.parametrize("schedule", [dc.LearnedSchedule(width=8), dc.LearnedLinear()], ids=name)


class SmoothNetwork(dc.Network):
    """A float64 network that depends on x_t and on its time input, so that no path of the gradient is idle."""

    def build(self, shape: tuple[int, ...], channels_out: int) -> nn.Module:
        return SmoothModule(channels_out)


class SmoothModule(nn.Module):
    def __init__(self, channels_out: int) -> None:
        super().__init__()
        draw = partial(torch.randn, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        self.inner, self.time = nn.Parameter(draw(2, 5)), nn.Parameter(draw(5) / 300)
        self.outer = nn.Parameter(draw(5, channels_out) / 2)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        return torch.tanh(x.double() @ self.inner + time[:, None].double() * self.time) @ self.outer


def build(schedule: dc.Schedule, objective: dc.Objective, **choices: object) -> dc.DiffusionLearner:
    base = dc.Choices(
        dc.Epsilon(), dc.BetaTilde(), schedule, objective, dc.Uniform(), SmoothNetwork(), HORIZON, "log_snr"
    )
    return dc.DiffusionLearner.of(replace(base, **choices), dc.Continuous(), (2,))


def batch(n: int = 64) -> tuple[Tensor, Tensor, Tensor]:
    """x_0, u and ε."""
    generator = torch.Generator().manual_seed(1)
    x0, eps = (torch.randn(n, 2, generator=generator, dtype=torch.float64) for _ in range(2))
    return x0, torch.rand(n, generator=generator, dtype=torch.float64), eps


def mean_square(model: dc.DiffusionLearner, x0: Tensor, gamma: Tensor, eps: Tensor) -> Tensor:
    """‖ε − ε̂‖² [B] at noise levels γ [B]."""
    x_t = torch.sigmoid(-gamma).sqrt()[:, None] * x0 + torch.sigmoid(gamma).sqrt()[:, None] * eps
    start, end = model.diffusion.gamma.input_ends
    output = model.diffusion.network(x_t, 1000 * (gamma - start) / (end - start))
    if isinstance(model.choices.parameterization, dc.V):
        # ε̂ = √(1 − ᾱ) x_t + √ᾱ v (Salimans & Ho 2022).
        output = torch.sigmoid(gamma).sqrt()[:, None] * x_t + torch.sigmoid(-gamma).sqrt()[:, None] * output
    return ((eps - output) ** 2).sum(1)


def in_bits(nats: Tensor) -> Tensor:
    return nats / (2 * math.log(2))


def prior(x0: Tensor, gamma: Tensor) -> Tensor:
    """KL(N(√ᾱ x_0, 1 − ᾱ) ‖ N(0, 1)), by torch.distributions."""
    q = torch.distributions.Normal(torch.sigmoid(-gamma).sqrt() * x0, torch.sigmoid(gamma).sqrt())
    return torch.distributions.kl_divergence(q, torch.distributions.Normal(0.0, 1.0)).sum(1)


def reconstruction(x0: Tensor, eps: Tensor, gamma: Tensor) -> Tensor:
    """−log N(x_0; x_0 + e^{γ/2} ε, e^γ)."""
    scale = torch.exp(0.5 * gamma)
    return -torch.distributions.Normal(x0 + scale * eps, scale).log_prob(x0).sum(1)


def estimate(model: dc.DiffusionLearner, x0: Tensor, u: Tensor, eps: Tensor) -> Tensor:
    """½ γ'(u) ‖ε − ε̂‖² in bits/dim, γ' by central differences of γ(u), of order four."""
    h = 1e-4
    near, far = (model.diffusion.gamma.curve(u + i * h) - model.diffusion.gamma.curve(u - i * h) for i in (1, 2))
    rate = (8 * near - far) / (12 * h)
    return in_bits(0.5 * rate * mean_square(model, x0, model.diffusion.gamma.curve(u), eps))


def continuous_bound(model: dc.DiffusionLearner, x0: Tensor, u: Tensor, eps: Tensor) -> Tensor:
    first, last = model.diffusion.gamma.curve(torch.tensor([0.0, 1.0], dtype=torch.float64))
    return in_bits(reconstruction(x0, eps, first) + prior(x0, last)) + estimate(model, x0, u, eps)


def second_moment(model: dc.DiffusionLearner, x0: Tensor, u: Tensor, eps: Tensor) -> Tensor:
    return estimate(model, x0, u, eps) ** 2


def discrete_bound(model: dc.DiffusionLearner, x0: Tensor, u: Tensor, eps: Tensor) -> Tensor:
    """T L_{t−1} + L_T at σ² = β̃, and at t = 1 the density of N(μ_1, β_1), β_1 = 1 − ᾱ_1; ε̂ as the network says."""
    t = (1 + (u * HORIZON).long()).double()
    gamma = model.diffusion.gamma.curve((t - 1) / (HORIZON - 1))
    before = model.diffusion.gamma.curve((t - 2).clamp(min=0) / (HORIZON - 1))
    square = mean_square(model, x0, gamma, eps)
    later = 0.5 * torch.expm1(gamma - before) * square
    # x̂_0 = x_0 + e^{γ/2} (ε − ε̂), and σ_1² = sigmoid(γ_1).
    variance = torch.sigmoid(gamma)
    first = 0.5 * (torch.exp(gamma) * square / variance + 2 * torch.log(2 * math.pi * variance))
    term = torch.where(t == 1, first, later)
    last = model.diffusion.gamma.curve(torch.tensor([1.0], dtype=torch.float64))
    return in_bits(HORIZON * term + prior(x0, last))


@LEARNED
@pytest.mark.parametrize(
    ("objective", "choices"),
    [(dc.VlbContinuous(), {}), (dc.MinSnr(), {"time": "continuous", "parameterization": dc.V()})],
    ids=["vlb_continuous", "min_snr"],
)
def test_in_continuous_time_ends_follow_the_bound_and_the_interior_its_second_moment(schedule, objective, choices):
    """Whatever the network learns from."""
    model = build(schedule, objective, **choices)
    x0, u, eps = batch()
    losses, groups = model.losses(x0, 1 + u * (HORIZON - 1), eps), model.parameter_groups()
    torch.testing.assert_close(losses["schedule_ends"], continuous_bound(model, x0, u, eps), rtol=1e-7, atol=1e-7)
    parts = [("schedule_ends", groups["schedule_ends"], continuous_bound)]
    if isinstance(schedule, dc.LearnedSchedule):
        parts.append(("schedule_shape", groups["schedule_shape"], second_moment))
    for group, parameters, truth in parts:
        ours = list(torch.autograd.grad(losses[group].mean(), parameters, retain_graph=True))
        theirs = list(torch.autograd.grad(truth(model, x0, u, eps).mean(), parameters))
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
        assert all(gradient.abs().max() > 1e-4 for gradient in ours)


@LEARNED
@pytest.mark.parametrize("objective", [dc.Simple(), dc.Vlb()], ids=name)
def test_in_discrete_time_all_of_gamma_follows_the_bound_whatever_the_network_follows(schedule, objective):
    model = build(schedule, objective)
    x0, u, eps = batch()
    losses = model.losses(x0, 1 + (u * HORIZON).long(), eps)
    torch.testing.assert_close(losses["schedule"], discrete_bound(model, x0, u, eps), rtol=1e-9, atol=1e-9)
    parameters = model.parameter_groups()["schedule"]
    ours = list(torch.autograd.grad(losses["schedule"].mean(), parameters))
    theirs = list(torch.autograd.grad(discrete_bound(model, x0, u, eps).mean(), parameters))
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    assert all(gradient.abs().max() > 1e-4 for gradient in ours)


@pytest.mark.parametrize(
    ("objective", "choices"),
    [
        (dc.Hybrid(), {"variance": dc.LearnedVariance()}),
        (dc.VlbContinuous(), {}),
        (dc.Simple(), {"time": "continuous"}),
    ],
    ids=["hybrid", "vlb_continuous", "simple_continuous"],
)
def test_each_loss_reaches_its_own_parameters_only(objective, choices):
    """After one step of the trainer, every group's gradient is that of its own loss and of no other."""
    model = build(dc.LearnedSchedule(width=8), objective, **choices)
    raw = torch.randn(32, 2, generator=torch.Generator().manual_seed(2))
    expected = {}
    for group, loss in model.batch_losses(raw, 0, 0).items():
        expected[group] = torch.autograd.grad(
            loss.mean(), model.parameter_groups()[group], retain_graph=True, allow_unused=True
        )
    trainer = Trainer(model, dc.Training(steps=1, batch=32), torch.device("cpu"))
    trainer.step(raw, 0, 0)
    for group, parameters in trainer.optimiser.groups.items():
        torch.testing.assert_close([parameter.grad for parameter in parameters], list(expected.pop(group)))
    assert expected == {}
    everything = [p for parameters in model.parameter_groups().values() for p in parameters]
    assert len({id(p) for p in everything}) == len(everything) == len(list(model.parameters()))


def test_gamma_rises_whatever_the_weights_and_its_ends_are_where_they_should():
    u, span = torch.linspace(0, 1, 501, dtype=torch.float64), 18.3
    for seed in range(2):
        gamma = dc.LearnedSchedule(width=64).gamma(HORIZON).requires_grad_(False)
        generator = torch.Generator().manual_seed(seed)
        for parameter in gamma.parameters():
            scale = 0.3 if parameter in {gamma.shift, gamma.log_stretch} else 3.0
            parameter += scale * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        values = gamma.curve(u)
        assert (values.diff() > 0).all()
        start = -13.3 + span * gamma.shift.item()
        assert values[0].item() == pytest.approx(start)
        assert values[-1].item() == pytest.approx(start + span * math.exp(gamma.log_stretch.item()))


def test_samples_drawn_on_the_way_leave_no_noise_level_behind():
    """Heun decides by γ as numbers: those of a model that learned on are those of a fresh one with its weights."""
    choices = dc.Choices(network=dc.Mlp(width=8, layers=1), horizon=10, schedule=dc.LearnedLinear(), objective=dc.Vlb())
    learner, fresh = (dc.DiffusionLearner.of(choices, dc.Continuous(), (2,)) for _ in range(2))
    learner.diffusion.initialise(0)
    plan = dc.Training(steps=8, batch=16, report_every=4, precision="float32", learning_rate=2e-2, warmup=1)
    sampler = dc.Heun(churn=10.0)
    for _ in training_reports(learner, torch.randn(64, 2, generator=torch.Generator().manual_seed(0)), plan, 0):
        samples = sampler.sample(learner.diffusion, 16, seed=0)
    fresh.load_state_dict(learner.state_dict())
    assert torch.equal(samples, sampler.sample(fresh.diffusion, 16, seed=0))
    assert learner.diffusion.chain().gammas[-1] == float(fresh.diffusion.gamma(torch.tensor([10])).detach())
