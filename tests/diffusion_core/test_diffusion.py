"""Where the axes meet: refusals with their reasons, what the network is asked, losses, curves."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from diffusion_core.choices import Choices, choice_name, refusal
from diffusion_core.diffusion import Diffusion
from diffusion_core.networks.mlp import Mlp
from diffusion_core.networks.unet import UNet
from diffusion_core.objectives import Objective, Simple, Vlb
from diffusion_core.parameterizations import X0, Epsilon, Mu, Parameterization
from diffusion_core.schedules import Cosine, Linear, Schedule
from diffusion_core.spaces import Continuous, Pixels
from diffusion_core.timesteps import Timesteps, TimestepSampler, Uniform
from diffusion_core.variances import Beta, BetaTilde, LearnedDiagonal, Variance
from tests.axes import classes, members, name
from tests.problems import diffusion

BASE = Choices(Epsilon(), Beta(), Linear(), Simple(), Uniform(), Mlp(width=16, layers=1), 50)

REFUSED = [
    (replace(BASE, horizon=1), None, "horizon must be at least 2, got 1"),
    (
        replace(BASE, variance=LearnedDiagonal()),
        None,
        "objective=simple teaches no variance, so variance=learned_diagonal would stay as it was drawn: "
        "take objective=vlb, or variance=beta or beta_tilde",
    ),
    (BASE, 51, "51 steps do not fit horizon=50: take 1 to 50"),
    (BASE, 0, "0 steps do not fit horizon=50: take 1 to 50"),
    (
        replace(BASE, variance=LearnedDiagonal(), objective=Vlb()),
        10,
        "variance=learned_diagonal belongs to the steps it was trained on and cannot be strided (10 of 50 steps): "
        "take all steps, or variance=beta or beta_tilde",
    ),
    (
        replace(BASE, horizon=20),
        None,
        "linear rescaled to T=20 has beta_T=1, which must stay below 1: take horizon > 20 or schedule.rescale=false",
    ),
]


@pytest.mark.parametrize(("choices", "steps", "reason"), REFUSED)
def test_what_makes_no_sense_is_refused_with_its_reason(choices, steps, reason):
    assert refusal(choices, steps) == reason


@pytest.mark.parametrize(("choices", "reason"), [(c, r) for c, steps, r in REFUSED if steps is None])
def test_a_diffusion_cannot_be_built_from_refused_choices(choices, reason):
    with pytest.raises(ValueError) as error:  # noqa: PT011
        Diffusion(choices, Continuous(), (2,))
    assert str(error.value) == reason


@pytest.mark.parametrize("parameterization", members(Parameterization), ids=name)
@pytest.mark.parametrize("variance", members(Variance), ids=name)
@pytest.mark.parametrize("schedule", members(Schedule), ids=name)
@pytest.mark.parametrize("objective", members(Objective), ids=name)
@pytest.mark.parametrize("timesteps", members(Timesteps), ids=name)
def test_every_combination_of_choices_is_refused_or_gives_finite_losses_with_gradients(
    parameterization, variance, schedule, objective, timesteps
):
    choices = Choices(parameterization, variance, schedule, objective, timesteps, Mlp(width=4, layers=1), 30)
    reason = refusal(choices)
    if reason is not None:
        assert variance.learned
        assert not objective.learns_variance
        return
    model = Diffusion(choices, Continuous(), (2,))
    model.initialise(0)
    losses = model.batch_losses(torch.linspace(-1, 1, 60).reshape(30, 2), 0, 0)
    assert losses.keys() == model.parameter_groups().keys()
    for group, loss in losses.items():
        gradients = torch.autograd.grad(loss.mean(), model.parameter_groups()[group], allow_unused=True)
        assert loss.shape == (30,)
        assert loss.isfinite().all()
        assert all(g.isfinite().all() for g in gradients if g is not None)
        assert any(g.any() for g in gradients if g is not None)


@pytest.mark.parametrize("steps", [1, 10, 50])
def test_what_makes_sense_is_not_refused(steps):
    assert refusal(BASE, steps) is None
    assert refusal(replace(BASE, variance=BetaTilde(), objective=Vlb(), schedule=Cosine()), steps) is None


def test_a_network_that_does_not_fit_the_data_is_refused():
    with pytest.raises(ValueError, match="mlp takes points"):
        Diffusion(BASE, Pixels(), (1, 8, 8))
    with pytest.raises(ValueError, match="for points take network=mlp"):
        Diffusion(replace(BASE, network=UNet()), Continuous(), (2,))


def test_names_of_choices_are_snake_case_and_unique_within_an_axis():
    assert choice_name(LearnedDiagonal()) == "learned_diagonal"
    assert choice_name(X0()) == "x0"
    assert choice_name(UNet()) == "unet"
    for axis in (Parameterization, Variance, Schedule, Objective, Timesteps):
        names = [choice_name(c()) for c in classes(axis)]
        assert len(set(names)) == len(names)
        assert all(n == n.lower() for n in names)


@pytest.mark.parametrize("horizon", [30, 1000])
def test_the_network_sees_1000_t_over_the_horizon(horizon):
    seen: list[Tensor] = []
    model = diffusion(lambda x_t, t: torch.zeros_like(x_t), horizon)
    model.network.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[1]))
    model.output(torch.zeros(3, 2), torch.tensor([1, horizon // 2, horizon]))
    torch.testing.assert_close(seen[0], torch.tensor([1000 / horizon, 500.0, 1000.0]))


def test_the_output_has_the_dtype_of_the_data_whatever_the_networks():
    model = diffusion(lambda x_t, t: x_t.bfloat16(), 50)
    assert model.output(torch.ones(2, 2), torch.tensor([1, 2])).dtype == torch.float32


@pytest.mark.parametrize(("variance", "channels"), [(Beta(), 1), (LearnedDiagonal(), 2)])
def test_a_learned_variance_doubles_the_networks_channels(variance, channels):
    network = UNet(channels=8, groups=4)
    model = Diffusion(replace(BASE, network=network, variance=variance, objective=Vlb()), Pixels(17), (1, 8, 8))
    assert model.output(torch.zeros(2, 1, 8, 8), torch.tensor([1, 2])).shape == (2, channels, 8, 8)


@pytest.mark.parametrize("schedule", members(Schedule), ids=name)
def test_the_first_steps_rule_is_the_schedules_for_grey_levels_and_beta_1_for_densities(schedule):
    for space, rule in ((Pixels(), schedule.first_step), (Continuous(), "beta_1")):
        model = diffusion(lambda x_t, t: x_t, 50, schedule=schedule, space=space)
        assert model.chain().first_step == rule
        assert model.chain(7).first_step == rule


def test_the_full_chain_has_every_time_and_a_strided_one_its_own():
    model = diffusion(lambda x_t, t: x_t, 50)
    assert model.chain().times.tolist() == list(range(51))
    assert model.chain(5).steps == 5
    with pytest.raises(ValueError, match="a chain of 0 steps does not fit"):
        model.chain(0)


def test_state_dict_holds_weights_and_noise_levels():
    names = set(diffusion(lambda x_t, t: x_t, 50).state_dict())
    assert names == {"gamma.gamma", "network.unused"}


def test_bits_per_nat_divides_by_the_dimensions():
    assert diffusion(lambda x_t, t: x_t, 50, shape=(3, 4, 5)).bits_per_nat == pytest.approx(1 / (60 * math.log(2)))


def test_batch_losses_are_the_losses_of_the_seeds_own_times_and_noise():
    """Two networks of one seed see the same x_t at the same t; another step sees others."""
    seen: list[tuple[Tensor, Tensor]] = []

    def spy(x_t: Tensor, t: Tensor) -> Tensor:
        seen.append((x_t, t))
        return 0 * x_t

    raw = torch.arange(128).reshape(64, 2) % 17
    one, other = (diffusion(spy, 50, parameterization=p, space=Pixels(17)) for p in (Epsilon(), Mu()))
    for model, step in ((one, 0), (other, 0), (one, 1)):
        model.batch_losses(raw.to(torch.uint8), 5, step)
    assert torch.equal(seen[0][0], seen[1][0])
    assert torch.equal(seen[0][1], seen[1][1])
    assert not torch.equal(seen[0][1], seen[2][1])
    assert not torch.equal(seen[0][0], seen[2][0])


class Late(TimestepSampler):
    """Only the second half of the times, whose losses then count half."""

    def forward(self, u: Tensor) -> tuple[Tensor, Tensor]:
        return 26 + (u * 25).long(), torch.full_like(u, 0.5)

    def density(self) -> Tensor:
        return torch.cat([torch.zeros(25), torch.full((25,), 2.0)]).double()


def test_batch_losses_are_divided_by_the_density_of_their_times():
    model = diffusion(lambda x_t, t: (t >= 26)[:, None] * torch.ones_like(x_t), 50, parameterization=X0())
    raw = torch.zeros(100, 2)
    model.timesteps = Late()
    assert model.batch_losses(raw, 0, 0)["network"].tolist() == [0.5] * 100


def test_mean_of_simple_at_zero_output_is_the_noises_unit_variance():
    model = diffusion(lambda x_t, t: 0 * x_t, 50)
    losses = model.batch_losses(torch.zeros(20_000, 2), 0, 0)["network"]
    assert losses.mean().item() == pytest.approx(1, abs=5 * math.sqrt(2 / 40_000))


@pytest.mark.parametrize("schedule", members(Schedule), ids=name)
def test_curves_are_the_schedule_its_bounds_and_the_objectives_weight(schedule):
    model = diffusion(lambda x_t, t: x_t, 50, schedule=schedule, objective=Vlb(), variance=BetaTilde())
    curves = {key: value.numpy() for key, value in model.curves().items()}
    alpha_bar = torch.sigmoid(-schedule.build(50)(torch.arange(51))).numpy()
    beta = 1 - alpha_bar[1:] / alpha_bar[:-1]
    snr = alpha_bar[1:] / (1 - alpha_bar[1:])
    np.testing.assert_allclose(curves["alpha_bar"], alpha_bar[1:], rtol=1e-12)
    np.testing.assert_allclose(curves["beta"], beta, rtol=1e-9)
    np.testing.assert_allclose(curves["beta_tilde"], beta * (1 - alpha_bar[:-1]) / (1 - alpha_bar[1:]), rtol=1e-9)
    np.testing.assert_allclose(curves["log_snr"], np.log(snr), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(curves["eps_weight"][1:], 50 * (snr[:-1] / snr[1:] - 1) / 2 / math.log(2), rtol=1e-8)
    np.testing.assert_array_equal(curves["density"], np.ones(50))
