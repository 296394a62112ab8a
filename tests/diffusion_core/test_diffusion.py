"""Where the axes meet: what the network is asked, losses, curves."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from diffusion_core import denoiser
from diffusion_core.choices import Choices
from diffusion_core.diffusion import Diffusion
from diffusion_core.encodings import Continuous, GreyLevels
from diffusion_core.learner import DiffusionLearner
from diffusion_core.networks.mlp import Mlp
from diffusion_core.networks.unet import UNet
from diffusion_core.objectives import MinSnr, Simple, Vlb
from diffusion_core.parameterizations import X0, Epsilon, Mu
from diffusion_core.problems import Function, diffusion
from diffusion_core.schedules import Cosine, LearnedLinear, Schedule
from diffusion_core.timesteps import Timesteps
from diffusion_core.variances import Beta, BetaTilde, LearnedDiagonal
from tests.axes import across, members, name, paired
from tests.diffusion_core.learners import random_model

BASE = Choices(network=Mlp(width=16, layers=1), horizon=50)


def ask(model: Diffusion, x_t: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """What a diffusion's denoiser puts out at the times t of the full chain."""
    return model.denoiser(x_t, t, model.chain().step(t))


def shown_times(model: Diffusion, t: list[int]) -> Tensor:
    """What the network is told of the times t of the full chain."""
    seen: list[Tensor] = []
    model.network.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[1]))
    ask(model, torch.zeros(len(t), 2), torch.tensor(t))
    return seen[0]


