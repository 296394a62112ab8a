"""One check of a choice of one's own: a diffusion with it trains, bounds Gaussian data by their entropy, and samples.

    dc.check(Wavy(depth=0.1))

It stands beside others that it goes with, on N(0, I) in two dimensions; a network may take images instead. The problem
has a known answer, and its network is a given function:

    GaussianData      data with their exact denoiser and entropy
    denoiser_output   a network that is a given denoiser
    expected_bound    a diffusion's bound: expectations over x_0 and ε are exact, not drawn

These are float64 and follow the definitions, without the code under test but for `Step` and a target's formula: a
`Diffusion` whose network is the exact denoiser must reach the exact entropy, and reproduce the exact recursion of
samples.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn

from diffusion_core.choices import Choices, refusal
from diffusion_core.conditioning import Labelled, Unconditional
from diffusion_core.diffusion import Diffusion
from diffusion_core.encodings import Continuous
from diffusion_core.fitting import with_fitted_variance
from diffusion_core.forward import Step, diffuse
from diffusion_core.learner import DiffusionLearner
from diffusion_core.likelihood import bound
from diffusion_core.networks.network import Mlp, Network
from diffusion_core.objectives import Hybrid, Simple
from diffusion_core.parameterizations import Epsilon, Parameterization, V
from diffusion_core.randomness import seeded
from diffusion_core.refusing import axis_of, choice_name, line_in
from diffusion_core.samplers import Ancestral, Ddim
from diffusion_core.schedules import Schedule
from diffusion_core.stratified import Stratification
from diffusion_core.trainer import train
from diffusion_core.training import Training
from diffusion_core.variances import Beta, BetaTilde, Fitted, LearnedVariance

Output = Callable[..., Tensor]
"""A network as a function of x_t, t and, for data with classes, the label."""


@dataclass(frozen=True)
class Function(Network):
    """A network that computes output(x_t, t) or, with classes, output(x_t, t, label); t is int64, or real with
    `real`."""

    output: Output
    horizon: int
    real: bool = False

    def build(self, shape: tuple[int, ...], channels_out: int) -> nn.Module:
        return FunctionModule(self)

    def labelled(self, shape: tuple[int, ...], channels_out: int, classes: int) -> nn.Module:
        return self.build(shape, channels_out)


class FunctionModule(nn.Module):
    """The module of `Function`; its one parameter is never used."""

    def __init__(self, function: Function) -> None:
        super().__init__()
        self.function = function
        self.unused = nn.Parameter(torch.zeros(1, dtype=torch.float64))

    def forward(self, x_t: Tensor, time: Tensor, *label: Tensor) -> Tensor:
        horizon, t = self.function.horizon, time * self.function.horizon / 1000
        return self.function.output(x_t, t.clamp(1, horizon) if self.function.real else t.round().long(), *label)


def column(value: Tensor, like: Tensor) -> Tensor:
    """[B] shaped to multiply [B, …]."""
    return value.reshape(-1, *[1] * (like.ndim - 1))


def denoiser_output(
    denoise: Callable[..., Tensor], parameterization: Parameterization, schedule: Schedule, horizon: int
) -> Output:
    """A network that predicts x̂_0 = denoise(x_t, ᾱ_t), or denoise(x_t, ᾱ_t, y) with a label, in `parameterization`."""
    gamma = schedule.gamma(horizon)

    def output(shown: Tensor, t: Tensor, *label: Tensor) -> Tensor:
        gamma_t, gamma_s = gamma(t).detach(), gamma(t - 1).detach()
        step = Step(gamma_t, gamma_s, gamma_t)
        x_t = shown / parameterization.network_input(torch.ones_like(shown), step)
        alpha_bar = column(torch.sigmoid(-gamma_t), x_t)
        x0 = denoise(x_t, alpha_bar, *label)
        eps = (x_t - alpha_bar.sqrt() * x0) / (1 - alpha_bar).sqrt()
        return parameterization.target(x0, eps, x_t, step)

    return output


@dataclass(frozen=True)
class GaussianData:
    """x_0 ~ N(0, diag(variances)) [D]."""

    variances: tuple[float, ...]

    @property
    def variance(self) -> Tensor:
        return torch.tensor(self.variances, dtype=torch.float64)

    @property
    def entropy(self) -> float:
        """Differential entropy in bits/dim."""
        return float(torch.log2(2 * math.pi * math.e * self.variance).mean() / 2)

    def denoise(self, x_t: Tensor, alpha_bar: Tensor) -> Tensor:
        """E[x_0 | x_t]."""
        return alpha_bar.sqrt() * self.variance / (alpha_bar * self.variance + 1 - alpha_bar) * x_t

    def expected(self, term: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """E over x_0 and ε of term(x_0, ε) [B, D] → [B], a sum over dimensions of polynomials of degree 2.

        Two Gauss-Hermite nodes for each, ±1, are exact up to degree 3.
        """
        signs = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]], dtype=torch.float64)
        ones = torch.ones(len(self.variances), dtype=torch.float64)
        values = [term(x0 * self.variance.sqrt(), eps * ones) for x0, eps in signs]
        return torch.stack(values).mean(0)


def expected_terms(model: Diffusion, data: GaussianData, steps: int | None = None) -> Tensor:
    """E L_0, E L_1, … E L_{K−1} in bits/dim [K]."""
    chain = model.chain(steps)
    k = torch.arange(1, chain.steps + 1)
    nats = data.expected(lambda x0, eps: model.term(x0.expand(len(k), 2), eps.expand(len(k), 2), chain, k))
    return nats / (2 * math.log(2))


def expected_bound(model: Diffusion, data: GaussianData) -> float:
    """The expected bound in bits/dim."""
    prior = data.expected(lambda x0, eps: model.prior(x0[None])) / (2 * math.log(2))
    return float(expected_terms(model, data).sum() + prior.sum())


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
        for what, made, remade in zip(("weights", "bounds", "samples"), first, again, strict=True):
            expect(f"finite {what} after three steps of training", made.isfinite().all(), "others")
            expect(f"{what} to follow from the seed alone", torch.equal(made, remade), "others the second time")
        if axis == "parameterization":
            _step_and_noise(choice)
        elif axis in ("objective", "sampler") and choices.variance == Beta() and not choice.reads_variance:
            _variance_unread(choices, sampler, axis)
    except Exception as error:
        line = str(error) if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"
        where = line_in(error, type(choice))
        raise AssertionError(" ".join(f"{axis}={choice_name(choice)}: {line}".split()) + where) from error


def expect(what: str, holds: object, found: object) -> None:
    """AssertionError that says what was expected and what was found, unless the one is the other."""
    if not bool(holds):
        raise AssertionError(f"expected {what}, found {found}")


def _beside(choice: Any, axis: str) -> Choices:
    """The first choices, from usual to unusual, that this one goes with."""
    own, taught = {} if axis == "sampler" else {axis: choice}, ((Beta(), Simple()), (LearnedVariance(), Hybrid()))
    for horizon, target, (variance, objective), time in product((30, 1000), (Epsilon(), V()), taught, ("t", "log_snr")):
        usual = {"parameterization": target, "variance": variance, "objective": objective, "network": Mlp(16, 1)}
        choices = Choices(**{**usual, "horizon": horizon, "time_input": time, **own})
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
    results = []
    for variance in (Beta(), BetaTilde()):
        learner = DiffusionLearner.of(replace(choices, variance=variance), Continuous(), SHAPES[0], CLASSES)
        x, t = torch.ones(choices.horizon, *SHAPES[0]), learner.diffusion.all_times[1:]
        samples = axis == "sampler"
        results.append(sampler.sample(learner.diffusion, 5, seed=0) if samples else learner.losses(x, t, x)["network"])
    what = "samples" if axis == "sampler" else "losses"
    expect(f"{what} that σ² does not change, as reads_variance=False says", torch.equal(*results), "others")


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
