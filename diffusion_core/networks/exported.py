"""Our U-Net as a `UNet2DModel` of diffusers: the same function of x_t and of the index t − 1, by other layers.

    time        the sinusoids of what it is told at t = 1..T are the rows of a table: any schedule and T is said exactly
    halving     the mean of 2 × 2 pixels is a convolution of stride 2 by w wᵀ, w = (0, ½, ½), of each channel alone
    doubling    the convolution behind it is the identity, w = (0, 1, 0)
    widths      the way up takes back the halved maps too, so each level but the finest has one more block: a shortcut
                [I, 0] that drops what was kept, and a last convolution of zeros; so has the attention behind it

Attention has a number of channels a head there, the same at every level, and a number of heads here: both can be said
where all attention is at maps of one width, or has one head.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from diffusion_core.networks.network import Attention, ResidualBlock
from diffusion_core.networks.unet import UNet, UNetBlock, UNetModule
from diffusion_core.randomness import Values
from diffusion_core.refusing import require

HALVING, IDENTITY = (0.0, 0.5, 0.5), (0.0, 1.0, 0.0)


def config_of(unet: UNet, shape: tuple[int, ...], channels_out: int, horizon: int) -> dict[str, Any]:
    """The config of a `UNet2DModel` for images of this shape [C, H, W]; ValueError where it has no word for a field."""
    require(
        unet.multipliers[0] == 1,
        f"network.multipliers={list(unet.multipliers)} widens the first maps, and those of conv_in are as wide in "
        "diffusers: take a cell whose network.multipliers begin with 1",
    )
    widths = [unet.channels * multiplier for multiplier in unet.multipliers]
    kinds = ["Attn" if shape[1] >> level in unet.attention else "" for level in range(len(widths))]
    attended = {width for width, kind in zip(widths, kinds, strict=True) if kind} | {widths[-1]}
    require(
        len(attended) == 1 or unet.heads == 1 or not unet.attention,
        f"network.heads={unet.heads} is of maps of {sorted(attended)} channels (network.attention="
        f"{list(unet.attention)}), and diffusers has one number of channels a head: take a cell with network.heads=1, "
        "or with attention only at maps as wide as the last",
    )
    return {
        "_class_name": "UNet2DModel",
        "sample_size": list(shape[1:]),
        "in_channels": shape[0],
        "out_channels": channels_out,
        "time_embedding_type": "learned",
        "num_train_timesteps": horizon,
        "block_out_channels": widths,
        "layers_per_block": unet.blocks,
        "down_block_types": [f"{kind}DownBlock2D" for kind in kinds],
        "up_block_types": [f"{kind}UpBlock2D" for kind in reversed(kinds)],
        "add_attention": bool(unet.attention),
        "attention_head_dim": None if unet.heads == 1 else widths[-1] // unet.heads,
        "norm_num_groups": unet.groups,
        "attn_norm_num_groups": unet.groups,
        "resnet_time_scale_shift": "scale_shift",
        "dropout": unet.dropout,
    }


@torch.no_grad()
def tensors_of(unet: UNet, network: nn.Module, time: Tensor) -> Values:
    """The weights of a `UNet2DModel` that computes what `network`, built by `unet`, does at t = 1..T, where it is told
    `time` [T]."""
    assert isinstance(network, UNetModule), "it was built by a UNet"
    state = {
        **of_layer("time_embedding.linear_1", network.time.first),
        **of_layer("time_embedding.linear_2", network.time.second),
        **of_layer("conv_in", network.conv_in),
        **of_level("mid_block", [network.middle_in, network.middle_out]),
        **of_layer("conv_norm_out", network.norm_out),
        **of_layer("conv_out", network.conv_out),
        "time_proj.weight": network.time.waves(time),
    }
    widths = [unet.channels * multiplier for multiplier in unet.multipliers]
    for i, blocks in enumerate(network.down):
        state |= of_level(f"down_blocks.{i}", blocks)
        if i + 1 < len(widths):
            state |= of_layer(f"down_blocks.{i}.downsamplers.0.conv", resampling(widths[i], HALVING))
    for i, blocks in enumerate(network.up):
        level, more = len(widths) - 1 - i, []
        if level:
            more = [passing(unet, widths[level], widths[level - 1], isinstance(blocks[0].attention, Attention))]  # type: ignore[index]
            state |= of_layer(f"up_blocks.{i}.upsamplers.0.conv", resampling(widths[level], IDENTITY))
        state |= of_level(f"up_blocks.{i}", [*blocks, *more])  # type: ignore[misc]
    return {name: value.detach().float().cpu().contiguous() for name, value in state.items()}


def of_layer(prefix: str, layer: nn.Module | Mapping[str, Tensor]) -> Values:
    """The tensors of a layer under a prefix."""
    state = layer.state_dict() if isinstance(layer, nn.Module) else layer
    return {f"{prefix}.{name}": value for name, value in state.items()}


def of_level(prefix: str, blocks: Any) -> Values:
    """The tensors of residual blocks and of the attention behind them."""
    state: Values = {}
    for i, block in enumerate(blocks):
        state |= residual(f"{prefix}.resnets.{i}", block.block)
        if isinstance(block.attention, Attention):
            state |= attention(f"{prefix}.attentions.{i}", block.attention)
    return state


def residual(prefix: str, block: ResidualBlock) -> Values:
    """The tensors of a `ResnetBlock2D`, in which time has the scale first, then the shift, as here."""
    layers: dict[str, Any] = {"norm1": block.norm_in, "conv1": block.conv_in, "time_emb_proj": block.time}
    layers |= {"norm2": block.norm_out, "conv2": block.conv_out, "conv_shortcut": block.skip}
    return {key: value for name, layer in layers.items() for key, value in of_layer(f"{prefix}.{name}", layer).items()}


def attention(prefix: str, layer: Attention) -> Values:
    """The tensors of an `Attention`, whose queries, keys and values have a linear layer each."""
    kernel, bias = layer.qkv.state_dict().values()
    parts = {f"to_{name}": part for name, *part in zip("qkv", kernel.chunk(3), bias.chunk(3), strict=True)}
    parts["to_out.0"] = [*layer.out.state_dict().values()]
    state = of_layer(f"{prefix}.group_norm", layer.norm)
    for name, (weight, bias) in parts.items():
        state |= of_layer(f"{prefix}.{name}", {"weight": weight[:, :, 0, 0], "bias": bias})
    return state


def passing(unet: UNet, channels: int, more: int, attention: bool) -> UNetBlock:
    """A block of `channels` and `more` that passes the former on, and forgets the latter."""
    block = UNetBlock(unet, channels + more, channels, attention)
    for value in block.parameters():
        nn.init.zeros_(value)
    nn.init.eye_(block.block.skip.weight[:, :, 0, 0])  # type: ignore[index]
    return block


def resampling(channels: int, along: tuple[float, ...]) -> Values:
    """A 3 × 3 convolution of each channel alone, by w wᵀ for w = `along`."""
    kernel = torch.outer(torch.tensor(along), torch.tensor(along))
    return {"weight": torch.eye(channels)[:, :, None, None] * kernel, "bias": torch.zeros(channels)}
