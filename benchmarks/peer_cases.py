"""Cases to compare with others' libraries: networks of three sizes, a step of each one's training, each one's DDIM.

Peers are `diffusers` (its UNet2DModel and the loop of its example of unconditional training) and
`denoising_diffusion_pytorch` (its Unet, loss and Trainer's step). Their data lies ready on the device in the range that
each takes; ours is made from bytes in the step. Imported where they are used: both are optional.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from benchmarks.cases import LARGE, SMALL, Workload
from benchmarks.peak import Mode, mode_name, running
from benchmarks.peer_networks import alike, diffusers_defaults, diffusers_of_our_structure, lucidrains
from diffusion_core.diffusion import Diffusion
from diffusion_core.learner import DiffusionLearner
from diffusion_core.networks.unet import UNet
from diffusion_core.precision import resolve_precision
from diffusion_core.samplers import Ddim
from diffusion_core.trainer import Trainer
from diffusion_core.training import Training

DDPM = UNet(channels=128, multipliers=(1, 2, 2, 2), blocks=2, attention=(16,), heads=1, groups=32)
"""The widths of Ho et al. 2020 for CIFAR-10: 28.8 million parameters; theirs, which diffusers builds by default, has
35.7 million by a block more on the way up at each resolution, and by convolutions where sides change."""

SIZES: dict[str, tuple[UNet, tuple[int, int, int], int]] = {
    "tiny": (SMALL, (1, 8, 8), 128),
    "medium": (LARGE, (3, 32, 32), 64),
    "ddpm": (DDPM, (3, 32, 32), 16),
}
"""Network, shape and batch by the size's name."""

Setting = Literal["auto", "float32", "bf16"]

HORIZON = 1000
STEPS = 10
"""Network calls of a chain of samples."""

OURS: tuple[tuple[str, Setting], ...] = (("as cells are: ", "auto"), ("", "float32"), ("", "bf16"))
"""The name of each row before its precision, and the setting."""
PEER_MODES: tuple[Mode, ...] = ("torch", "bf16")


def workload(size: str, device: torch.device) -> Workload:
    """The images and the network of a size."""
    network, shape, batch = SIZES[size]
    return Workload(network, shape, batch, device)


@dataclass(frozen=True)
class Case:
    """Something to be timed: a name, the network that it calls, the mode that it does so in."""

    name: str
    network: nn.Module
    mode: Mode
    call: Callable[[], object]


class Peer(Protocol):
    """A peer's network with its own training and sampler."""

    network: nn.Module

    def step(self, mode: Mode) -> object:
        """One step of training."""

    def sample(self, mode: Mode) -> object:
        """A batch of samples in `STEPS` network calls."""


def training_cases(size: Workload) -> list[Case]:
    """A training step of ours, as cells take it first, and of each peer."""
    ours = [_training(size, name, precision) for name, precision in OURS]
    theirs = peers(size, training=True).items()
    return ours + [_case(size, name, peer, mode, peer.step) for name, peer in theirs for mode in PEER_MODES]


def sampling_cases(size: Workload) -> list[Case]:
    """A batch of samples by DDIM of ours, as cells draw them, and of each peer."""
    model = size.diffusion(horizon=HORIZON).eval()
    ours = [_sampling(size, model, name, precision) for name, precision in OURS]
    theirs = peers(size, training=False).items()
    return ours + [_case(size, name, peer, mode, peer.sample) for name, peer in theirs for mode in PEER_MODES]


def _sampling(size: Workload, model: Diffusion, name: str, setting: Setting) -> Case:
    precision = resolve_precision(setting, size.device)

    def draw() -> Tensor:
        with model.network_in(precision):
            return Ddim(steps=STEPS).sample(model, size.batch, seed=0, batch=size.batch)

    return Case(f"ours, {name}{precision}", model.network, precision, draw)


def _training(size: Workload, name: str, precision: Setting) -> Case:
    learner = DiffusionLearner(size.diffusion(horizon=HORIZON)).train()
    trainer = Trainer(learner, Training(batch=size.batch, precision=precision), size.device)
    step = partial(trainer.step, size.images, 0, 0)
    return Case(f"ours, {name}{trainer.precision}", learner.diffusion.network, trainer.precision, step)


