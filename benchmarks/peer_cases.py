"""Cases to compare with others' libraries: ours and theirs, each with a step of its training and its DDIM.

Peers are `diffusers` (its UNet2DModel and the loop of its example of unconditional training) and
`denoising_diffusion_pytorch` (its Unet, loss and Trainer's step), with our channels and else their defaults, so that
they differ in size. Their data lies ready on the device in the range that each takes; ours is made from bytes in the
step. Imported where they are used: both are optional.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import mse_loss
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.cases import Workload
from diffusion_core.precision import Precision, resolve_precision
from diffusion_core.samplers import Ddim

HORIZON = 1000
STEPS = 10


@dataclass(frozen=True)
class Case:
    """A network in one precision: a step of its training, and a batch of samples in `STEPS` network calls."""

    network: nn.Module
    step: Callable[[], object]
    sample: Callable[[], object]


@dataclass(frozen=True)
class Peer:
    """A peer's network with its own training and sampler, in torch's own float32 or in bf16."""

    network: nn.Module
    optimiser: torch.optim.Optimizer
    average: Callable[[], object]
    loss: Callable[[], Tensor]
    draw: Callable[[], Tensor]
    device: str

    def step(self, bf16: bool) -> float:
        """One step of training, whose loss is read, as their scripts do."""
        with torch.autocast(self.device, torch.bfloat16, enabled=bf16):
            loss = self.loss()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.average()
        return loss.item()

    @torch.no_grad()
    def sample(self, bf16: bool) -> Tensor:
        """A batch of samples in `STEPS` network calls."""
        with torch.autocast(self.device, torch.bfloat16, enabled=bf16):
            return self.draw()


def all_cases(size: Workload) -> dict[str, Case]:
    """Ours as cells are trained first, ours in the other precision, and each peer in both."""
    auto = resolve_precision("auto", size.device)
    other: Precision = "float32" if auto == "bf16" else "bf16"
    cases = {f"ours, as cells are: {auto}": ours(size, auto), f"ours, {other}": ours(size, other)}
    tf32 = ", TF32 in convolutions" if size.device.type == "cuda" else ""
    for name, peer in {"diffusers": diffusers(size), "denoising_diffusion_pytorch": lucidrains(size)}.items():
        for label, bf16 in {f"float32{tf32}": False, "bf16": True}.items():
            cases[f"{name}, {label}"] = Case(peer.network, partial(peer.step, bf16), partial(peer.sample, bf16))
    return cases


def ours(size: Workload, precision: Precision) -> Case:
    """The suite's own network in a precision."""
    trainer = size.trainer(size.diffusion(horizon=HORIZON), precision=precision)
    model = size.diffusion(horizon=HORIZON).eval()

    def draw() -> Tensor:
        with model.network_in(precision):
            return Ddim(steps=STEPS).sample(model, size.batch, seed=0, batch=size.batch)

    return Case(model.network, partial(trainer.step, size.images, 0, 0), draw)


def diffusers(size: Workload) -> Peer:
    """A UNet2DModel, with attention where ours has it, the loop of the library's example, and its DDIM."""
    from diffusers.models.unets.unet_2d import UNet2DModel
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler
    from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
    from diffusers.training_utils import EMAModel

    config, (channels, side, _) = size.network, size.shape
    attention = [side >> i in config.attention for i in range(len(config.multipliers))]
    network: nn.Module = UNet2DModel(
        sample_size=side,
        in_channels=channels,
        out_channels=channels,
        block_out_channels=tuple(config.channels * multiplier for multiplier in config.multipliers),
        layers_per_block=config.blocks,
        norm_num_groups=config.groups,
        down_block_types=tuple("AttnDownBlock2D" if has else "DownBlock2D" for has in attention),
        up_block_types=tuple("AttnUpBlock2D" if has else "UpBlock2D" for has in reversed(attention)),
    ).to(size.device)
    images, own = size.images.float() / 127.5 - 1, list(network.parameters())
    optimiser = torch.optim.AdamW(own, lr=1e-4, betas=(0.95, 0.999), weight_decay=1e-6, eps=1e-8)
    average: Any = EMAModel(own, decay=0.9999, use_ema_warmup=True, inv_gamma=1.0, power=0.75)
    ddpm, ddim = DDPMScheduler(num_train_timesteps=HORIZON), DDIMScheduler(num_train_timesteps=HORIZON)

    def loss() -> Tensor:
        noise = torch.randn_like(images)
        t = torch.randint(0, HORIZON, (len(noise),), device=noise.device)
        return mse_loss(network(ddpm.add_noise(images, noise, t), t).sample.float(), noise)

    def draw() -> Tensor:
        ddim.set_timesteps(STEPS)
        x = torch.randn_like(images)
        for t in ddim.timesteps:
            x = ddim.step(network(x, t).sample, t, x).prev_sample
        return x

    return Peer(network, optimiser, partial(average.step, own), loss, draw, size.device.type)


def lucidrains(size: Workload) -> Peer:
    """A Unet with GaussianDiffusion, a step of its Trainer, and its DDIM."""
    from denoising_diffusion_pytorch import GaussianDiffusion, Unet
    from ema_pytorch import EMA

    images, (channels, side, _) = size.images.float() / 255, size.shape
    network = Unet(dim=size.network.channels, dim_mults=size.network.multipliers, channels=channels)
    diffusion: Any = GaussianDiffusion(network, image_size=side, timesteps=HORIZON, sampling_timesteps=STEPS)
    optimiser = torch.optim.Adam(diffusion.to(size.device).parameters(), lr=1e-4, betas=(0.9, 0.99))
    # It averages at every tenth step, and copies before the hundredth: medians are of steps that do neither.
    average = EMA(diffusion, beta=0.995, update_every=10).to(size.device).update

    def draw() -> Tensor:
        # Its progress bar writes to stderr.
        with contextlib.redirect_stderr(io.StringIO()):
            x: Tensor = diffusion.ddim_sample(tuple(images.shape))
        return x

    return Peer(network, optimiser, average, partial(diffusion, images), draw, size.device.type)


@torch.no_grad()
def multiply_adds(network: nn.Module, shape: tuple[int, ...]) -> int:
    """Multiply-adds of a forward pass of one image: half of those of x [2, *shape], time [2].

    Torch's counter knows no fused kernel of attention on a CPU: it is asked for the one made of products.
    """
    device = next(network.parameters()).device
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        network(torch.zeros(2, *shape, device=device), torch.ones(2, device=device))
    return int(counter.get_total_flops()) // 4
