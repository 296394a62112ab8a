"""The kernel of group norm and SiLU against the same in float64, by torch's operations and autograd."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.autograd import forward_ad
from torch.nn.functional import group_norm, silu

from diffusion_core.networks import fused
from diffusion_core.networks.fused import NormSilu
from diffusion_core.networks.unet import UNet
from tests.axes import across, paired

needs_kernel = pytest.mark.skipif(not fused.works(), reason="no compiler here builds the kernel")
SHAPES = [(3, 16, 8, 8), (2, 12, 5, 3), (2, 64, 2, 2), (1, 4, 1, 1), (2, 96, 7, 4), (5, 6, 4, 4)]


def problem(shape, told, act, dtype=torch.float32, mean=0.0):
    """A layer with weights that are drawn, its input, its modulation and a gradient of its output."""
    generator = torch.Generator().manual_seed(0)
    layer = NormSilu(2, shape[1], act=act)
    for parameter in layer.parameters():
        nn.init.normal_(parameter, generator=generator)
    x, dy = (mean + torch.randn(2, *shape, generator=generator)).to(dtype).unbind()
    modulation = torch.randn(shape[0], 2 * shape[1], generator=generator) if told else None
    return layer, x.requires_grad_(), None if modulation is None else modulation.requires_grad_(), dy


def truth(layer, x, modulation):
    """Written out in float64."""
    h = group_norm(x.double(), layer.num_groups, layer.weight.double(), layer.bias.double(), layer.eps)
    if modulation is not None:
        scale, shift = modulation.double()[:, :, None, None].chunk(2, dim=1)
        h = h * (1 + scale) + shift
    return silu(h) if layer.act else h


def gradients(y, layer, x, modulation, dy):
    inputs = [x, layer.weight, layer.bias, *([] if modulation is None else [modulation])]
    return torch.autograd.grad(y, inputs, dy.to(y.dtype))


@needs_kernel
@paired(shape=SHAPES, told=(True, False), act=(True, False), last=(True, False))
def test_it_is_the_norm_written_out_and_so_is_its_gradient(shape, told, act, last):
    layer, x, modulation, dy = problem(shape, told, act)
    if last:
        x = x.detach().contiguous(memory_format=torch.channels_last).requires_grad_()
    y, expected = layer(x, modulation), truth(layer, x, modulation)
    torch.testing.assert_close(y.double(), expected, rtol=1e-5, atol=2e-6)
    for ours, theirs in zip(
        gradients(y, layer, x, modulation, dy), gradients(expected, layer, x, modulation, dy), strict=True
    ):
        torch.testing.assert_close(ours.double(), theirs.double(), rtol=1e-4, atol=1e-4)


@needs_kernel
@across(told=(True, False), act=(True, False))
def test_in_bf16_it_is_rounded_once(told, act):
    """By 2⁻⁸ of a number at most, bf16's unit roundoff; gradients of parameters are sums of what was not rounded."""
    layer, x, modulation, dy = problem((3, 16, 8, 8), told, act, torch.bfloat16)
    y, expected = layer(x, modulation), truth(layer, x, modulation)
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y.double(), expected, rtol=2**-8 + 1e-5, atol=1e-5)
    ours, theirs = (gradients(value, layer, x, modulation, dy) for value in (y, expected))
    torch.testing.assert_close(ours[0].double(), theirs[0].double(), rtol=2**-8, atol=1e-4)
    for a, b in zip(ours[1:], theirs[1:], strict=True):
        torch.testing.assert_close(a.double(), b.double(), rtol=1e-4, atol=1e-4)


def second(compute, layer, x, modulation, dy):
    """The gradients, in all that is given and in dy, of the squared norm of all gradients that y has."""
    inputs = [x, *layer.parameters(), *([] if modulation is None else [modulation])]
    y = compute(x, modulation)
    first = torch.autograd.grad(y, inputs, dy.to(y.dtype), create_graph=True)
    norm = sum(value.double().square().sum() for value in first)
    return torch.autograd.grad(norm, [*inputs, dy], allow_unused=True, materialize_grads=True)


