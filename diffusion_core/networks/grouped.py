"""Layers of a network, or of S networks side by side: one layer of S · C channels in S groups.

    y_s = W_s ∗ x_s + b_s,   s = 1..S

A small network is bound by calls, not by arithmetic, and S networks of one shape make as many calls as one. Parameters
of one network have its own shapes, those of S networks have S in front; feature maps are [B, S C, H, W] and vectors
[S, B, C], with S = 1 for one. On a CPU each network gets the bits that it gets alone. Which kernel a library takes, and
with it the rounding, may depend on the number of groups: a convolution is tried before its use, and where groups change
a bit, another way takes its place that does not know how many there are.
"""

from __future__ import annotations

import copy
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, unfold

TRIED = (1, 2, 3, 8)
"""Networks side by side that a convolution is tried with."""
SHIFT = 1e-6
"""The size of a shift that a convolution is tried with."""
LARGE = 2**22
"""Values of a feature map, of all examples, above which networks are trained alone."""


class Grouped(nn.Module):
    """A layer of `members` networks side by side."""

    members: int = 1


def stackable(network: nn.Module) -> bool:
    """True where a network is made of layers that others can lie beside, and draws nothing (dropout)."""
    return isinstance(network, Grouped) and not any(
        isinstance(layer, nn.Dropout) and layer.p > 0 for layer in network.modules()
    )


def stacked(network: nn.Module, members: int) -> nn.Module:
    """S networks of this one's layers as one, each of them with this one's weights to begin with."""
    stack = copy.deepcopy(network)
    for module in stack.modules():
        if isinstance(module, Grouped):
            module.members = members
        for name, parameter in module.named_parameters(recurse=False):
            values = parameter.detach().expand(members, *parameter.shape).contiguous()
            setattr(module, name, nn.Parameter(values, parameter.requires_grad))
    return stack


class Linear(nn.Linear, Grouped):
    """x [S, B, C] → [S, B, C']."""

    def forward(self, x: Tensor) -> Tensor:
        return products(x, self.weight, self.bias)