def test_the_network_sees_1000_t_over_the_horizon():
    for horizon in (30, 1000):
        told = shown_times(diffusion(lambda x_t, t: 0 * x_t, horizon), [1, horizon // 2, horizon])
        torch.testing.assert_close(told, torch.tensor([1000 / horizon, 500.0, 1000.0]))


@pytest.mark.parametrize(("schedule", "ends"), [(Cosine(), (-13.3, 5.0)), (LearnedLinear(-9.0, 3.0), (-9.0, 3.0))])
def test_told_the_noise_level_the_network_sees_1000_times_its_place_between_two_fixed_ends(schedule, ends):
    """Those of Kingma et al. under every fixed schedule; under a learned one its first ones, also when it has moved."""
    model = diffusion(lambda x_t, t: 0 * x_t, 50, schedule=schedule).requires_grad_(False)
    model.denoiser.time_input = "log_snr"
    for parameter in model.gamma.parameters():
        parameter += 0.1
    expected = 1000 * (model.gamma(torch.tensor([1, 25, 50])) - ends[0]) / (ends[1] - ends[0])
    torch.testing.assert_close(shown_times(model, [1, 25, 50]), expected.float())


def test_a_learned_variance_has_channels_of_its_own():
    network = UNet(channels=8, groups=4)
    for variance, channels in ((Beta(), 1), (LearnedDiagonal(), 2)):
        choices = replace(BASE, network=network, variance=variance, objective=Vlb())
        model = Diffusion(choices, GreyLevels(17), (1, 8, 8))
        model.network.conv_out.weight.data += 0.01
        x_t, t = torch.ones(2, 1, 8, 8), torch.tensor([1, 2])
        whole = model.network(x_t, model.denoiser.time(t, model.gamma(t)).float())
        assert whole.shape == (2, channels, 8, 8)
        assert torch.equal(torch.cat(ask(model, x_t, t), dim=1), whole)


@across(schedule=members(Schedule))
def test_the_first_steps_rule_is_the_schedules_for_grey_levels_and_beta_1_for_densities(schedule):
    for encoding, rule in ((GreyLevels(), schedule.first_step), (Continuous(), "beta_1")):
        model = diffusion(lambda x_t, t: x_t, 50, parameterization=X0(), schedule=schedule, encoding=encoding)
        assert model.chain().first_step == model.chain(7).first_step == rule


def test_batch_losses_are_the_losses_of_the_seeds_own_times_and_noise():
    """Two networks of one seed see the same x_t at the same t; another step sees others."""
    seen: list[tuple[Tensor, Tensor]] = []

    def spy(x_t: Tensor, t: Tensor) -> Tensor:
        seen.append((x_t, t))
        return 0 * x_t

    raw = torch.arange(128).reshape(64, 2) % 17
    one, other = (
        DiffusionLearner(diffusion(spy, 50, parameterization=p, encoding=GreyLevels(17))) for p in (Epsilon(), Mu())
    )
    for model, step in ((one, 0), (other, 0), (one, 1)):
        model.batch_losses(raw.to(torch.uint8), 5, step)
    assert torch.equal(seen[0][0], seen[1][0])
    assert torch.equal(seen[0][1], seen[1][1])
    assert not torch.equal(seen[0][1], seen[2][1])
    assert not torch.equal(seen[0][0], seen[2][0])


@across(schedule=members(Schedule))
def test_curves_are_the_schedule_its_bounds_and_the_objectives_weight(schedule):
    made = diffusion(
        lambda x_t, t: x_t, 50, parameterization=X0(), schedule=schedule, objective=Vlb(), variance=BetaTilde()
    )
    model = DiffusionLearner(made)
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


@pytest.mark.parametrize("timesteps", members(Timesteps), ids=name)
def test_the_mean_of_a_batchs_losses_is_what_the_expected_weight_says(timesteps):
    """(1/T) Σ w(t) ‖ε − ε̂‖²/D, the density in w or not; with x_0 = 0 and ε̂ = x_t that is (1 − √(1 − ᾱ))² at ε = 1."""
    choices = Choices(
        schedule=Cosine(),
        objective=MinSnr(0.5),
        timesteps=timesteps,
        network=Function(lambda x_t, t: x_t, 50),
        horizon=50,
    )
    learner = DiffusionLearner.of(choices, Continuous(), (2,))
    for _ in range(12):
        learner.timesteps.record(torch.arange(1, 51), torch.arange(1, 51).double() ** -0.5)
    t, weight = learner.domain.draw(learner.timesteps, (torch.arange(40_960).double() + 0.5) / 40_960)
    eps = torch.ones(40_960, 2, dtype=torch.float64)
    losses = weight * learner.losses(0 * eps, t, eps)["network"]
    curves = learner.curves()
    error = (1 - (1 - curves["alpha_bar"]).sqrt()) ** 2
    expected = (curves["expected_weight"] * error).mean()
    torch.testing.assert_close(losses.mean(), expected, rtol=2e-3, atol=0)


def test_a_variance_is_swapped_for_one_that_no_network_is_taught():
    learned = replace(BASE, variance=LearnedDiagonal(), objective=Vlb())
    for choices, asked in ((learned, Beta()), (BASE, LearnedDiagonal())):
        with pytest.raises(ValueError, match="variance=learned_diagonal is taught to a network, and cannot be swapped"):
            Diffusion(choices, Continuous(), (2,)).with_variance(asked)
    model, built = (Diffusion(choices, Continuous(), (2,)) for choices in (BASE, replace(BASE, variance=BetaTilde())))
    built.load_state_dict(model.state_dict())
    x0, eps, k = *torch.randn(2, 50, 2, generator=torch.Generator().manual_seed(0)), torch.arange(1, 51)
    terms = [each.term(x0, eps, each.chain(), k) for each in (model.with_variance(BetaTilde()), built, model)]
    assert torch.equal(terms[0], terms[1])
    assert not torch.isclose(terms[0], terms[2])[1:40].any(), "near pure noise β̃ is β"


@paired(
    encoding=(GreyLevels(17), Continuous()),
    variance=(Beta(), BetaTilde(), LearnedDiagonal()),
    k=((1, 7, 1, 30), (2, 7, 11, 50), (1, 1, 1, 1)),
)
def test_a_term_is_the_same_with_the_decoder_in_its_own_rows_and_in_all(encoding, variance, k):
    """The one is a CPU's way, the other a GPU's; their gradients too."""
    objective = Vlb() if variance.learned else Simple()
    choices = replace(BASE, variance=variance, objective=objective, network=UNet(channels=8, groups=4))
    model = Diffusion(choices, encoding, (1, 8, 8)).with_clip(False)
    model.initialise(0)
    raw = torch.randint(17, (4, 1, 8, 8), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    x0 = encoding.code(raw, 0, "code").x0
    found = []
    for term in (model.term_of, model.term_in_all_rows):
        terms = term(x0, model.reverse(0.9 * x0, model.chain(), torch.tensor(k)))
        found.append([terms, *torch.autograd.grad(terms.sum(), [*model.network.parameters()][-2:])])
    torch.testing.assert_close(*found, rtol=1e-5, atol=1e-5)
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
