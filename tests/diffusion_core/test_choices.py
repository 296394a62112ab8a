"""The choices of the axes: which go together, the reasons of those that do not, and their names."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from diffusion_core.choices import Choices, Time, chain_refusal, level_refusal, refusal
from diffusion_core.conditioning import Unconditional
from diffusion_core.couplings import Coupling, Immiscible, Independent, Optimal
from diffusion_core.denoiser import TimeInput
from diffusion_core.diffusion import Diffusion
from diffusion_core.encodings import Continuous
from diffusion_core.learner import DiffusionLearner
from diffusion_core.named import choice_name
from diffusion_core.networks.mlp import Mlp
from diffusion_core.networks.network import Network
from diffusion_core.objectives import Hybrid, Objective, Vlb, VlbContinuous
from diffusion_core.parameterizations import Epsilon, Mu, Parameterization, V
from diffusion_core.problems import diffusion
from diffusion_core.samplers import Sampler
from diffusion_core.schedules import Cosine, LearnedLinear, LearnedSchedule, Linear, Rectified, Schedule
from diffusion_core.spaces import Space
from diffusion_core.spacings import Spacing
from diffusion_core.timesteps import Importance, LogitNormal, LogNormal, Timesteps
from diffusion_core.variances import Analytic, LearnedDiagonal, LearnedVariance, Variance
from tests.axes import classes, crossings, ends_in_noise, members, name, pairwise

BASE = Choices(network=Mlp(width=16, layers=1), horizon=50)

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
        "the bound in continuous time does not depend on schedule=learned_linear between its ends only if the network "
        "is told the noise level, and time_input=t does not tell it: take time_input=log_snr",
    ),
    (
        replace(BASE, timesteps=Importance(), schedule=LearnedLinear()),
        "timesteps=importance would follow losses whose noise levels schedule=learned_linear moves: take "
        "timesteps=low_discrepancy or uniform",
    ),
    (
        replace(BASE, objective=Vlb(), time="continuous"),
        "objective=vlb sums terms of a chain of steps, which time=continuous has not: take objective=vlb_continuous",
    ),
    (
        replace(BASE, variance=LearnedVariance(), objective=Hybrid(), time="continuous"),
        "objective=hybrid sums terms of a chain of steps, which time=continuous has not: take time=auto",
    ),
    (
        replace(BASE, timesteps=Importance(), time="continuous"),
        "timesteps=importance keeps a history per t in 1..T, and time=continuous draws real t: take "
        "timesteps=low_discrepancy or uniform",
    ),
    (
        replace(BASE, timesteps=LogitNormal(), objective=Vlb()),
        "objective=vlb learns from the bound, a mean over uniform t, and timesteps=logit_normal weights each t by its "
        "density: take timesteps=uniform, low_discrepancy or importance",
    ),
    (
        replace(BASE, timesteps=LogNormal(), schedule=LearnedLinear()),
        "schedule=learned_linear learns from the bound, a mean over uniform t, and timesteps=log_normal weights each t "
        "by its density: take timesteps=uniform, low_discrepancy or importance",
    ),
    (
        replace(BASE, schedule=Rectified()),
        "schedule=rectified ends in noise alone (x_T holds nothing of x_0), where parameterization=epsilon says "
        "nothing of x_0: take parameterization=v, velocity, edm, x0 or mu, or let the schedule end before it "
        "(schedule.zero_terminal=false, or schedule.end=0.999 of rectified)",
    ),
    (
        replace(BASE, schedule=Cosine(zero_terminal=True), parameterization=V(), time_input="log_snr"),
        "schedule=cosine ends in noise alone (x_T holds nothing of x_0), and time_input=log_snr would tell the network "
        "an infinite noise level: take time_input=t, or let the schedule end before it (schedule.zero_terminal=false, "
        "or schedule.end=0.999 of rectified)",
    ),
    (
        replace(BASE, coupling=Optimal(), objective=Vlb()),
        "objective=vlb learns from the bound, a mean over noise that is independent of x_0, and coupling=optimal pairs "
        "the two: take coupling=independent, or objective=simple on a fixed schedule",
    ),
    (
        replace(BASE, coupling=Immiscible(), schedule=LearnedLinear()),
        "schedule=learned_linear learns from the bound, a mean over noise that is independent of x_0, and "
        "coupling=immiscible pairs the two: take coupling=independent, or objective=simple on a fixed schedule",
    ),
    (
        replace(BASE, conditioning=Unconditional(self_conditioning=True), schedule=LearnedLinear()),
        "schedule=learned_linear learns from the bound, and conditioning.self_conditioning=true trains half of all "
        "examples without the estimate that the bound is of, and the others without its gradient: take a schedule that "
        "is fixed, or leave it out",
    ),
    (
        replace(BASE, coupling=Optimal(), variance=Analytic()),
        "variance=analytic takes for the error of the noise what is left of its square, which holds for noise that is "
        "independent of x_0, and coupling=optimal pairs the two: take variance=analytic_mse",
    ),
    (
        replace(BASE, schedule=LearnedLinear(shift=3.0)),
        "schedule.shift=3 moves noise levels that stay, and this schedule learns its own: let it start from others "
        "(schedule.gamma_min, schedule.gamma_max), or move one that is fixed (schedule=log_snr_linear)",
    ),
    (
        replace(BASE, schedule=LearnedSchedule(zero_terminal=True), parameterization=V()),
        "schedule.zero_terminal=true moves noise levels that stay, and this schedule learns its own: let it start from "
        "others (schedule.gamma_min, schedule.gamma_max), or move one that is fixed (schedule=log_snr_linear)",
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
def test_what_makes_no_sense_is_refused_with_its_reason_and_cannot_be_built(choices, reason):
    assert refusal(choices) == reason
    with pytest.raises(ValueError) as error:  # noqa: PT011
        Diffusion(choices, Continuous(), (2,))
    assert str(error.value) == reason


def test_a_chain_that_makes_no_sense_is_refused_with_its_reason_and_no_other():
    for choices, steps, reason in REFUSED_CHAINS:
        assert refusal(choices) is None
        assert chain_refusal(choices, steps) == reason
        assert chain_refusal(choices, choices.horizon) is None
    assert [chain_refusal(BASE, steps) for steps in (None, 1, 10)] == [None] * 3
    last, *_ = REFUSED_CHAINS[-1]
    assert chain_refusal(last, 10, reads_variance=False) is None


def continuous(choices: Choices) -> bool:
    """Whether training draws real times: where it is asked to, or the objective is a bound in real time."""
    return choices.time == "continuous" or isinstance(choices.objective, VlbContinuous)


def makes_sense(choices: Choices) -> bool:
    """The pairs that have no meaning: a learned variance that nothing teaches, a hybrid with nothing to teach, a μ or
    terms of a chain in continuous time, a γ whose interior the bound is not free of, importance by losses that have no
    t of their own or that move with the schedule, a bound by times that count as a weight or by noise that depends on
    x_0, an error of noise that does, by its square alone, and what cannot be said of noise alone.
    """
    learned_variance = isinstance(choices.variance, LearnedVariance | LearnedDiagonal)
    learned_schedule = isinstance(choices.schedule, LearnedSchedule | LearnedLinear)
    weighted_times = isinstance(choices.timesteps, LogitNormal | LogNormal)
    paired_noise = isinstance(choices.coupling, Optimal | Immiscible)
    return not (
        (learned_variance and not isinstance(choices.objective, Vlb | Hybrid))
        or (isinstance(choices.variance, Analytic) and paired_noise)
        or (isinstance(choices.objective, Hybrid) and not learned_variance)
        or (choices.time == "continuous" and isinstance(choices.objective, Vlb | Hybrid))
        or (continuous(choices) and isinstance(choices.parameterization, Mu))
        or (continuous(choices) and learned_schedule and choices.time_input == "t")
        or (isinstance(choices.timesteps, Importance) and (continuous(choices) or learned_schedule))
        or (
            (weighted_times or paired_noise)
            and (learned_schedule or isinstance(choices.objective, Vlb | VlbContinuous | Hybrid))
        )
        or (
            ends_in_noise(choices.schedule)
            and (isinstance(choices.parameterization, Epsilon) or choices.time_input == "log_snr")
        )
    )


def taught_groups(choices: Choices) -> set[str]:
    """What has a loss of its own: the network, and a learned schedule whole or, in continuous time, in two parts."""
    if not isinstance(choices.schedule, LearnedSchedule | LearnedLinear):
        return {"network"}
    if not continuous(choices):
        return {"network", "schedule"}
    interior = {"schedule_shape"} if isinstance(choices.schedule, LearnedSchedule) else set()
    return {"network", "schedule_ends"} | interior


def check_losses(choices: Choices, raw: Tensor) -> None:
    """Each loss is finite per example, and has a finite gradient somewhere."""
    model = Diffusion(choices, Continuous(), (2,))
    model.initialise(0)
    learner = DiffusionLearner(model)
    losses, groups = learner.batch_losses(raw, 0, 0), learner.parameter_groups()
    assert losses.keys() == groups.keys() == taught_groups(choices)
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
        "variance": members(Variance),
        "schedule": OF_EACH_KIND,
        "timesteps": members(Timesteps),
        "time_input": get_args(TimeInput),
        "time": get_args(Time),
        "coupling": (Independent(), Optimal()),
    }
    others = {"objective": objective, "network": Mlp(width=4, layers=1), "horizon": 30}
    return [crossing | others for crossing in crossings(goes, axes)]


@pytest.mark.parametrize("objective", members(Objective), ids=name)
def test_every_combination_of_choices_is_refused_or_gives_finite_losses_with_gradients(objective):
    """Losses are asked of few in which every two choices meet."""
    raw, sensible = torch.linspace(-1, 1, 60).reshape(30, 2), []
    for fields in combinations(objective):
        choices = Choices(**fields)
        assert (refusal(choices) is None) == makes_sense(choices), choices
        if makes_sense(choices):
            sensible.append(fields)
    for fields in pairwise(sensible):
        try:
            check_losses(Choices(**fields), raw)
        except Exception as error:
            error.add_note(f"at {fields}")
            raise


def test_between_two_times_a_mean_is_no_prediction():
    """The continuous bound and the flow's likelihood ask for x̂_0 and ε̂ at a noise level alone."""
    x_t, t = torch.ones(3, 2), torch.tensor([1.0, 7.5, 50.0])
    for parameterization in members(Parameterization):
        model = diffusion(lambda x_t, t: 0.1 * x_t, 50, parameterization=parameterization)
        if isinstance(parameterization, Mu):
            assert level_refusal(model.choices).startswith("parameterization=mu predicts a mean between two times")
            with pytest.raises(ValueError, match="parameterization=mu predicts a mean between two times"):
                model.predict(x_t, t)
        else:
            assert level_refusal(model.choices) is None
            x0, eps = model.predict(x_t, t)
            alpha_bar = torch.sigmoid(-model.gamma(t)).float()[:, None]
            torch.testing.assert_close(alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * eps, x_t)