def products(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x W_sᵀ + b_s [S, N, C'] of rows x [S, N, C], by weights [C', C] or [S, C', C] and biases [C'] or [S, C']."""
    dtype = computed_in(x)
    weight = weight.to(dtype).reshape(-1, *weight.shape[-2:])
    bias = bias.to(dtype).reshape(-1, 1, weight.shape[1])
    y: Tensor = Product.apply(x.to(dtype), weight, bias)  # type: ignore[no-untyped-call]
    return y


def computed_in(x: Tensor) -> torch.dtype:
    """The kind of numbers that a layer computes in: autocast's, or that of what it is given."""
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype


class Product(torch.autograd.Function):
    """x W_sᵀ + b_s, whose gradient in b is a product, too: a sum over rows depends on how many networks there are."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return torch.baddbmm(bias, x, weight.mT)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        dx = torch.bmm(dy, weight) if ctx.needs_input_grad[0] else None
        if not ctx.needs_input_grad[1]:
            return dx, None, None
        return dx, torch.bmm(dy.mT, x), torch.bmm(dy.new_ones(len(dy), 1, dy.shape[1]), dy)


class LayerNorm(nn.LayerNorm, Grouped):
    """The norm over C of x [S, B, C], with a scale and a shift of each network's own."""

    def forward(self, x: Tensor) -> Tensor:
        normed = nn.functional.layer_norm(x, self.normalized_shape, eps=self.eps)
        scale, shift = (values.reshape(-1, 1, values.shape[-1]) for values in (self.weight, self.bias))
        return normed * scale + shift


class Conv2d(nn.Conv2d, Grouped):
    """x [B, S C, H, W] → [B, S C', H, W], the kernel's side odd and its stride 1."""

    def __init__(self, channels_in: int, channels_out: int, side: int) -> None:
        super().__init__(channels_in, channels_out, side, padding=side // 2)

    def forward(self, x: Tensor) -> Tensor:
        assert self.bias is not None, "every layer here has one"
        dtype = computed_in(x)
        # Weights of S networks are cast before they are laid out: that is one copy.
        weight, bias = self.weight.to(dtype).flatten(0, -4), self.bias.to(dtype).flatten()
        if x.device.type == "cpu" and torch.is_grad_enabled():
            case = Case(dtype, (len(x), *x.shape[2:]), tuple(self.weight.shape[-4:]), torch.get_num_threads())
            if parts := dependent(case):
                x = x.to(dtype).contiguous(memory_format=torch.channels_last)
                return Convolution.apply(x, weight, bias, self.members, parts)  # type: ignore[no-any-return, no-untyped-call]
        return conv2d(x, weight, bias, padding=self.kernel_size[0] // 2, groups=self.members)


class Case(NamedTuple):
    """All that the choice of a convolution's kernel may depend on, but for the groups."""

    dtype: torch.dtype
    images: tuple[int, ...]
    """B, H and W."""
    kernel: tuple[int, ...]
    """C', C and twice its side."""
    threads: int


@cache
def dependent(case: Case) -> frozenset[str]:
    """Those of y, dx and dw of torch's convolution that are not the same, bit by bit, for a network alone and beside
    others.

    Large ones are taken as they are: they gain nothing from others beside them.
    """
    (batch, height, width), (channels_out, channels_in, *_) = case.images, case.kernel
    if batch * height * width * max(channels_in, channels_out) > LARGE:
        return frozenset()
    shapes = (batch, channels_in, height, width), case.kernel, (batch, channels_out, height, width)
    signs = ((1, 1), (1, -1), (-1, -1))
    x, weight, dy = (halved(shape, *sign).to(case.dtype) for shape, sign in zip(shapes, signs, strict=True))
    with torch.inference_mode(False), torch.enable_grad(), torch.autocast("cpu", enabled=False):
        alone, *beside = (_first_of(members, x, weight, dy) for members in TRIED)
    return frozenset(part for part in alone for other in beside if not torch.equal(alone[part], other[part]))


def halved(shape: tuple[int, ...], first: int, second: int) -> Tensor:
    """Normal numbers whose halves along the first two axes are equal but for these signs.

    So chosen, all sums of a convolution and its gradients cancel, and nothing but their rounding is left of them: a sum
    in another order differs in all digits, also where it is rounded to bf16.
    """
    values = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    for axis, sign in ((0, first), (1, second)):
        half = shape[axis] // 2
        values.narrow(axis, half, half).copy_(sign * values.narrow(axis, 0, half))
    return values


def _first_of(members: int, x: Tensor, weight: Tensor, dy: Tensor) -> dict[str, Tensor]:
    """The output and the gradients of the first of equal networks side by side."""
    last = torch.channels_last
    x, dy = (torch.cat([value] * members, dim=1).contiguous(memory_format=last) for value in (x, dy))
    x, weight = x.requires_grad_(), torch.cat([weight] * members).requires_grad_()
    # A shift of about what sums leave: kernels add it first or last.
    bias = torch.cat([halved((len(dy[0]) // members, 1), 1, 1)[:, 0] * SHIFT] * members).to(x.dtype)
    y = conv2d(x, weight, bias, padding=weight.shape[-1] // 2, groups=members)
    dx, dw = torch.autograd.grad(y, (x, weight), dy)
    channels_in, channels_out = x.shape[1] // members, y.shape[1] // members
    return {"y": y.detach()[:, :channels_out], "dx": dx[:, :channels_in], "dw": dw[:channels_out]}


class Convolution(torch.autograd.Function):
    """A convolution in groups, some `parts` of which, y, dx and dw, come by ways that do not know how many there are.

    They are products of patches; dx is the convolution of dy with turned kernels.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, groups: int, parts: frozenset[str]) -> Tensor:
        ctx.groups, ctx.parts = groups, parts
        ctx.save_for_backward(x, weight)
        return convolved(x, weight, bias, groups, by_products="y" in parts)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        groups, parts = ctx.groups, ctx.parts
        needs_x, needs_weight = ctx.needs_input_grad[:2]
        side = weight.shape[-1]
        dy = dy.contiguous(memory_format=torch.channels_last)
        plain = [needs_x and "dx" not in parts, *[needs_weight and "dw" not in parts] * 2]
        dx = dweight = dbias = None
        if any(plain):
            sizes = [len(weight)], [1, 1], [side // 2] * 2, [1, 1], False, [0, 0]
            dx, dweight, dbias = torch.ops.aten.convolution_backward(dy, x, weight, *sizes, groups, plain)
        if needs_x and "dx" in parts:
            own = weight.view(groups, -1, *weight.shape[1:])
            turned = own.transpose(1, 2).flip(-1, -2).flatten(0, 1)
            case = Case(x.dtype, (len(x), *x.shape[2:]), (*own.shape[2:0:-1], side, side), torch.get_num_threads())
            dx = convolved(dy, turned, None, groups, by_products="y" in dependent(case))
        if needs_weight and "dw" in parts:
            rows = patches(dy, groups, 1)
            dweight = torch.bmm(rows.mT, patches(x, groups, side)).view_as(weight)
            dbias = torch.bmm(rows.new_ones(groups, 1, rows.shape[1]), rows).flatten()
        return dx, dweight, dbias, None, None


def convolved(x: Tensor, weight: Tensor, bias: Tensor | None, groups: int, *, by_products: bool) -> Tensor:
    """The convolution of x [B, S C, H, W] in groups, by torch's or as a product of patches."""
    side = weight.shape[-1]
    if not by_products:
        return conv2d(x, weight, bias, padding=side // 2, groups=groups)
    rows, matrices = patches(x, groups, side), weight.reshape(groups, len(weight) // groups, -1).mT
    y = torch.bmm(rows, matrices) if bias is None else torch.baddbmm(bias.reshape(groups, 1, -1), rows, matrices)
    return images(y, x)


def patches(x: Tensor, groups: int, side: int) -> Tensor:
    """What a kernel sees at each pixel of x [B, S C, H, W], the rows [S, B H W, C side²]."""
    if side == 1:
        return x.permute(0, 2, 3, 1).reshape(-1, groups, x.shape[1] // groups).transpose(0, 1)
    batch, channels, height, width = x.shape
    columns = unfold(x, side, padding=side // 2).view(batch, groups, -1, height * width)
    return columns.permute(1, 0, 3, 2).reshape(groups, -1, channels // groups * side**2)


def images(rows: Tensor, like: Tensor) -> Tensor:
    """Rows [S, B H W, C] as feature maps [B, S C, H, W] of such a height and width."""
    batch, _, height, width = like.shape
    return rows.transpose(0, 1).reshape(batch, height, width, -1).permute(0, 3, 1, 2)
