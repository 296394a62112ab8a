"""Group norm, a scale and a shift, and SiLU in one: y = SiLU((1 + s) h + t), h = GroupNorm(x).

On a CPU a kernel does it in two passes over x each way, and with channels last, where convolutions are fastest and
torch's own group norm is slowest. It is `fused.cpp`, which this machine's compiler builds once. If there is no
compiler, or what it builds is wrong, torch's operations take its place, and numbers differ in their last digits. The
kernel has a gradient, which has none itself.

The environment variable DIFFUSION_CORE_KERNEL=off turns it off for a process.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shlex
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import group_norm, silu

SOURCE = Path(__file__).with_name("fused.cpp")
WIDE = ("-mprefer-vector-width=512",) if platform.machine() in ("x86_64", "AMD64") else ()
FLAGS = ("-O3", "-march=native", *WIDE, "-fno-math-errno", "-fno-trapping-math", "-fopenmp", "-shared", "-fPIC")
NAMES = {torch.float32: "float32", torch.bfloat16: "bfloat16"}
SWITCH = "DIFFUSION_CORE_KERNEL"
"""The environment variable that is "off" where torch's operations are to be used."""
LIMIT = 1e-4
"""The most that the kernel may differ from torch's operations in float32, in the test before its use."""


class Norm(NamedTuple):
    """The numbers of a group norm, whether SiLU follows it, and the networks whose channels lie side by side."""

    groups: int
    eps: float
    act: bool
    members: int = 1


def norm_silu(layer: nn.GroupNorm, x: Tensor, modulation: Tensor | None = None, *, act: bool = True) -> Tensor:
    """y [B, S C, H, W] by a layer with S networks' weights; `modulation` [B, 2 S C] holds s, then t. No SiLU unless
    `act`. Without the kernel there is one network alone."""
    members = layer.weight.shape[:-1].numel()
    norm = Norm(layer.num_groups * members, layer.eps, act, members)
    compiled = x.dtype in NAMES and layer.weight.dtype == torch.float32 and works()
    compute = kernel_norm_silu if compiled else group_norm_silu
    return compute(x, layer.weight.flatten(), layer.bias.flatten(), modulation, norm)


def kernel_norm_silu(x: Tensor, weight: Tensor, bias: Tensor, modulation: Tensor | None, norm: Norm) -> Tensor:
    """The same as `group_norm_silu`, by the kernel."""
    x = x.contiguous(memory_format=torch.channels_last)
    modulation = None if modulation is None else modulation.float().contiguous()
    return Kernel.apply(x, weight, bias, modulation, norm)  # type: ignore[no-untyped-call, unused-ignore]


def group_norm_silu(x: Tensor, weight: Tensor, bias: Tensor, modulation: Tensor | None, norm: Norm) -> Tensor:
    """The norm, the scale and shift, and SiLU, by torch's operations."""
    h = group_norm(x, norm.groups, weight, bias, norm.eps)
    if modulation is not None:
        scale, shift = modulation[:, :, None, None].chunk(2, dim=1)
        h = h * (1 + scale) + shift
    return silu(h) if norm.act else h


def channels_last(x: Tensor) -> Tensor:
    """x [B, C, H, W] in the layout that the layers after it keep: channels last where the kernel is used."""
    return x.contiguous(memory_format=torch.channels_last) if works() else x


