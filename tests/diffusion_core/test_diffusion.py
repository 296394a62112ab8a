"""Where the axes meet: what the network is asked, losses, curves."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

import diffusion_core as dc
from diffusion_core import denoiser
from diffusion_core.checking import Function
from diffusion_core.terms import bound_term, term_in_all_rows
from tests.axes import across, members, name
from tests.diffusion_core.learners import random_model
from tests.diffusion_core.problems import diffusion

BASE = dc.Choices(network=dc.Mlp(width=16, layers=1), horizon=50)


def ask(model: dc.Diffusion, x_t: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """What a diffusion's denoiser puts out at the times t of the full chain."""
    return model.denoiser(x_t, t, model.chain().step(t))


def shown_times(model: dc.Diffusion, t: list[int]) -> Tensor:
    """What the network is told of the times t of the full chain."""
    seen: list[Tensor] = []
    model.network.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[1]))
    ask(model, torch.zeros(len(t), 2), torch.tensor(t))
    return seen[0]


def test_the_network_sees_1000_t_over_the_horizon():
    for horizon in (30, 1000):
        told = shown_times(diffusion(lambda x_t, t: 0 * x_t, horizon), [1, horizon // 2, horizon])
        torch.testing.assert_close(told, torch.tensor([1000 / horizon, 500.0, 1000.0]))


@pytest.mark.parametrize(
    ("schedule", "ends"), [(dc.Cosine(), (-13.3, 5.0)), (dc.LearnedLinear(-9.0, 3.0), (-9.0, 3.0))]
)
def test_told_the_noise_level_the_network_sees_1000_times_its_place_between_two_fixed_ends(schedule, ends):
    """Those of Kingma et al. under every fixed schedule; under a learned one its first ones, also when it has moved."""
    model = diffusion(lambda x_t, t: 0 * x_t, 50, schedule=schedule, time_input="log_snr").requires_grad_(False)
    for parameter in model.gamma.parameters():
        parameter += 0.1
    expected = 1000 * (model.gamma(torch.tensor([1, 25, 50])) - ends[0]) / (ends[1] - ends[0])
    torch.testing.assert_close(shown_times(model, [1, 25, 50]), expected.float())


@across(schedule=members(dc.Schedule))
def test_the_first_steps_rule_is_the_schedules_for_grey_levels_and_beta_1_for_densities(schedule):
    for encoding, rule in ((dc.GreyLevels(), schedule.first_step), (dc.Continuous(), "beta_1")):
        model = diffusion(lambda x_t, t: x_t, 50, parameterization=dc.X0(), schedule=schedule, encoding=encoding)
        assert model.chain().first_step == model.chain(7).first_step == rule


@across(schedule=members(dc.Schedule))
def test_curves_are_the_schedule_its_bounds_and_the_objectives_weight(schedule):
    made = diffusion(
        lambda x_t, t: x_t, 50, parameterization=dc.X0(), schedule=schedule, objective=dc.Vlb(), variance=dc.BetaTilde()
    )
    model = dc.DiffusionLearner(made)
    curves = {key: value.numpy() for key, value in model.curves().items()}
    alpha_bar = torch.sigmoid(-schedule.gamma(50).requires_grad_(False)(torch.arange(51))).numpy()
    beta = 1 - alpha_bar[1:] / alpha_bar[:-1]
    snr = alpha_bar[1:] / (1 - alpha_bar[1:])
    known = snr[1:] > 0  # Where ᾱ = 0 the noise is known, and an error of it has no weight.
    weight = 50 * (snr[:-1][known] / snr[1:][known] - 1) / 2 / math.log(2)
    np.testing.assert_allclose(curves["alpha_bar"], alpha_bar[1:], rtol=1e-12)
    np.testing.assert_allclose(curves["beta"], beta, rtol=1e-9)
    np.testing.assert_allclose(curves["beta_tilde"], beta * (1 - alpha_bar[:-1]) / (1 - alpha_bar[1:]), rtol=1e-9)
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(curves["log_snr"], np.log(snr), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(curves["eps_weight"][1:][known], weight, rtol=1e-8)
    assert not np.isfinite(curves["eps_weight"][1:][~known]).any()
    np.testing.assert_array_equal(curves["density"], np.ones(50))
    np.testing.assert_array_equal(curves["expected_weight"], curves["eps_weight"])


@pytest.mark.parametrize("timesteps", members(dc.Timesteps), ids=name)
def test_the_mean_of_a_batchs_losses_is_what_the_expected_weight_says(timesteps):
    """(1/T) Σ w(t) ‖ε − ε̂‖²/D, the density in w or not; with x_0 = 0 and ε̂ = x_t that is (1 − √(1 − ᾱ))² at ε = 1."""
    choices = dc.Choices(
        schedule=dc.Cosine(),
        objective=dc.MinSnr(0.5),
        timesteps=timesteps,
        network=Function(lambda x_t, t: x_t, 50),
        horizon=50,
    )
    learner = dc.DiffusionLearner.of(choices, dc.Continuous(), (2,))
    for _ in range(12):
        learner.timesteps.record(torch.arange(1, 51), torch.arange(1, 51).double() ** -0.5)
    t, weight = learner.times((torch.arange(40_960).double() + 0.5) / 40_960)
    eps = torch.ones(40_960, 2, dtype=torch.float64)
    losses = weight * learner.losses(0 * eps, t, eps)["network"]
    curves = learner.curves()
    error = (1 - (1 - curves["alpha_bar"]).sqrt()) ** 2
    expected = (curves["expected_weight"] * error).mean()
    torch.testing.assert_close(losses.mean(), expected, rtol=2e-3, atol=0)


def test_a_variance_is_swapped_for_one_that_no_network_is_taught():
    learned = replace(BASE, variance=dc.LearnedDiagonal(), objective=dc.Vlb())
    for choices, asked in ((learned, dc.Beta()), (BASE, dc.LearnedDiagonal())):
        with pytest.raises(ValueError, match="variance=learned_diagonal is taught to a network, and cannot be swapped"):
            dc.Diffusion(choices, dc.Continuous(), (2,)).with_variance(asked)
    model, built = (
        dc.Diffusion(choices, dc.Continuous(), (2,)) for choices in (BASE, replace(BASE, variance=dc.BetaTilde()))
    )
    built.load_state_dict(model.state_dict())
    x0, eps, k = *torch.randn(2, 50, 2, generator=torch.Generator().manual_seed(0)), torch.arange(1, 51)
    terms = [each.term(x0, eps, each.chain(), k) for each in (model.with_variance(dc.BetaTilde()), built, model)]
    assert torch.equal(terms[0], terms[1])
    assert not torch.isclose(terms[0], terms[2])[1:40].any(), "near pure noise β̃ is β"


@pytest.mark.parametrize("k", [(1, 7, 1, 30), (2, 7, 11, 50)])
def test_a_term_is_the_same_with_the_decoder_in_its_own_rows_and_in_all(k):
    """The one is a CPU's way, the other a GPU's; their gradients too."""
    choices = replace(BASE, objective=dc.Vlb(), network=dc.UNet(channels=8, groups=4))
    model = dc.Diffusion(choices, dc.GreyLevels(17), (1, 8, 8)).with_clip(False)
    model.initialise(0)
    x0 = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    found = []
    for term in (bound_term, term_in_all_rows):
        p = model.reverse(0.9 * x0, model.chain(), torch.tensor(k))
        terms = term(x0, p, model.encoding.decoder_term)
        found.append([terms, *torch.autograd.grad(terms.sum(), [*model.network.parameters()][-2:])])
    torch.testing.assert_close(*found, rtol=1e-5, atol=1e-5, check_dtype=False)
    assert found[0][0].isfinite().all()


def test_examples_that_are_many_pixels_are_shown_some_at_a_time_and_out_come_the_same(monkeypatch):
    """Each with its own time; images of 64 pixels and less are shown 512 at once."""
    assert denoiser.PLACES == 512 * 64 * 64
    made, shown = random_model("images"), []
    made.network.register_forward_pre_hook(lambda _, given: shown.append(len(given[0])))
    x_t, t = torch.randn(7, 1, 8, 8, generator=torch.Generator().manual_seed(1)), torch.tensor([1, 10, 7, 9, 3, 2, 4])
    with torch.no_grad():
        whole = ask(made, x_t, t)[0]
        monkeypatch.setattr(denoiser, "PLACES", 3 * 64)
        torch.testing.assert_close(ask(made, x_t, t)[0], whole, rtol=1e-4, atol=1e-5)
    assert shown == [7, 3, 3, 1]
