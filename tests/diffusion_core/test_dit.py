"""The diffusion transformer: held to the figures of its authors' code, and to what it must be at its start."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from diffusion_core.networks import network as layers
from diffusion_core.networks.dit import Dit

FIGURES = np.load(Path(__file__).parents[1] / "reference" / "dit.npz")
"""Of facebookresearch/DiT at ed81ce2, by PyTorch 2.13 on a CPU: depth 2, width 32, 8×8×1 to 2 channels, 10 classes."""
CONFIG = Dit(patch=2, width=32, depth=2, heads=2)
NAMES = {
    "time.first": "t_embedder.mlp.0",
    "time.second": "t_embedder.mlp.2",
    "time.label": "y_embedder.embedding_table",
    "linear_in": "x_embedder.proj",
    "modulation": "final_layer.adaLN_modulation.1",
    "linear_out": "final_layer.linear",
}
IN_A_BLOCK = {
    "modulation": "adaLN_modulation.1",
    "qkv": "attn.qkv",
    "mixed": "attn.proj",
    "first": "mlp.fc1",
    "second": "mlp.fc2",
}
NAMES |= {f"blocks.{i}.{ours}": f"blocks.{i}.{theirs}" for i in (0, 1) for ours, theirs in IN_A_BLOCK.items()}
"""Their names of layers by ours."""


def figure(name: str) -> torch.Tensor:
    return torch.from_numpy(FIGURES[name])


@pytest.fixture
def theirs() -> nn.Module:
    """Our network with their weights."""
    network = CONFIG.labelled((1, 8, 8), 2, 10)
    state = {
        name: figure(f"state/{NAMES[name.rpartition('.')[0]]}.{name.rpartition('.')[2]}")
        for name in network.state_dict()
    }
    network.load_state_dict({name: value.flatten(1) if value.ndim == 4 else value for name, value in state.items()})
    return network.eval()


@pytest.fixture
def in_float64(theirs, monkeypatch):
    """The same in float64, the angles of time included."""

    def exact(time, channels):
        angle = time.double()[..., None] * 10_000.0 ** (
            -torch.arange(channels // 2, dtype=torch.float64) * 2 / channels
        )
        return torch.cat([angle.cos(), angle.sin()], dim=-1)

    monkeypatch.setattr(layers, "sinusoidal", exact)
    return theirs.double()


def test_muon_turns_what_lies_between_features(theirs):
    names = {id(parameter): name for name, parameter in theirs.named_parameters()}
    turned = {names[id(matrix)].removesuffix(".weight") for matrix in CONFIG.matrices(theirs)}
    assert turned == set(NAMES) - {"time.first", "time.label", "linear_in", "linear_out"}


def test_a_block_is_the_identity_at_its_start():
    block, h = Dit().build((1, 8, 8), 1).blocks[0], torch.randn(2, 16, 60)
    assert torch.equal(block(h, block.modulation(torch.randn(2, 60))), h)


def test_output_in_float64_is_that_of_its_authors(in_float64):
    """Their table of places is float32 there, too."""
    in_float64.places = figure("state/pos_embed")[0].double()
    out = in_float64(figure("x").double(), figure("timesteps").double(), figure("y"))
    torch.testing.assert_close(out, figure("out_float64"), rtol=0, atol=1e-10)


def test_guidance_without_a_label_is_that_of_its_authors(in_float64):
    """No label is the class after the last."""
    in_float64.places = figure("state/pos_embed")[0].double()
    x, time, label = figure("x").double()[:2], figure("timesteps").double()[:2], figure("y")[:2]
    null = in_float64(x, time, torch.full((2,), 10))
    guided = null + float(FIGURES["cfg/scale"]) * (in_float64(x, time, label) - null)
    torch.testing.assert_close(guided, figure("cfg/out_float64"), rtol=0, atol=1e-10)
