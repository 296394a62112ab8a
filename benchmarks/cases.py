"""Cases that are timed: a training step under every choice that may cost something, a pass of all that is scored.

All on random images of the shape asked for, by the U-Net of the baseline cell or a larger one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from diffusion_core.autoencoder import Autoencoder
from diffusion_core.choices import Choices
from diffusion_core.diffusion import Diffusion
from diffusion_core.encodings import Encoding, GreyLevels
from diffusion_core.fitting import noise_moments
from diffusion_core.latents import LatentCode
from diffusion_core.learner import DiffusionLearner
from diffusion_core.likelihood import bound, continuous_bound
from diffusion_core.networks.unet import UNet
from diffusion_core.objectives import Hybrid, MinSnr, Simple, Vlb, VlbContinuous
from diffusion_core.ode import flow_likelihood
from diffusion_core.parameterizations import Epsilon
from diffusion_core.samplers import Ancestral, Ddim, Sampler
from diffusion_core.schedules import LearnedSchedule, Linear
from diffusion_core.solvers import Heun
from diffusion_core.spaces import Latents
from diffusion_core.stratified import Stratification
from diffusion_core.timesteps import Importance, LowDiscrepancy, Uniform
from diffusion_core.trainable import Learner
from diffusion_core.trainer import Trainer
from diffusion_core.training import Training
from diffusion_core.variances import Beta, LearnedVariance

HORIZON = 100

SMALL, LARGE = UNet(), UNet(channels=32, multipliers=(1, 2, 2), blocks=2, attention=(8,))
"""The baseline cell's network, and one of 1.4 million parameters for 32×32."""

TRAININGS: dict[str, dict[str, Any]] = {
    "simple": {},
    "min_snr": {"objective": MinSnr()},
    "hybrid, learned variance": {"objective": Hybrid(), "variance": LearnedVariance()},
    "vlb": {"objective": Vlb()},
    "vlb_continuous": {"objective": VlbContinuous()},
    "simple, learned schedule": {"schedule": LearnedSchedule(), "time_input": "log_snr"},
    "vlb_continuous, learned schedule": {
        "schedule": LearnedSchedule(),
        "objective": VlbContinuous(),
        "time_input": "log_snr",
    },
    "simple, importance": {"timesteps": Importance()},
    "simple, low_discrepancy": {"timesteps": LowDiscrepancy()},
    "simple, told log-SNR": {"time_input": "log_snr"},
}
"""Choices that differ from the baseline's, by what a reader calls them."""

BASE = Choices(Epsilon(), Beta(), Linear(), Simple(), Uniform(), SMALL, HORIZON)


@dataclass(frozen=True)
class Workload:
    """Random images uint8 [batch, *shape] on a device, and the network for them."""

    network: UNet
    shape: tuple[int, int, int]
    batch: int
    device: torch.device

    @property
    def images(self) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        return torch.randint(256, (self.batch, *self.shape), generator=generator).to(torch.uint8).to(self.device)

    def diffusion(self, **choices: Any) -> Diffusion:
        return self.diffusion_of(GreyLevels(), **choices)

    def diffusion_of(self, encoding: Encoding, **choices: Any) -> Diffusion:
        shape = encoding.shape_of(self.shape)
        model = Diffusion(replace(BASE, network=self.network, **choices), encoding, shape)
        model.initialise(0)
        return model.to(self.device)

    def autoencoder(self, space: Latents) -> Autoencoder:
        model = space.build(GreyLevels(), self.shape)
        model.initialise(0)
        return model.to(self.device)

    def code(self, space: Latents) -> LatentCode:
        """The encoding by an untrained autoencoder, whose codes are not scaled."""
        ones = torch.ones(space.channels, device=self.device)
        model = self.autoencoder(space).requires_grad_(False)
        return LatentCode(model, 0 * ones, ones, self.shape, space.shape_of(self.shape))


def training_cases(workload: Workload) -> dict[str, Callable[[], object]]:
    """A training step under every choice; on a device with bf16, under bf16 autocast as cells are trained there."""
    images = workload.images

    def step_of(choices: dict[str, Any], precision: str, captured: bool = True) -> Callable[[], object]:
        plan = Training(batch=workload.batch, precision=precision, captured=captured)  # type: ignore[arg-type]
        trainer = Trainer(DiffusionLearner(workload.diffusion(**choices)), plan, workload.device)
        return lambda: trainer.step(images, 0, 0)

    cases = {name: step_of(choices, "auto") for name, choices in TRAININGS.items()}
    cases |= {"simple, float32": step_of({}, "float32"), "simple, bf16": step_of({}, "bf16")}
    if workload.device.type == "cuda":
        cases |= {
            f"{name}, not recorded": step_of(TRAININGS[name], "auto", captured=False) for name in ("simple", "vlb")
        }
    return cases | latent_cases(workload)


def latent_cases(workload: Workload) -> dict[str, Callable[[], object]]:
    """A step of an autoencoder for each f, and one of a diffusion in its codes, which are worked out beforehand."""
    images, plan = workload.images, Training(batch=workload.batch)

    def step(learner: Learner, stored: Tensor) -> Callable[[], object]:
        trainer = Trainer(learner, plan, workload.device)
        return lambda: trainer.step(stored, 0, 1)

    cases = {}
    for space in (Latents(f=2), Latents(f=4)):
        code = workload.code(space)
        cases[f"autoencoder, f={space.f}"] = step(workload.autoencoder(space), images)
        cases[f"simple, latents f={space.f}"] = step(DiffusionLearner(workload.diffusion_of(code)), code.store(images))
    return cases


def scoring_cases(workload: Workload) -> dict[str, Callable[[], object]]:
    """Ten network calls of an ancestral chain, and what else is done with a trained network."""
    model, images = workload.diffusion().eval(), workload.images
    n = workload.batch

    def chain(sampler: Sampler) -> Callable[[], object]:
        return lambda: sampler.sample(model, n, seed=0, batch=n)

    def recorded() -> object:
        with model.network_in("float32", captured=True):
            return Ancestral(steps=50).sample(model, n, seed=0, batch=n)

    pairs = {"ancestral, 50 steps": chain(Ancestral(steps=50)), "ancestral, 50 steps, recorded": recorded}
    return {
        "ancestral, 10 steps": chain(Ancestral(steps=10)),
        **(pairs if workload.device.type == "cuda" else {}),
        "ddim, 10 steps": chain(Ddim(steps=10)),
        "heun, 10 steps": chain(Heun(steps=10)),
        "bound, 10 of 100 terms": lambda: bound(model, images, Stratification(1, 1), seed=0, batch=n),
        "continuous bound, 10 draws": lambda: continuous_bound(model, images, draws=10, seed=0, batch=n),
        "flow likelihood, 2 steps, 1 probe": lambda: flow_likelihood(model, images, steps=2, probes=1, seed=0),
        "fit, 100 levels, 1/10 of the images": lambda: noise_moments(model, images, draws=max(1, n // 10), seed=0),
    }