NAMES = {
    Parameterization: "epsilon x0 mu v velocity edm",
    Variance: "beta beta_tilde learned learned_diagonal analytic analytic_mse",
    Schedule: "linear cosine sigmoid log_snr_linear learned_linear learned saved rectified",
    Objective: "simple hybrid weighted min_snr p2 vlb vlb_continuous edm",
    Timesteps: "uniform low_discrepancy importance logit_normal log_normal",
    Network: "mlp unet",
    Sampler: "ancestral ddim heun dpm_solver",
    Spacing: "uniform trailing quadratic log_snr karras optimal",
    Coupling: "independent optimal immiscible",
    Space: "pixels latents",
}
"""What committed results call the choices; a new choice need not stand here."""


@pytest.mark.parametrize("axis", NAMES, ids=lambda axis: axis.__name__)
def test_a_choices_name_is_its_class_without_the_axis_in_snake_case_and_that_of_committed_results(axis):
    names = {choice: choice_name(choice) for choice in classes(axis)}
    assert set(NAMES[axis].split()) <= set(names.values())
    assert len(set(names.values())) == len(names)
    for choice, given in names.items():
        assert choice_name(choice()) == given == given.lower().strip("_")
        assert given.replace("_", "") == choice.__name__.removesuffix(axis.__name__).lower()
