"""The U-Net of improved-diffusion and guided-diffusion, built from the tensors of a `.pt` file.

    x ─▶ input blocks ─▶ middle ─▶ output blocks, each of which reads the output of an input block beside its own ─▶ out

(Nichol & Dhariwal 2021, arXiv:2102.09672; Dhariwal & Nichol 2021, arXiv:2105.05233.) Names and shapes of the tensors
give the architecture but for the heads of its attention, and for the order of queries, keys and values.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, scaled_dot_product_attention

from diffusion_core.networks.network import sinusoidal

GROUPS = 32
"""The groups of every norm, whatever the width."""
UP = re.compile(r"output_blocks\.(\d+)\.[1-9]\.(?:conv|in_layers\.2)\.weight")
"""The layer of an output block that doubles the size."""
Resample = Literal["", "down", "up"]


@dataclass(frozen=True)
class Heads:
    """What no tensor tells of attention: `count` heads, or heads of `channels` where that is given; `split_first` where
    queries, keys and values lie one after the other, and not head by head (guided's `use_new_attention_order`)."""

    count: int = 4
    channels: int = 0
    split_first: bool = False

    def of(self, width: int) -> int:
        """The number of heads of maps that are so wide; ValueError where they do not divide it."""
        count = width // self.channels if self.channels else self.count
        if not count or width % count:
            raise ValueError(f"attention of {width} channels has no {count} heads: set network.heads or .head_channels")
        return count


class ResBlock(nn.Module):
    """Two convolutions whose second norm is told the time: h (1 + a) + b, or h + b before it."""

    def __init__(self, state: Mapping[str, Tensor], resample: Resample) -> None:
        super().__init__()
        channels_out, channels_in = state["in_layers.2.weight"].shape[:2]
        modulated, width = state["emb_layers.1.weight"].shape
        self.scales, self.resample = modulated == 2 * channels_out, resample
        first, second = nn.GroupNorm(GROUPS, channels_in), nn.GroupNorm(GROUPS, channels_out)
        self.in_layers = nn.Sequential(first, nn.SiLU(), nn.Conv2d(channels_in, channels_out, 3, padding=1))
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(width, modulated))
        last = nn.Conv2d(channels_out, channels_out, 3, padding=1)
        self.out_layers = nn.Sequential(second, nn.SiLU(), nn.Identity(), last)
        self.skip_connection: nn.Module = nn.Identity()
        if "skip_connection.weight" in state:
            size = state["skip_connection.weight"].shape[-1]
            self.skip_connection = nn.Conv2d(channels_in, channels_out, size, padding=size // 2)

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        norm, act, conv = self.in_layers
        h = conv(resampled(act(norm(x)), self.resample))
        modulation = self.emb_layers(emb)[:, :, None, None]
        norm, *rest = self.out_layers
        if self.scales:
            scale, shift = modulation.chunk(2, 1)
            h = norm(h) * (1 + scale) + shift
        else:
            h = norm(h + modulation)
        for layer in rest:
            h = layer(h)
        return self.skip_connection(resampled(x, self.resample)) + h


def resampled(x: Tensor, how: Resample) -> Tensor:
    """Maps at half or twice the size, or as they are."""
    if how == "down":
        return avg_pool2d(x, 2)
    return interpolate(x, scale_factor=2.0) if how == "up" else x


class Attention(nn.Module):
    """Self-attention over all places, added to its input."""

    def __init__(self, width: int, heads: Heads) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(GROUPS, width)
        self.qkv = nn.Conv1d(width, 3 * width, 1)
        self.proj_out = nn.Conv1d(width, width, 1)
        self.heads, self.split_first = heads.of(width), heads.split_first

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        flat = x.flatten(2)
        order = (3, self.heads, -1) if self.split_first else (self.heads, 3, -1)
        qkv = self.qkv(self.norm(flat)).unflatten(1, order).transpose(-1, -2)
        q, k, v = qkv.unbind(1 if self.split_first else 2)
        mixed = scaled_dot_product_attention(q, k, v).transpose(-1, -2).flatten(1, 2)
        return (flat + self.proj_out(mixed)).reshape(x.shape)


class Resampling(nn.Module):
    """A convolution to half the size (`op`), or after growth to twice the size (`conv`)."""

    def __init__(self, width: int, name: str) -> None:
        super().__init__()
        self.add_module(name, nn.Conv2d(width, width, 3, stride=2 if name == "op" else 1, padding=1))

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        ((name, layer),) = self.named_children()
        return layer(x if name == "op" else resampled(x, "up"))


class Stem(nn.Conv2d):
    """The first convolution, which is told no time."""

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(x)


class OpenAIUNet(nn.Module):
    """The network of a state dict: (x [B, C, H, W], time [B], label [B] or None) → [B, C', H, W]. `time` is its own,
    0 to 1000."""

    def __init__(self, state: Mapping[str, Tensor], heads: Heads) -> None:
        super().__init__()
        width, self.channels = state["time_embed.0.weight"].shape
        self.time_embed = nn.Sequential(nn.Linear(self.channels, width), nn.SiLU(), nn.Linear(width, width))
        self.label_emb = nn.Embedding(*state["label_emb.weight"].shape) if "label_emb.weight" in state else None
        ends = [int(match[1]) for name in state if (match := UP.fullmatch(name))]
        level = min(ends) + 1 if ends else 0
        self.input_blocks = nn.ModuleList(by_place("input_blocks", state, heads, level))
        (self.middle_block,) = by_place("middle_block", state, heads, 0)
        self.output_blocks = nn.ModuleList(by_place("output_blocks", state, heads, level))
        last = state["out.2.weight"].shape
        norm = nn.GroupNorm(GROUPS, last[1])
        self.out = nn.Sequential(norm, nn.SiLU(), nn.Conv2d(last[1], last[0], 3, padding=1))
        self.load_state_dict(state, assign=True)

    def forward(self, x: Tensor, time: Tensor, label: Tensor | None = None) -> Tensor:
        emb = self.time_embed(sinusoidal(time, self.channels).to(x.dtype))
        if self.label_emb is not None and label is not None:
            emb = emb + self.label_emb(label)
        kept = []
        for block in self.input_blocks:
            x = through(block, x, emb)
            kept.append(x)
        x = through(self.middle_block, x, emb)
        for block in self.output_blocks:
            x = through(block, torch.cat([x, kept.pop()], 1), emb)
        return self.out(x)


def through(block: nn.Module, x: Tensor, emb: Tensor) -> Tensor:
    """x after each layer of a block."""
    for layer in block.children():
        x = layer(x, emb)
    return x


def by_place(part: str, state: Mapping[str, Tensor], heads: Heads, level: int) -> list[nn.ModuleList]:
    """The blocks of a part of the network, by its tensors; a level has `level` blocks, the last of which changes the
    size."""
    blocks: dict[int, dict[int, dict[str, Tensor]]] = {}
    for name, value in state.items():
        if name.startswith(f"{part}."):
            # The middle is one block.
            block, layer, rest = name.replace("middle_block", "middle_block.0").split(".", 3)[1:]
            blocks.setdefault(int(block), {}).setdefault(int(layer), {})[rest] = value
    made, doubles = [], part == "output_blocks"
    for place, numbered in sorted(blocks.items()):
        halves = part == "input_blocks" and level > 0 and place % level == 0
        layers = [
            layer_of(own, heads, "down" if halves else "up" if n and doubles else "") for n, own in numbered.items()
        ]
        made.append(nn.ModuleList(layers))
    return made


def layer_of(own: Mapping[str, Tensor], heads: Heads, resample: Resample) -> nn.Module:
    """The layer that has these tensors; ValueError for one of another architecture."""
    if "in_layers.2.weight" in own:
        return ResBlock(own, resample)
    if "qkv.weight" in own:
        return Attention(own["norm.weight"].shape[0], heads)
    for name in ("op", "conv"):
        if f"{name}.weight" in own:
            return Resampling(own[f"{name}.weight"].shape[0], name)
    if "weight" in own:
        return Stem(own["weight"].shape[1], own["weight"].shape[0], 3, padding=1)
    raise ValueError(f"no layer has the tensors {', '.join(sorted(own))}")
