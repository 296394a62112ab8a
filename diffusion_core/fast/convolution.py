"""Convolutions of S networks side by side, as one in S groups, each of which gets the bits that it gets alone on a CPU.

The kernel that a library chooses, and with it the rounding, may depend on the number of groups. So a convolution is
tested before its use, on numbers whose sums cancel and leave only their rounding. If groups change a bit, products of
patches take its place, whose rounding does not depend on the number of networks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, unfold

from diffusion_core.fast.products import SHIFT, computed_in, halved, product, summed
from diffusion_core.networks.network import MOST_BESIDE

TRIED = (1, 2, 3, 8)
"""The numbers of networks side by side with which a convolution is tested."""
LARGE = 4 * MOST_BESIDE
"""The values in a layer's maps, of all examples, above which its network is trained alone: joined maps are at most 4
times as wide as the widest."""


def convolution(layer: nn.Conv2d, x: Tensor) -> Tensor:
    """x [B, S C, H, W] → [B, S C', H, W] by a layer with S networks' weights, its side odd and its stride 1."""
    assert layer.bias is not None, "every layer here has one"
    dtype, members = computed_in(x), layer.weight.shape[:-4].numel()
    # Weights of S networks are cast before they are laid out: that is one copy.
    weight, bias = layer.weight.to(dtype).flatten(0, -4), layer.bias.to(dtype).flatten()
    # On several threads a network is always alone, and torch's way is up to three times as fast.
    if torch.is_grad_enabled() and torch.get_num_threads() == 1:
        parts = dependent(Case.here(dtype, x, layer.weight.shape[-4:]))
        if parts is not None:
            return Convolution.apply(x.to(dtype), weight, bias, members, parts)  # type: ignore[no-untyped-call, unused-ignore]
    return conv2d(x, weight, bias, padding=weight.shape[-1] // 2, groups=members)


class Case(NamedTuple):
    """All that the choice of a convolution's kernel may depend on, except the groups."""

    dtype: torch.dtype
    images: tuple[int, ...]
    """B, H and W."""
    kernel: tuple[int, ...]
    """C', C and twice its side."""
    onednn: bool
    """True where torch asks oneDNN for kernels."""

    @classmethod
    def here(cls, dtype: torch.dtype, x: Tensor, kernel: Sequence[int]) -> Case:
        """The case of a convolution of x as torch stands now."""
        return cls(dtype, (len(x), *x.shape[2:]), tuple(kernel), bool(torch.backends.mkldnn.enabled))


@cache
def dependent(case: Case) -> frozenset[str] | None:
    """The parts y, dx and dw of torch's convolution that differ in any bit between a network alone and beside others;
    dw stands for the bias's gradient, too. None for large convolutions, which gain nothing from others beside them."""
    (batch, height, width), (channels_out, channels_in, *_) = case.images, case.kernel
    if batch * height * width * max(channels_in, channels_out) > LARGE:
        return None
    shapes = (batch, channels_in, height, width), case.kernel, (batch, channels_out, height, width)
    parts: set[str] = set()
    # Within `checkpoint`, tensors that the test keeps are no part of what is recomputed.
    kept = torch.autograd.graph.saved_tensors_hooks(lambda tensor: tensor, lambda tensor: tensor)
    with torch.inference_mode(False), torch.enable_grad(), torch.autocast("cpu", enabled=False), kept:
        for values, factor, tried in (
            (cancelling(shapes), 1.0, TRIED),
            (checkered(shapes), 1.0, TRIED),
            (cancelling(shapes), math.nan, TRIED[:-1]),
        ):
            cast = [value.to(case.dtype) for value in values]
            alone, *beside = (_of_equals(members, *cast, factor=factor) for members in tried)
            for several in beside:
                pairs = zip(("y", "dx", "dw", "dw"), alone, several, strict=True)
                parts |= {part for part, own, theirs in pairs if not torch.equal(own.expand_as(theirs), theirs)}
    return frozenset(parts)


Shapes = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
"""The shapes of x, the kernel and dy."""


def cancelling(shapes: Shapes) -> list[Tensor]:
    """x, the kernel and dy whose sums over channels and examples cancel, and leave nothing but their rounding.

    A sum in another order differs in all digits, also where it is rounded to bf16.
    """
    signs = ((1, 1), (1, -1), (-1, -1))
    return [halved(shape, *sign) for shape, sign in zip(shapes, signs, strict=True)]


def checkered(shapes: Shapes) -> list[Tensor]:
    """x, the kernel and dy whose sums over a kernel's places and over pixels nearly cancel.

    In `cancelling`, sums over few channels, or of one example, cancel completely or not at all.
    """
    generator = torch.Generator().manual_seed(1)

    def nearly_even(shape: tuple[int, ...]) -> Tensor:
        return torch.randn(*shape[:2], 1, 1, generator=generator) * (1 + torch.randn(shape, generator=generator) / 64)

    x, weight, dy = (nearly_even(shape) for shape in shapes)
    places = torch.arange(weight.shape[-1])
    pixels = torch.arange(dy[:, :1].numel()).view_as(dy[:, :1])
    return [x, weight * (-1.0) ** (places[:, None] + places), torch.where(2 * pixels < pixels.numel(), dy, -dy)]


def _of_equals(members: int, x: Tensor, weight: Tensor, dy: Tensor, *, factor: float) -> list[Tensor]:
    """The output and the gradients in x, weights and biases of equal networks side by side, with these in front.

    If the factor is not 1, the maps of every second network are multiplied by it, and these networks are left out.
    """
    x, dy = (
        with_channels_last(torch.cat([value * factor ** (i % 2) for i in range(members)], dim=1)) for value in (x, dy)
    )
    x, weight = x.requires_grad_(), torch.cat([weight] * members).requires_grad_()
    # A shift about as large as the sums: kernels add it first or last.
    bias = torch.cat([halved((len(dy[0]) // members, 1), 1, 1)[:, 0] * SHIFT] * members).to(x.dtype).requires_grad_()
    y = conv2d(x, weight, bias, padding=weight.shape[-1] // 2, groups=members)
    dx, dw, db = torch.autograd.grad(y, (x, weight, bias), dy)
    maps = [value.reshape(len(value), members, -1, *value.shape[2:]).transpose(0, 1) for value in (y.detach(), dx)]
    each = *maps, *(value.reshape(members, -1) for value in (dw, db))
    return [value[:: 1 if factor == 1 else 2] for value in each]


class Convolution(torch.autograd.Function):
    """A convolution in groups, some `parts` of which (y, dx, dw) are computed independently of the number of groups.

    They are products of patches; dx is the convolution of dy with turned kernels.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, groups: int, parts: frozenset[str]) -> Tensor:
        ctx.groups, ctx.parts = groups, parts
        ctx.save_for_backward(x, weight)
        return convolved(with_channels_last(x), weight, bias, groups, by_products="y" in parts)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        groups, parts, side = ctx.groups, ctx.parts, weight.shape[-1]
        x, dy = with_channels_last(x), with_channels_last(dy)
        needs_x, needs_weight = ctx.needs_input_grad[:2]
        plain = needs_x and "dx" not in parts, needs_weight and "dw" not in parts
        dx = dweight = dbias = None
        if any(plain):
            sizes = [len(weight)], [1, 1], [side // 2] * 2, [1, 1], False, [0, 0]
            wanted = [*plain, plain[1]]
            dx, dweight, dbias = torch.ops.aten.convolution_backward(dy, x, weight, *sizes, groups, wanted)
        if needs_x and "dx" in parts:
            own = weight.view(groups, -1, *weight.shape[1:])
            turned = own.transpose(1, 2).flip(-1, -2)
            its_parts = dependent(Case.here(x.dtype, x, turned.shape[1:])) or ()
            dx = convolved(dy, turned.flatten(0, 1), None, groups, by_products="y" in its_parts)
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


def with_channels_last(x: Tensor) -> Tensor:
    """x [B, C, H, W] with channels last, also in strides that sizes of 1 leave open."""
    batch, channels, height, width = x.shape
    rows = x.contiguous(memory_format=torch.channels_last).permute(0, 2, 3, 1)
    return rows.reshape(-1).view(batch, height, width, channels).permute(0, 3, 1, 2)


def patches(x: Tensor, groups: int, side: int) -> Tensor:
    """The rows [S, B H W, C side²] that a kernel sees, one for each pixel of x [B, S C, H, W]."""
    if side == 1:
        return x.permute(0, 2, 3, 1).reshape(-1, groups, x.shape[1] // groups).transpose(0, 1)
    batch, channels, height, width = x.shape
    columns = unfold(x, side, padding=side // 2).view(batch, groups, -1, height * width)
    return columns.permute(1, 0, 3, 2).reshape(groups, -1, channels // groups * side**2)


def images(rows: Tensor, like: Tensor) -> Tensor:
    """Rows [S, B H W, C] as feature maps [B, S C, H, W] of such a height and width."""
    batch, _, height, width = like.shape
    return rows.transpose(0, 1).reshape(batch, height, width, -1).permute(0, 3, 1, 2)
