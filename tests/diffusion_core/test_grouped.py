"""Networks side by side: what each of them gets is what it gets alone, bit by bit, and what torch's own layers give."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from diffusion_core.fast import convolution, products
from diffusion_core.fast.convolution import Case, dependent
from diffusion_core.fast.forms import OF, accelerated, stackable
from diffusion_core.fast.fused import works
from diffusion_core.networks import network as layers
from diffusion_core.networks.dit import Dit
from diffusion_core.networks.network import Mlp
from diffusion_core.networks.unet import UNet
from tests.axes import across, name

LAST = torch.channels_last
MEMBERS = (2, 5)
ROUNDINGS = ("float32", "bf16")
needs_kernel = pytest.mark.skipif(not works(), reason="no compiler here builds the kernel")


def normal(*shape, seed=0, dtype=torch.float32):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def stirred(layer, seed):
    """The form of a layer or network, with weights of a seed's own, none of which is at its start."""
    for module in layer.modules():
        module.__class__ = OF.get(type(module), type(module))
    for i, parameter in enumerate(layer.parameters()):
        parameter.data = 0.5 * normal(*parameter.shape, seed=100 * seed + i)
    return layer


def beside(several):
    """One layer with the weights of all, or the only one."""
    if len(several) == 1:
        return several[0]
    stack = copy.deepcopy(several[0])
    for own in zip(stack.modules(), *(each.modules() for each in several), strict=True):
        own[0].members = len(several)
        for key in own[0]._parameters:
            setattr(own[0], key, nn.Parameter(torch.stack([getattr(each, key).data for each in own[1:]])))
    return stack


def joined(values, *, whole):
    """Values [S, B, …] as layers take them: those of one as they are, maps [B, S C, H, W] with channels last."""
    if len(values) == 1:
        values = values[0]
    elif values.dim() == 5 and not whole:
        values = values.transpose(0, 1).flatten(1, 2)
    return values.contiguous(memory_format=LAST) if values.dim() == 4 and not whole else values.clone()


def split(values, members, like):
    if members == 1:
        return values[None]
    return values if values.shape == like.shape else values.unflatten(1, (members, -1)).transpose(0, 1)


def pass_of(layer, members, x, dy, *told, rounding="float32", whole=False):
    """The outputs [S, …] and the gradients in x and in each parameter [S, …] of layers or `whole` networks."""
    given = joined(x, whole=whole).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=rounding == "bf16"):
        y = layer(given, *(value[0] if members == 1 else value for value in told))
    dx, *own = torch.autograd.grad(y, [given, *layer.parameters()], joined(dy, whole=whole).to(y.dtype))
    return [split(y.detach(), members, dy), split(dx, members, x), *(g if members > 1 else g[None] for g in own)]


def assert_bits_of_each_alone(several, x, dy, *told, **how):
    """Each of the first S layers gets what it gets alone, also where the numbers of the second are not finite."""
    values = x, dy, *told
    alone = [pass_of(layer, 1, *(value[i : i + 1] for value in values), **how) for i, layer in enumerate(several)]
    for members in MEMBERS:
        together = pass_of(beside(several[:members]), members, *(value[:members] for value in values), **how)
        for mine, *own in zip(together, *alone[:members], strict=True):
            assert torch.equal(mine, torch.cat(own))
    for bad in (math.nan, math.inf):
        x, dy = (value[:3].clone().index_fill_(0, torch.tensor(1), bad) for value in (x, dy))
        together = pass_of(beside(several[:3]), 3, x, dy, *(value[:3] for value in told), **how)
        for mine, *own in zip(together, *alone[:3], strict=True):
            assert torch.equal(mine[[0, 2]], torch.cat([own[0], own[2]]))


NETWORKS = (
    (Mlp(width=16, layers=2), (2,), 9),
    (UNet(channels=4, multipliers=(1,), groups=2, recompute=True), (1, 4, 4), 3),
    (UNet(channels=8, multipliers=(1, 2, 2), groups=2, attention=(8, 2), heads=4), (3, 8, 8), 5),
    (Dit(patch=1, width=12, depth=1, heads=3), (3, 5, 7), 1),
)


@needs_kernel
@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: f"{name(network[0])}{list(network[1])}")
def test_networks_side_by_side_have_the_bits_of_each_alone(network, rounding):
    """Those of float32 are told labels: some are many examples', some none's, and of the last network all none's."""
    config, shape, batch = network
    labelled = rounding == "float32"
    networks = [stirred(config.labelled(shape, shape[0], 10 * labelled), i) for i in range(5)]
    told = [1000 * normal(5, batch, seed=2).abs()]
    if labelled:
        label = torch.randint(11, (5, batch), generator=torch.Generator().manual_seed(0))
        told.append(label.index_fill_(0, torch.tensor(4), 10))
    asked = normal(5, batch, *shape), normal(5, batch, *shape, seed=1)
    assert_bits_of_each_alone(networks, *asked, *told, rounding=rounding, whole=True)


