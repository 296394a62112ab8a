"""Layers side by side: what each network gets is what it gets alone, bit by bit, and what torch's own layers give."""

from __future__ import annotations

import copy
import itertools
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional

from diffusion_core.fast import convolution, products
from diffusion_core.fast.convolution import Case, dependent
from diffusion_core.fast.forms import accelerated, attention, linear, normed_rows, residual, stackable, stacked
from diffusion_core.fast.fused import norm_silu
from diffusion_core.networks import layers
from diffusion_core.networks.dit import Dit
from diffusion_core.networks.layers import Attention, ResidualBlock
from diffusion_core.networks.mlp import Mlp
from diffusion_core.networks.unet import UNet
from tests.axes import across, name, thinned

LAST = torch.channels_last
MEMBERS = (1, 2, 3, 8)
PARTS = [frozenset(parts) for n in range(4) for parts in itertools.combinations(("y", "dx", "dw"), n)]


def normal(*shape, seed=0, dtype=torch.float32):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def stirred(layer, seed):
    """The layer with weights of a seed's own, none of which is at its start."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in layer.parameters():
        parameter.data = 0.5 * torch.randn(parameter.shape, generator=generator)
    return layer


class Rows:
    """How values [S, B, …] of several networks lie side by side where they are vectors, [S, B, C]."""

    @staticmethod
    def join(values):
        return values.clone()

    @staticmethod
    def split(values, members):
        return values


class Maps:
    """The same of feature maps, [B, S C, H, W] with channels last."""

    @staticmethod
    def join(values):
        return values.transpose(0, 1).flatten(1, 2).contiguous(memory_format=LAST)

    @staticmethod
    def split(values, members):
        return values.unflatten(1, (members, -1)).transpose(0, 1)


def pass_of(compute, layer, members, lie, x, dy, rounding, *more):
    """The outputs [S, …] and the gradients in x and in each parameter [S, …] of layers side by side."""
    inputs = [lie.join(x).requires_grad_(), *more]
    with torch.autocast("cpu", torch.bfloat16, enabled=rounding == "bf16"):
        y = compute(layer, *inputs)
    gradients = torch.autograd.grad(y, [inputs[0], *layer.parameters()], lie.join(dy).to(y.dtype))
    own = [g if members > 1 else g[None] for g in gradients[1:]]
    return [lie.split(y.detach(), members), lie.split(gradients[0], members), *own]


def beside(several):
    """One layer with the weights of all, or the only one."""
    if len(several) == 1:
        return several[0]
    stack = copy.deepcopy(several[0])
    for own in zip(stack.modules(), *(each.modules() for each in several), strict=True):
        for key in own[0]._parameters:
            setattr(own[0], key, nn.Parameter(torch.stack([getattr(each, key).data for each in own[1:]])))
    if hasattr(stack, "members"):
        stack.members = len(several)
    return stack


def assert_bits_of_each_alone(compute, several, lie, x, dy, rounding="float32", more=lambda members: ()):
    """Each of the first S layers gets what it gets alone; `more` are further inputs of several members' places."""
    alone = [
        pass_of(compute, layer, 1, lie, x[i : i + 1], dy[i : i + 1], rounding, *more([i]))
        for i, layer in enumerate(several)
    ]
    for members in MEMBERS:
        stack = beside(several[:members])
        together = pass_of(compute, stack, members, lie, x[:members], dy[:members], rounding, *more(range(members)))
        for mine, *own in zip(together, *alone[:members], strict=True):
            assert torch.equal(mine, torch.cat(own))


KERNELS = (
    (3, 8, 3, (4, 8, 8)),
    (1, 8, 3, (4, 8, 8)),
    (8, 1, 3, (4, 8, 8)),
    (12, 1, 3, (1, 8, 6)),
    (3, 1, 1, (17, 7, 7)),
    (1, 1, 1, (1, 5, 5)),
    (1, 24, 3, (1, 1, 5)),
    (4, 1, 5, (16, 4, 4)),
    (16, 48, 1, (3, 4, 4)),
    (24, 16, 1, (2, 5, 3)),
    (32, 16, 3, (2, 4, 4)),
    (2, 2, 5, (2, 5, 5)),
    (16, 4, 3, (8, 2, 2)),
    (6, 10, 3, (3, 1, 1)),
    (4, 4, 3, (1, 5, 7)),
    (4, 12, 1, (1, 5, 7)),
)


