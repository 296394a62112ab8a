"""Networks of others' libraries that are as large as one of ours.

`diffusers_of_our_structure` is made of that library's own blocks, put together as our U-Net is: what is left between
the two is how the layers are written.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from benchmarks.peak import multiply_adds, parameters
from diffusion_core.networks.unet import UNet

TOLERANCE = 0.03


def alike(ours: nn.Module, theirs: nn.Module, shape: tuple[int, ...]) -> None:
    """Nothing, where two networks learn as many numbers and take as many multiply-adds, within 3 %."""
    for count in (parameters, lambda network: multiply_adds(network, shape)):
        here, there = count(ours), count(theirs)
        assert abs(there / here - 1) <= TOLERANCE, f"the structures differ: {here} and {there}"


def widths(config: UNet) -> tuple[int, ...]:
    """Channels by resolution."""
    return tuple(config.channels * multiplier for multiplier in config.multipliers)


def attends(config: UNet, side: int) -> list[bool]:
    """True for each resolution that has attention."""
    return [side >> i in config.attention for i in range(len(config.multipliers))]


def diffusers_defaults(config: UNet, shape: tuple[int, int, int], **settings: Any) -> nn.Module:
    """A UNet2DModel with our channels, numbers of blocks, groups and places of attention, and else its defaults."""
    from diffusers.models.unets.unet_2d import UNet2DModel

    attention = attends(config, shape[1])
    model: nn.Module = UNet2DModel(
        sample_size=shape[1],
        in_channels=shape[0],
        out_channels=shape[0],
        block_out_channels=widths(config),
        layers_per_block=config.blocks,
        norm_num_groups=config.groups,
        down_block_types=tuple("AttnDownBlock2D" if has else "DownBlock2D" for has in attention),
        up_block_types=tuple("AttnUpBlock2D" if has else "UpBlock2D" for has in reversed(attention)),
        **settings,
    )
    return model


def diffusers_of_our_structure(config: UNet, shape: tuple[int, int, int]) -> nn.Module:
    """A UNet2DModel that does what our U-Net does.

    Time scales and shifts; sides are halved by the mean of 2×2 pixels and doubled by repeating them, without a
    convolution; what was halved is not kept for the way up, so that only the last resolution has a block more there.
    There is one size of a head for all resolutions: that of ours at the last one, where all sizes here have theirs.
    """
    model: Any = diffusers_defaults(
        config,
        shape,
        resnet_time_scale_shift="scale_shift",
        attn_norm_num_groups=config.groups,
        attention_head_dim=widths(config)[-1] // config.heads,
        add_attention=bool(config.attention),
    )
    last = len(model.down_blocks) - 1
    for i, channels in enumerate(widths(config)[:last]):
        model.down_blocks[i] = Pooled(model.down_blocks[i], channels)
    model.up_blocks = nn.ModuleList(_up(config, shape[1], i) for i in reversed(range(last + 1)))
    built: nn.Module = model
    return built


class Pooled(nn.Module):
    """A block of the way down whose end is halved by the mean of 2×2 pixels, which is not kept."""

    def __init__(self, block: Any, channels: int) -> None:
        from diffusers.models.downsampling import Downsample2D

        super().__init__()
        block.downsamplers = None
        self.block = block
        self.pool = Downsample2D(channels, use_conv=False)

    def forward(self, hidden_states: Tensor, temb: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """(x at half the side, what is kept), by the names that UNet2DModel calls with."""
        x, kept = self.block(hidden_states=hidden_states, temb=temb)
        return self.pool(x), kept


def _up(config: UNet, side: int, i: int) -> nn.Module:
    """The blocks of resolution i on the way up."""
    from diffusers.models.unets.unet_2d_blocks import get_up_block
    from diffusers.models.upsampling import Upsample2D

    channels = widths(config)
    block: nn.Module = get_up_block(
        "AttnUpBlock2D" if attends(config, side)[i] else "UpBlock2D",
        num_layers=config.blocks + (i == 0),
        # What the last block takes up: at the first resolution the first convolution's.
        in_channels=channels[i] if i else config.channels,
        out_channels=channels[i],
        prev_output_channel=channels[min(i + 1, len(channels) - 1)],
        temb_channels=4 * config.channels,
        add_upsample=False,
        resnet_eps=1e-5,
        resnet_act_fn="silu",
        resnet_groups=config.groups,
        attention_head_dim=channels[-1] // config.heads,
        resnet_time_scale_shift="scale_shift",
    )
    if i:
        block.upsamplers = nn.ModuleList([Upsample2D(channels[i], use_conv=False)])
    return block


def lucidrains(config: UNet, shape: tuple[int, int, int]) -> nn.Module:
    """A Unet of denoising_diffusion_pytorch with our channels, and else its defaults."""
    from denoising_diffusion_pytorch import Unet

    network: nn.Module = Unet(dim=config.channels, dim_mults=config.multipliers, channels=shape[0])
    return network
