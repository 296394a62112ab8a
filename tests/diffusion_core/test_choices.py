"""The choices of the axes: which go together, the reasons of those that do not, and their names."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import pytest
import torch
from torch import Tensor

import diffusion_core as dc
from diffusion_core.choices import Choices, Time, TimeInput, chain_refusal, refusal
from diffusion_core.conditioning import Unconditional
from diffusion_core.couplings import Coupling, Immiscible, Independent, Optimal
from diffusion_core.diffusion import Diffusion
from diffusion_core.encodings import Continuous
from diffusion_core.learner import DiffusionLearner
from diffusion_core.networks.network import Mlp
from diffusion_core.objectives import Hybrid, Objective, Simple, Vlb, VlbContinuous
from diffusion_core.parameterizations import Mu, Parameterization, V
from diffusion_core.schedules import Cosine, LearnedLinear, LearnedSchedule, Linear, Rectified, Schedule
from diffusion_core.spaces import Latents
from diffusion_core.timesteps import Importance, LogitNormal, LogNormal, Uniform
from diffusion_core.variances import Analytic, Beta, LearnedDiagonal, LearnedVariance
from tests.axes import crossings, ends_in_noise, members, name, pairwise

BASE = Choices(network=Mlp(width=16, layers=1), horizon=50)

LEARNS = "learns from the bound, a mean over"
REFUSED = [
    ({"horizon": 1}, "horizon must be at least 2, got 1"),
    ({"horizon": 20}, "linear rescaled to T=20 has beta_T=1, which must stay below 1: take horizon > 20 or schedule"),
    ({"variance": LearnedDiagonal()}, "objective=simple teaches no variance, .*: take objective=hybrid .* or beta_t"),
    ({"variance": LearnedVariance(), "objective": VlbContinuous()}, "vlb_continuous teaches no variance, so variance"),
    ({"objective": Hybrid()}, "hybrid differs from objective=simple only in what a learned variance learns, and var"),
    ({"parameterization": Mu(), "objective": VlbContinuous()}, "mu predicts a mean between two times and has no mea"),
    ({"timesteps": Importance(), "objective": VlbContinuous()}, "keeps a history .* objective=vlb_continuous with ti"),
    ({"timesteps": Importance(), "time": "continuous"}, "keeps a history per t in 1..T, .* time=continuous draws rea"),
    ({"timesteps": Importance(), "schedule": LearnedLinear()}, "would follow losses whose noise levels schedule=lea"),
    ({"schedule": LearnedLinear(), "objective": VlbContinuous()}, "time_input=t does not tell it: take time_input=l"),
    ({"objective": Vlb(), "time": "continuous"}, "vlb sums terms of a chain of steps, which time=continuous has no"),
    ({"variance": LearnedVariance(), "objective": Hybrid(), "time": "continuous"}, "hybrid sums .*: take time=auto"),
    ({"timesteps": LogitNormal(), "objective": Vlb()}, f"objective=vlb {LEARNS} uniform t, and timesteps=logit_normal"),
    ({"timesteps": LogNormal(), "schedule": LearnedLinear()}, f"schedule=learned_linear {LEARNS} uniform t, and tim"),
    ({"schedule": Rectified()}, "rectified ends in noise alone .*, where parameterization=epsilon says nothing of x_"),
    (
        {"schedule": Cosine(zero_terminal=True), "parameterization": V(), "time_input": "log_snr"},
        "cosine ends in noise alone .*, and time_input=log_snr would tell the network an infinite noise level: take",
    ),
    ({"coupling": Optimal(), "objective": Vlb()}, f"objective=vlb {LEARNS} noise that is independent of x_0, and cou"),
    ({"coupling": Immiscible(), "schedule": LearnedLinear()}, f"schedule=learned_linear {LEARNS} noise that is ind"),
    ({"coupling": Optimal(), "variance": Analytic()}, "holds for noise that is independent of x_0, and coupling=op"),
    (
        {"conditioning": Unconditional(self_conditioning=True), "schedule": LearnedLinear()},
        "schedule=learned_linear learns from the bound, and conditioning.self_conditioning=true trains half of all",
    ),
    ({"schedule": LearnedLinear(shift=3.0)}, "schedule.shift=3 moves noise levels that stay, and this schedule lear"),
    ({"schedule": LearnedSchedule(zero_terminal=True), "parameterization": V()}, "zero_terminal=true moves noise le"),
    (
        {"schedule": Rectified(), "parameterization": V(), "objective": dc.Weighted("x0", -0.5)},
        "objective=weighted has no finite weight: take an objective.power of 0",
    ),
]


@pytest.mark.parametrize(("fields", "reason"), REFUSED)
def test_what_makes_no_sense_is_refused_with_its_reason_and_cannot_be_built(fields, reason):
    choices = replace(BASE, **fields)
    with pytest.raises(ValueError, match=reason) as error:
        Diffusion(choices, Continuous(), (2,))
    assert str(error.value) == refusal(choices)


OUT_OF_RANGE = [
    (dc.Importance, {"floor": 1.1}, "importance needs 1 <= history <= 1000 .* 0 < floor <= 1, got 10 and 1.1"),
    (dc.LogNormal, {"std": float("nan")}, "log_normal needs std > 0"),
    (Hybrid, {"weight": 0.0}, "hybrid needs weight > 0, got 0.0"),
    (dc.P2, {"k": 0.0}, "p2 needs k > 0 and gamma >= 0, got k=0.0 and gamma=1.0"),
    (dc.Ddim, {"eta": 1.1}, r"sampler\.eta must lie in \[0, 1\]"),
    (dc.Ancestral, {"skip": 1.0}, r"sampler\.skip"),
    (dc.Heun, {"churn_min": 2.0, "churn_max": 1.0}, r"sampler\.churn must be at least 0"),
    (Immiscible, {"k": 1}, r"^immiscible needs k from 2 to 1000 .*, got 1$"),
    (dc.Class, {"dropout": 1.0}, "^conditioning.dropout is the share of labels "),
    (dc.Power, {"std": 0.3}, r"average\.std must be 0\.004 to 0\.284"),
    (dc.Mlp, {"width": 3}, "mlp needs an even width and at least one layer"),
    (dc.Dit, {"depth": 0}, "dit needs .*of at least 1"),
    (dc.Dit, {"width": 16, "heads": 3}, "dit needs .*that heads and 4 divide, .*, got width=16, heads=3"),
    (dc.UNet, {"multipliers": (1, 0)}, "unet needs .*of at least 1"),
    (dc.UNet, {"channels": 8, "heads": 3}, "unet needs .*even number of channels that groups and heads divide"),
    (dc.UNet, {"dropout": 1.0}, "unet needs .*0 <= dropout < 1"),
    (Latents, {"channels": 0}, "space.channels must be at least 1"),
    (Latents, {"width": 12}, "space.width must be a multiple"),
    (Latents, {"learning_rate": 0}, "latents need .*learning_rate > 0"),
    (dc.Training, {"micro_batch": 0}, "training.*must be at least 1, .*got 0"),
    (dc.Training, {"snapshots": 257}, "training.snapshots must be 0 for none, or 1 to 256.*got 257"),
    (
        dc.Training,
        {"learning_rate": float("nan")},
        "training needs learning_rate > 0, warmup >= 0 and weight_decay >= 0",
    ),
    (dc.Training, {"beta_2": 1.0}, r"training needs ema, beta_1 and beta_2 in \[0, 1\)"),
    (dc.Training, {"clip": 0}, "training.clip is a norm above 0, or null .*, got 0"),
    (dc.Training, {"cooldown": 1.1}, "training.cooldown is a share of the steps, above 0 and at most 1"),
    (dc.Training, {"rate": "wsd", "steps": 100, "warmup": 71}, "cooldown longer .*=0.3 leaves 70 of .*=100"),
    (dc.Training, {"rate": "inverse_sqrt", "warmup": 0}, "from the end of its warm-up: take training.warmup >= 1"),
    (dc.Training, {"rate": "step"}, "training.rate must be .* or .*, got 'step'"),
]


@pytest.mark.parametrize(("choice", "fields", "reason"), OUT_OF_RANGE)
def test_fields_out_of_range_are_refused(choice, fields, reason):
    with pytest.raises(ValueError, match=reason):
        choice(**fields)


def test_a_chain_that_makes_no_sense_is_refused():
    diagonal = replace(BASE, variance=LearnedDiagonal(), objective=Vlb())
    for steps in (0, 51):
        assert chain_refusal(BASE, steps) == f"{steps} steps do not fit horizon=50: take 1 to 50"
    assert "belongs to the steps it was trained on and cannot be strided (10 of 50" in chain_refusal(diagonal, 10)
    assert chain_refusal(diagonal, 50) is chain_refusal(diagonal, 10, reads_variance=False) is None
    assert [chain_refusal(BASE, steps) for steps in (None, 1, 10)] == [None] * 3


def check_losses(choices: Choices, raw: Tensor) -> None:
    """Each loss is finite per example, and has a finite gradient somewhere."""
    model = Diffusion(choices, Continuous(), (2,))
    model.initialise(0)
    learner = DiffusionLearner(model)
    losses, groups = learner.batch_losses(raw, 0, 0), learner.parameter_groups()
    assert losses.keys() == groups.keys()
    for group, loss in losses.items():
        assert loss.shape == (len(raw),)
        assert loss.isfinite().all()
        found = torch.autograd.grad(loss.mean(), groups[group], allow_unused=True, retain_graph=True)
        gradient = torch.cat([g.flatten() for g in found if g is not None])
        assert gradient.isfinite().all()
        assert gradient.any()


OF_EACH_KIND = (Linear(), Cosine(zero_terminal=True), LearnedLinear(), LearnedSchedule())
"""Schedules as the rules tell them apart: fixed or learned, with noise alone at the end or not."""


def combinations(objective: Objective) -> list[dict[str, Any]]:
    """The fields of all choices with an objective; what the network is told is asked where a rule reads it."""

    def goes(schedule: Schedule, time_input: TimeInput, coupling: Coupling, **_: Any) -> bool:
        told = time_input == "t" or schedule.learned or ends_in_noise(schedule)
        return told and (coupling.independent or time_input == "t")

    axes = {
        "parameterization": members(Parameterization),
        "variance": (Beta(), LearnedVariance(), LearnedDiagonal(), Analytic()),
        "schedule": OF_EACH_KIND,
        "timesteps": (Uniform(), Importance(), LogNormal()),
        "time_input": get_args(TimeInput),
        "time": get_args(Time),
        "coupling": (Independent(), Optimal()),
    }
    others = {"objective": objective, "network": Mlp(width=4, layers=1), "horizon": 30}
    return [crossing | others for crossing in crossings(goes, axes)]


@pytest.mark.parametrize("objective", [Simple(), Hybrid(), Vlb(), VlbContinuous()], ids=name)
def test_every_combination_of_choices_is_refused_or_gives_finite_losses_with_gradients(objective):
    """Losses are asked of few in which every two choices meet."""
    raw = torch.linspace(-1, 1, 60).reshape(30, 2)
    sensible = [fields for fields in combinations(objective) if refusal(Choices(**fields)) is None]
    assert len(sensible) > 50
    for fields in pairwise(sensible):
        try:
            check_losses(Choices(**fields), raw)
        except Exception as error:
            error.add_note(f"at {fields}")
            raise