def assert_convolutions_have_the_bits_of_each_alone(kernel, rounding):
    channels_in, channels_out, side, (batch, height, width) = kernel
    several = [stirred(layers.convolution(channels_in, channels_out, side), i) for i in range(8)]
    x, dy = normal(8, batch, channels_in, height, width), normal(8, batch, channels_out, height, width, seed=1)
    assert_bits_of_each_alone(convolution.convolution, several, Maps, x, dy, rounding)


@pytest.mark.parametrize("kernel", KERNELS, ids=str)
def test_convolutions_side_by_side_have_the_bits_of_each_alone(kernel):
    for rounding in ("float32", "bf16"):
        assert_convolutions_have_the_bits_of_each_alone(kernel, rounding)


@pytest.mark.thorough
@pytest.mark.parametrize("seed", thinned(range(20), 5, list(map(str, range(20)))))
def test_convolutions_of_any_shape_have_the_bits_of_each_alone(seed):
    generator = torch.Generator().manual_seed(seed)

    def one_of(*values):
        return values[int(torch.randint(len(values), (), generator=generator))]

    for _ in range(20):
        channels_in, channels_out = (one_of(1, 2, 3, 4, 5, 8, 12, 16, 24, 32, 48) for _ in range(2))
        kernel = channels_in, channels_out, one_of(1, 3, 5), (one_of(1, 2, 3, 8, 17), one_of(1, 2, 4, 7, 8, 16), 8)
        assert_convolutions_have_the_bits_of_each_alone(kernel, one_of("float32", "bf16"))


@across(
    shape=((1, 1, 1), (1, 16, 1), (64, 16, 1), (64, 1, 16), (1, 12, 100), (5, 2, 128), (16, 128, 128)),
    rounding=("float32", "bf16"),
)
def test_linear_layers_side_by_side_have_the_bits_of_each_alone(shape, rounding):
    rows, units_in, units_out = shape
    several = [stirred(nn.Linear(units_in, units_out), i) for i in range(8)]
    x, dy = normal(8, rows, units_in), normal(8, rows, units_out, seed=1)
    assert_bits_of_each_alone(linear, several, Rows, x, dy, rounding)


@across(shape=((1, 2), (5, 6), (16, 128)), rounding=("float32", "bf16"))
def test_layer_norms_side_by_side_have_the_bits_of_each_alone(shape, rounding):
    several = [stirred(nn.LayerNorm(shape[1]), i) for i in range(8)]
    assert_bits_of_each_alone(normed_rows, several, Rows, normal(8, *shape), normal(8, *shape, seed=1), rounding)


MAPS = ((3, 8, 4, 4), (1, 4, 5, 3), (2, 16, 1, 1), (2, 12, 8, 8))
LAYERS = {
    "norm": (norm_silu, lambda channels: nn.GroupNorm(2, channels)),
    "norm alone": (partial(norm_silu, act=False), lambda channels: nn.GroupNorm(2, channels)),
    "attention": (attention, lambda channels: Attention(channels, 2, 1)),
    "attention of two heads": (attention, lambda channels: Attention(channels, 2, 2)),
    "block": (residual, lambda channels: ResidualBlock(channels, channels, None, 2, 0.0)),
}


def modulations_of(shape):
    """The scales of networks side by side, then their shifts, [B, 2 S C]."""
    batch, channels, *_ = shape
    own = normal(8, batch, 2, channels, seed=2)
    return lambda members: (own[list(members)].permute(1, 2, 0, 3).flatten(1),)


@across(shape=MAPS, layer=tuple(LAYERS), rounding=("float32", "bf16"))
def test_layers_of_maps_side_by_side_have_the_bits_of_each_alone(shape, layer, rounding):
    compute, made = LAYERS[layer]
    several = [stirred(made(shape[1]), i) for i in range(8)]
    dtype = torch.bfloat16 if rounding == "bf16" and "norm" in layer else torch.float32
    x, dy = normal(8, *shape).to(dtype), normal(8, *shape, seed=1)
    assert_bits_of_each_alone(compute, several, Maps, x, dy, rounding)


@across(shape=MAPS, layer=("norm", "block"), rounding=("float32", "bf16"))
def test_modulated_layers_side_by_side_have_the_bits_of_each_alone(shape, layer, rounding):
    compute, made = LAYERS[layer]
    several = [stirred(made(shape[1]), i) for i in range(8)]
    x, dy = normal(8, *shape), normal(8, *shape, seed=1)
    assert_bits_of_each_alone(compute, several, Maps, x, dy, rounding, modulations_of(shape))


