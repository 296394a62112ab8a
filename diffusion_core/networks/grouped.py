"""Layers of a network, or of S networks side by side: one layer of S · C channels in S groups.

    y_s = W_s ∗ x_s + b_s,   s = 1..S

A small network is bound by calls, not by arithmetic, and S networks of one shape make as many calls as one. Parameters
of one network have its own shapes, those of S networks have S in front; feature maps are [B, S C, H, W] and vectors
[S, B, C], with S = 1 for one. On a CPU each network gets the bits that it gets alone. Which kernel a library takes, and
with it the rounding, may depend on the number of groups: a convolution is tried before its use, and where groups change
a bit, products of patches take its place, whose rounding does not depend on how many there are.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad, unfold

TRIED = (1, 2, 3, 8)
"""Networks side by side that a convolution is tried with."""
SHIFT = 1e-6
"""The size of a shift that a convolution is tried with."""
STEP, SHARED = 64, 2**15
"""Values that a processor takes at a time at most, and those above which threads share them out."""
SMALL = 16**3
"""Multiplications of a product in bf16 up to which torch takes another kernel."""
LARGE = 2**21
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


def valuewise(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """A function of each value of x [S, N, C], at once where each network's values get the bits that they get alone.

    What vectors leave over at the end, of all or of a thread's share, is worked out one by one, and rounded otherwise.
    """
    even = x.shape[1:].numel() % STEP == 0 and (x.numel() <= SHARED or torch.get_num_threads() == 1)
    if x.ndim < 3 or len(x) == 1 or even or x.device.type != "cpu":
        return function(x)
    return torch.stack([function(own) for own in x])


class Linear(nn.Linear, Grouped):
    """x [S, B, C] → [S, B, C'], or [B, C] → [B, C'] for one network."""

    def forward(self, x: Tensor) -> Tensor:
        return products(x, self.weight, self.bias)


def products(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x W_sᵀ + b_s [S, N, C'] of rows x [S, N, C], by weights [C', C] or [S, C', C] and biases [C'] or [S, C'].

    Rows of one network may come without S in front, and leave so.
    """
    if x.ndim == 2:
        return products(x[None], weight, bias)[0]
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
        return product(x, weight.mT, bias)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        dx = product(dy, weight) if ctx.needs_input_grad[0] else None
        if not ctx.needs_input_grad[1]:
            return dx, None, None
        return dx, product(dy.mT, x), summed(dy)


def product(a: Tensor, b: Tensor, bias: Tensor | None = None) -> Tensor:
    """a_s b_s + bias_s [S, N, M] of a [S, N, K], b [S, K, M] and a bias [S, 1, M].

    For a single row, column or term a library takes another kernel where there is one product than where there are
    several: zeros make them two. So it may for matrices that lie within each other, which are copied, and for small
    ones in bf16, whose kernel is chosen by the size of all of them.
    """
    if a.dtype == torch.bfloat16 and a.shape[1:].numel() * b.shape[2] <= SMALL:
        return product(a.float(), b.float(), None if bias is None else bias.float()).to(a.dtype)
    n, k, m = (max(0, 2 - size) for size in (*a.shape[1:], b.shape[2]))
    if not n + k + m:
        a, b = (value.mT.contiguous().mT if value.stride(1) == 1 else value.contiguous() for value in (a, b))
        return torch.bmm(a, b) if bias is None else torch.baddbmm(bias, a, b)
    y = product(pad(a, (0, k, 0, n)), pad(b, (0, m, 0, k)), None if bias is None else pad(bias, (0, m)))
    return y[:, : a.shape[1], : b.shape[2]]


def summed(rows: Tensor) -> Tensor:
    """The sums [S, 1, C] of rows [S, N, C], as a product."""
    return product(rows.new_ones(len(rows), 1, rows.shape[1]), rows)


class LayerNorm(nn.LayerNorm, Grouped):
    """The norm over C of x [S, B, C], with a scale and a shift of each network's own."""

    def forward(self, x: Tensor) -> Tensor:
        normed = nn.functional.layer_norm(x, self.normalized_shape, eps=self.eps)
        scale, shift = (values.reshape(-1, 1, values.shape[-1]) for values in (self.weight, self.bias))
        return normed * scale + shift


