"""Encoder and decoder of an autoencoder, made of the U-Net's layers without its time and its long connections.

    x ─▶ conv ─▶ [blocks, half the side] × log2 f ─▶ blocks ─▶ norm, SiLU, conv ─▶ code [c, H/f, W/f]
    z ─▶ conv ─▶ blocks ─▶ [twice the side, blocks] × log2 f ─▶ norm, SiLU, conv ─▶ x̂ [C, H, W]

The widths double with every halving, up to `WIDEST` times the first (Rombach et al. 2022, appendix E).
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from diffusion_core.networks.layers import NormSilu, ResidualBlock, convolution, in_float32

WIDEST = 4


def widths(width: int, halvings: int) -> list[int]:
    """The channels at each resolution, the finest first."""
    return [width * min(2**i, WIDEST) for i in range(halvings + 1)]


def _blocks(channels_in: int, channels_out: int, count: int, groups: int) -> nn.Sequential:
    first = ResidualBlock(channels_in, channels_out, None, groups, 0.0)
    rest = (ResidualBlock(channels_out, channels_out, None, groups, 0.0) for _ in range(count - 1))
    return nn.Sequential(first, *rest)


class OutputBlock(nn.Module):
    """The last layers: norm, SiLU, 3×3 convolution, the latter in float32 also under autocast."""

    def __init__(self, channels_in: int, channels_out: int, groups: int) -> None:
        super().__init__()
        self.norm = NormSilu(groups, channels_in)
        self.conv = convolution(channels_in, channels_out)

    def forward(self, x: Tensor) -> Tensor:
        return in_float32(self.conv, self.norm(x))


class Encoder(nn.Module):
    """The encoder, x [B, channels_in, H, W] → [B, channels_out, H/2^halvings, W/2^halvings]."""

    def __init__(
        self, channels_in: int, channels_out: int, halvings: int, width: int, blocks: int, groups: int
    ) -> None:
        super().__init__()
        self.halvings = halvings
        sizes = widths(width, halvings)
        self.conv_in = convolution(channels_in, width)
        self.levels = nn.ModuleList(
            _blocks(before, size, blocks, groups) for before, size in zip([width, *sizes], sizes, strict=False)
        )
        self.head = OutputBlock(sizes[-1], channels_out, groups)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv_in(x)
        for i, level in enumerate(self.levels):
            h = level(avg_pool2d(h, 2) if i else h)
        out: Tensor = self.head(h)
        return out


class Decoder(nn.Module):
    """The decoder, z [B, channels_in, h, w] → [B, channels_out, 2^halvings h, 2^halvings w]."""

    def __init__(
        self, channels_in: int, channels_out: int, halvings: int, width: int, blocks: int, groups: int
    ) -> None:
        super().__init__()
        sizes = widths(width, halvings)[::-1]
        self.conv_in = convolution(channels_in, sizes[0])
        self.levels = nn.ModuleList(
            _blocks(before, size, blocks, groups) for before, size in zip([sizes[0], *sizes], sizes, strict=False)
        )
        self.head = OutputBlock(sizes[-1], channels_out, groups)

    def forward(self, z: Tensor) -> Tensor:
        h = self.conv_in(z)
        for i, level in enumerate(self.levels):
            h = level(interpolate(h, scale_factor=2.0) if i else h)
        out: Tensor = self.head(h)
        return out
