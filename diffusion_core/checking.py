"""One check of a choice of one's own: a diffusion with it trains, bounds Gaussian data by their entropy, and samples.

    dc.check(Wavy(depth=0.1))

It stands beside others that it goes with, on N(0, I) in two dimensions; a network may take images instead.
"""

from __future__ import annotations

from dataclasses import fields, replace
from itertools import product
from typing import Any

import torch
from torch import Tensor

from diffusion_core.batches import Labelled
from diffusion_core.choices import Choices, refusal
from diffusion_core.conditioning import Unconditional
from diffusion_core.diffusion import Diffusion
from diffusion_core.encodings import Continuous
from diffusion_core.fitting import with_fitted_variance
from diffusion_core.forward import Step, diffuse
from diffusion_core.learner import DiffusionLearner
from diffusion_core.likelihood import bound
from diffusion_core.networks.network import Mlp
from diffusion_core.objectives import Hybrid, Simple
from diffusion_core.parameterizations import Epsilon, V
from diffusion_core.problems import Function, GaussianData, denoiser_output, expected_bound
from diffusion_core.randomness import seeded
from diffusion_core.refusing import axis_of, choice_name, line_in
from diffusion_core.samplers import Ancestral, Ddim
from diffusion_core.stratified import Stratification
from diffusion_core.trainer import train
from diffusion_core.training import Training
from diffusion_core.variances import Beta, BetaTilde, Fitted, LearnedVariance

AXES = (*(field.name for field in fields(Choices)), "sampler")
SHAPES = ((2,), (1, 8, 8), (3, 32, 32))
PLAN = Training(steps=3, batch=16, warmup=0, learning_rate=1e-3, ema=0.5)
CLASSES = 3


def check(choice: Any) -> None:
    """AssertionError, in one line, unless a diffusion works with a choice; TypeError where it is one of no axis."""
    derived = type(choice).__module__ != "builtins"
    axis = axis_of(type(choice)).__name__.lower() if derived else ""
    if axis not in AXES:
        raise TypeError(f"{type(choice).__name__} is a choice of no axis: its class derives from no axis's base class")
    try:
        choices, shape = _beside(choice, axis), _shape(choice) if axis == "network" else SHAPES[0]
        _bounds(choices)
        strided = axis == "spacing" and not choice.fitted
        sampler = choice if axis == "sampler" else Ddim(steps=10) if strided else Ancestral()
        first, again = (_run(choices, sampler, shape, around) for around in (1, 2))
        for what, one, other in zip(("weights", "bounds", "samples"), first, again, strict=True):
            expect(f"finite {what} after three steps of training", one.isfinite().all(), "others")
            expect(f"{what} to follow from the seed alone", torch.equal(one, other), "others the second time")
        if axis == "parameterization":
            _step_and_noise(choice)
        elif axis in ("objective", "sampler") and choices.variance == Beta() and not choice.reads_variance:
            _variance_unread(choices, sampler, axis)
    except Exception as error:
        line = str(error) if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"
        where = line_in(error, [type(choice)])
        raise AssertionError(" ".join(f"{axis}={choice_name(choice)}: {line}".split()) + where) from error


def expect(what: str, holds: object, found: object) -> None:
    """AssertionError that says what was expected and what was found, unless the one is the other."""
    if not bool(holds):
        raise AssertionError(f"expected {what}, found {found}")


def _beside(choice: Any, axis: str) -> Choices:
    """The first choices, from usual to unusual, that this one goes with."""
    own, taught = {} if axis == "sampler" else {axis: choice}, ((Beta(), Simple()), (LearnedVariance(), Hybrid()))
    for horizon, target, (variance, objective), told in product((30, 1000), (Epsilon(), V()), taught, ("t", "log_snr")):
        usual = {"parameterization": target, "variance": variance, "objective": objective, "network": Mlp(16, 1)}
        choices = Choices(**{**usual, "horizon": horizon, "time_input": told, **own})
        if refusal(choices) is None:
            return choices
    raise AssertionError(f"expected choices that it goes with, found none: {refusal(choices)}")


def _shape(network: Any) -> tuple[int, ...]:
    """The first shape that a network takes, at which it gives as many channels as it is asked for, and zeros."""
    refused = ""
    for shape in SHAPES:
        try:
            out = network.build(shape, 2 * shape[0])(torch.zeros(2, *shape), torch.ones(2))
        except ValueError as error:
            refused = str(error)
            continue
        doubled = 2, 2 * shape[0], *shape[1:]
        expect(f"an output {list(doubled)} at channels_out={doubled[1]}", out.shape == doubled, list(out.shape))
        expect("an output that starts at 0: let the last layer be zero", not out.any(), "another")
        return shape
    raise AssertionError(f"expected images [C, H, W] or points [D] to be taken, found none: {refused}")