class Kernel(torch.autograd.Function):
    """The kernel with its gradient, of float32 or bf16; all else is float32."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, modulation: Tensor | None, norm: Norm) -> Tensor:
        y, moments = torch.empty_like(x), x.new_empty((len(x), norm.groups, 2), dtype=torch.float32)
        shared = arguments(x, weight, bias, modulation, norm)
        kernel("forward", x.dtype)(*shared, norm.eps, *map(address, (x, y, moments)))
        ctx.norm = norm
        ctx.save_for_backward(x, weight, bias, modulation, moments)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            # `once_differentiable` would give 0 where a derivative is asked in x alone.
            raise RuntimeError("the kernel on the CPU has no second derivatives: set DIFFUSION_CORE_KERNEL=off")
        x, weight, bias, modulation, moments = ctx.saved_tensors
        dy = dy.to(x.dtype).contiguous(memory_format=torch.channels_last)
        dx, dmodulation = torch.empty_like(x), None if modulation is None else torch.empty_like(modulation)
        # These are per image, since threads do not add up over images.
        dweight, dbias = torch.empty(2, len(x), x.shape[1])
        shared = arguments(x, weight, bias, modulation, ctx.norm)
        kernel("backward", x.dtype)(*shared, *map(address, (moments, dy, x, dx, dweight, dbias, dmodulation)))
        return dx, dweight[0], dbias[0], dmodulation, None


def arguments(x: Tensor, weight: Tensor, bias: Tensor, modulation: Tensor | None, norm: Norm) -> tuple[Any, ...]:
    """The arguments that both directions share."""
    batch, channels, height, width = x.shape
    pointers = map(address, (weight, bias, modulation))
    return batch, height * width, channels, norm.groups, norm.members, *pointers, int(norm.act), torch.get_num_threads()


def address(tensor: Tensor | None) -> int | None:
    """The place in memory of a tensor's numbers."""
    return None if tensor is None else tensor.data_ptr()


@cache
def works() -> bool:
    """True where this machine builds the kernels, they agree with torch's operations, and they are not switched off."""
    if os.environ.get(SWITCH) == "off":
        return False
    try:
        library()
    except (OSError, subprocess.SubprocessError):
        return False
    # The first call may be a sampler's, which wants no gradients, or be under autocast.
    with torch.inference_mode(False), torch.enable_grad(), torch.autocast("cpu", enabled=False):
        return _agrees()


def _agrees() -> bool:
    generator = torch.Generator().manual_seed(0)
    x, dy = torch.randn(2, 3, 12, 6, 5, generator=generator).unbind()
    inputs = x, torch.ones(12), torch.zeros(12), torch.randn(3, 24, generator=generator)
    pairs = []
    for compute in (kernel_norm_silu, group_norm_silu):
        a, b, c, d = (value.clone().requires_grad_() for value in inputs)
        y = compute(a, b, c, d, Norm(4, 1e-5, True))
        pairs.append((y, *torch.autograd.grad((y * dy).sum(), (a, b, c, d))))
    return all(torch.allclose(a, b, rtol=LIMIT, atol=LIMIT) for a, b in zip(*pairs, strict=True))


@cache
def kernel(direction: str, dtype: torch.dtype) -> Any:
    """The function of the library for a direction and dtype."""
    pointer, whole = ctypes.c_void_p, ctypes.c_long
    own: dict[str, list[Any]] = {"forward": [ctypes.c_float, *[pointer] * 3], "backward": [pointer] * 7}
    function = library()[f"{direction}_{NAMES[dtype]}"]
    function.argtypes = [whole] * 5 + [pointer] * 3 + [ctypes.c_int] * 2 + own[direction]
    function.restype = None
    return function


@cache
def library() -> ctypes.CDLL:
    """The kernels; OSError or SubprocessError where they cannot be built."""
    return ctypes.CDLL(str(built()))


def built() -> Path:
    """The compiled kernels, from where they are kept or compiled now; OSError or SubprocessError where that fails."""
    digest = hashlib.sha256(b"\0".join((SOURCE.read_bytes(), " ".join(FLAGS).encode(), processor()))).hexdigest()[:16]
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "diffusion_core"
    kept = folder / f"fused-{digest}.so"
    if kept.exists():
        return kept
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as place:
        new = Path(place) / "fused.so"
        compiler = shlex.split(os.environ.get("CXX", "c++"))
        subprocess.run([*compiler, *FLAGS, "-o", str(new), str(SOURCE)], check=True, capture_output=True, timeout=120)
        os.replace(new, kept)
    return kept


def processor() -> bytes:
    """The words by which processors differ that the kernels are compiled for: several may share a home folder."""
    file = Path("/proc/cpuinfo")
    lines = file.read_bytes().splitlines() if file.exists() else [" ".join(platform.uname()).encode()]
    kind = {line for line in lines if line.startswith((b"model name", b"flags", b"Features", b"CPU part"))}
    return b"\n".join(sorted(kind or lines))