NETWORKS = (
    (Mlp(width=16, layers=2), (2,), 9),
    (Mlp(width=6, layers=1), (1,), 1),
    (Mlp(width=128, layers=3), (5,), 32),
    (UNet(channels=8, groups=4), (1, 8, 8), 4),
    (UNet(channels=8, groups=4, recompute=True), (1, 4, 4), 3),
    (UNet(channels=4, multipliers=(1,), groups=2, attention=(5,), heads=4), (3, 5, 7), 1),
    (UNet(channels=8, multipliers=(1, 2, 2), blocks=2, groups=2, attention=(8, 2), heads=4), (3, 8, 8), 5),
    (Dit(width=16, depth=2, heads=2), (1, 8, 8), 5),
    (Dit(), (1, 8, 8), 8),
    (Dit(patch=1, width=12, depth=1, heads=3), (3, 5, 7), 1),
    (Dit(patch=4, width=4, depth=1, heads=1), (2, 4, 4), 1),
    (Dit(patch=4, width=64, depth=1, heads=2), (1, 4, 8), 16),
)
LABELLED = (NETWORKS[0], NETWORKS[3], NETWORKS[7])


def whole(network, members, x, time, dy, rounding, *told):
    """The outputs and gradients of whole networks: one takes examples as they are, several have S in front."""
    x = x.clone().requires_grad_()
    asked = x, time, *told
    with torch.autocast("cpu", torch.bfloat16, enabled=rounding == "bf16"):
        y = network(*asked) if members > 1 else network(*(value[0] for value in asked))[None]
    gradients = torch.autograd.grad(y, [x, *network.parameters()], dy)
    return [y.detach(), gradients[0], *(g if members > 1 else g[None] for g in gradients[1:])]


@pytest.mark.parametrize("rounding", ["float32", "bf16"])
@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: f"{name(network[0])}{list(network[1])}")
def test_networks_side_by_side_have_the_bits_of_each_alone(network, rounding):
    config, shape, batch = network
    networks = [stirred(accelerated(config.build(shape, shape[0])), i) for i in range(8)]
    x, dy, time = normal(8, batch, *shape), normal(8, batch, *shape, seed=1), 1000 * normal(8, batch, seed=2).abs()
    alone = [whole(own, 1, x[i : i + 1], time[i : i + 1], dy[i : i + 1], rounding) for i, own in enumerate(networks)]
    for members in MEMBERS:
        together = whole(beside(networks[:members]), members, x[:members], time[:members], dy[:members], rounding)
        for mine, *own in zip(together, *alone[:members], strict=True):
            assert torch.equal(mine, torch.cat(own))


@across(network=LABELLED, rounding=("float32", "bf16"))
def test_labelled_networks_side_by_side_have_the_bits_of_each_alone(network, rounding):
    """Some labels are many examples', some none's; of the last network's examples none has a label."""
    config, shape, batch = network
    networks = [stirred(accelerated(config.labelled(shape, shape[0], 10)), i) for i in range(8)]
    label = torch.randint(11, (8, batch), generator=torch.Generator().manual_seed(0))
    label[7] = 10
    asked = normal(8, batch, *shape), 1000 * normal(8, batch, seed=2).abs(), normal(8, batch, *shape, seed=1)

    def answered(network, members, place):
        return whole(network, members, *(values[place] for values in asked), rounding, label[place])

    alone = [answered(own, 1, slice(i, i + 1)) for i, own in enumerate(networks)]
    for members in MEMBERS:
        together = answered(beside(networks[:members]), members, slice(members))
        for mine, *own in zip(together, *alone[:members], strict=True):
            assert torch.equal(mine, torch.cat(own))


def test_a_convolution_may_be_tried_where_feature_maps_are_worked_out_again():
    dependent.cache_clear()
    network = accelerated(UNet(channels=8, groups=4, attention=(), recompute=True).build((1, 4, 4), 1))
    network(normal(2, 1, 4, 4), torch.arange(2.0)).square().sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_networks_side_by_side_start_with_the_weights_of_one():
    network = stirred(Mlp(width=4, layers=1).build((2,), 2), 0)
    for key, parameter in stacked(network, 3).named_parameters():
        assert torch.equal(parameter, torch.stack([network.state_dict()[key]] * 3))


