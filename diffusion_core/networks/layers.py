"""Layers that networks and autoencoders share: the sinusoidal embedding of time, residual blocks, attention."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, scaled_dot_product_attention, silu

from diffusion_core.networks.convolution import Conv2d
from diffusion_core.networks.fused import NormSilu
from diffusion_core.networks.grouped import SMALL, Grouped, Linear, by_torch, keeps_bits, products, valuewise

Layer = TypeVar("Layer", nn.Linear, nn.Conv2d)


def zeroed(layer: Layer) -> Layer:
    """A layer that starts as zero, so that its branch starts as the identity."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def sinusoidal(time: Tensor, channels: int) -> Tensor:
    """cos and sin [S, B, channels] of time [S, B] at wavelengths from 2π to 10⁴ · 2π (Vaswani et al. 2017)."""
    half = channels // 2
    exponent = torch.arange(half, dtype=torch.float32, device=time.device) / half
    angle = time.float()[..., None] * torch.exp(-math.log(10_000) * exponent)
    return torch.cat([valuewise(torch.cos, angle), valuewise(torch.sin, angle)], dim=-1)


class TimeEmbedding(nn.Module):
    """The embedding [S, B, channels] of time [S, B] by sinusoids and a small perceptron, plus that of a label if there
    are `classes`. For a single network, all may be without S in front."""

    def __init__(self, width: int, channels: int, classes: int = 0) -> None:
        super().__init__()
        self.width = width
        self.first = Linear(width, channels)
        self.second = Linear(channels, channels)
        self.label = LabelEmbedding(classes, channels) if classes else None

    def forward(self, time: Tensor, label: Tensor | None = None) -> Tensor:
        out: Tensor = self.second(valuewise(silu, self.first(sinusoidal(time, self.width))))
        if self.label is None:
            assert label is None, "it was built for no labels"
            return out
        if label is None:
            label = torch.full_like(time, self.label.classes, dtype=torch.int64)
        embedded: Tensor = self.label(label)
        return out + embedded


class LabelEmbedding(Grouped):
    """The embedding [S, B, channels] of labels [S, B]: rows of a table, of 0..K − 1 for K `classes` and of K, no label.

    They start small, as N(0, 0.02²) (Peebles & Xie 2022), so that classes start nearly alike.
    """

    def __init__(self, classes: int, channels: int) -> None:
        super().__init__()
        self.classes = classes
        self.weight = nn.Parameter(torch.empty(classes + 1, channels))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight, std=0.02)

    def forward(self, label: Tensor) -> Tensor:
        # The gradient of a row is a sum in the order of examples, whatever other networks there are.
        if self.members > 1:
            label = label + (self.classes + 1) * torch.arange(self.members, device=label.device)[:, None]
        return embedding(label, self.weight.flatten(0, -2))


class ResidualBlock(nn.Module):
    """x + f(x), f: norm, SiLU, 3×3; norm scaled and shifted by time, SiLU, dropout, 3×3 that starts at zero.

    Without `channels_time` no time is given (autoencoders).
    """

    def __init__(
        self, channels_in: int, channels_out: int, channels_time: int | None, groups: int, dropout: float
    ) -> None:
        super().__init__()
        self.norm_in = NormSilu(groups, channels_in)
        self.conv_in = Conv2d(channels_in, channels_out, 3)
        self.time = None if channels_time is None else Linear(channels_time, 2 * channels_out)
        self.norm_out = NormSilu(groups, channels_out)
        self.dropout = nn.Dropout(dropout)
        self.conv_out = zeroed(Conv2d(channels_out, channels_out, 3))
        self.skip = nn.Identity() if channels_in == channels_out else Conv2d(channels_in, channels_out, 1)

    def forward(self, x: Tensor, modulation: Tensor | None = None) -> Tensor:
        """The output of the block; f's scale and shift, `modulation` [B, 2 S C], are one of `modulations`, or None."""
        h = self.norm_out(self.conv_in(self.norm_in(x)), modulation)
        out: Tensor = self.skip(x) + self.conv_out(self.dropout(h))
        return out


def modulations(blocks: Sequence[ResidualBlock], time: Tensor) -> tuple[Tensor, ...]:
    """The scale and shift [B, 2 S C] of each block by the embedding of time [S, B, channels]."""
    parts = by_one_product([block.time for block in blocks if block.time is not None], valuewise(silu, time))
    # Each network has a scale, then a shift; the norm takes the scales of all of them, then the shifts.
    shape = *time.shape[:2], 2, -1
    return tuple(part.reshape(shape).permute(1, 2, 0, 3).flatten(1) for part in parts)


def by_one_product(layers: Sequence[nn.Linear], x: Tensor) -> tuple[Tensor, ...]:
    """The outputs of several layers for x [S, B, C], by one product: small ones cost more to call than to compute."""
    weight = torch.cat([layer.weight for layer in layers], dim=-2)
    bias = torch.cat([layer.bias for layer in layers], dim=-1)
    return torch.split(products(x, weight, bias), [layer.out_features for layer in layers], dim=-1)


def joined(h: Tensor, other: Tensor, members: int) -> Tensor:
    """The channels of h [B, S C, H, W] and of another map, grouped by network, [B, S (C + C'), H, W]."""
    if members == 1:
        return torch.cat([h, other], dim=1)
    batch, _, height, width = h.shape
    maps = [each.permute(0, 2, 3, 1).reshape(batch, height, width, members, -1) for each in (h, other)]
    return torch.cat(maps, dim=-1).flatten(3).permute(0, 3, 1, 2)


class Attention(Grouped):
    """x + f(x), f: self-attention over the pixels whose output layer starts at zero."""

    def __init__(self, channels: int, groups: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = NormSilu(groups, channels, act=False)
        self.qkv = Conv2d(channels, 3 * channels, 1)
        self.out = zeroed(Conv2d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        qkv = self.qkv(self.norm(x)).permute(0, 2, 3, 1)
        h = attended(qkv.reshape(batch, height * width, self.members, 3, self.heads, -1))
        out: Tensor = x + self.out(h.reshape(batch, height, width, channels).permute(0, 3, 1, 2))
        return out


def attended(qkv: Tensor) -> Tensor:
    """Attention [B, N, S, C] among N places, by queries, keys and values of several heads [B, N, S, 3, heads, d]."""
    # One copy here, since each product would copy its own input.
    q, k, v = qkv.permute(3, 0, 2, 4, 1, 5).flatten(2, 3).contiguous()
    # Small products in bf16 are each network's own, as in `grouped.product`.
    members = qkv.shape[2]
    small = q.dtype == torch.bfloat16 and q.numel() * q.shape[-2] <= members * SMALL
    apart = members if small and keeps_bits(q) else 1
    parts = zip(*(each.chunk(apart, dim=1) for each in (q, k, v)), strict=True)
    h = torch.cat([attend(*part) for part in parts], dim=1)
    return h.transpose(1, 2).reshape(*qkv.shape[:3], -1)


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """softmax(q kᵀ/√d) v [B, heads, N, d]: by products on a CPU, where the fused kernel is slow for few places N."""
    if q.device.type != "cpu" and not by_torch():
        return scaled_dot_product_attention(q, k, v)
    if q.shape[-2] == 1:
        # One place attends to itself.
        return v
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    weights = torch.softmax(scores.to(torch.promote_types(scores.dtype, torch.float32)), dim=-1)
    return weights.to(v.dtype) @ v
