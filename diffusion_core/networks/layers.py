"""Layers that networks and autoencoders share: the sinusoidal embedding of time, residual blocks, attention."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, scaled_dot_product_attention, silu

from diffusion_core.networks.fused import NormSilu

Layer = TypeVar("Layer", nn.Linear, nn.Conv2d)


def zeroed(layer: Layer) -> Layer:
    """A layer that starts as zero, so that its branch starts as the identity."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def sinusoidal(time: Tensor, channels: int) -> Tensor:
    """cos and sin [B, channels] of time [B] at geometric wavelengths from 2π to 10⁴ · 2π (Vaswani et al. 2017)."""
    half = channels // 2
    exponent = torch.arange(half, dtype=torch.float32, device=time.device) / half
    angle = time.float()[:, None] * torch.exp(-math.log(10_000) * exponent)
    return torch.cat([angle.cos(), angle.sin()], dim=1)


class TimeEmbedding(nn.Module):
    """The embedding [B, channels] of time [B] by sinusoids and a small perceptron."""

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        self.width = width
        self.first = nn.Linear(width, channels)
        self.second = nn.Linear(channels, channels)

    def forward(self, time: Tensor) -> Tensor:
        out: Tensor = self.second(silu(self.first(sinusoidal(time, self.width))))
        return out


class ResidualBlock(nn.Module):
    """x + f(x), f: norm, SiLU, 3×3; norm scaled and shifted by time, SiLU, dropout, 3×3 that starts at zero.

    Without `channels_time` no time is given (autoencoders).
    """

    def __init__(
        self, channels_in: int, channels_out: int, channels_time: int | None, groups: int, dropout: float
    ) -> None:
        super().__init__()
        self.norm_in = NormSilu(groups, channels_in)
        self.conv_in = nn.Conv2d(channels_in, channels_out, 3, padding=1)
        self.time = None if channels_time is None else nn.Linear(channels_time, 2 * channels_out)
        self.norm_out = NormSilu(groups, channels_out)
        self.dropout = nn.Dropout(dropout)
        self.conv_out = zeroed(nn.Conv2d(channels_out, channels_out, 3, padding=1))
        self.skip = nn.Identity() if channels_in == channels_out else nn.Conv2d(channels_in, channels_out, 1)

    def forward(self, x: Tensor, modulation: Tensor | None = None) -> Tensor:
        """f's scale and shift, `modulation` [B, 2 C], are one of `modulations`, or none."""
        h = self.norm_out(self.conv_in(self.norm_in(x)), modulation)
        out: Tensor = self.skip(x) + self.conv_out(self.dropout(h))
        return out


def modulations(blocks: Sequence[ResidualBlock], time: Tensor) -> tuple[Tensor, ...]:
    """The scale and shift [B, 2 C] of each block by the embedding of time [B, channels]: one product for all of them,
    since small ones cost more to call for than to work out."""
    layers = [block.time for block in blocks if block.time is not None]
    weight, bias = (torch.cat([getattr(layer, name) for layer in layers]) for name in ("weight", "bias"))
    return torch.split(linear(silu(time), weight, bias), [layer.out_features for layer in layers], dim=1)


class Attention(nn.Module):
    """x + f(x), f: self-attention over the pixels whose output layer starts at zero."""

    def __init__(self, channels: int, groups: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = NormSilu(groups, channels, act=False)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = zeroed(nn.Conv2d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        qkv = self.qkv(self.norm(x)).permute(0, 2, 3, 1).reshape(batch, height * width, 3, self.heads, -1)
        # Copied once, where each product would copy what it takes.
        q, k, v = qkv.permute(2, 0, 3, 1, 4).contiguous()
        h = attend(q, k, v).transpose(1, 2).reshape(batch, height, width, channels)
        out: Tensor = x + self.out(h.permute(0, 3, 1, 2))
        return out


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """softmax(q kᵀ/√d) v [B, heads, N, d]: by products on a CPU, where the fused kernel is slow for few places N."""
    if q.device.type != "cpu":
        return scaled_dot_product_attention(q, k, v)
    if q.shape[-2] == 1:
        # One place attends to itself.
        return v
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    weights = torch.softmax(scores.to(torch.promote_types(scores.dtype, torch.float32)), dim=-1)
    return weights.to(v.dtype) @ v
