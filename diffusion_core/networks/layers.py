"""Layers that networks and autoencoders share: the sinusoidal embedding of time, residual blocks, attention."""

from __future__ import annotations

import math
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


class TimeEmbedding(nn.Module):
    """The embedding [B, channels] of time [B] by sinusoids and a small perceptron, plus that of a label if there are
    `classes`."""

    def __init__(self, width: int, channels: int, classes: int = 0) -> None:
        super().__init__()
        self.width = width
        self.first = nn.Linear(width, channels)
        self.second = nn.Linear(channels, channels)
        self.label = LabelEmbedding(classes, channels) if classes else None

    def forward(self, time: Tensor, label: Tensor | None = None) -> Tensor:
        out: Tensor = self.second(silu(self.first(sinusoidal(time, self.width))))
        if self.label is None:
            assert label is None, "it was built for no labels"
            return out
        embedded: Tensor = self.label(self.label.none(time) if label is None else label)
        return out + embedded


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


class ResidualBlock(nn.Module):
    """x + f(x), f: norm, SiLU, 3×3; norm scaled and shifted by time, SiLU, dropout, 3×3 that starts at zero.

    Without `channels_time` no time is given (autoencoders).
    """

    def __init__(
        self, channels_in: int, channels_out: int, channels_time: int | None, groups: int, dropout: float
    ) -> None:
        super().__init__()
        self.norm_in = nn.GroupNorm(groups, channels_in)
        self.conv_in = convolution(channels_in, channels_out)
        self.time = None if channels_time is None else nn.Linear(channels_time, 2 * channels_out)
        self.norm_out = nn.GroupNorm(groups, channels_out)
        self.dropout = nn.Dropout(dropout)
        self.conv_out = zeroed(convolution(channels_out, channels_out))
        self.skip = nn.Identity() if channels_in == channels_out else convolution(channels_in, channels_out, 1)

    def forward(self, x: Tensor, embedding: Tensor | None = None) -> Tensor:
        """The block of x [B, C, H, W], at times of this `embedding` [B, channels_time]."""
        h = self.norm_out(self.conv_in(silu(self.norm_in(x))))
        if self.time is not None and embedding is not None:
            scale, shift = self.time(silu(embedding))[:, :, None, None].chunk(2, dim=1)
            h = h * (1 + scale) + shift
        out: Tensor = self.skip(x) + self.conv_out(self.dropout(silu(h)))
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
