"""Axis: the network, a choice without tensors that builds a module; and the layers that networks share.

The layers are the sinusoidal embedding of time, residual blocks and attention. The smallest network is here, too: a
perceptron for points (2-D data), of residual layers that are each scaled and shifted by time.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention, silu

from diffusion_core.refusing import require

LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
TIME_SCALE = 1000.0
"""The largest time that a network is told: 1000 t/T, or γ on about that scale. One embedding serves every horizon."""
MOST_BESIDE = 2**19
"""The values in the widest feature map, of all examples, above which networks gain nothing from others beside them."""


class Network(ABC):
    """A network's architecture. Of one that is `pretrained`, `build` gives the weights that others trained."""

    pretrained: ClassVar[bool] = False
    at_once: ClassVar[int] = 512
    """The most examples that it is asked about at once where it is scored or sampled."""

    @property
    def whole_times(self) -> bool:
        """True where it can be asked at the times 1..T of its chain alone."""
        return False

    @abstractmethod
    def build(self, shape: tuple[int, ...], channels_out: int) -> nn.Module:
        """A module (x [B, *shape], time [B]) → [B, channels_out, *shape[1:]]; ValueError where the shape does not fit.

        Its last layer starts at zero and runs in float32, also under autocast.
        """

    def labelled(self, shape: tuple[int, ...], channels_out: int, classes: int) -> nn.Module:
        """The same for data of K `classes`, (x, time, label [B]) → output; ValueError where it takes no labels.

        Labels are 0..K − 1, and K for none. The module starts with the weights of `build`, and further ones for labels.
        """
        name = type(self).__name__.lower()
        raise ValueError(f"network={name} takes no labels: give it a method `labelled`, or take another network")

    def gains_beside(self, shape: tuple[int, ...], batch: int) -> bool:
        """True where several such networks learn faster side by side than one after the other, on a CPU.

        Small networks gain, large ones do not; and they can where what `build` makes has a fast form.
        """
        return False

    def matrices(self, network: nn.Module) -> list[nn.Parameter]:
        """The weights of a network built here that `optimizer=muon` turns (`optimiser.py`): those between features.

        By default they are those of all its linear layers and convolutions but the first and the last.
        """
        layers = [layer for layer in network.modules() if isinstance(layer, LAYERS)]
        return between(network, (*layers[:1], *layers[-1:]))


def between(network: nn.Module, ends: Collection[nn.Module]) -> list[nn.Parameter]:
    """The weights of a network's linear layers and convolutions but those at its ends."""
    layers = [layer for layer in network.modules() if isinstance(layer, LAYERS) and layer not in ends]
    return [layer.weight for layer in layers if isinstance(layer.weight, nn.Parameter)]


Layer = TypeVar("Layer", nn.Linear, nn.Conv2d)


def zeroed(layer: Layer) -> Layer:
    """A layer that starts as zero, so that its branch starts as the identity."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def convolution(channels_in: int, channels_out: int, side: int = 3) -> nn.Conv2d:
    """A convolution that keeps the sides of its maps."""
    return nn.Conv2d(channels_in, channels_out, side, padding=side // 2)


def sinusoidal(time: Tensor, channels: int) -> Tensor:
    """cos and sin [B, channels] of time [B] at wavelengths from 2π to 10⁴ · 2π (Vaswani et al. 2017)."""
    angle = angles(time, channels)
    return torch.cat([torch.cos(angle), torch.sin(angle)], dim=-1)


def angles(time: Tensor, channels: int) -> Tensor:
    """2π time/wavelength [B, channels/2] at each wavelength."""
    half = channels // 2
    exponent = torch.arange(half, dtype=torch.float32, device=time.device) / half
    return time.float()[..., None] * torch.exp(-math.log(10_000) * exponent)


def in_float32(layer: nn.Linear | nn.Conv2d, h: Tensor) -> Tensor:
    """The layer's output in the precision of its weights, also under autocast."""
    with torch.autocast(h.device.type, enabled=False):
        return layer(h.to(layer.weight.dtype))


class TimeEmbedding(nn.Module):
    """The embedding [B, channels] of time [B] by sinusoids and a small perceptron, plus that of a label if there are
    `classes`."""

    def __init__(self, width: int, channels: int, classes: int = 0) -> None:
        super().__init__()
        self.width = width
        self.act = nn.SiLU()
        self.first = nn.Linear(width, channels)
        self.second = nn.Linear(channels, channels)
        self.label = LabelEmbedding(classes, channels) if classes else None

    def forward(self, time: Tensor, label: Tensor | None = None) -> Tensor:
        out = self.second(self.act(self.first(self.waves(time))))
        if self.label is not None:
            out = out + self.label(label)
        return out

    def waves(self, time: Tensor) -> Tensor:
        """The sinusoids of time."""
        return sinusoidal(time, self.width)


class LabelEmbedding(nn.Embedding):
    """The embedding [B, channels] of labels [B]: rows of a table, of 0..K − 1 for K `classes` and of K, no label.

    They start small, as N(0, 0.02²) (Peebles & Xie 2022), so that classes start nearly alike.
    """

    def __init__(self, classes: int, channels: int) -> None:
        super().__init__(classes + 1, channels)

    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight, std=0.02)


