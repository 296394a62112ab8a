"""On a CUDA device: the same numbers as on the CPU (that the host does not wait for it is in `test_waiting.py`)."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import diffusion_core as dc
from diffusion_core import precision
from diffusion_core.latents import LatentCode, standard
from diffusion_core.likelihood import Vae
from tests.axes import name
from tests.diffusion_core.learners import stirred

pytestmark = pytest.mark.gpu

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
LATENTS = [dc.Latents(f, width=8, regularization=kind) for f, kind in ((1, "vq"), (4, "kl"))]
DIGITS = torch.randint(17, (64, 1, 8, 8), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
UNET = dc.UNet(channels=8, groups=4, multipliers=(1,), attention=(16,))
"""With attention in the middle alone: what tensors meet there is the same at every resolution."""
SMALL = dc.Stratification(2, 2)
RECIPES = {
    "simple": {"network": dc.UNet(channels=8, groups=4)},
    "dit": {"network": dc.Dit(width=16, depth=1, heads=2)},
    "hybrid": {"objective": dc.Hybrid(), "variance": dc.LearnedVariance(), "timesteps": dc.Importance(history=2)},
    "vlb": {"objective": dc.Vlb(), "schedule": dc.LearnedSchedule(), "parameterization": dc.Mu()},
    "vlb_learned": {"objective": dc.Vlb(), "variance": dc.LearnedDiagonal()},
    "vlb_continuous": {
        "objective": dc.VlbContinuous(),
        "schedule": dc.LearnedSchedule(),
        "timesteps": dc.LowDiscrepancy(),
        "time_input": "log_snr",
    },
    "flow": {
        "parameterization": dc.V(),
        "schedule": dc.Rectified(),
        "timesteps": dc.LogitNormal(),
        "objective": dc.MinSnr(),
    },
    "immiscible": {"coupling": dc.Immiscible()},
    "edm": {"parameterization": dc.EdmParameterization(), "timesteps": dc.LogNormal(), "objective": dc.EdmObjective()},
}
"""Choices that are taught in ways of their own."""


def model(device: torch.device, **choices: object) -> dc.Diffusion:
    """A diffusion of digits whose weights have moved from their start."""
    model = dc.Diffusion(dc.Choices(**{"network": UNET, "horizon": 100} | choices), dc.GreyLevels(17), (1, 8, 8))
    model.initialise(0)
    stirred(model, 0.02)
    return model.to(device).eval()


@pytest.mark.parametrize(
    ("parameterization", "schedule", "spacing", "steps", "clip"),
    [
        (dc.Epsilon(), dc.Cosine(), dc.UniformSpacing(), None, True),
        (dc.EdmParameterization(), dc.LearnedSchedule(), dc.KarrasSpacing(), 6, False),
        (dc.Mu(), dc.Linear(), dc.OptimalSpacing(), 6, True),
    ],
    ids=name,
)
def test_the_bound_is_that_of_the_cpu(parameterization, schedule, spacing, steps, clip):
    """The times of fewer steps than the network was made for are chosen on the host."""
    choices = {"parameterization": parameterization, "schedule": schedule, "spacing": spacing, "horizon": 25}
    on_cpu, on_gpu = (
        dc.bound(scored.with_clip(clip), DIGITS[:16].to(scored.device), SMALL, seed=0, steps=steps)
        for scored in (fitted(model(device, **choices)) for device in (CPU, CUDA))
    )
    assert_bounds_agree(on_cpu, on_gpu)


def assert_bounds_agree(on_cpu: dc.Bound, on_gpu: dc.Bound) -> None:
    for part in ("L0", "Lt", "LT"):
        ours, theirs = getattr(on_gpu, part), getattr(on_cpu, part)
        assert ours.device == CPU
        assert ours.mean().item() == pytest.approx(theirs.mean().item(), abs=1e-4, rel=1e-5)


def test_the_bound_does_not_see_what_training_allows():
    """TF32 and autocast around it change nothing."""
    raw, on_gpu = DIGITS[:16].to(CUDA), model(CUDA, parameterization=dc.Mu()).with_clip(False)
    plain = dc.bound(on_gpu, raw, SMALL, seed=0).total
    with precision.tf32(True), torch.autocast("cuda", torch.bfloat16):
        allowed = dc.bound(on_gpu, raw, SMALL, seed=0).total
    torch.testing.assert_close(allowed, plain, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("sampler", "spacing"),
    [
        (dc.Ancestral(steps=6), dc.OptimalSpacing()),
        (dc.Ddim(steps=6, skip=0.2), dc.QuadraticSpacing()),
        (dc.Heun(steps=6), dc.LogSnrSpacing()),
        (dc.DpmSolver(steps=6), dc.KarrasSpacing()),
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


def fitted(diffusion: dc.Diffusion) -> dc.Diffusion:
    """The diffusion with terms that a fitted spacing can choose by: those of a bound that grows with the stride."""
    t = torch.arange(diffusion.choices.horizon + 1, dtype=torch.float64)
    diffusion.fit_terms(torch.where(t[:, None] > t, (t[:, None] - t) ** 2, torch.inf))
    return diffusion


@pytest.mark.parametrize("recipe", [*RECIPES, "optimal"])
def test_losses_and_gradients_are_those_of_the_cpu(recipe):
    """Each group's gradient by its own loss."""
    results: list[dict[str, tuple[Tensor, list[Tensor]]]] = []
    for device in (CPU, CUDA):
        choices = RECIPES.get(recipe, {"coupling": dc.Optimal()})
        learner = dc.DiffusionLearner(model(device, **choices)).to(device)
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
        autoencoder = space.build(dc.GreyLevels(17), (1, 8, 8))
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
