"""Networks: shapes, a start at zero, float32 at the output, and what they refuse."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from diffusion_core.networks.dit import Dit
from diffusion_core.networks.layers import Attention
from diffusion_core.networks.mlp import Mlp
from diffusion_core.networks.network import Network
from diffusion_core.networks.unet import UNet
from diffusion_core.randomness import built
from tests.diffusion_core.test_every_network import TIME


@pytest.mark.parametrize(("attention", "sides"), [((), []), ((8, 2), [8, 2, 2, 2, 8, 8]), ((16,), [2])], ids=str)
def test_attention_stands_at_the_listed_sides_down_and_up_and_once_in_the_middle(attention, sides, monkeypatch):
    """With resolutions 8, 4, 2 and one block each, and one more at the end for what the first convolution gave."""
    seen: list[int] = []
    forward = Attention.forward
    monkeypatch.setattr(Attention, "forward", lambda self, x: (seen.append(x.shape[-1]), forward(self, x))[1])
    module = UNet(channels=4, multipliers=(1, 1, 1), attention=attention, heads=1, groups=1).build((1, 8, 8), 1)
    module(torch.zeros(1, 1, 8, 8), TIME[:1])
    assert seen == sides


@pytest.mark.parametrize(
    ("network", "shape", "reason"),
    [
        (Mlp(), (1, 8, 8), r"mlp takes points \[D\], got .*for images take network=unet"),
        (UNet(), (1, 7, 8), r"unet with 2 resolutions needs .* whose sides 2 divides"),
        (Dit(), (2,), r"dit takes images \[C, H, W\], got .*for points take network=mlp"),
        (Dit(patch=3), (1, 8, 9), r"patches of 3×3 pixels, which do not fill .*: take a network.patch"),
        (Network, (2,), r"network=plain takes no labels: .*, or take another network"),
    ],
)
def test_a_network_refuses_what_it_cannot_take(network, shape, reason):
    class Plain(Network):
        def build(self, shape, channels_out):
            return nn.Identity()

    with pytest.raises(ValueError, match=reason):
        (Plain() if network is Network else network).labelled(shape, 1, 10)


@pytest.mark.parametrize(
    ("network", "fields", "reason"),
    [
        (Mlp, {"width": 3}, "mlp needs an even width and at least one layer"),
        (Dit, {"depth": 0}, "dit needs .*of at least 1"),
        (Dit, {"width": 16, "heads": 3}, "dit needs .*that heads and 4 divide, .*, got width=16, heads=3"),
        (UNet, {"multipliers": (1, 0)}, "unet needs .*of at least 1"),
        (UNet, {"channels": 8, "heads": 3}, "unet needs .*that groups and heads divide"),
        (UNet, {"channels": 9, "groups": 3, "heads": 3}, "unet needs .*even"),
        (UNet, {"dropout": 1.0}, "unet needs .*0 <= dropout < 1"),
    ],
)
def test_fields_out_of_range_are_refused(network, fields, reason):
    with pytest.raises(ValueError, match=reason):
        network(**fields)


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