def _case(size: Workload, name: str, peer: Peer, mode: Mode, act: Callable[[Mode], object]) -> Case:
    return Case(f"{name}, {mode_name(mode, size.device)}", peer.network, mode, partial(act, mode))


def peers(size: Workload, training: bool) -> dict[str, Peer]:
    """Every peer by what a reader calls it, to be trained or to be sampled from."""
    return {
        **diffusers_peers(size, training),
        "denoising_diffusion_pytorch, its defaults": Lucidrains(size, training),
    }


def diffusers_peers(size: Workload, training: bool) -> dict[str, Peer]:
    """A network of that library's own structure and one of ours, which is held to ours."""
    same = diffusers_of_our_structure(size.network, size.shape)
    alike(size.network.build(size.shape, size.shape[0]), same, size.shape)
    return {
        "diffusers, its defaults": Diffusers(diffusers_defaults(size.network, size.shape), size, training),
        "diffusers, our structure": Diffusers(same, size, training),
    }


class Diffusers:
    """A UNet2DModel with the loop of the library's example of unconditional training, and with its DDIM."""

    def __init__(self, network: nn.Module, size: Workload, training: bool) -> None:
        from diffusers.schedulers.scheduling_ddim import DDIMScheduler
        from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

        self.network: Any = network.to(size.device).train(training)
        self.device = size.device
        self.images = size.images.float() / 127.5 - 1
        self.forward_process: Any = DDPMScheduler(num_train_timesteps=HORIZON)
        self.ddim: Any = DDIMScheduler(num_train_timesteps=HORIZON)
        if training:
            self._prepare()

    def _prepare(self) -> None:
        from diffusers.training_utils import EMAModel

        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=1e-4, betas=(0.95, 0.999), weight_decay=1e-6, eps=1e-8
        )
        self.average: Any = EMAModel(
            self.network.parameters(), decay=0.9999, use_ema_warmup=True, inv_gamma=1.0, power=0.75
        )

    def step(self, mode: Mode) -> float:
        noise = torch.randn_like(self.images)
        t = torch.randint(0, HORIZON, (len(noise),), device=self.device)
        noisy = self.forward_process.add_noise(self.images, noise, t)
        with running(mode, self.device):
            out = self.network(noisy, t).sample
        loss = mse_loss(out.float(), noise)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.average.step(self.network.parameters())
        # The example logs the loss of every step.
        return loss.item()

    @torch.no_grad()
    def sample(self, mode: Mode) -> Tensor:
        self.ddim.set_timesteps(STEPS)
        x = torch.randn_like(self.images)
        with running(mode, self.device):
            for t in self.ddim.timesteps:
                x = self.ddim.step(self.network(x, t).sample, t, x).prev_sample
        return x


class Lucidrains:
    """A Unet with GaussianDiffusion, a step of its Trainer, and its DDIM."""

    def __init__(self, size: Workload, training: bool) -> None:
        from denoising_diffusion_pytorch import GaussianDiffusion

        self.device = size.device
        self.images = size.images.float() / 255
        self.network = lucidrains(size.network, size.shape)
        diffusion = GaussianDiffusion(
            self.network, image_size=size.shape[-1], timesteps=HORIZON, sampling_timesteps=STEPS
        )
        self.diffusion: Any = diffusion.to(self.device).train(training)
        if training:
            self._prepare()

    def _prepare(self) -> None:
        from ema_pytorch import EMA

        self.optimiser = torch.optim.Adam(self.diffusion.parameters(), lr=1e-4, betas=(0.9, 0.99))
        # It averages at every tenth step, and copies before the hundredth: medians are of steps that do neither.
        self.average: Any = EMA(self.diffusion, beta=0.995, update_every=10).to(self.device)

    def step(self, mode: Mode) -> float:
        with running(mode, self.device):
            loss = self.diffusion(self.images)
        # The Trainer shows the loss of every step, before it goes back.
        shown = float(loss.item())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.diffusion.parameters(), 1.0)
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.average.update()
        return shown

    def sample(self, mode: Mode) -> Tensor:
        # Its progress bar writes to stderr.
        with running(mode, self.device), contextlib.redirect_stderr(io.StringIO()):
            x: Tensor = self.diffusion.ddim_sample(tuple(self.images.shape))
        return x
