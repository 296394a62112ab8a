"""Every network starts at zero and from its seed, is a float32 function of its own example, and learns from labels.

It may take images [C, H, W] or points [D]; what else it refuses. Side by side with others: test_grouped.py.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import diffusion_core as dc
from diffusion_core.networks.dit import Dit
from diffusion_core.networks.network import Attention, Mlp, Network
from diffusion_core.networks.unet import UNet
from diffusion_core.randomness import built, initialise, seeded
from tests.axes import classes, name
from tests.diffusion_core.learners import stirred

IMAGE = (1, 8, 8)
CASES = [
    (dc.UNet(channels=4, multipliers=(1,), groups=1, heads=1, dropout=0.2), (2, 4, 4)),
]
CASES += [(cls(), (2,) if cls is dc.Mlp else IMAGE) for cls in classes(dc.Network) if cls is not dc.Published]
NETWORKS = pytest.mark.parametrize(
    ("network", "shape"), [pytest.param(n, s, id=f"{name(n)}{list(s)}") for n, s in CASES]
)
TIME = torch.tensor([1.0, 500.0, 1000.0])
CLASSES = 3
LABEL = torch.tensor([0, 2, 3])
"""The labels of three examples, the last of which has none."""


def inputs(shape: tuple[int, ...], n: int = 3) -> Tensor:
    """n examples [n, *shape] of N(0, I)."""
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(1))


def fresh(network: dc.Network, shape: tuple[int, ...], seed: int = 0, *, learned: bool = False) -> nn.Module:
    """The module with the initial weights of a seed, in evaluation mode; its output has 2C channels if `learned`."""
    variance, objective = (dc.LearnedVariance(), dc.Hybrid()) if learned else (dc.Beta(), dc.Simple())
    choices = dc.Choices(variance=variance, objective=objective, network=network, horizon=50)
    made = dc.Diffusion(choices, dc.Continuous(), shape)
    made.initialise(seed)
    return made.network.eval()


def near(one: Tensor, other: Tensor) -> None:
    """Fail unless these are the same but for how a batch is computed."""
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@NETWORKS
def test_output_starts_at_zero_with_the_asked_channels_and_all_parameters_are_taught(network, shape):
    """[B, C, …] → [B, channels_out, …], channels_out = C, or 2C where a variance is learned."""
    for learned, factor in ((False, 1), (True, 2)):
        out = fresh(network, shape, learned=learned)(inputs(shape), TIME)
        assert out.shape == (3, factor * shape[0], *shape[1:])
        assert not out.any()
    module = fresh(network, shape)
    (module(inputs(shape), TIME) - 1).square().sum().backward()
    assert any(p.grad is not None and p.grad.any() for p in module.parameters()), "the first step teaches nothing"
    module = stirred(fresh(network, shape))
    module(inputs(shape), TIME).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in module.parameters() if p.requires_grad)


@NETWORKS
def test_initial_weights_follow_from_the_seed_alone_and_are_all_that_a_network_is(network, shape):
    """Cells with and without a learned variance start with the same weights but for the last layer."""
    states = []
    for around in (1, 2):
        with seeded(around, "another state of the global generator"):
            states.append(fresh(network, shape).state_dict())
    torch.testing.assert_close(*states, rtol=0, atol=0)
    other, wider = fresh(network, shape, seed=1).state_dict(), fresh(network, shape, learned=True).state_dict()
    assert any(not torch.equal(states[0][key], other[key]) for key in other)
    assert wider.keys() == states[0].keys()
    assert all(torch.equal(wider[key], value) for key, value in states[0].items() if wider[key].shape == value.shape)
    module = stirred(fresh(network, shape))
    with seeded(7, "another state of the global generator"):
        restored = network.build(shape, shape[0]).eval()
    restored.load_state_dict(module.state_dict())
    torch.testing.assert_close(restored(inputs(shape), TIME), module(inputs(shape), TIME), rtol=1e-5, atol=1e-5)


@NETWORKS
def test_under_bf16_autocast_the_last_layer_runs_in_float32(network, shape):
    """Rounding a network's output to bf16 costs a μ-network up to 13 bits/dim."""
    module, x = stirred(fresh(network, shape)), inputs(shape)
    plain = module(x, TIME)
    with torch.autocast("cpu", torch.bfloat16):
        out = module(x, TIME)
    assert out.dtype == torch.float32
    assert not torch.equal(out, out.bfloat16().float())
    torch.testing.assert_close(out, plain, rtol=0.1, atol=0.1 * float(plain.detach().std()))


