"""Where the axes meet: refusals with their reasons, what the network is asked, losses, curves."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch
from torch import Tensor

from diffusion_core.choices import Choices, TimeInput, chain_refusal, choice_name, level_refusal, refusal
from diffusion_core.diffusion import Diffusion
from diffusion_core.encodings import Continuous, GreyLevels
from diffusion_core.networks.mlp import Mlp
from diffusion_core.networks.unet import UNet
from diffusion_core.objectives import Hybrid, Objective, Simple, Vlb, VlbContinuous
from diffusion_core.parameterizations import X0, Epsilon, Mu, Parameterization
from diffusion_core.schedules import Cosine, LearnedLinear, Linear, Schedule
from diffusion_core.schedules import Learned as LearnedSchedule
from diffusion_core.timesteps import Importance, Timesteps, TimestepSampler, Uniform
from diffusion_core.variances import Beta, BetaTilde, LearnedDiagonal, Variance
from diffusion_core.variances import Learned as LearnedVariance
from tests.axes import classes, members, name
from tests.problems import diffusion

BASE = Choices(Epsilon(), Beta(), Linear(), Simple(), Uniform(), Mlp(width=16, layers=1), 50)

REFUSED = [
    (replace(BASE, horizon=1), "horizon must be at least 2, got 1"),
    (
        replace(BASE, variance=LearnedDiagonal()),
        "objective=simple teaches no variance, so variance=learned_diagonal would stay as it was drawn: take "
        "objective=hybrid (its mean follows the unweighted error) or objective=vlb, or variance=beta or beta_tilde",
    ),
    (
        replace(BASE, variance=LearnedVariance(), objective=VlbContinuous()),
        "objective=vlb_continuous teaches no variance, so variance=learned would stay as it was drawn: take "
        "objective=hybrid (its mean follows the unweighted error) or objective=vlb, or variance=beta or beta_tilde",
    ),
    (
        replace(BASE, objective=Hybrid()),
        "objective=hybrid differs from objective=simple only in what a learned variance learns, and variance=beta "
        "learns nothing: take objective=simple, or variance=learned",
    ),
    (
        replace(BASE, parameterization=Mu(), objective=VlbContinuous()),
        "parameterization=mu predicts a mean between two times and has no meaning in continuous time: take "
        "parameterization=epsilon, x0 or v",
    ),
    (
        replace(BASE, timesteps=Importance(), objective=VlbContinuous()),
        "timesteps=importance keeps a history per t in 1..T, and objective=vlb_continuous draws real t: take "
        "timesteps=low_discrepancy or uniform",
    ),
    (
        replace(BASE, schedule=LearnedLinear(), objective=VlbContinuous()),
        "objective=vlb_continuous does not depend on schedule=learned_linear between its ends only if the network is "
        "told the noise level, and time_input=t does not tell it: take time_input=log_snr",
    ),
    (
        replace(BASE, timesteps=Importance(), schedule=LearnedLinear()),
        "timesteps=importance would follow losses whose noise levels schedule=learned_linear moves: take "
        "timesteps=low_discrepancy or uniform",
    ),
    (
        replace(BASE, horizon=20),
        "linear rescaled to T=20 has beta_T=1, which must stay below 1: take horizon > 20 or schedule.rescale=false",
    ),
]

REFUSED_CHAINS = [
    (BASE, 51, "51 steps do not fit horizon=50: take 1 to 50"),
    (BASE, 0, "0 steps do not fit horizon=50: take 1 to 50"),
    (
        replace(BASE, variance=LearnedDiagonal(), objective=Vlb()),
        10,
        "variance=learned_diagonal belongs to the steps it was trained on and cannot be strided (10 of 50 steps): "
        "take all steps, or variance=beta, beta_tilde or learned",
    ),
]


@pytest.mark.parametrize(("choices", "reason"), REFUSED)
def test_what_makes_no_sense_is_refused_with_its_reason(choices, reason):
    assert refusal(choices) == reason


@pytest.mark.parametrize(("choices", "steps", "reason"), REFUSED_CHAINS)
def test_a_chain_that_makes_no_sense_is_refused_with_its_reason(choices, steps, reason):
    assert refusal(choices) is None
    assert chain_refusal(choices, steps) == reason


@pytest.mark.parametrize(("choices", "reason"), REFUSED)
def test_a_diffusion_cannot_be_built_from_refused_choices(choices, reason):
    with pytest.raises(ValueError) as error:  # noqa: PT011
        Diffusion(choices, Continuous(), (2,))
    assert str(error.value) == reason


def makes_sense(choices: Choices) -> bool:
    """The pairs that have no meaning: a learned variance that nothing teaches, a hybrid with nothing to teach, a μ in
    continuous time, a γ whose interior the bound is not free of, and importance by losses that have no t of their own
    or that move with the schedule.
    """
    learned_variance = isinstance(choices.variance, LearnedVariance | LearnedDiagonal)
    learned_schedule = isinstance(choices.schedule, LearnedSchedule | LearnedLinear)
    continuous = isinstance(choices.objective, VlbContinuous)
    return not (
        (learned_variance and not isinstance(choices.objective, Vlb | Hybrid))
        or (isinstance(choices.objective, Hybrid) and not learned_variance)
        or (continuous and isinstance(choices.parameterization, Mu))
        or (continuous and learned_schedule and choices.time_input == "t")
        or (isinstance(choices.timesteps, Importance) and (continuous or learned_schedule))
    )


def taught_groups(choices: Choices) -> set[str]:
    """What has a loss of its own: the network, and a learned schedule whole or, in continuous time, in two parts."""
    if not isinstance(choices.schedule, LearnedSchedule | LearnedLinear):
        return {"network"}
    if not isinstance(choices.objective, VlbContinuous):
        return {"network", "schedule"}
    interior = {"schedule_shape"} if isinstance(choices.schedule, LearnedSchedule) else set()
    return {"network", "schedule_ends"} | interior


def check_combination(choices: Choices, raw: Tensor) -> None:
    """Refused if it makes no sense; else each loss is finite per example, and has a finite gradient somewhere."""
    assert (refusal(choices) is None) == makes_sense(choices)
    if not makes_sense(choices):
        return
    model = Diffusion(choices, Continuous(), (2,))
    model.initialise(0)
    losses, groups = model.batch_losses(raw, 0, 0), model.parameter_groups()
    assert losses.keys() == groups.keys() == taught_groups(choices)
    for group, loss in losses.items():
        assert loss.shape == (len(raw),)
        assert loss.isfinite().all()
        gradients = torch.autograd.grad(loss.mean(), groups[group], allow_unused=True, retain_graph=True)
        assert all(g.isfinite().all() for g in gradients if g is not None)
        assert any(g.any() for g in gradients if g is not None)


@pytest.mark.parametrize("objective", members(Objective), ids=name)
@pytest.mark.parametrize("variance", members(Variance), ids=name)
def test_every_combination_of_choices_is_refused_or_gives_finite_losses_with_gradients(objective, variance):
    raw = torch.linspace(-1, 1, 60).reshape(30, 2)
    network = Mlp(width=4, layers=1)
    for combination in itertools.product(members(Parameterization), members(Schedule), members(Timesteps)):
        parameterization, schedule, timesteps = combination
        told = get_args(TimeInput) if schedule.learned else ["t"]
        for choices in [
            Choices(parameterization, variance, schedule, objective, timesteps, network, 30, time_input)
            for time_input in told
        ]:
            try:
                check_combination(choices, raw)
            except Exception as error:
                error.add_note(f"at {', '.join(map(name, combination))}, {choices.time_input}")
                raise


@pytest.mark.parametrize("steps", [None, 1, 10, 50])
def test_what_makes_sense_is_not_refused(steps):
    for choices in (BASE, replace(BASE, variance=LearnedVariance(), objective=Hybrid(), schedule=Cosine())):
        assert refusal(choices) is None
        assert chain_refusal(choices, steps) is None


@pytest.mark.parametrize("steps", [None, 10, 50])
def test_a_chain_that_does_not_read_the_variance_may_be_strided_whatever_it_is(steps):
    choices = replace(BASE, variance=LearnedDiagonal(), objective=Vlb())
    assert chain_refusal(choices, steps, reads_variance=False) is None
    assert (chain_refusal(choices, steps) is None) == (steps != 10)


def test_between_two_times_a_mean_is_no_prediction():
    """The continuous bound and the flow's likelihood ask for x̂_0 and ε̂ at a noise level alone."""
    x_t, t = torch.ones(3, 2), torch.tensor([1.0, 7.5, 50.0])
    for parameterization in members(Parameterization):
        model = diffusion(lambda x_t, t: 0.1 * x_t, 50, parameterization=parameterization)
        if isinstance(parameterization, Mu):
            assert level_refusal(model.choices).startswith("parameterization=mu predicts a mean between two times")
            with pytest.raises(ValueError, match="parameterization=mu predicts a mean between two times"):
                model.predict(x_t, t, clip=False)
        else:
            assert level_refusal(model.choices) is None
            x0, eps = model.predict(x_t, t, clip=False)
            alpha_bar = torch.sigmoid(-model.gamma(t)).float()[:, None]
            torch.testing.assert_close(alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * eps, x_t)