@pytest.fixture(params=[*PARTS, frozenset({"layout"})], ids=lambda parts: "+".join(sorted(parts)) or "none")
def by_every_way(request, monkeypatch):
    """The parts of convolutions that come by products, whatever was found."""
    monkeypatch.setattr(convolution, "dependent", lambda case: request.param)


def members_of_a_convolution(dtype, kernel, members):
    """A convolution of networks side by side, with its input and the gradient in its output."""
    channels_in, channels_out, side, (batch, height, width) = kernel
    made = partial(layers.convolution, channels_in, channels_out, side)
    stack = beside([stirred(made(), i) for i in range(members)]).to(dtype)
    x = normal(members, batch, channels_in, height, width, dtype=dtype)
    return stack, x, normal(members, batch, channels_out, height, width, seed=1, dtype=dtype)


@pytest.mark.usefixtures("by_every_way")
@across(
    kernel=((3, 8, 3, (4, 5, 7)), (4, 1, 5, (1, 6, 6)), (1, 6, 1, (3, 4, 4))),
    members=(1, 3),
    dtype=(torch.float32, torch.float64),
)
def test_by_every_way_a_convolution_is_torchs_of_each_network(kernel, members, dtype):
    layer, x, dy = members_of_a_convolution(dtype, kernel, members)
    got = pass_of(convolution.convolution, layer, members, Maps, x, dy, "float32")
    weights, biases = (p.detach() if members > 1 else p.detach()[None] for p in (layer.weight, layer.bias))
    for s in range(members):
        own = [value.clone().requires_grad_() for value in (x[s], weights[s], biases[s])]
        y = functional.conv2d(*own, padding=kernel[2] // 2)
        for mine, torchs in zip(got, (y, *torch.autograd.grad(y, own, dy[s])), strict=True):
            torch.testing.assert_close(mine[s], torchs, rtol=1e-4, atol=1e-4 if dtype == torch.float32 else 1e-10)


@pytest.mark.usefixtures("by_every_way")
def test_gradients_of_a_convolution_are_its_slopes():
    layer, x, _ = members_of_a_convolution(torch.float64, (2, 3, 3, (1, 2, 3)), 2)
    given = [Maps.join(x).requires_grad_(), *layer.parameters()]

    def function(x, weight, bias):
        layer._parameters |= {"weight": weight, "bias": bias}
        return convolution.convolution(layer, x)

    assert torch.autograd.gradcheck(function, given, check_undefined_grad=False)
    assert torch.autograd.gradgradcheck(function, given, check_undefined_grad=False)


@across(members=(1, 3), shape=((4, 5, 6), (1, 3, 2), (7, 1, 1)))
def test_a_linear_layer_is_torchs_of_each_network(members, shape):
    rows, units_in, units_out = shape
    layer = beside([stirred(nn.Linear(units_in, units_out), i) for i in range(members)])
    x, dy = normal(members, rows, units_in), normal(members, rows, units_out, seed=1)
    got = pass_of(linear, layer, members, Rows, x, dy, "float32")
    for s in range(members):
        torchs = stirred(nn.Linear(units_in, units_out), s)
        own = x[s].clone().requires_grad_()
        y = torchs(own)
        for mine, expected in zip(got, (y, *torch.autograd.grad(y, [own, *torchs.parameters()], dy[s])), strict=True):
            torch.testing.assert_close(mine[s], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("threads", [1, 2])
def test_on_several_threads_a_convolution_is_torchs_untried(threads, monkeypatch):
    """A network is always alone there."""
    tried = []
    monkeypatch.setattr(convolution, "dependent", lambda case: tried.append(case) or frozenset())
    layer, x = layers.convolution(4, 8), normal(2, 4, 6, 6).requires_grad_()
    try:
        torch.set_num_threads(threads)
        y = convolution.convolution(layer, x)
        assert torch.equal(y, functional.conv2d(x, layer.weight, layer.bias, padding=1))
    finally:
        torch.set_num_threads(1)
    assert len(tried) == (threads == 1)


@pytest.mark.parametrize("wrong", ["y", "dx", "dw", "db"])
@pytest.mark.parametrize("place", ["all", "last"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_part_that_is_rounded_by_groups_is_found(wrong, place, dtype, monkeypatch):
    """A convolution some of whose numbers, in all networks or in the last, move by a digit where there are groups."""

    class Rounded(torch.autograd.Function):
        @staticmethod
        def forward(ctx, value, forwards, rows):
            ctx.forwards, ctx.rows = forwards, rows
            return moved(value, rows) if forwards else value.clone()

        @staticmethod
        def backward(ctx, slope):
            return (slope if ctx.forwards else moved(slope, ctx.rows)), None, None

    def moved(value, axis_and_members):
        axis, members = axis_and_members
        if members == 1:
            return value
        size = value.shape[axis] // members
        kept = value.narrow(axis, 0, 0 if place == "all" else value.shape[axis] - size)
        rest = value.narrow(axis, kept.shape[axis], value.shape[axis] - kept.shape[axis])
        return torch.cat([kept, rest * (1 + 2 * torch.finfo(dtype).eps)], dim=axis)

    def by_groups(x, weight, bias, padding, groups):
        x = Rounded.apply(x, False, (1, groups)) if wrong == "dx" else x
        weight = Rounded.apply(weight, False, (0, groups)) if wrong == "dw" else weight
        bias = Rounded.apply(bias, False, (0, groups)) if wrong == "db" else bias
        # One by one, so that nothing but what is planted depends on groups.
        parts = zip(x.chunk(groups, 1), weight.chunk(groups), bias.chunk(groups), strict=True)
        y = torch.cat([functional.conv2d(*part, padding=padding) for part in parts], dim=1)
        return Rounded.apply(y, True, (1, groups)) if wrong == "y" else y

    monkeypatch.setattr(convolution, "conv2d", by_groups)
    case = Case.here(dtype, (4, 6, 6), (8, 4, 3, 3))
    assert {"db": "dw"}.get(wrong, wrong) in dependent.__wrapped__(case)


def test_a_convolution_that_takes_each_network_by_itself_depends_on_the_layout_alone(monkeypatch):
    def one_by_one(x, weight, bias, padding, groups):
        parts = zip(x.chunk(groups, 1), weight.chunk(groups), bias.chunk(groups), strict=True)
        own = [functional.conv2d(x.contiguous(memory_format=LAST), w, b, padding=padding) for x, w, b in parts]
        return torch.cat(own, dim=1)

    monkeypatch.setattr(convolution, "conv2d", one_by_one)
    assert dependent.__wrapped__(Case.here(torch.float32, (4, 6, 6), (8, 4, 3, 3))) == {"layout"}


@across(value=(float("nan"), float("inf")), network=LABELLED, rounding=("float32", "bf16"))
def test_a_network_whose_numbers_are_not_finite_changes_no_bit_of_others(value, network, rounding):
    config, shape, batch = network
    stack = beside([stirred(accelerated(config.build(shape, shape[0])), i) for i in range(3)])
    x, dy, time = normal(3, batch, *shape), normal(3, batch, *shape, seed=1), 1000 * normal(3, batch, seed=2).abs()
    sound = whole(stack, 3, x, time, dy, rounding)
    x[1] = value
    dy[1] = value
    for mine, expected in zip(whole(stack, 3, x, time, dy, rounding), sound, strict=True):
        assert torch.equal(mine[[0, 2]], expected[[0, 2]])


@across(kernel=KERNELS, value=(float("nan"), float("inf")), rounding=("float32", "bf16"))
def test_a_convolution_of_what_is_not_finite_changes_no_bit_of_others(kernel, value, rounding):
    channels_in, channels_out, side, (batch, height, width) = kernel
    stack = beside([stirred(layers.convolution(channels_in, channels_out, side), i) for i in range(3)])
    x, dy = normal(3, batch, channels_in, height, width), normal(3, batch, channels_out, height, width, seed=1)
    sound = pass_of(convolution.convolution, stack, 3, Maps, x, dy, rounding)
    x[1], dy[1] = value, value
    for mine, expected in zip(pass_of(convolution.convolution, stack, 3, Maps, x, dy, rounding), sound, strict=True):
        assert torch.equal(mine[[0, 2]], expected[[0, 2]])


def test_what_can_lie_side_by_side_is_made_of_these_layers_and_draws_nothing():
    assert stackable(Mlp(width=4, layers=1).build((2,), 2))
    assert stackable(UNet(channels=8, groups=4).build((1, 8, 8), 1))
    assert not stackable(UNet(channels=8, groups=4, dropout=0.1).build((1, 8, 8), 1))
    assert stackable(Dit(width=4, heads=1).build((1, 8, 8), 1))
    assert not stackable(nn.Linear(2, 2))


def cancelling(rows, terms, columns):
    """Eight products a b whose terms cancel, so that what is left of them is how they were rounded."""
    generator = torch.Generator().manual_seed(0)
    # Of many magnitudes: sums of products in bf16 of one magnitude are hardly ever rounded.
    a, b = (
        torch.randn(shape, generator=generator) * 2.0 ** torch.randint(-4, 5, shape, generator=generator)
        for shape in ((8, rows, terms), (8, terms, columns))
    )
    half = terms // 2
    a[:, :, terms - half :], b[:, terms - half :] = -a[:, :, :half], b[:, :half]
    return a, b


def at(value, offset):
    """The same numbers, so many numbers behind an address where memory begins."""
    memory = torch.empty(offset + value.numel(), dtype=value.dtype)
    return memory.as_strided(value.shape, value.stride(), offset).copy_(value)


@pytest.mark.parametrize("seed", range(12))
def test_products_of_any_shape_have_the_bits_of_each_alone_wherever_it_lies(seed):
    generator = torch.Generator().manual_seed(seed)

    def one_of(*values):
        return values[int(torch.randint(len(values), (), generator=generator))]

    for _ in range(12):
        rows, columns = one_of(1, 2, 3, 5, 16, 17, 64, 512), one_of(1, 2, 3, 5, 8, 24, 32)
        terms, dtype = one_of(1, 2, 3, 9, 27, 36, 108, 144, 288), one_of(torch.float32, torch.bfloat16)
        a, b = (value.to(dtype) for value in cancelling(rows, terms, columns))
        a, b = (value.mT.contiguous().mT if one_of(False, True) else value for value in (a, b))
        bias = 1e-6 * torch.randn(8, 1, columns, generator=generator).to(dtype) if one_of(False, True) else None
        for i in range(8):
            own = [None if value is None else value[i : i + 1].clone() for value in (a, b, bias)]
            alone = products.product(*own)
            moved = [None if value is None else at(value, 3) for value in own]
            assert torch.equal(products.product(*moved), alone)
            for members in (2, 3, 8):
                if i < members:
                    together = products.product(*(None if value is None else value[:members] for value in (a, b, bias)))
                    assert torch.equal(together[i : i + 1], alone), (rows, terms, columns, dtype, members)


def test_a_product_that_depends_on_how_many_there_are_is_found(monkeypatch):
    def one_by_one(a, b, bias):
        return torch.cat([(own_a.double() @ own_b.double()).float()[None] for own_a, own_b in zip(a, b, strict=True)])

    def by_number(a, b, bias):
        return one_by_one(a, b, bias) * (1 + len(a) * 1e-6)

    case = products.ProductCase(torch.float32, (3, 4, 32, 8), (False, True), False, 1)
    for multiplied, found in ((one_by_one, False), (by_number, True)):
        monkeypatch.setattr(products, "multiplied", multiplied)
        assert products.dependent_product.__wrapped__(case) is found


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    ("rows", "terms", "columns"), [(16, 128, 2), (2, 128, 16), (16, 48, 2), (1, 128, 16), (2, 180, 96), (32, 240, 256)]
)
def test_small_products_in_bf16_are_those_of_each_alone(rows, terms, columns, turned, autocast):
    a, b = (value.bfloat16() for value in cancelling(rows, terms, columns))
    b = b.mT.contiguous().mT if turned else b
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        together = products.product(a, b)
        alone = [products.product(a[i : i + 1], b[i : i + 1])[0] for i in range(8)]
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(alone, together, strict=True))


@pytest.mark.parametrize(("batch", "heads", "side"), [(1, 2, 4), (2, 2, 2), (8, 2, 2), (16, 1, 2)])
def test_attention_of_few_small_maps_in_bf16_is_that_of_each_alone(batch, heads, side):
    """Queries and keys whose products cancel: scores are what is left of their rounding, made large."""
    generator, channels = torch.Generator().manual_seed(0), 16
    layer = Attention(channels, 4, heads)
    weight = torch.randn(3, heads, 2, channels // heads // 2, channels, generator=generator)
    weight[0, :, 1], weight[1, :, 1] = -weight[0, :, 0], weight[1, :, 0]
    weight[:2] *= 2.0**10
    layer.qkv.weight.data = weight.reshape(3 * channels, channels, 1, 1)
    nn.init.normal_(layer.out.weight, generator=generator)
    stack = beside([layer] * 8)
    x = torch.randn(batch, channels, side, side, generator=generator)
    with torch.autocast("cpu", torch.bfloat16):
        alone, together = attention(layer, x), attention(stack, x.repeat(1, 8, 1, 1))
    assert torch.equal(together[:, :channels], alone)
