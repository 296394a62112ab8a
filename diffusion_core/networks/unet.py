"""The U-Net of Ho et al. 2020, appendix B, built from channel counts, and its two halves as encoder and decoder.

    in ─▶ [blocks (+ attention)] ─▶ down ─▶ … ─▶ middle ─▶ … ─▶ up ─▶ [blocks (+ attention)] ─▶ out
                   └───────────────── every activation is kept ─────────────────▲

Time scales and shifts the second norm of each block (Nichol & Dhariwal 2021, appendix A). An autoencoder is made of the
same layers, without time and without long connections:

    x ─▶ conv ─▶ [blocks, half the side] × log2 f ─▶ blocks ─▶ norm, SiLU, conv ─▶ code [c, H/f, W/f]
    z ─▶ conv ─▶ blocks ─▶ [twice the side, blocks] × log2 f ─▶ norm, SiLU, conv ─▶ x̂ [C, H, W]

Its widths double with every halving, up to `WIDEST` times the first (Rombach et al. 2022, appendix E).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate
from torch.utils.checkpoint import checkpoint

from diffusion_core.networks.network import (
    MOST_BESIDE,
    Attention,
    Modulations,
    Network,
    NormSilu,
    ResidualBlock,
    TimeEmbedding,
    between,
    convolution,
    in_float32,
    zeroed,
)
from diffusion_core.refusing import require


@dataclass(frozen=True)
class UNet(Network):
    """A U-Net of `channels` times `multipliers` at each resolution, with `blocks` residual blocks there.

    (Ho et al. 2020, arXiv:2006.11239, appendix B.) `attention` names the sides (in pixels) of the feature maps that get
    attention, with `heads` heads; `groups` are those of the group norm, `dropout` is a share of each block's values.
    With `recompute` a training keeps no feature map within a block, and recomputes them for the gradient: a third more
    work, a fraction of the memory, and the same numbers.
    """

    channels: int = 16
    multipliers: tuple[int, ...] = (1, 2)
    blocks: int = 1
    attention: tuple[int, ...] = (4,)
    heads: int = 2
    groups: int = 8
    dropout: float = 0.0
    recompute: bool = False

    unread: ClassVar[tuple[str, ...]] = ("recompute",)

    def __post_init__(self) -> None:
        some = min(self.channels, self.blocks, self.groups, self.heads, *self.multipliers, len(self.multipliers)) >= 1
        require(some, f"unet needs channels, multipliers, blocks, groups and heads of at least 1, got {self}")
        require(
            all(self.channels % number == 0 for number in (2, self.groups, self.heads)),
            f"unet needs an even number of channels that groups and heads divide, got channels={self.channels}, "
            f"groups={self.groups}, heads={self.heads}",
        )
        sides = all(side >= 1 for side in self.attention)
        require(sides, f"unet needs sides of at least 1 in attention, or [] for none, got {list(self.attention)}")
        require(0 <= self.dropout < 1, f"unet needs 0 <= dropout < 1, got {self.dropout}")

    def gains_beside(self, shape: tuple[int, ...], batch: int) -> bool:
        # Dropout is drawn for one network alone.
        widest = self.channels * max(self.multipliers) * math.prod(shape[1:])
        return not self.dropout and batch * widest <= MOST_BESIDE

    def matrices(self, network: nn.Module) -> list[nn.Parameter]:
        assert isinstance(network, UNetModule), "it was built here"
        return between(network, (network.time.first, network.conv_in, network.conv_out))

    def build(self, shape: tuple[int, ...], channels_out: int) -> nn.Module:
        return self.labelled(shape, channels_out, 0)

    def labelled(self, shape: tuple[int, ...], channels_out: int, classes: int) -> nn.Module:
        factor, size = 2 ** (len(self.multipliers) - 1), list(shape)
        require(
            len(shape) == 3 and shape[1] % factor == shape[2] % factor == 0,
            f"unet with {len(self.multipliers)} resolutions needs images [C, H, W] whose sides {factor} divides, got "
            f"{size}; {'take fewer network.multipliers' if len(shape) == 3 else 'for points take network=mlp'}",
        )
        halved = [shape[1] >> level for level in range(shape[1].bit_length())]
        never = [side for side in self.attention if side < shape[1] and side not in halved]
        require(
            not never,
            f"unet has attention at maps of the sides in attention, and images {size} halve to {halved}, never to "
            f"{never}: take some of these, or [] for none",
        )
        for level, multiplier in enumerate(self.multipliers):
            require(
                (shape[1] >> level) * (shape[2] >> level) * self.channels * multiplier != self.groups,
                f"unet with channels={self.channels} has groups={self.groups} of a single value each where images "
                f"{size} are one pixel wide, and norms leave nothing of it: take fewer network.groups or "
                "network.multipliers, or more network.channels",
            )
        return UNetModule(self, shape[0], shape[1], channels_out, classes)


class UNetBlock(nn.Module):
    """A residual block, and attention where wanted."""

    def __init__(self, config: UNet, channels_in: int, channels_out: int, attention: bool) -> None:
        super().__init__()
        self.block = ResidualBlock(channels_in, channels_out, 4 * config.channels, config.groups, config.dropout)
        self.attention = Attention(channels_out, config.groups, config.heads) if attention else nn.Identity()
        self.recompute = config.recompute
        self.random = config.dropout > 0

    def forward(self, x: Tensor, modulation: Tensor) -> Tensor:
        # Transforms of `torch.func` refuse to recompute.
        if not self.recompute or not torch.is_grad_enabled() or torch._C._are_functorch_transforms_active():
            return self.within(x, modulation)
        return checkpoint(self.within, x, modulation, use_reentrant=False, preserve_rng_state=self.random)

    def within(self, x: Tensor, modulation: Tensor) -> Any:
        """The block's function of x and what time says to it."""
        return self.attention(self.block(x, modulation))