def test_a_network_that_does_not_fit_the_data_is_refused():
    with pytest.raises(ValueError, match="mlp takes points"):
        Diffusion(BASE, GreyLevels(), (1, 8, 8))
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


@pytest.mark.parametrize(("schedule", "ends"), [(Cosine(), (-13.3, 5.0)), (LearnedLinear(-9.0, 3.0), (-9.0, 3.0))])
def test_told_the_noise_level_the_network_sees_1000_times_its_place_between_two_fixed_ends(schedule, ends):
    """Those of Kingma et al. under every fixed schedule; under a learned one its first ones, also when it has moved."""
    seen: list[Tensor] = []
    model = diffusion(lambda x_t, t: torch.zeros_like(x_t), 50, schedule=schedule).requires_grad_(False)
    model.choices = replace(model.choices, time_input="log_snr")
    model.network.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[1]))
    for parameter in model.gamma.parameters():
        parameter += 0.1
    t = torch.tensor([1, 25, 50])
    model.output(torch.zeros(3, 2), t)
    expected = 1000 * (model.gamma(t) - ends[0]) / (ends[1] - ends[0])
    torch.testing.assert_close(seen[0], expected.float())


def test_the_output_has_the_dtype_of_the_data_whatever_the_networks():
    model = diffusion(lambda x_t, t: x_t.bfloat16(), 50)
    assert model.output(torch.ones(2, 2), torch.tensor([1, 2])).dtype == torch.float32