class Conv2d(nn.Conv2d, Grouped):
    """x [B, S C, H, W] → [B, S C', H, W], the kernel's side odd and its stride 1.

    On a CPU it learns with channels last, both ways: which layout gradients come in may depend on the networks.
    """

    def __init__(self, channels_in: int, channels_out: int, side: int) -> None:
        super().__init__(channels_in, channels_out, side, padding=side // 2)

    def forward(self, x: Tensor) -> Tensor:
        assert self.bias is not None, "every layer here has one"
        dtype = computed_in(x)
        # Weights of S networks are cast before they are laid out: that is one copy.
        weight, bias = self.weight.to(dtype).flatten(0, -4), self.bias.to(dtype).flatten()
        if x.device.type == "cpu" and torch.is_grad_enabled():
            case = Case(dtype, (len(x), *x.shape[2:]), tuple(self.weight.shape[-4:]), torch.get_num_threads())
            parts = dependent(case)
            if parts - {"layout"} or (parts and case.open):
                return Convolution.apply(x.to(dtype), weight, bias, self.members, parts)  # type: ignore[no-any-return, no-untyped-call]
            if parts:
                y = conv2d(channels_last(x), weight, bias, padding=self.kernel_size[0] // 2, groups=self.members)
                if y.requires_grad:
                    y.register_hook(channels_last)  # type: ignore[no-untyped-call]
                return y
        return conv2d(x, weight, bias, padding=self.kernel_size[0] // 2, groups=self.members)


class Case(NamedTuple):
    """All that the choice of a convolution's kernel may depend on, but for the groups."""

    dtype: torch.dtype
    images: tuple[int, ...]
    """B, H and W."""
    kernel: tuple[int, ...]
    """C', C and twice its side."""
    threads: int

    @property
    def open(self) -> bool:
        """True where sizes of one leave open which layout a network's maps have alone."""
        return 1 in (*self.images[1:], *self.kernel[:2])


@cache
def dependent(case: Case) -> frozenset[str]:
    """Those of y, dx and dw of torch's convolution that are not the same, bit by bit, for a network alone and beside
    others, and `layout`, on which all of them depend; dw stands for the bias's gradient, too.

    Large ones are taken as they are: they gain nothing from others beside them.
    """
    (batch, height, width), (channels_out, channels_in, *_) = case.images, case.kernel
    if batch * height * width * max(channels_in, channels_out) > LARGE:
        return frozenset()
    shapes = (batch, channels_in, height, width), case.kernel, (batch, channels_out, height, width)
    parts = {"layout"}
    # Within `checkpoint`, what the trial keeps is no part of what is worked out again.
    kept = torch.autograd.graph.saved_tensors_hooks(lambda tensor: tensor, lambda tensor: tensor)
    with torch.inference_mode(False), torch.enable_grad(), torch.autocast("cpu", enabled=False), kept:
        for values in (cancelling(shapes), checkered(shapes)):
            alone, *beside = (_of_equals(members, *(value.to(case.dtype) for value in values)) for members in TRIED)
            pairs = [(own, theirs) for several in beside for own, theirs in zip(alone, several, strict=True)]
            parts |= {own[0] for own, theirs in pairs if not torch.equal(own[1].expand_as(theirs[1]), theirs[1])}
    return frozenset(parts)


Shapes = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
"""Those of x, the kernel and dy."""


def cancelling(shapes: Shapes) -> list[Tensor]:
    """x, the kernel and dy whose sums over channels and examples cancel, and leave nothing but their rounding.

    A sum in another order differs in all digits, also where it is rounded to bf16.
    """
    signs = ((1, 1), (1, -1), (-1, -1))
    return [halved(shape, *sign) for shape, sign in zip(shapes, signs, strict=True)]


def halved(shape: tuple[int, ...], first: int, second: int) -> Tensor:
    """Normal numbers whose halves along the first two axes are equal but for these signs."""
    values = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    for axis, sign in ((0, first), (1, second)):
        half = shape[axis] // 2
        values.narrow(axis, half, half).copy_(sign * values.narrow(axis, 0, half))
    return values


def checkered(shapes: Shapes) -> list[Tensor]:
    """x, the kernel and dy whose sums over a kernel's places and over pixels nearly cancel.

    Those over few channels, or of one example, cancel for good or not at all.
    """
    generator = torch.Generator().manual_seed(1)

    def nearly_even(shape: tuple[int, ...]) -> Tensor:
        return torch.randn(*shape[:2], 1, 1, generator=generator) * (1 + torch.randn(shape, generator=generator) / 64)

    x, weight, dy = (nearly_even(shape) for shape in shapes)
    places = torch.arange(weight.shape[-1])
    pixels = torch.arange(dy[:, :1].numel()).view_as(dy[:, :1])
    return [x, weight * (-1.0) ** (places[:, None] + places), torch.where(2 * pixels < pixels.numel(), dy, -dy)]


def _of_equals(members: int, x: Tensor, weight: Tensor, dy: Tensor) -> list[tuple[str, Tensor]]:
    """The output and the gradients of equal networks side by side, by part, with the networks in front."""
    x, dy = (laid(torch.cat([value] * members, dim=1)) for value in (x, dy))
    x, weight = x.requires_grad_(), torch.cat([weight] * members).requires_grad_()
    # A shift of about what sums leave: kernels add it first or last.
    bias = torch.cat([halved((len(dy[0]) // members, 1), 1, 1)[:, 0] * SHIFT] * members).to(x.dtype).requires_grad_()
    y = conv2d(x, weight, bias, padding=weight.shape[-1] // 2, groups=members)
    dx, dw, db = torch.autograd.grad(y, (x, weight, bias), dy)
    maps = [value.reshape(len(value), members, -1, *value.shape[2:]).transpose(0, 1) for value in (y.detach(), dx)]
    return list(zip(("y", "dx", "dw", "dw"), (*maps, *(value.reshape(members, -1) for value in (dw, db))), strict=True))


class Convolution(torch.autograd.Function):
    """A convolution in groups, some `parts` of which, y, dx and dw, come by ways that do not know how many there are.

    They are products of patches; dx is the convolution of dy with turned kernels.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, groups: int, parts: frozenset[str]) -> Tensor:
        x = laid(x)
        ctx.groups, ctx.parts = groups, parts
        ctx.save_for_backward(x, weight)
        return convolved(x, weight, bias, groups, by_products="y" in parts)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        groups, parts = ctx.groups, ctx.parts
        needs_x, needs_weight = ctx.needs_input_grad[:2]
        side = weight.shape[-1]
        dy = laid(dy)
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
            dweight = product(rows.mT, patches(x, groups, side)).reshape(weight.shape)
            dbias = summed(rows).flatten()
        return dx, dweight, dbias, None, None


def convolved(x: Tensor, weight: Tensor, bias: Tensor | None, groups: int, *, by_products: bool) -> Tensor:
    """The convolution of x [B, S C, H, W] in groups, by torch's or as a product of patches."""
    side = weight.shape[-1]
    if not by_products:
        return conv2d(x, weight, bias, padding=side // 2, groups=groups)
    rows, matrices = patches(x, groups, side), weight.reshape(groups, len(weight) // groups, -1).mT
    return images(product(rows, matrices, None if bias is None else bias.reshape(groups, 1, -1)), x)


def channels_last(x: Tensor) -> Tensor:
    """x [B, C, H, W] with channels last."""
    return x.contiguous(memory_format=torch.channels_last)


def laid(x: Tensor) -> Tensor:
    """x [B, C, H, W] with channels last, in strides too that sizes of one leave open."""
    batch, channels, height, width = x.shape
    rows = channels_last(x).permute(0, 2, 3, 1)
    return rows.reshape(-1).view(batch, height, width, channels).permute(0, 3, 1, 2)


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
