"""Products of S networks side by side, each of which gets the bits on a CPU that it gets alone.

    y_s = x_s W_sᵀ + b_s,   s = 1..S

All methods used have a rounding that does not depend on the number of networks; a library's is tried before its use.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn.functional import pad

STEP, SHARED = 64, 2**15
"""The most values that a processor handles at a time, and the number above which threads share them."""
SMALL = 16**3
"""The number of multiplications up to which torch takes another kernel for a bf16 product."""
ALIGNMENT = 64
"""The bytes of whose multiples torch allocates new memory."""
SHIFT = 1e-6
"""The size of a shift with which a kernel is tested."""


def keeps_bits(x: Tensor) -> bool:
    """True where fast forms are used: on a CPU, outside of forward-mode derivatives, `torch.func` and `torch.compile`,
    which know torch's own operations alone."""
    transformed = torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active()
    return x.device.type == "cpu" and not transformed and forward_ad._current_level < 0


def valuewise(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """A function of each value of x [S, N, C], in one call if each network then gets the bits that it gets alone.

    Values that do not fill a vector, at the end of all or of a thread's share, are computed singly, with other
    rounding.
    """
    even = x.shape[1:].numel() % STEP == 0 and (x.numel() <= SHARED or torch.get_num_threads() == 1)
    if len(x) == 1 or even:
        return function(x)
    return torch.stack([function(own) for own in x])


def products(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x W_sᵀ + b_s [S, N, C'] of rows x [S, N, C], by weights [C', C] or [S, C', C] and biases [C'] or [S, C']."""
    dtype = computed_in(x)
    weight = weight.to(dtype).reshape(-1, *weight.shape[-2:])
    bias = bias.to(dtype).reshape(-1, 1, weight.shape[1])
    return Product.apply(x.to(dtype), weight, bias)  # type: ignore[no-untyped-call, unused-ignore]


def computed_in(x: Tensor) -> torch.dtype:
    """The dtype that a layer computes in: autocast's, or that of its input."""
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype


class Product(torch.autograd.Function):
    """x W_sᵀ + b_s, whose gradient in b is a product, too: a sum over rows depends on the number of networks."""

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

    For a single row, column or term, a library takes another kernel for one product than for several, so zeros make
    them two. It may do so for matrices that lie within each other, so they are copied. Networks' products are computed
    one by one if a test finds them rounded differently together (`dependent_product`).
    """
    if not keeps_bits(a):
        return multiplied(a, b, bias)
    n, k, m = (max(0, 2 - size) for size in (*a.shape[1:], b.shape[2]))
    if n + k + m:
        # Padding by 0 would still copy.
        wider = pad(a, (0, k, 0, n)) if k or n else a, pad(b, (0, m, 0, k)) if m or k else b
        y = product(*wider, None if bias is None else pad(bias, (0, m)))
        return y[:, : a.shape[1], : b.shape[2]]
    a, b = (_dense(value.mT).mT if value.stride(1) == 1 else _dense(value) for value in (a, b))
    a, b = aligned(a), aligned(b)
    if len(a) == 1 or not dependent_product(ProductCase.of(a, b, bias)):
        return multiplied(a, b, bias)
    biases = [None] * len(a) if bias is None else torch.split(bias, 1)
    each = zip(torch.split(a, 1), torch.split(b, 1), biases, strict=True)
    return torch.cat([multiplied(aligned(own_a), aligned(own_b), own) for own_a, own_b, own in each])


def aligned(value: Tensor) -> Tensor:
    """The matrices at an address where new memory may begin: elsewhere a library may round otherwise."""
    return value.clone() if value.data_ptr() % ALIGNMENT else value


def _dense(value: Tensor) -> Tensor:
    """The matrices one after another, also in strides that a single matrix leaves open."""
    return value.reshape(-1).view(value.shape)


def multiplied(a: Tensor, b: Tensor, bias: Tensor | None) -> Tensor:
    """The products, plus the biases if given, by one call of torch's."""
    return torch.bmm(a, b) if bias is None else torch.baddbmm(bias, a, b)


class ProductCase(NamedTuple):
    """All that a library's choice of a kernel for products may depend on."""

    dtype: torch.dtype
    sizes: tuple[int, int, int, int]
    """S, N, K and M."""
    turned: tuple[bool, bool]
    """True for each matrix whose columns lie one after another."""
    biased: bool
    threads: int

    @classmethod
    def of(cls, a: Tensor, b: Tensor, bias: Tensor | None) -> ProductCase:
        turned = a.stride(1) == 1, b.stride(1) == 1
        return cls(a.dtype, (*a.shape, b.shape[2]), turned, bias is not None, torch.get_num_threads())


@cache
def dependent_product(case: ProductCase) -> bool:
    """True where any bit of such a product differs between a network alone and beside others.

    It is tested on numbers whose sums cancel and leave only their rounding, which changes if the order of the sum does.
    """
    members, rows, terms, columns = case.sizes
    values = halved((rows, terms), 1, -1), halved((terms, columns), 1, 1), SHIFT * halved((1, columns), 1, 1)

    def product_of(copies: int) -> Tensor:
        a, b, bias = (torch.stack([value.to(case.dtype)] * copies) for value in values)
        a, b = (_dense(v.mT).mT if turned else v for v, turned in zip((a, b), case.turned, strict=True))
        return multiplied(a, b, bias if case.biased else None)

    with torch.no_grad(), torch.autocast("cpu", enabled=False):
        alone, beside = product_of(1), product_of(members)
        return not torch.equal(alone.expand_as(beside), beside)


def halved(shape: tuple[int, ...], first: int, second: int) -> Tensor:
    """Numbers of many magnitudes whose halves along the first two axes are equal but for these signs.

    Products of numbers in bf16 have 16 digits: sums of those of one magnitude are hardly ever rounded. An element that
    an odd number leaves over is small, so that it does not hide the rounding of the others.
    """
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(shape, generator=generator) * 2.0 ** torch.randint(-4, 5, shape, generator=generator)
    for axis, sign in ((0, first), (1, second)):
        half = shape[axis] // 2
        values.narrow(axis, half, half).copy_(sign * values.narrow(axis, 0, half))
        if half and shape[axis] % 2:
            values.narrow(axis, 2 * half, 1).mul_(SHIFT)
    return values


def summed(rows: Tensor) -> Tensor:
    """The sums [S, 1, C] of rows [S, N, C], as a product."""
    return product(rows.new_ones(len(rows), 1, rows.shape[1]), rows)