@NETWORKS
def test_a_network_is_a_function_of_each_example_and_in_training_only_dropout_differs(network, shape):
    """In evaluation nothing is drawn or remembered. BatchNorm would be scored as another function than was taught.
    Dropout is drawn alike for both batches."""
    module, x = stirred(fresh(network, shape)), inputs(shape)
    scored = module(x, TIME)
    with seeded(5, "another state of the global generator"):
        assert torch.equal(module(x, TIME), scored)
    near(scored, torch.cat([module(x[i : i + 1], TIME[i : i + 1]) for i in range(3)]))
    module.train()

    def taught(x: Tensor, time: Tensor, state: int = 5) -> Tensor:
        with seeded(state, "dropout"):
            return module(x, time)

    near(taught(torch.cat([x[:1], 1 - 2 * x[1:]]), TIME[[0, 2, 1]])[:1], taught(x, TIME)[:1])
    if torch.equal(taught(x, TIME), taught(x, TIME, state=6)):
        near(taught(x, TIME), scored)


def told(network: dc.Network, shape: tuple[int, ...]) -> nn.Module:
    """The module of three classes with the initial weights of seed 0."""
    module = built(lambda: network.labelled(shape, shape[0], CLASSES), 0)
    initialise(module, 0)
    return module.eval()


@NETWORKS
def test_with_labels_it_starts_as_without(network, shape):
    module, plain = told(network, shape), built(lambda: network.build(shape, shape[0]), 0)
    initialise(plain, 0)
    own = module.state_dict()
    assert all(torch.equal(own[key], value) for key, value in plain.state_dict().items())


@NETWORKS
def test_labels_matter_after_a_few_steps(network, shape):
    """Steps that teach it each label's number; then any two labels give different outputs at the same x_t and time."""
    module, count = told(network, shape), CLASSES + 1
    asked = inputs(shape, 1).expand(count, *shape), TIME[:1].expand(count), torch.arange(count)
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    for _ in range(5):
        loss = (module(*asked).flatten(1) - asked[2][:, None]).square().mean()
        for parameter, slope in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
            parameter.data -= 1e-2 * slope.sign()
    out = module(*asked)
    assert not any(torch.isclose(out[i], out[j]).all() for i in range(count) for j in range(i))


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


def gradients_of(recompute, rounding, dropout=0.0):
    """The loss and gradients of a U-Net in training."""
    config = dc.UNet(channels=16, groups=4, multipliers=(1, 2), attention=(4,), dropout=dropout, recompute=recompute)
    network = built(lambda: config.build((1, 8, 8), 1)).train()
    network.conv_out.weight.data += 0.1
    x = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    with torch.autocast("cpu", torch.bfloat16, enabled=rounding == "bf16"):
        loss = network(x, torch.arange(4.0)).square().mean()
    return [loss.detach(), *torch.autograd.grad(loss, list(network.parameters()))]


@pytest.mark.parametrize(("rounding", "dropout"), [("float32", 0.0), ("bf16", 0.3)])
def test_feature_maps_that_are_worked_out_again_change_no_number(rounding, dropout):
    kept, again = (gradients_of(flag, rounding, dropout) for flag in (False, True))
    assert all(torch.equal(*pair) for pair in zip(kept, again, strict=True))