class Modulations(nn.Module):
    """Each block's modulation by the time, W SiLU(embedding), by a linear layer for each."""

    def forward(self, embedding: Tensor, layers: Sequence[nn.Linear]) -> Sequence[Tensor]:
        return [layer(silu(embedding)) for layer in layers]


class NormSilu(nn.GroupNorm):
    """SiLU((1 + s) norm(x) + t) of maps x [B, C, H, W], where the `modulation` (s, t) [B, 2C] is 0 unless given."""

    def forward(self, x: Tensor, modulation: Tensor | None = None) -> Tensor:
        h = super().forward(x)
        if modulation is not None:
            scale, shift = modulation[:, :, None, None].chunk(2, dim=1)
            h = h * (1 + scale) + shift
        return silu(h)


class ResidualBlock(nn.Module):
    """x + f(x), f: norm, SiLU, 3×3; norm scaled and shifted by time, SiLU, dropout, 3×3 that starts at zero.

    Its layer of `time` is called for all blocks together (`Modulations`); autoencoders have no `channels_time`.
    """

    def __init__(
        self, channels_in: int, channels_out: int, channels_time: int | None, groups: int, dropout: float
    ) -> None:
        super().__init__()
        self.norm_in = NormSilu(groups, channels_in)
        self.conv_in = convolution(channels_in, channels_out)
        self.time = None if channels_time is None else nn.Linear(channels_time, 2 * channels_out)
        self.norm_out = NormSilu(groups, channels_out)
        self.dropout = nn.Dropout(dropout)
        self.conv_out = zeroed(convolution(channels_out, channels_out))
        self.skip = nn.Identity() if channels_in == channels_out else convolution(channels_in, channels_out, 1)

    def forward(self, x: Tensor, modulation: Tensor | None = None) -> Tensor:
        """The block of x [B, C, H, W]."""
        h = self.norm_out(self.conv_in(self.norm_in(x)), modulation)
        return self.skip(x) + self.conv_out(self.dropout(h))


class Attention(nn.Module):
    """x + f(x), f: self-attention over the pixels whose output layer starts at zero."""

    def __init__(self, channels: int, groups: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(groups, channels)
        self.qkv = convolution(channels, 3 * channels, 1)
        self.out = zeroed(convolution(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(self.norm(x)).unflatten(1, (3, self.heads, -1)).flatten(4).mT.unbind(1)
        return x + self.out(scaled_dot_product_attention(q, k, v).mT.reshape(x.shape))


@dataclass(frozen=True)
class Mlp(Network):
    """A perceptron of `layers` residual layers of `width` units."""

    width: int = 128
    layers: int = 3

    def __post_init__(self) -> None:
        some = self.width >= 2 and self.width % 2 == 0 and self.layers >= 1
        require(some, f"mlp needs an even width and at least one layer, got {self}")

    def gains_beside(self, shape: tuple[int, ...], batch: int) -> bool:
        return batch * self.width <= MOST_BESIDE

    def matrices(self, network: nn.Module) -> list[nn.Parameter]:
        assert isinstance(network, MlpModule), "it was built here"
        return between(network, (network.time.first, network.linear_in, network.linear_out))

    def build(self, shape: tuple[int, ...], channels_out: int) -> nn.Module:
        return self.labelled(shape, channels_out, 0)

    def labelled(self, shape: tuple[int, ...], channels_out: int, classes: int) -> nn.Module:
        require(len(shape) == 1, f"mlp takes points [D], got {list(shape)}; for images take network=unet")
        return MlpModule(self, shape[0], channels_out, classes)


class ResidualLayer(nn.Module):
    """x + second(silu(norm(first(silu(x))) scaled and shifted by time))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.act = nn.SiLU()
        self.first = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        self.time = nn.Linear(width, 2 * width)
        self.second = zeroed(nn.Linear(width, width))

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        scale, shift = self.time(self.act(embedding)).chunk(2, dim=-1)
        h = self.norm(self.first(self.act(x)))
        return x + self.second(self.act(h * (1 + scale) + shift))


class MlpModule(nn.Module):
    """The perceptron, (x [B, D], time [B]) → [B, channels_out]; with classes it takes labels [B], too."""

    def __init__(self, config: Mlp, dimensions: int, channels_out: int, classes: int) -> None:
        super().__init__()
        self.act = nn.SiLU()
        self.time = TimeEmbedding(config.width, config.width, classes)
        self.linear_in = nn.Linear(dimensions, config.width)
        self.layers = nn.ModuleList(ResidualLayer(config.width) for _ in range(config.layers))
        self.linear_out = zeroed(nn.Linear(config.width, channels_out))

    def forward(self, x: Tensor, time: Tensor, label: Tensor | None = None) -> Tensor:
        embedding = self.time(time, label)
        h = self.linear_in(x)
        for layer in self.layers:
            h = layer(h, embedding)
        return in_float32(self.linear_out, self.act(h))