def test_a_convolution_may_be_tried_where_feature_maps_are_worked_out_again():
    dependent.cache_clear()
    network = accelerated(UNet(channels=8, groups=4, attention=(), recompute=True).build((1, 4, 4), 1))
    network(normal(2, 1, 4, 4), torch.arange(2.0)).square().sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_what_can_lie_side_by_side_is_made_of_these_layers_and_draws_nothing():
    assert stackable(Mlp(width=4, layers=1).build((2,), 2))
    assert stackable(UNet(channels=8, groups=4).build((1, 8, 8), 1)) == works()
    assert not stackable(UNet(channels=8, groups=4, dropout=0.1).build((1, 8, 8), 1))
    assert stackable(Dit(width=4, heads=1).build((1, 8, 8), 1))
    assert not stackable(nn.Linear(2, 2))


WAYS = [None, frozenset(("y",)), frozenset(("dx", "dw"))]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: "+".join(sorted(way or ["torch's"])))
def test_by_every_way_a_convolution_is_torchs_of_each_network(way, monkeypatch):
    """Whatever its parts are computed by: values, and gradients by differences."""
    monkeypatch.setattr(convolution, "dependent", lambda case: way)
    for channels_in, channels_out, side, batch in ((3, 8, 3, 4), (1, 6, 1, 3)):
        own = [stirred(layers.convolution(channels_in, channels_out, side), i).double() for i in range(3)]
        x = normal(3, batch, channels_in, 5, 7, dtype=torch.float64)
        dy = normal(3, batch, channels_out, 5, 7, seed=1, dtype=torch.float64)
        theirs = zip(*(plain(*each) for each in zip(own, x, dy, strict=True)), strict=True)
        for mine, torchs in zip(pass_of(beside(own), 3, x, dy), theirs, strict=True):
            torch.testing.assert_close(mine, torch.stack(torchs), rtol=1e-10, atol=1e-10)


def plain(layer, x, dy):
    """The output of torch's convolution and its gradients in x, weight and bias."""
    given = [value.detach().clone().requires_grad_() for value in (x, layer.weight, layer.bias)]
    y = functional.conv2d(*given, padding=layer.weight.shape[-1] // 2)
    return [y.detach(), *torch.autograd.grad(y, given, dy)]


@pytest.mark.parametrize("threads", [1, 2])
def test_on_several_threads_a_convolution_is_torchs_untried(threads, monkeypatch):
    """A network is always alone there."""
    tried = []
    monkeypatch.setattr(convolution, "dependent", lambda case: tried.append(case))
    layer, x = layers.convolution(4, 8), normal(2, 4, 6, 6).requires_grad_()
    try:
        torch.set_num_threads(threads)
        y = convolution.convolution(layer, x)
        assert torch.equal(y, functional.conv2d(x, layer.weight, layer.bias, padding=1))
    finally:
        torch.set_num_threads(1)
    assert len(tried) == (threads == 1)


@pytest.mark.parametrize("wrong", ["y", "dx", "dw", "db", "nothing"])
def test_a_part_that_is_rounded_by_groups_is_found(wrong, monkeypatch):
    """A convolution some of whose numbers move by a digit in the last network, where there are several."""

    def moved(value, axis, groups):
        *first, last = value.chunk(groups, axis)
        return torch.cat([*first, last * (1 + 2 * torch.finfo(value.dtype).eps * (groups > 1))], dim=axis)

    def by_groups(x, weight, bias, padding, groups):
        given = {"dx": (x.clone(), 1), "dw": (weight.clone(), 0), "db": (bias.clone(), 0)}
        if wrong in given:
            value, axis = given[wrong]
            value.register_hook(lambda slope: moved(slope, axis, groups))
        # One by one, so that nothing but what is planted depends on groups.
        parts = zip(*(value.chunk(groups, axis) for value, axis in given.values()), strict=True)
        own = [functional.conv2d(x.contiguous(memory_format=LAST), w, b, padding=padding) for x, w, b in parts]
        y = torch.cat(own, dim=1)
        return moved(y, 1, groups) if wrong == "y" else y

    monkeypatch.setattr(convolution, "conv2d", by_groups)
    found = dependent.__wrapped__(Case.here(torch.float32, normal(4, 4, 6, 6), (8, 4, 3, 3)))
    assert not found if wrong == "nothing" else {"db": "dw"}.get(wrong, wrong) in found


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


@across(shape=((16, 128, 2), (1, 128, 16), (32, 240, 256), (5, 27, 3)), dtype=(torch.float32, torch.bfloat16))
def test_products_have_the_bits_of_each_alone(shape, dtype):
    a, b = (value.to(dtype) for value in cancelling(*shape))
    for bias in (None, 1e-6 * normal(8, 1, shape[2]).to(dtype)):
        given = a, b.mT.contiguous().mT, bias
        alone = [products.product(*(None if v is None else v[i : i + 1].clone() for v in given)) for i in range(8)]
        for members in (2, 3, 8):
            together = products.product(*(None if value is None else value[:members] for value in given))
            assert torch.equal(together, torch.cat(alone[:members])), members


def test_a_product_that_depends_on_how_many_there_are_is_found(monkeypatch):
    def one_by_one(a, b, bias):
        return torch.cat([(own_a.double() @ own_b.double()).float()[None] for own_a, own_b in zip(a, b, strict=True)])

    def by_number(a, b, bias):
        return one_by_one(a, b, bias) * (1 + len(a) * 1e-6)

    case = products.ProductCase(torch.float32, (3, 4, 32, 8), (False, True), False, 1)
    for multiplied, found in ((one_by_one, False), (by_number, True)):
        monkeypatch.setattr(products, "multiplied", multiplied)
        assert products.dependent_product.__wrapped__(case) is found
