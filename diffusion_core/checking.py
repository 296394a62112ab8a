"""One check of a choice of one's own: a diffusion with it trains, bounds Gaussian data by their entropy, and samples.

    dc.check(Wavy(depth=0.1))

It stands beside others that it goes with, on N(0, I) in two dimensions; a network may take images instead.
"""

from __future__ import annotations

import itertools
from dataclasses import fields, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from diffusion_core.batches import Labelled
from diffusion_core.choices import Choices, refusal
from diffusion_core.conditioning import Unconditional
from diffusion_core.diffusion import Diffusion
from diffusion_core.encodings import Continuous
from diffusion_core.fitting import with_fitted_variance
from diffusion_core.learner import DiffusionLearner
from diffusion_core.likelihood import bound
from diffusion_core.named import axis_of, choice_name, line_in
from diffusion_core.networks.mlp import Mlp
from diffusion_core.objectives import Hybrid, Simple
from diffusion_core.parameterizations import Epsilon, V
from diffusion_core.problems import DATA, Function, GaussianData, Output, denoiser_output, expected_bound
from diffusion_core.randomness import seeded
from diffusion_core.samplers import Ancestral, Ddim, Sampler
from diffusion_core.stratified import Stratification
from diffusion_core.trainer import trained
from diffusion_core.training import Training
from diffusion_core.variances import Beta, Fitted, LearnedVariance

AXES = (*(field.name for field in fields(Choices)), "sampler")
SHAPES = ((2,), (1, 8, 8), (3, 16, 16), (1, 32, 32), (3, 64, 64))
PLAN = Training(steps=3, batch=16, warmup=0, learning_rate=1e-3, ema=0.5)
CLASSES = 3


def check(choice: object) -> None:
    """AssertionError, in one line, unless a diffusion works with a choice; TypeError where it is one of no axis."""
    derived = type(choice).__module__ != "builtins"
    axis = axis_of(type(choice)).__name__.lower() if derived else ""
    if axis not in AXES:
        raise TypeError(f"{type(choice).__name__} is a choice of no axis: its class derives from no axis's base class")
    try:
        _check(choice, axis)
    except Exception as error:
        line = str(error) if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"
        where = line_in(error, [type(choice)])
        raise AssertionError(" ".join(f"{axis}={choice_name(choice)}: {line}".split()) + where) from error


def expect(what: str, holds: object, found: object) -> None:
    """AssertionError that says what was expected and what was found, unless the one is the other."""
    if not bool(holds):
        raise AssertionError(f"expected {what}, found {found}")


def _check(choice: Any, axis: str) -> None:
    frozen = getattr(getattr(choice, "__dataclass_params__", None), "frozen", False)
    expect("a frozen dataclass", frozen, "none, or fields that can be set")
    expect("plain values, by which copies are equal", hash(replace(choice)) == hash(choice), "a copy of another hash")
    choices, shape = _beside(choice, axis), _shape(choice) if axis == "network" else SHAPES[0]
    _bounds(choices)
    data = torch.randn(40, *shape, generator=torch.Generator().manual_seed(0))
    sampler = {"sampler": choice, "spacing": Ddim(steps=None if choices.spacing.fitted else 10)}.get(axis, Ancestral())
    first, again = (_run(choices, sampler, data, around) for around in (1, 2))
    for what, one, other in zip(("weights", "losses", "bounds", "samples"), first, again, strict=True):
        expect(f"{what} to be finite after three steps of training", one.isfinite().all(), "others")
        if what != "samples":
            expect(f"{what} to follow from the seed alone", torch.equal(one, other), "others the second time")
    samples = first[-1][: len(again[-1])]
    alike = torch.allclose(samples, again[-1], rtol=1e-3, atol=1e-3 * float(samples.abs().max()))
    expect("a sample to follow from its seed and number", alike, "another where fewer are drawn")


def _beside(choice: Any, axis: str) -> Choices:
    """The first choices, from usual to unusual, that this one goes with."""
    reason: str | None = None
    for horizon, target, (variance, objective), told in itertools.product(
        (30, 1000), (Epsilon(), V()), ((Beta(), Simple()), (LearnedVariance(), Hybrid())), ("t", "log_snr")
    ):
        usual: dict[str, Any] = {
            "parameterization": target,
            "variance": variance,
            "objective": objective,
            "network": Mlp(16, 1),
        }
        usual |= {"horizon": horizon, "time_input": told} | ({} if axis == "sampler" else {axis: choice})
        reason = refusal(Choices(**usual))
        if reason is None:
            return Choices(**usual)
    raise AssertionError(f"expected choices that it goes with, found none: {reason}")


