"""Layers that networks and autoencoders share: the sinusoidal embedding of time, residual blocks, attention."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention, silu

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
        out: Tensor = layer(h.to(layer.weight.dtype))
    return out


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
        out: Tensor = self.second(self.act(self.first(self.waves(time))))
        if self.label is not None:
            out = out + self.label(self.label.none(time) if label is None else label)
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

    def none(self, time: Tensor) -> Tensor:
        """No label for each time."""
        return torch.full_like(time, self.num_embeddings - 1, dtype=torch.int64)


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
        out: Tensor = self.skip(x) + self.conv_out(self.dropout(h))
        return out


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
        out: Tensor = x + self.out(scaled_dot_product_attention(q, k, v).mT.reshape(x.shape))
        return out