@needs_kernel
@paired(shape=SHAPES[:3], told=(True, False), act=(True, False), dtype=(torch.float32, torch.bfloat16))
def test_a_gradient_of_its_gradient_is_that_of_the_norm_written_out(shape, told, act, dtype):
    layer, x, modulation, dy = problem(shape, told, act, dtype)
    dy.requires_grad_()
    expected = second(lambda x, modulation: truth(layer, x, modulation), layer, x, modulation, dy)
    digits = 1e-3 if dtype == torch.float32 else 2**-6
    for ours, theirs in zip(second(layer, layer, x, modulation, dy), expected, strict=True):
        size = float(theirs.double().abs().max())
        torch.testing.assert_close(ours.double(), theirs.double(), rtol=digits, atol=digits * size)


@needs_kernel
def test_energies_are_learned_as_by_torchs_operations():
    """A network of ε̂ = ∇E: the gradient of its loss in x and in all weights."""
    network = UNet(channels=8, groups=4).build((1, 8, 8), 1)
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    x, noise = torch.randn(2, 2, 1, 8, 8, generator=generator).unbind()
    time = torch.tensor([1.0, 9.0])

    def learned(network, x, time, noise):
        x = x.clone().requires_grad_()
        (eps,) = torch.autograd.grad(network(x, time).square().sum(), x, create_graph=True)
        return torch.autograd.grad((eps - noise).square().mean(), [x, *network.parameters()])

    ours = learned(network, x, time, noise)
    expected = learned(network.double(), *(value.double() for value in (x, time, noise)))
    for mine, theirs in zip(ours, expected, strict=True):
        torch.testing.assert_close(mine.double(), theirs, rtol=1e-3, atol=1e-4 * float(theirs.abs().max()))


@needs_kernel
def test_forward_and_reversed_derivatives_of_functions_are_torchs():
    layer, x, modulation, dy = problem((3, 16, 8, 8), True, True)
    expected = torch.autograd.functional.jvp(lambda x: truth(layer, x, modulation), x, dy)[1]
    with forward_ad.dual_level():
        dual = forward_ad.unpack_dual(layer(forward_ad.make_dual(x, dy), modulation)).tangent
    assert dual is not None
    for slope in (dual, torch.func.jvp(lambda x: layer(x, modulation), (x,), (dy,))[1]):
        torch.testing.assert_close(slope.double(), expected, rtol=1e-4, atol=1e-4)
    gradient = torch.func.grad(lambda x: (layer(x, modulation) * dy).sum())(x)
    (expected,) = torch.autograd.grad(truth(layer, x, modulation), x, dy.double())
    torch.testing.assert_close(gradient.double(), expected.double(), rtol=1e-4, atol=1e-4)


@needs_kernel
@paired(mean=(30.0, 1000.0), spread=(1.0, 1e-2), apart=(0.0, 1.0), dtype=(torch.float32, torch.bfloat16))
def test_a_large_mean_costs_no_more_digits_than_in_torchs_operations(mean, spread, apart, dtype):
    """Twice those of float32's mean/deviation at most, whether channels have one mean or means of their own."""
    layer, x, modulation, _ = problem((2, 16, 16, 16), True, True)
    own = 1 + apart * torch.linspace(-1, 1, 16)[:, None, None]
    x = (mean * own + spread * x.detach()).to(dtype)
    expected = truth(layer, x, modulation)
    norm = fused.Norm(layer.num_groups, layer.eps, layer.act)
    torchs = fused.group_norm_silu(x.float(), layer.weight, layer.bias, modulation, norm)
    error, theirs = ((y.double() - expected).abs().max() for y in (layer(x, modulation), torchs))
    rounding = 2**-8 if dtype == torch.bfloat16 else 1e-6
    assert error < 2 * theirs + rounding * expected.abs().max()


@needs_kernel
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_bits_depend_on_no_thread_and_no_neighbour(dtype):
    found = []
    before = torch.get_num_threads()
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        layer, x, modulation, dy = problem((7, 16, 8, 8), True, True, dtype)
        y = layer(x, modulation)
        found.append((y, *gradients(y, layer, x, modulation, dy)))
    torch.set_num_threads(before)
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))
    layer, x, modulation, _ = problem((7, 16, 8, 8), True, True, dtype)
    assert torch.equal(layer(x[2:4], modulation[2:4]), layer(x, modulation)[2:4])


def test_without_a_compiler_torchs_operations_take_its_place(tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", "/no/such/compiler")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for known in (fused.library, fused.works):
        known.cache_clear()
    layer, x, modulation, _ = problem((3, 16, 8, 8), True, True)
    torch.testing.assert_close(layer(x, modulation).double(), truth(layer, x, modulation), rtol=1e-5, atol=2e-6)
    assert not fused.works()
    for known in (fused.library, fused.works):
        known.cache_clear()