@pytest.mark.parametrize(("variance", "channels"), [(Beta(), 1), (LearnedDiagonal(), 2)])
def test_a_learned_variance_doubles_the_networks_channels(variance, channels):
    network = UNet(channels=8, groups=4)
    model = Diffusion(replace(BASE, network=network, variance=variance, objective=Vlb()), GreyLevels(17), (1, 8, 8))
    assert model.output(torch.zeros(2, 1, 8, 8), torch.tensor([1, 2])).shape == (2, channels, 8, 8)


@pytest.mark.parametrize("schedule", members(Schedule), ids=name)
def test_the_first_steps_rule_is_the_schedules_for_grey_levels_and_beta_1_for_densities(schedule):
    for encoding, rule in ((GreyLevels(), schedule.first_step), (Continuous(), "beta_1")):
        model = diffusion(lambda x_t, t: x_t, 50, schedule=schedule, encoding=encoding)
        assert model.chain().first_step == rule
        assert model.chain(7).first_step == rule
        model.choices = replace(model.choices, first_step="beta_1")
        assert model.chain().first_step == model.chain(7).first_step == "beta_1"


def test_the_full_chain_has_every_time_and_a_strided_one_its_own():
    model = diffusion(lambda x_t, t: x_t, 50)
    assert model.chain().times.tolist() == list(range(51))
    assert model.chain(5).steps == 5
    with pytest.raises(ValueError, match="a chain of 0 steps does not fit"):
        model.chain(0)


