"""Cases that are timed on random images, by the U-Net of the baseline cell or a larger one: a training step under every
choice that may cost something, and a pass of all that is scored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ablations.launchers.launcher import found_devices
from analysis.shell import Option
from benchmarks.timing import machine
from diffusion_core.choices import Choices
from diffusion_core.diffusion import Diffusion
from diffusion_core.encodings import GreyLevels
from diffusion_core.fitting import noise_moments
from diffusion_core.flow import Heun, flow_likelihood
from diffusion_core.learner import DiffusionLearner
from diffusion_core.likelihood import bound, continuous_bound
from diffusion_core.networks.unet import UNet
from diffusion_core.objectives import Hybrid, Simple, Vlb, VlbContinuous
from diffusion_core.parameterizations import Epsilon
from diffusion_core.samplers import Ancestral, Ddim, Sampler
from diffusion_core.schedules import LearnedSchedule, Linear
from diffusion_core.stratified import Stratification
from diffusion_core.timesteps import Importance, LowDiscrepancy, Uniform
from diffusion_core.trainer import Trainer
from diffusion_core.training import Training
from diffusion_core.variances import Beta, LearnedVariance

SMALL, LARGE = UNet(), UNet(channels=32, multipliers=(1, 2, 2), blocks=2, attention=(8,))
"""The baseline cell's network, and one of 1.4 million parameters for 32×32."""
SIZES = {"tiny": (SMALL, (1, 8, 8), 128), "medium": (LARGE, (3, 32, 32), 64)}
OPTIONS = {
    "rounds": Option("how often every case is timed; medians are compared", 7, int),
    "device": Option("auto, cpu, cuda or cuda:N", "auto"),
    "threads": Option("CPU threads", 1, int),
    "size": Option("8x8 grey images with the baseline's network, or 32x32 colour", "tiny", choices=tuple(SIZES)),
}
LEARNED: dict[str, Any] = {"schedule": LearnedSchedule(), "time_input": "log_snr"}
TRAININGS: dict[str, dict[str, Any]] = {
    "simple": {},
    "hybrid, learned variance": {"objective": Hybrid(), "variance": LearnedVariance()},
    "vlb": {"objective": Vlb()},
    "vlb_continuous": {"objective": VlbContinuous()},
    "simple, learned schedule": LEARNED,
    "vlb_continuous, learned schedule": {"objective": VlbContinuous(), **LEARNED},
    "simple, importance": {"timesteps": Importance()},
    "simple, low_discrepancy": {"timesteps": LowDiscrepancy()},
}
BASE = Choices(Epsilon(), Beta(), Linear(), Simple(), Uniform(), SMALL, horizon=100)


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

    def diffusion(self, seed: int = 0, **choices: Any) -> Diffusion:
        model = Diffusion(replace(BASE, network=self.network, **choices), GreyLevels(), self.shape)
        model.initialise(seed)
        return model.to(self.device)

    def trainer(self, model: Diffusion, **settings: Any) -> Trainer:
        return Trainer(DiffusionLearner(model), Training(batch=self.batch, **settings), self.device)


def workload_of(given: dict[str, Any]) -> tuple[Workload, str]:
    """The workload that a command asks for, and its name, with the machine that this process uses for it."""
    torch.set_num_threads(given["threads"])
    device = torch.device(found_devices(given["device"])[0])
    network, shape, batch = SIZES[given["size"]]
    where = machine(device, given["threads"])
    return Workload(network, shape, batch, device), f"{given['size']}: {list(shape)}, batch {batch}, {where}"


def training_cases(workload: Workload) -> dict[str, Callable[[], object]]:
    """A training step under every choice; on a device with bf16, under bf16 autocast as cells are trained there."""
    images = workload.images

    def step_of(choices: dict[str, Any], **settings: Any) -> Callable[[], object]:
        trainer = workload.trainer(workload.diffusion(**choices), **settings)
        return lambda: trainer.step(images, 0, 0)

    cases = {name: step_of(choices) for name, choices in TRAININGS.items()}
    cases |= {f"simple, {precision}": step_of({}, precision=precision) for precision in ("float32", "bf16")}
    return cases | ({"simple, compiled": step_of({}, compile="auto")} if workload.device.type == "cuda" else {})


def scoring_cases(workload: Workload) -> dict[str, Callable[[], object]]:
    """Ten network calls of an ancestral chain, and what else is done with a trained network."""
    model, images, n = workload.diffusion().eval(), workload.images, workload.batch

    def chain(sampler: Sampler) -> Callable[[], object]:
        return lambda: sampler.sample(model, n, seed=0, batch=n)

    return {
        "ancestral, 10 steps": chain(Ancestral(steps=10)),
        "ddim, 10 steps": chain(Ddim(steps=10)),
        "heun, 10 steps": chain(Heun(steps=10)),
        "bound, 10 of 100 terms": lambda: bound(model, images, Stratification(1, 1), seed=0, batch=n),
        "continuous bound, 10 draws": lambda: continuous_bound(model, images, draws=10, seed=0, batch=n),
        "flow likelihood, 2 steps, 1 probe": lambda: flow_likelihood(model, images, steps=2, probes=1, seed=0),
        "fit, 100 levels, 1/10 of the images": lambda: noise_moments(model, images, draws=max(1, n // 10), seed=0),
    }