class UNetModule(nn.Module):
    """The U-Net, (x [B, C, H, W], time [B]) → [B, channels_out, H, W]; with classes it takes labels [B], too."""

    def __init__(self, config: UNet, channels_in: int, side: int, channels_out: int, classes: int) -> None:
        super().__init__()
        self.time = TimeEmbedding(config.channels, 4 * config.channels, classes)
        self.modulations = Modulations()
        self.conv_in = convolution(channels_in, config.channels)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        channels, kept = config.channels, [config.channels]
        for i, multiplier in enumerate(config.multipliers):
            resolution = nn.ModuleList()
            for _ in range(config.blocks):
                before, channels = channels, config.channels * multiplier
                resolution.append(UNetBlock(config, before, channels, side >> i in config.attention))
                kept.append(channels)
            self.down.append(resolution)
        self.middle_in = UNetBlock(config, channels, channels, bool(config.attention))
        self.middle_out = UNetBlock(config, channels, channels, False)
        for i, multiplier in reversed(list(enumerate(config.multipliers))):
            resolution = nn.ModuleList()
            for _ in range(config.blocks + (i == 0)):
                attention = side >> i in config.attention
                resolution.append(UNetBlock(config, channels + kept.pop(), config.channels * multiplier, attention))
                channels = config.channels * multiplier
            self.up.append(resolution)
        self.norm_out = NormSilu(config.groups, channels)
        self.conv_out = zeroed(convolution(channels, channels_out))

    def blocks(self) -> list[UNetBlock]:
        """All blocks, in the order in which they are called."""
        down, up = ([block for resolution in side for block in resolution] for side in (self.down, self.up))  # type: ignore[attr-defined]
        return [*down, self.middle_in, self.middle_out, *up]

    def forward(self, x: Tensor, time: Tensor, label: Tensor | None = None) -> Tensor:
        layers = [block.block.time for block in self.blocks()]
        modulation = iter(self.modulations(self.time(time, label), layers))
        h = self.conv_in(x)
        kept = [h]
        for i, resolution in enumerate(self.down):
            h = avg_pool2d(h, 2) if i else h
            for block in resolution:  # type: ignore[attr-defined]
                h = block(h, next(modulation))
                kept.append(h)
        h = self.middle_in(h, next(modulation))
        h = self.middle_out(h, next(modulation))
        for i, resolution in enumerate(self.up):
            h = interpolate(h, scale_factor=2.0) if i else h
            for block in resolution:  # type: ignore[attr-defined]
                h = block(self.joined(h, kept.pop()), next(modulation))
        return in_float32(self.conv_out, self.norm_out(h))

    def joined(self, h: Tensor, kept: Tensor) -> Tensor:
        """The channels of both maps."""
        return torch.cat([h, kept], dim=1)


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


class Half(nn.Module):
    """A half of an autoencoder: blocks at each of its `sizes`, its maps `resampled` from one to the next."""

    def __init__(self, channels_in: int, channels_out: int, sizes: list[int], blocks: int, groups: int) -> None:
        super().__init__()
        self.conv_in = convolution(channels_in, sizes[0])
        self.levels = nn.ModuleList(
            _blocks(before, size, blocks, groups) for before, size in zip([sizes[0], *sizes], sizes, strict=False)
        )
        self.head = OutputBlock(sizes[-1], channels_out, groups)

    def resampled(self, h: Tensor) -> Tensor:
        """Maps at the side of the next level."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv_in(x)
        for i, level in enumerate(self.levels):
            h = level(self.resampled(h) if i else h)
        return self.head(h)


class Encoder(Half):
    """The encoder, x [B, channels_in, H, W] → [B, channels_out, H/2^halvings, W/2^halvings]."""

    def __init__(
        self, channels_in: int, channels_out: int, halvings: int, width: int, blocks: int, groups: int
    ) -> None:
        super().__init__(channels_in, channels_out, widths(width, halvings), blocks, groups)
        self.halvings = halvings

    def resampled(self, h: Tensor) -> Tensor:
        return avg_pool2d(h, 2)


class Decoder(Half):
    """The decoder, z [B, channels_in, h, w] → [B, channels_out, 2^halvings h, 2^halvings w]."""

    def __init__(
        self, channels_in: int, channels_out: int, halvings: int, width: int, blocks: int, groups: int
    ) -> None:
        super().__init__(channels_in, channels_out, widths(width, halvings)[::-1], blocks, groups)

    def resampled(self, h: Tensor) -> Tensor:
        return interpolate(h, scale_factor=2.0)
