"""The diffusion transformer of Peebles & Xie 2022: attention among patches, told the time by its norms.

    x ─▶ patches p×p ─▶ linear + places ─▶ [block] × depth ─▶ norm ─▶ linear ─▶ patches ─▶ output

    c = time + label,    (β₁, γ₁, α₁, β₂, γ₂, α₂) = W SiLU(c),    W = 0 at the start (adaLN-Zero)
    h ← h + α₁ attention((1 + γ₁) norm(h) + β₁)
    h ← h + α₂ mlp((1 + γ₂) norm(h) + β₂)

So each block starts as the identity, and the network, whose last layers are zero too, at zero.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm, pixel_unshuffle, scaled_dot_product_attention

from diffusion_core.networks.network import (
    MOST_BESIDE,
    Modulations,
    Network,
    TimeEmbedding,
    between,
    sinusoidal,
    zeroed,
)
from diffusion_core.refusing import require

RATIO = 4
"""The units of a block's perceptron, as a multiple of its width."""
SINUSOIDS = 256
"""The number of sines and cosines of time."""
EPS = 1e-6


@dataclass(frozen=True)
class Dit(Network):
    """A transformer of `depth` blocks, `width` units and `heads` heads, whose tokens are patches of `patch`² pixels.

    (Peebles & Xie 2022, arXiv:2212.09748.) Its defaults take as many operations as the default U-Net's on 8×8 digits.
    """

    patch: int = 2
    width: int = 60
    depth: int = 4
    heads: int = 4

    def __post_init__(self) -> None:
        some = min(self.patch, self.width, self.depth, self.heads) >= 1
        require(some, f"dit needs patch, width, depth and heads of at least 1, got {self}")
        says = "dit needs a width that heads and 4 divide, for sines and cosines of a patch's row and of its column"
        divided = self.width % 4 == self.width % self.heads == 0
        require(divided, f"{says}, got width={self.width}, heads={self.heads}")

    def gains_beside(self, shape: tuple[int, ...], batch: int) -> bool:
        # Most of its work is products, which gain less from others beside them than a U-Net's maps do.
        widest = RATIO * self.width * math.prod(shape[1:]) // self.patch**2
        return 4 * batch * widest <= MOST_BESIDE

    def matrices(self, network: nn.Module) -> list[nn.Parameter]:
        assert isinstance(network, DitModule), "it was built here"
        return between(network, (network.time.first, network.linear_in, network.linear_out))

    def build(self, shape: tuple[int, ...], channels_out: int) -> nn.Module:
        return self.labelled(shape, channels_out, 0)

    def labelled(self, shape: tuple[int, ...], channels_out: int, classes: int) -> nn.Module:
        require(len(shape) == 3, f"dit takes images [C, H, W], got {list(shape)}; for points take network=mlp")
        says = f"dit cuts images into patches of {self.patch}×{self.patch} pixels, which do not fill {list(shape)}"
        filled = shape[1] % self.patch == shape[2] % self.patch == 0
        require(filled, f"{says}: take a network.patch that divides both sides")
        return DitModule(self, shape, channels_out, classes)


class Layer(nn.Linear):
    """A linear layer that starts as those of vision transformers: Xavier's weights, and no bias."""

    def reset_parameters(self) -> None:
        nn.init.xavier_uniform_(self.weight)
        nn.init.zeros_(self.bias)


class Block(nn.Module):
    """h + α₁ attention(…), then h + α₂ mlp(…), of tokens h [B, N, width]."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.act = nn.GELU(approximate="tanh")
        self.modulation = zeroed(Layer(width, 6 * width))
        self.qkv = Layer(width, 3 * width)
        self.mixed = Layer(width, width)
        self.first = Layer(width, RATIO * width)
        self.second = Layer(RATIO * width, width)

    def forward(self, h: Tensor, modulation: Tensor) -> Tensor:
        """h after the block, by β₁, γ₁, α₁, β₂, γ₂, α₂ [B, 6 width]."""
        shift, scale, gate, shift_mlp, scale_mlp, gate_mlp = modulation.unsqueeze(-2).chunk(6, dim=-1)
        h = h + gate * self.attention(normed(h, scale, shift))
        inner = self.act(self.first(normed(h, scale_mlp, shift_mlp)))
        return h + gate_mlp * self.second(inner)

    def attention(self, h: Tensor) -> Tensor:
        """The mean over all tokens' values for each token, weighted by the products of its query with their keys."""
        q, k, v = self.qkv(h).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.mixed(scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class DitModule(nn.Module):
    """The transformer, (x [B, C, H, W], time [B]) → [B, channels_out, H, W]; with classes it takes labels [B], too."""

    places: Tensor

    def __init__(self, config: Dit, shape: tuple[int, ...], channels_out: int, classes: int) -> None:
        super().__init__()
        self.patch, width = config.patch, config.width
        self.modulations = Modulations()
        self.time = TimeEmbedding(SINUSOIDS, width, classes)
        self.linear_in = Layer(shape[0] * self.patch**2, width)
        places = places_of(shape[1] // self.patch, shape[2] // self.patch, width)
        self.register_buffer("places", places, persistent=False)
        self.blocks = nn.ModuleList(Block(width, config.heads) for _ in range(config.depth))
        self.modulation = zeroed(Layer(width, 2 * width))
        self.linear_out = zeroed(Layer(width, channels_out * self.patch**2))

    def forward(self, x: Tensor, time: Tensor, label: Tensor | None = None) -> Tensor:
        embedding = self.time(time, label)
        h = self.linear_in(patches(x, self.patch)) + self.places
        modulations = self.modulations(embedding, [block.modulation for block in self.blocks])
        for block, modulation in zip(self.blocks, modulations, strict=True):
            h = block(h, modulation)
        with torch.autocast(x.device.type, enabled=False):
            h, embedding = (value.to(self.linear_out.weight.dtype) for value in (h, embedding))
            (modulation,) = self.modulations(embedding, [self.modulation])
            shift, scale = modulation.unsqueeze(-2).chunk(2, dim=-1)
            out = self.linear_out(normed(h, scale, shift))
        return images(out, self.patch, *x.shape[-2:])


def normed(h: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """(1 + γ) norm(h) + β of tokens [B, N, C]."""
    return layer_norm(h, h.shape[-1:], eps=EPS) * (1 + scale) + shift


def patches(x: Tensor, side: int) -> Tensor:
    """The patches [B, N, C side²] of images [B, C, H, W], row by row."""
    return pixel_unshuffle(x, side).flatten(-2).mT.contiguous()


def images(patches: Tensor, side: int, height: int, width: int) -> Tensor:
    """The images [B, C, H, W] of patches [B, N, side² C]."""
    cut = patches.reshape(*patches.shape[:-2], height // side, width // side, side, side, -1)
    return cut.movedim((-1, -3), (-5, -3)).flatten(-4, -3).flatten(-2)


def places_of(height: int, width: int, channels: int) -> Tensor:
    """The embedding [N, channels] of patches' places: sines, then cosines, of the column, and the same of the row."""
    column, row = (sinusoidal(torch.arange(count), channels // 2).roll(channels // 4, -1) for count in (width, height))
    return torch.cat([column.repeat(height, 1), row.repeat_interleave(width, 0)], dim=-1)