def _shape(network: Any) -> tuple[int, ...]:
    """The first shape that a network takes, at which it gives as many channels as it is asked for."""
    refused = ""
    for shape in SHAPES:
        try:
            out = network.build(shape, 2 * shape[0])(torch.zeros(2, *shape), torch.ones(2))
        except ValueError as error:
            refused = str(error)
        else:
            doubled = 2, 2 * shape[0], *shape[1:]
            expect(f"an output {list(doubled)} at channels_out={doubled[1]}", out.shape == doubled, list(out.shape))
            expect("an output that starts at 0: let the last layer be zero", not out.any(), "another")
            return shape
    raise AssertionError(f"expected images [C, H, W] or points [D] to be taken, found none: {refused}")


@torch.no_grad()
def _bounds(choices: Choices) -> None:
    """The bound of the exact denoiser on Gaussian data: no less than the entropy, and with β on N(0, I) just that."""
    gamma = choices.schedule.gamma(choices.horizon).requires_grad_(False)(torch.arange(choices.horizon + 1))
    fall = (gamma.diff() <= 0).nonzero().flatten()[:1] + 1
    expect("γ to rise from −∞ at t = 0", gamma[0] == -torch.inf and not len(fall), f"a fall at t={fall.tolist()}")
    for data in (GaussianData((1.0, 1.0)), DATA):
        exact = denoiser_output(data.denoise, choices.parameterization, choices.schedule, choices.horizon)
        width = 4 if choices.variance.learned else 2
        network = Function(partial(_padded, exact, width), choices.horizon)
        model = Diffusion(replace(choices, network=network, conditioning=Unconditional()), Continuous(), (2,))
        model.fit(0.5 * torch.sigmoid(model.gamma(model.all_times[1:])))
        found = expected_bound(model, data)
        expect(f"a bound on Gaussian data of at least {data.entropy:.6f} bits/dim", found >= data.entropy - 1e-9, found)
        if choices.variance == Beta() and data != DATA:
            expect(f"a bound on N(0, I) of {data.entropy:.6f} bits/dim", found <= data.entropy + 1e-9, f"{found:.6f}")


def _padded(output: Output, width: int, x_t: Tensor, t: Tensor) -> Tensor:
    """An output with zeros for a learned variance, if any."""
    return torch.cat([output(x_t, t), 0 * x_t], dim=1)[:, :width]


def _run(choices: Choices, sampler: Sampler, data: Tensor, around: int) -> tuple[Tensor, ...]:
    """Weights after three steps, losses, bounds and samples; torch's global generator stands at `around` before."""
    with seeded(around, "the global generator"):
        learner = DiffusionLearner.of(choices, Continuous(), tuple(data.shape[1:]), CLASSES)
        model, count = learner.diffusion, len(data)
        model.initialise(0)
        trained(learner, Labelled(data, torch.arange(count) % CLASSES), PLAN, 0)
    t = torch.full((count,), 25.0 if choices.in_continuous_time else 25)
    losses = []
    for x0, times in ((data, t), (torch.cat([data[:1], 2 - data[1:]]), torch.cat([t[:1], t[1:] - 20]))):
        with seeded(5, "dropout"), torch.no_grad():
            losses.append(learner.train().losses(x0, times, data.flip(0))["network"])
    near = losses[0].shape == (count,) and torch.isclose(losses[0][0], losses[1][0], rtol=1e-4, atol=1e-5)
    expect("the loss of an example to be its own", near, "that it depends on its batch (by BatchNorm, say)")
    model = learner.eval().diffusion
    if isinstance(choices.variance, Fitted):
        model = with_fitted_variance(model, choices.variance, data, draws=64, seed=0)
    with seeded(around, "the global generator"):
        total = bound(model, data, Stratification(1, 2), seed=0).total
        samples = sampler.sample(model, 7 - around, seed=0)
    return torch.cat([p.detach().flatten() for p in learner.parameters()]), losses[0], total, samples
