"""The U-Net's parts give the recorded features of improved-diffusion's (Nichol & Dhariwal 2021), with its weights.

Residual block, attention and embedding of time are the same functions; how the networks join them differs
(docs/papers.md).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import silu

from diffusion_core.networks.network import Attention, ResidualBlock, TimeEmbedding, sinusoidal

RECORDED = {
    name: torch.from_numpy(value)
    for name, value in np.load(Path(__file__).parents[1] / "reference" / "unet_improved_diffusion.npz").items()
}
GROUPS, HEADS, EXAMPLE = 32, 2, 2
"""Of its norms and its attention; the features of maps are those of one example."""
BLOCK = {
    "norm_in": "in_layers.0",
    "conv_in": "in_layers.2",
    "time": "emb_layers.1",
    "norm_out": "out_layers.0",
    "conv_out": "out_layers.3",
    "skip": "skip_connection",
}


def loaded(layer: nn.Module, names: dict[str, str], place: str) -> nn.Module:
    """A layer with the recorded weights of a place, by its own names."""
    own = {key: key.rpartition(".") for key in layer.state_dict()}
    weights = {key: RECORDED[f"state/{place}.{names[part]}.{what}"] for key, (part, _, what) in own.items()}
    layer.load_state_dict({key: value.reshape(layer.state_dict()[key].shape) for key, value in weights.items()})
    return layer


def feature(name: str) -> torch.Tensor:
    return RECORDED[f"feature/{name}"]


def after_block(place: str, x: torch.Tensor, channels_out: int) -> torch.Tensor:
    """Maps after the residual block of a place, at the example's time."""
    block = loaded(ResidualBlock(x.shape[1], channels_out, 128, GROUPS, 0.0), BLOCK, place)
    return block(x, block.time(silu(feature("time_embed")[EXAMPLE : EXAMPLE + 1])))


def attention(place: str, channels: int) -> nn.Module:
    """Its queries, keys and values stand head by head, ours one after the other."""
    names = {"norm": "norm", "qkv": "qkv", "out": "proj_out"}
    made = loaded(Attention(channels, GROUPS, HEADS), names, place)
    for value in (made.qkv.weight.data, made.qkv.bias.data):
        value.copy_(value.unflatten(0, (HEADS, 3, -1)).transpose(0, 1).flatten(0, 2))
    return made


@torch.no_grad()
def test_the_embedding_of_time_is_the_recorded_one():
    times, names = RECORDED["timesteps"].float(), {"first": "0", "second": "2"}
    torch.testing.assert_close(sinusoidal(times, 32), feature("timestep_embedding"))
    embed = loaded(TimeEmbedding(32, 128), names, "time_embed")
    torch.testing.assert_close(embed(times), feature("time_embed"), rtol=1e-5, atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize(
    ("place", "before", "attends"),
    [
        ("input_blocks.1", "input_blocks.0", False),
        ("input_blocks.3", "input_blocks.2", True),
        ("middle_block", "input_blocks.3", True),
    ],
)
def test_residual_blocks_and_attention_give_the_recorded_maps(place, before, attends):
    x, expected = feature(before)[None], feature(place)
    out = after_block(f"{place}.0", x, len(expected))
    out = attention(f"{place}.1", len(expected))(out) if attends else out
    if place == "middle_block":
        out = after_block(f"{place}.2", out, len(expected))
    torch.testing.assert_close(out[0], expected, rtol=1e-4, atol=1e-5)