def test_state_dict_holds_weights_and_noise_levels():
    names = set(diffusion(lambda x_t, t: x_t, 50).state_dict())
    assert names == {"gamma.gamma", "network.unused"}


def test_batch_losses_are_the_losses_of_the_seeds_own_times_and_noise():
    """Two networks of one seed see the same x_t at the same t; another step sees others."""
    seen: list[tuple[Tensor, Tensor]] = []

    def spy(x_t: Tensor, t: Tensor) -> Tensor:
        seen.append((x_t, t))
        return 0 * x_t

    raw = torch.arange(128).reshape(64, 2) % 17
    one, other = (diffusion(spy, 50, parameterization=p, encoding=GreyLevels(17)) for p in (Epsilon(), Mu()))
    for model, step in ((one, 0), (other, 0), (one, 1)):
        model.batch_losses(raw.to(torch.uint8), 5, step)
    assert torch.equal(seen[0][0], seen[1][0])
    assert torch.equal(seen[0][1], seen[1][1])
    assert not torch.equal(seen[0][1], seen[2][1])
    assert not torch.equal(seen[0][0], seen[2][0])


class Late(TimestepSampler):
    """Only the second half of the times, whose losses then count half; it keeps what it is told."""

    def __init__(self) -> None:
        super().__init__(50)
        self.told: list[tuple[Tensor, Tensor]] = []

    def forward(self, u: Tensor) -> tuple[Tensor, Tensor]:
        return 26 + (u * 25).long(), torch.full_like(u, 0.5)

    def record(self, t: Tensor, loss: Tensor) -> None:
        self.told.append((t, loss))

    def density(self) -> Tensor:
        return torch.cat([torch.zeros(25), torch.full((25,), 2.0)]).double()


def test_batch_losses_are_divided_by_the_density_of_their_times_which_learns_of_them_before():
    model = diffusion(lambda x_t, t: (t >= 26)[:, None] * torch.ones_like(x_t), 50, parameterization=X0())
    raw = torch.zeros(100, 2)
    model.timesteps = Late()
    assert model.batch_losses(raw, 0, 0)["network"].tolist() == [0.5] * 100
    ((t, loss),) = model.timesteps.told
    assert (t >= 26).all()
    assert loss.tolist() == [1] * 100
    assert not loss.requires_grad


def test_mean_of_simple_at_zero_output_is_the_noises_unit_variance():
    model = diffusion(lambda x_t, t: 0 * x_t, 50)
    losses = model.batch_losses(torch.zeros(20_000, 2), 0, 0)["network"]
    assert losses.mean().item() == pytest.approx(1, abs=5 * math.sqrt(2 / 40_000))


@pytest.mark.parametrize("schedule", members(Schedule), ids=name)
def test_curves_are_the_schedule_its_bounds_and_the_objectives_weight(schedule):
    model = diffusion(lambda x_t, t: x_t, 50, schedule=schedule, objective=Vlb(), variance=BetaTilde())
    curves = {key: value.numpy() for key, value in model.curves().items()}
    alpha_bar = torch.sigmoid(-schedule.build(50).requires_grad_(False)(torch.arange(51))).numpy()
    beta = 1 - alpha_bar[1:] / alpha_bar[:-1]
    snr = alpha_bar[1:] / (1 - alpha_bar[1:])
    np.testing.assert_allclose(curves["alpha_bar"], alpha_bar[1:], rtol=1e-12)
    np.testing.assert_allclose(curves["beta"], beta, rtol=1e-9)
    np.testing.assert_allclose(curves["beta_tilde"], beta * (1 - alpha_bar[:-1]) / (1 - alpha_bar[1:]), rtol=1e-9)
    np.testing.assert_allclose(curves["log_snr"], np.log(snr), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(curves["eps_weight"][1:], 50 * (snr[:-1] / snr[1:] - 1) / 2 / math.log(2), rtol=1e-8)
    np.testing.assert_array_equal(curves["density"], np.ones(50))
