"""Networks: shapes, a start at zero, float32 at the output, and what they refuse."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import group_norm, silu

from diffusion_core.networks.dit import Dit
from diffusion_core.networks.layers import Attention, ResidualBlock, sinusoidal
from diffusion_core.networks.mlp import Mlp, ResidualLayer
from diffusion_core.networks.network import Network
from diffusion_core.networks.unet import UNet
from diffusion_core.randomness import built
from tests.diffusion_core.test_every_network import TIME, fresh, stirred


@pytest.mark.parametrize(
    ("attention", "sides"), [((), []), ((4,), [4, 2, 4]), ((8, 2), [8, 2, 2, 2, 8, 8]), ((16,), [2])], ids=str
)
def test_attention_stands_at_the_listed_sides_down_and_up_and_once_in_the_middle(attention, sides, monkeypatch):
    """With resolutions 8, 4, 2 and one block each, and one more at the end for what the first convolution gave."""
    seen: list[int] = []
    forward = Attention.forward
    monkeypatch.setattr(Attention, "forward", lambda self, x: (seen.append(x.shape[-1]), forward(self, x))[1])
    module = UNet(channels=4, multipliers=(1, 1, 1), attention=attention, heads=1, groups=1).build((1, 8, 8), 1)
    module(torch.zeros(1, 1, 8, 8), TIME[:1])
    assert seen == sides


@pytest.mark.parametrize(
    ("network", "shapes", "reason"),
    [
        (Mlp(), [(1, 8, 8), (3, 4), ()], r"mlp takes points \[D\], got .*for images take network=unet"),
        (
            UNet(),
            [(2,), (1, 7, 8), (1, 8, 7)],
            r"unet with 2 resolutions needs .* whose sides 2 divides",
        ),
        (Dit(), [(2,), ()], r"dit takes images \[C, H, W\], got .*for points take network=mlp"),
        (
            Dit(patch=3),
            [(1, 8, 9), (1, 9, 8)],
            r"patches of 3×3 pixels, which do not fill .*: take a network.patch",
        ),
    ],
    ids=["mlp", "unet", "dit", "patch"],
)
def test_a_network_refuses_what_it_cannot_take(network, shapes, reason):
    for shape in shapes:
        with pytest.raises(ValueError, match=reason):
            network.build(shape, 1)


def test_a_network_without_labels_refuses_them():
    class Plain(Network):
        def build(self, shape, channels_out):
            return nn.Identity()

    with pytest.raises(ValueError, match=r"network=plain takes no labels: .*, or take another network"):
        Plain().labelled((2,), 2, 10)


@pytest.mark.parametrize("fields", [{"width": 0}, {"width": 3}, {"layers": 0}])
def test_mlp_refuses_fields_out_of_range(fields):
    with pytest.raises(ValueError, match="mlp needs an even width and at least one layer"):
        Mlp(**fields)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        *(({field: 0}, "of at least 1") for field in ("patch", "width", "depth", "heads")),
        ({"width": 18, "heads": 2}, "that heads and 4 divide, .*, got width=18, heads=2"),
        ({"width": 16, "heads": 3}, "that heads and 4 divide, .*, got width=16, heads=3"),
    ],
)
def test_dit_refuses_fields_out_of_range(fields, reason):
    with pytest.raises(ValueError, match=f"dit needs .*{reason}"):
        Dit(**fields)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        *(({field: 0}, "of at least 1") for field in ("channels", "blocks", "groups", "heads")),
        *(({"multipliers": wrong}, "of at least 1") for wrong in ((), (1, 0))),
        ({"channels": 12}, "that groups and heads divide"),
        ({"channels": 8, "heads": 3}, "that groups and heads divide"),
        ({"channels": 9, "groups": 3, "heads": 3}, "even"),
        *(({"dropout": wrong}, "0 <= dropout < 1") for wrong in (1.0, -0.1)),
    ],
)
def test_unet_refuses_fields_out_of_range(fields, reason):
    with pytest.raises(ValueError, match=f"unet needs .*{reason}"):
        UNet(**fields)


def test_sinusoid_is_cosine_and_sine_at_geometric_wavelengths():
    time = torch.tensor([0.0, 3.0, 700.0])
    frequency = 10_000.0 ** (-torch.arange(4, dtype=torch.float64) / 4)
    angle = time.double()[:, None] * frequency
    expected = torch.cat([angle.cos(), angle.sin()], dim=1)
    torch.testing.assert_close(sinusoidal(time, 8).double(), expected, rtol=0, atol=1e-4)


def test_residual_branches_start_as_the_identity(generator):
    x = torch.randn(2, 8, 4, 4, generator=generator)
    block = ResidualBlock(8, 8, 16, 4, 0.0)
    assert torch.equal(block(x, torch.randn(2, 16, generator=generator)), x)
    assert torch.equal(Attention(8, 4, 2)(x), x)


def normed(x, norm):
    return group_norm(x, norm.num_groups, norm.weight, norm.bias, norm.eps)


def test_time_scales_and_shifts_the_second_norm_of_a_residual_block(generator):
    block = ResidualBlock(4, 8, 6, 2, 0.0)
    nn.init.normal_(block.conv_out.weight, generator=generator)
    x, modulation = torch.randn(3, 4, 5, 5, generator=generator), torch.randn(3, 16, generator=generator)
    scale, shift = modulation[:, :, None, None].split(8, dim=1)
    h = normed(block.conv_in(silu(normed(x, block.norm_in))), block.norm_out)
    expected = block.skip(x) + block.conv_out(silu(h * (1 + scale) + shift))
    torch.testing.assert_close(block(x, modulation), expected, rtol=1e-5, atol=1e-5)


def test_time_scales_and_shifts_the_norm_of_a_residual_layer(generator):
    layer = ResidualLayer(6)
    nn.init.normal_(layer.second.weight, generator=generator)
    x, time = torch.randn(2, 1, 3, 6, generator=generator)
    scale, shift = layer.time(silu(time)).split(6, dim=-1)
    expected = x + layer.second(silu(layer.norm(layer.first(silu(x))) * (1 + scale) + shift))
    torch.testing.assert_close(layer(x, time), expected, rtol=1e-6, atol=1e-6)


def test_attention_is_softmax_of_scaled_products(generator):
    """One head, written out."""
    layer = Attention(4, 2, 1)
    nn.init.normal_(layer.out.weight, generator=generator)
    x = torch.randn(2, 4, 3, 3, generator=generator)
    q, k, v = layer.qkv(normed(x, layer.norm)).flatten(2).chunk(3, dim=1)
    weights = torch.softmax(q.transpose(1, 2) @ k / 2, dim=-1)
    expected = x + layer.out((v @ weights.transpose(1, 2)).reshape(x.shape))
    torch.testing.assert_close(layer(x), expected, rtol=1e-5, atol=1e-5)


def test_dropout_is_on_in_training(generator):
    module = stirred(fresh(UNet(channels=8, groups=4, dropout=0.5), (1, 8, 8))).train()
    x = torch.randn(1, 1, 8, 8, generator=generator)
    assert not torch.equal(module(x, TIME[:1]), module(x, TIME[:1]))


def gradients_of(recompute, rounding, dropout=0.0):
    """The loss and gradients of a U-Net in training, and the bytes that it keeps for them outside of its blocks."""
    config = UNet(channels=16, groups=4, multipliers=(1, 2), attention=(4,), dropout=dropout, recompute=recompute)
    network = built(lambda: config.build((1, 8, 8), 1)).train()
    network.conv_out.weight.data += 0.1
    x = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    kept = 0

    def keep(tensor):
        nonlocal kept
        kept += tensor.nbytes
        return tensor

    torch.manual_seed(0)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        with torch.autocast("cpu", torch.bfloat16, enabled=rounding == "bf16"):
            loss = network(x, torch.arange(4.0)).square().mean()
        gradients = torch.autograd.grad(loss, list(network.parameters()))
    return [loss.detach(), *gradients], kept


@pytest.mark.parametrize(("rounding", "dropout"), [("float32", 0.0), ("bf16", 0.3)])
def test_feature_maps_that_are_worked_out_again_change_no_number(rounding, dropout):
    (kept, bytes_kept), (again, bytes_again) = (gradients_of(flag, rounding, dropout) for flag in (False, True))
    assert all(torch.equal(*pair) for pair in zip(kept, again, strict=True))
    assert bytes_again < 0.35 * bytes_kept
