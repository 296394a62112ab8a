"""Networks and samplers that are wrong on purpose, each in one thing, for the shared checks to find."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from diffusion_core.chain import Chain
from diffusion_core.diffusion import Diffusion
from diffusion_core.networks.network import Network
from diffusion_core.samplers import Noise, Sampler, reverse_at


class Head(nn.Module):
    """A body that a wrong network changes in one thing."""

    def __init__(self, dims: int, channels_out: int, *, zero: bool = True, dropout: float = 0.0) -> None:
        super().__init__()
        self.body = nn.Linear(dims + 1, 16)
        self.dropout = dropout
        self.out = nn.Linear(16, channels_out)
        if zero:
            nn.init.zeros_(self.out.weight)
            nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        h = torch.tanh(self.body(torch.cat([x, time[:, None] / 1000], dim=1)))
        if self.dropout:
            h = nn.functional.dropout(h, self.dropout)
        with torch.autocast(x.device.type, enabled=False):
            return self.out(h.float())


def points(shape: tuple[int, ...]) -> int:
    """D of a point; ValueError for anything else."""
    if len(shape) != 1:
        raise ValueError(f"takes points [D], got {list(shape)}")
    return shape[0]


@dataclass(frozen=True)
class Fitting(Network):
    """A network of points in which nothing is wrong."""

    def build(self, shape: tuple[int, ...], channels_out: int) -> nn.Module:
        return Head(points(shape), channels_out)


@dataclass(frozen=True)
class Narrow(Network):
    """Gives as many channels as it takes, whatever is asked for."""

    def build(self, shape: tuple[int, ...], channels_out: int) -> nn.Module:
        return Head(points(shape), shape[0])


@dataclass(frozen=True)
class Loud(Network):
    """Does not start at zero."""

    def build(self, shape: tuple[int, ...], channels_out: int) -> nn.Module:
        return Head(points(shape), channels_out, zero=False)


@dataclass(frozen=True)
class Dropping(Network):
    """Drops units in evaluation too."""

    def build(self, shape: tuple[int, ...], channels_out: int) -> nn.Module:
        return Head(points(shape), channels_out, dropout=0.5)


class NoisyHead(Head):
    """Scales x by noise drawn where it is built, by a generator of its own or kept out of the state_dict."""

    drawn = 0

    def __init__(self, dims: int, channels_out: int, *, own: bool) -> None:
        super().__init__(dims, channels_out)
        NoisyHead.drawn += 1
        generator = torch.Generator().manual_seed(NoisyHead.drawn) if own else None
        noise = 1 + 0.5 * torch.rand(dims, generator=generator)
        self.register_buffer("noise", noise, persistent=own)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        return super().forward(x * self.noise, time)


@dataclass(frozen=True)
class Moody(Network):
    """Draws by a generator of its own, so that no seed repeats it."""

    def build(self, shape: tuple[int, ...], channels_out: int) -> nn.Module:
        return NoisyHead(points(shape), channels_out, own=True)


@dataclass(frozen=True)
class Untold(Network):
    """Keeps what it draws out of its state_dict."""

    def build(self, shape: tuple[int, ...], channels_out: int) -> nn.Module:
        return NoisyHead(points(shape), channels_out, own=False)


@dataclass(frozen=True)
class Shapeless(Network):
    """Takes nothing."""

    def build(self, shape: tuple[int, ...], channels_out: int) -> nn.Module:
        raise ValueError(f"got {list(shape)}")


@dataclass(frozen=True)
class OwnNoise(Sampler):
    """Draws its noise from the global generator."""

    reads_variance: ClassVar[bool] = True

    def step(self, diffusion: Diffusion, x_t: Tensor, chain: Chain, k: int, noise: Noise, *, clip: bool) -> Tensor:
        p = reverse_at(diffusion, x_t, chain, k, clip=clip)
        return p.gaussian.sample(torch.randn_like(x_t)) if k > 1 else p.mean


@dataclass(frozen=True)
class Crowded(Sampler):
    """Lets samples of a batch see each other."""

    reads_variance: ClassVar[bool] = False

    def step(self, diffusion: Diffusion, x_t: Tensor, chain: Chain, k: int, noise: Noise, *, clip: bool) -> Tensor:
        x0 = reverse_at(diffusion, x_t, chain, k, clip=clip).x0
        return x0 - x0.mean(0, keepdim=True)


@dataclass(frozen=True)
class Miscounted(Sampler):
    """Asks the network twice, and counts it once."""

    reads_variance: ClassVar[bool] = False

    def step(self, diffusion: Diffusion, x_t: Tensor, chain: Chain, k: int, noise: Noise, *, clip: bool) -> Tensor:
        first = reverse_at(diffusion, x_t, chain, k, clip=clip).x0
        return 0.5 * (first + reverse_at(diffusion, x_t, chain, k, clip=clip).x0)
