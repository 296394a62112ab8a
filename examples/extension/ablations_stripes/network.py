"""A transformer over patches of an image, DiT (Peebles & Xie 2023).

    tokens    h ← W · patch + p,  p: sines and cosines of the place
    block     h ← h + g₁ · attention(norm(h)(1 + s₁) + b₁);  h ← h + g₂ · perceptron(norm(h)(1 + s₂) + b₂)
    output    patches ← W' (norm(h)(1 + s) + b)

Shifts b, scales s and gates g are linear in the embedding of time, and start at zero, as W' does (adaLN-Zero).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import fold, scaled_dot_product_attention, silu, unfold

from diffusion_core.networks.network import Network, TimeEmbedding, sinusoidal, zeroed


@dataclass(frozen=True)
class Transformer(Network):
    """A DiT of `layers` blocks of `width` units over patches of `patch` × `patch` pixels."""

    width: int = 64
    layers: int = 3
    heads: int = 4
    patch: int = 2

    def __post_init__(self) -> None:
        if self.width % (4 * self.heads) or min(self.width, self.layers, self.heads, self.patch) < 1:
            raise ValueError(f"transformer needs a width that 4 × heads divides, and at least one of each, got {self}")

    def build(self, shape: tuple[int, ...], channels_out: int) -> nn.Module:
        if len(shape) != 3:
            raise ValueError(f"transformer takes images [C, H, W], got {list(shape)}; for points take network=mlp")
        if shape[1] % self.patch or shape[2] % self.patch:
            raise ValueError(f"transformer needs sides that network.patch={self.patch} divides, got {list(shape)}")
        return TransformerModule(self, shape, channels_out)


class TransformerBlock(nn.Module):
    """Attention and a perceptron, each normed, shifted, scaled and gated by time."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.time = zeroed(nn.Linear(width, 6 * width))
        self.qkv, self.mix = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.widen, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, h: Tensor, time: Tensor) -> Tensor:
        shift_1, scale_1, gate_1, shift_2, scale_2, gate_2 = self.time(silu(time))[:, None].chunk(6, dim=2)
        h = h + gate_1 * self.attention(self.norm(h) * (1 + scale_1) + shift_1)
        inner = silu(self.widen(self.norm(h) * (1 + scale_2) + shift_2))
        out: Tensor = h + gate_2 * self.narrow(inner)
        return out

    def attention(self, h: Tensor) -> Tensor:
        """Attention of every token [B, n, width] to all."""
        q, k, v = (part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in self.qkv(h).chunk(3, dim=2))
        out: Tensor = self.mix(scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return out


class TransformerModule(nn.Module):
    """The transformer, (x [B, C, H, W], time [B]) → [B, channels_out, H, W]."""

    places: Tensor

    def __init__(self, config: Transformer, shape: tuple[int, ...], channels_out: int) -> None:
        super().__init__()
        self.patch, width = config.patch, config.width
        rows, columns = shape[1] // self.patch, shape[2] // self.patch
        self.register_buffer("places", _places(rows, columns, width), persistent=False)
        self.time = TimeEmbedding(width, width)
        self.tokens = nn.Linear(shape[0] * self.patch**2, width)
        self.blocks = nn.ModuleList(TransformerBlock(width, config.heads) for _ in range(config.layers))
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.time_out = zeroed(nn.Linear(width, 2 * width))
        self.linear_out = zeroed(nn.Linear(width, channels_out * self.patch**2))

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        embedding = self.time(time)
        h = self.tokens(unfold(x, self.patch, stride=self.patch).transpose(1, 2)) + self.places
        for block in self.blocks:
            h = block(h, embedding)
        shift, scale = self.time_out(silu(embedding))[:, None].chunk(2, dim=2)
        h = self.norm(h) * (1 + scale) + shift
        with torch.autocast(x.device.type, enabled=False):
            patches = self.linear_out(h.to(self.linear_out.weight.dtype))
        return fold(patches.transpose(1, 2), x.shape[2:], self.patch, stride=self.patch)


def _places(rows: int, columns: int, width: int) -> Tensor:
    """The embedding [rows · columns, width] of the places of patches, half of it by row and half by column."""
    row = sinusoidal(torch.arange(rows).float(), width // 2)
    column = sinusoidal(torch.arange(columns).float(), width // 2)
    return torch.cat([row.repeat_interleave(columns, 0), column.repeat(rows, 1)], dim=1)
