"""On a CUDA device: the same numbers as on the CPU (that the host does not wait for it is in `test_waiting.py`)."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from diffusion_core import precision
from diffusion_core.choices import Choices
from diffusion_core.couplings import Immiscible, Optimal
from diffusion_core.diffusion import Diffusion
from diffusion_core.encodings import GreyLevels
from diffusion_core.latents import LatentCode, standard
from diffusion_core.learner import DiffusionLearner
from diffusion_core.likelihood import Bound, bound
from diffusion_core.networks.dit import Dit
from diffusion_core.networks.unet import UNet
from diffusion_core.objectives import EdmObjective, Hybrid, MinSnr, Vlb, VlbContinuous
from diffusion_core.parameterizations import EdmParameterization, Epsilon, Mu, V
from diffusion_core.samplers import Ancestral, Ddim
from diffusion_core.schedules import Cosine, LearnedSchedule, Linear, Rectified
from diffusion_core.solvers import DpmSolver, Heun
from diffusion_core.spaces import Latents
from diffusion_core.spacings import (
    KarrasSpacing,
    LogSnrSpacing,
    OptimalSpacing,
    QuadraticSpacing,
    UniformSpacing,
)
from diffusion_core.stratified import Stratification
from diffusion_core.timesteps import Importance, LogitNormal, LogNormal, LowDiscrepancy
from diffusion_core.vae import Vae
from diffusion_core.variances import LearnedDiagonal, LearnedVariance
from tests.axes import name

pytestmark = pytest.mark.gpu

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
LATENTS = [Latents(f, width=8, regularization=kind) for f, kind in ((1, "vq"), (4, "kl"))]
DIGITS = torch.randint(17, (64, 1, 8, 8), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
UNET = UNet(channels=8, groups=4, multipliers=(1,), attention=(16,))
"""With attention in the middle alone: what tensors meet there is the same at every resolution."""
SMALL = Stratification(2, 2)
RECIPES = {
    "simple": {"network": UNet(channels=8, groups=4)},
    "dit": {"network": Dit(width=16, depth=1, heads=2)},
    "hybrid": {"objective": Hybrid(), "variance": LearnedVariance(), "timesteps": Importance(history=2)},
    "vlb": {"objective": Vlb(), "schedule": LearnedSchedule(), "parameterization": Mu()},
    "vlb_learned": {"objective": Vlb(), "variance": LearnedDiagonal()},
    "vlb_continuous": {
        "objective": VlbContinuous(),
        "schedule": LearnedSchedule(),
        "timesteps": LowDiscrepancy(),
        "time_input": "log_snr",
    },
    "flow": {"parameterization": V(), "schedule": Rectified(), "timesteps": LogitNormal(), "objective": MinSnr()},
    "immiscible": {"coupling": Immiscible()},
    "edm": {"parameterization": EdmParameterization(), "timesteps": LogNormal(), "objective": EdmObjective()},
}
"""Choices that are taught in ways of their own."""


def model(device: torch.device, **choices: object) -> Diffusion:
    """A diffusion of digits whose weights have moved from their start."""
    model = Diffusion(Choices(**{"network": UNET, "horizon": 100} | choices), GreyLevels(17), (1, 8, 8))
    model.initialise(0)
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        parameter.data += 0.02 * torch.randn(parameter.shape, generator=generator)
    return model.to(device).eval()


@pytest.mark.parametrize(
    ("parameterization", "schedule", "spacing", "steps", "clip"),
    [
        (Epsilon(), Cosine(), UniformSpacing(), None, True),
        (EdmParameterization(), LearnedSchedule(), KarrasSpacing(), 6, False),
        (Mu(), Linear(), OptimalSpacing(), 6, True),
    ],
    ids=name,
)
def test_the_bound_is_that_of_the_cpu(parameterization, schedule, spacing, steps, clip):
    """The times of fewer steps than the network was made for are chosen on the host."""
    choices = {"parameterization": parameterization, "schedule": schedule, "spacing": spacing, "horizon": 25}
    on_cpu, on_gpu = (
        bound(scored.with_clip(clip), DIGITS[:16].to(scored.device), SMALL, seed=0, steps=steps)
        for scored in (fitted(model(device, **choices)) for device in (CPU, CUDA))
    )
    assert_bounds_agree(on_cpu, on_gpu)


def assert_bounds_agree(on_cpu: Bound, on_gpu: Bound) -> None:
    for part in ("L0", "Lt", "LT"):
        ours, theirs = getattr(on_gpu, part), getattr(on_cpu, part)
        assert ours.device == CPU
        assert ours.mean().item() == pytest.approx(theirs.mean().item(), abs=1e-4, rel=1e-5)


def test_the_bound_does_not_see_what_training_allows():
    """TF32 and autocast around it change nothing."""
    raw, on_gpu = DIGITS[:16].to(CUDA), model(CUDA, parameterization=Mu()).with_clip(False)
    plain = bound(on_gpu, raw, SMALL, seed=0).total
    with precision.tf32(True), torch.autocast("cuda", torch.bfloat16):
        allowed = bound(on_gpu, raw, SMALL, seed=0).total
    torch.testing.assert_close(allowed, plain, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("sampler", "spacing"),
    [
        (Ancestral(steps=6), OptimalSpacing()),
        (Ddim(steps=6, skip=0.2), QuadraticSpacing()),
        (Heun(steps=6), LogSnrSpacing()),
        (DpmSolver(steps=6), KarrasSpacing()),
    ],
    ids=name,
)
def test_samples_are_those_of_the_cpu(sampler, spacing):
    """Noise is drawn on the CPU, so what differs is rounding, through all steps, real times too, and clipped."""
    on_cpu, on_gpu = (
        sampler.sample(fitted(model(device, spacing=spacing, horizon=25, time="continuous")), 70, seed=0).cpu()
        for device in (CPU, CUDA)
    )
    torch.testing.assert_close(on_gpu, on_cpu, rtol=1e-3, atol=1e-3)


def fitted(diffusion: Diffusion) -> Diffusion:
    """The diffusion with terms that a fitted spacing can choose by: those of a bound that grows with the stride."""
    t = torch.arange(diffusion.choices.horizon + 1, dtype=torch.float64)
    diffusion.fit_terms(torch.where(t[:, None] > t, (t[:, None] - t) ** 2, torch.inf))
    return diffusion


@pytest.mark.parametrize("recipe", [*RECIPES, "optimal"])
def test_losses_and_gradients_are_those_of_the_cpu(recipe):
    """Each group's gradient by its own loss."""
    results: list[dict[str, tuple[Tensor, list[Tensor]]]] = []
    for device in (CPU, CUDA):
        choices = RECIPES.get(recipe, {"coupling": Optimal()})
        learner = DiffusionLearner(model(device, **choices)).to(device)
        with precision.exact(device):
            losses = learner.batch_losses(DIGITS.to(device), 0, 0)
            gradients = {
                group: torch.autograd.grad(losses[group].mean(), parameters, retain_graph=True)
                for group, parameters in learner.parameter_groups().items()
            }
        results.append({g: (losses[g].detach().cpu(), [v.cpu() for v in gradients[g]]) for g in losses})
    on_cpu, on_gpu = results
    for group in on_cpu:
        torch.testing.assert_close(on_gpu[group][0], on_cpu[group][0], rtol=1e-3, atol=1e-3)
        scale = max(g.abs().max().item() for g in on_cpu[group][1])
        for ours, theirs in zip(on_gpu[group][1], on_cpu[group][1], strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-2, atol=1e-3 * scale)


@pytest.mark.parametrize("space", LATENTS, ids=name)
def test_codes_and_reconstructions_are_those_of_the_cpu(space):
    found, decoded = [], []
    for device in (CPU, CUDA):
        autoencoder = space.build(GreyLevels(17), (1, 8, 8))
        autoencoder.initialise(0)
        raw = DIGITS.to(device)
        autoencoder.to(device).batch_losses(raw, 0, 0)
        autoencoder.eval().requires_grad_(False)
        scale = standard(autoencoder, raw)
        code = LatentCode(autoencoder, scale.mean, scale.scale, (1, 8, 8), space.shape_of((1, 8, 8)))
        x0 = code.draw(code.store(raw), 0, 0, "x")
        terms = [x0]
        decoded.append(code.decode(x0).cpu().int())
        if space.likelihood:
            terms += [Vae(code).bound(raw, seed=0).total]
        found.append([term.cpu() for term in terms])
    for mine, theirs in zip(*found, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-3)
    # A value on the edge between two levels may fall to either side.
    apart = (decoded[0] - decoded[1]).abs()
    assert apart.max() <= 1
    assert apart.double().mean() < 0.005