@torch.no_grad()
def _bounds(choices: Choices) -> None:
    """γ rises, and the bound of the exact denoiser of N(0, I) is no less than its entropy, and just that with β."""
    gamma = choices.schedule.gamma(choices.horizon)(torch.arange(choices.horizon + 1))
    fall = (gamma.diff() <= 0).nonzero().flatten()[:1] + 1
    expect("γ to rise from −∞ at t = 0", gamma[0] == -torch.inf and not len(fall), f"a fall at t={fall.tolist()}")
    data = GaussianData((1.0, 1.0))
    exact = denoiser_output(data.denoise, choices.parameterization, choices.schedule, choices.horizon)
    width = 4 if choices.variance.learned else 2

    def padded(x_t: Tensor, t: Tensor) -> Tensor:
        return torch.cat([exact(x_t, t), 0 * x_t], dim=1)[:, :width]

    network = Function(padded, choices.horizon)
    model = Diffusion(replace(choices, network=network, conditioning=Unconditional()), Continuous(), (2,))
    model.fit(0.5 * torch.sigmoid(model.gamma(model.all_times[1:])))
    over = expected_bound(model, data) - data.entropy
    holds = over >= -1e-9 and (over <= 1e-9 or choices.variance != Beta())
    expect(f"a bound on N(0, I) of {data.entropy:.6f} bits/dim", holds, f"{over:.6f} more")


def _step_and_noise(target: Any) -> None:
    """`needs_step` and `reads_noise` say what is so: without the one x̂_0 follows from ᾱ_t alone, with the other it is
    finite where ᾱ_t = 0."""
    x0, eps, gamma = *torch.randn(2, 3, 2, generator=torch.Generator().manual_seed(0)).double(), torch.ones(3).double()
    x_t, steps = diffuse(x0, eps, gamma), [Step(gamma, gamma - width, gamma) for width in (1, 2)]
    near, far = ((target.target(x0, eps, x_t, step), target.x0(eps, x_t, step), target.kappa(step)) for step in steps)
    alone = target.needs_step or all(map(torch.equal, near, far))
    expect("target, x̂_0 and κ not to depend on s, as needs_step=False says", alone, "other values at another s")
    x0_hat = target.x0(eps, eps, Step.level(torch.full_like(gamma, torch.inf)))
    finite = not target.reads_noise or x0_hat.isfinite().all()
    expect("a finite x̂_0 where ᾱ_t = 0, as reads_noise=True says", finite, "another")


@torch.no_grad()
def _variance_unread(choices: Choices, sampler: Any, axis: str) -> None:
    """`reads_variance` = False says what is so: results are then shared between cells of other variances."""
    found = []
    for variance in (Beta(), BetaTilde()):
        learner = DiffusionLearner.of(replace(choices, variance=variance), Continuous(), SHAPES[0], CLASSES)
        x, t = torch.ones(choices.horizon, *SHAPES[0]), learner.diffusion.all_times[1:]
        samples = axis == "sampler"
        found.append(sampler.sample(learner.diffusion, 5, seed=0) if samples else learner.losses(x, t, x)["network"])
    what = "samples" if axis == "sampler" else "losses"
    expect(f"{what} that σ² does not change, as reads_variance=False says", torch.equal(*found), "others")


def _run(choices: Choices, sampler: Any, shape: tuple[int, ...], around: int) -> tuple[Tensor, ...]:
    """Weights after three steps, bounds and samples; torch's global generator stands at `around` before."""
    data = torch.randn(40, *shape, generator=torch.Generator().manual_seed(0))
    with seeded(around, "the global generator"):
        learner = DiffusionLearner.of(choices, Continuous(), shape, CLASSES)
        learner.diffusion.initialise(0)
        model = train(learner, Labelled(data, torch.arange(len(data)) % CLASSES), PLAN, 0).diffusion
    with seeded(around, "the global generator"):
        if isinstance(choices.variance, Fitted):
            model = with_fitted_variance(model, choices.variance, data, draws=64, seed=0)
        total, samples = bound(model, data, Stratification(1, 2), seed=0).total, sampler.sample(model, 5, seed=0)
    return torch.cat([p.detach().flatten() for p in learner.parameters()]), total, samples
