"""The kernel of group norm and SiLU against the same in float64, by torch's operations and autograd."""

from __future__ import annotations

import shutil

import pytest
import torch
from torch import nn
from torch.nn.functional import group_norm, silu

from diffusion_core.fast import fused
from diffusion_core.fast.forms import accelerated
from diffusion_core.networks.unet import UNet
from tests.axes import across
from tests.diffusion_core.learners import stirred

needs_kernel = pytest.mark.skipif(not fused.works(), reason="no compiler here builds the kernel")
SHAPES = [(3, 16, 8, 8), (2, 12, 5, 3), (1, 4, 1, 1)]


class Problem:
    """A norm with weights that are drawn, its input, its modulation and a gradient of its output."""

    def __init__(self, shape, told=False, act=True, dtype=torch.float32, groups=2):
        generator = torch.Generator().manual_seed(0)
        self.layer, self.act = nn.GroupNorm(groups, shape[1]), act
        for parameter in self.layer.parameters():
            nn.init.normal_(parameter, generator=generator)
        self.x, self.dy = torch.randn(2, *shape, generator=generator).to(dtype).unbind()
        self.modulation = torch.randn(shape[0], 2 * shape[1], generator=generator).requires_grad_() if told else None

    def kernel(self):
        return self.with_gradients(lambda x: fused.norm_silu(self.layer, x, self.modulation, act=self.act))

    def torchs(self):
        weight, bias, norm = self.layer.weight, self.layer.bias, fused.Norm(self.layer.num_groups, 1e-5, self.act)
        return self.with_gradients(lambda x: fused.group_norm_silu(x.float(), weight, bias, self.modulation, norm))

    def truth(self):
        """Written out in float64."""

        def compute(x):
            layer = self.layer
            h = group_norm(x.double(), layer.num_groups, layer.weight.double(), layer.bias.double(), layer.eps)
            if self.modulation is not None:
                scale, shift = self.modulation.double()[:, :, None, None].chunk(2, dim=1)
                h = h * (1 + scale) + shift
            return silu(h) if self.act else h

        return self.with_gradients(compute)

    def with_gradients(self, compute):
        """The output, and its gradients in x, the weights and the modulation."""
        x = self.x.clone().requires_grad_()
        y = compute(x)
        given = [x, *self.layer.parameters(), *([] if self.modulation is None else [self.modulation])]
        return [y, *torch.autograd.grad(y, given, self.dy.to(y.dtype))]


@needs_kernel
@across(shape=SHAPES, told=(True, False), act=(True, False), last=(True, False), dtype=(torch.float32, torch.bfloat16))
def test_it_is_the_norm_written_out_and_so_is_its_gradient(shape, told, act, last, dtype):
    """In bf16, output and gradient in x are rounded once: by 2⁻⁸ of a number at most, the unit roundoff."""
    problem = Problem(shape, told, act, dtype)
    if last:
        problem.x = problem.x.contiguous(memory_format=torch.channels_last)
    y, dx, *rest = zip(problem.kernel(), problem.truth(), strict=True)
    digits = 1e-5 if dtype == torch.float32 else 2**-8 + 1e-5
    assert y[0].dtype == dtype
    torch.testing.assert_close(y[0].double(), y[1], rtol=digits, atol=1e-5)
    torch.testing.assert_close(dx[0].double(), dx[1].double(), rtol=10 * digits, atol=1e-4)
    for ours, theirs in rest:
        torch.testing.assert_close(ours.double(), theirs.double(), rtol=1e-4, atol=1e-4)


@needs_kernel
@pytest.mark.parametrize("recompute", [False, True])
def test_slopes_forward_are_slopes(recompute):
    network = stirred(accelerated(UNet(channels=8, groups=4, recompute=recompute).build((1, 8, 8), 1)))
    x, along = torch.randn(2, 2, 1, 8, 8, generator=torch.Generator().manual_seed(1)).unbind()
    time = torch.tensor([1.0, 9.0])
    slope = torch.func.jvp(lambda x: network(x, time), (x,), (along,))[1]
    network = network.double()
    ends = [network(x.double() + step * along, time.double()) for step in (1e-5, -1e-5)]
    torch.testing.assert_close(slope.double(), (ends[0] - ends[1]) / 2e-5, rtol=1e-4, atol=1e-4)


@needs_kernel
def test_a_second_derivative_is_refused_and_not_zero():
    problem = Problem((2, 8, 4, 4))
    x = problem.x.requires_grad_()
    y = fused.norm_silu(problem.layer, x)
    with pytest.raises(RuntimeError, match="no second derivatives: set DIFFUSION_CORE_KERNEL=off"):
        torch.autograd.grad(y.square().sum(), x, create_graph=True)


@needs_kernel
@across(first=(0.0, 10.0, 256.0), mean=(0.0, 1000.0))
def test_a_large_image_is_as_near_as_by_torchs_operations_wherever_its_first_pixel_lies(first, mean):
    """Its first pixel is so many standard deviations from all others; gradients without a mean alone, which costs
    digits of them whoever works them out."""
    problem = Problem((1, 2, 128, 128))
    problem.x = problem.x + mean
    problem.x[..., 0, 0] += first
    told = zip(problem.kernel(), problem.torchs(), problem.truth(), strict=True)
    for ours, theirs, expected in list(told)[: 1 if mean else None]:
        error, allowed = ((value.double() - expected).abs().max() for value in (ours, theirs))
        assert error <= 4 * allowed + 1e-7 * expected.abs().max()


@needs_kernel
def test_large_and_infinite_numbers_and_nan_end_as_torchs_do():
    problem = Problem((1, 1, 2, 2), groups=1)
    nn.init.constant_(problem.layer.weight, 1e4)
    torch.testing.assert_close(problem.kernel()[0].double(), problem.truth()[0], rtol=1e-5, atol=1e-6)
    for bad in (float("nan"), float("inf")):
        problem.x[..., 0] = bad
        assert all(fused.norm_silu(problem.layer, problem.x.to(dtype)).isnan().all() for dtype in fused.NAMES)


@needs_kernel
@pytest.mark.parametrize("dtype", fused.NAMES, ids=str)
def test_bits_depend_on_no_thread_and_no_neighbour(dtype):
    problem, found, before = Problem((7, 16, 8, 8), told=True, dtype=dtype), [], torch.get_num_threads()
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        found.append(problem.kernel())
    torch.set_num_threads(before)
    assert all(torch.equal(a, b) for other in found[1:] for a, b in zip(found[0], other, strict=True))
    some = fused.norm_silu(problem.layer, problem.x[2:4], problem.modulation[2:4])
    assert torch.equal(some, found[0][0][2:4])


@pytest.mark.parametrize("changes", [{"CXX": "/no/such/compiler"}, {"CXX": "false"}, {fused.SWITCH: "off"}], ids=str)
def test_without_a_compiler_or_switched_off_torchs_operations_take_its_place(changes, tmp_path, monkeypatch):
    for key, value in ({"XDG_CACHE_HOME": str(tmp_path)} | changes).items():
        monkeypatch.setenv(key, value)
    for known in (fused.library, fused.works):
        known.cache_clear()
    problem = Problem((3, 16, 8, 8), told=True)
    y = problem.kernel()[0]
    assert not fused.works()
    assert "Kernel" not in type(y.grad_fn).__name__
    torch.testing.assert_close(y.double(), problem.truth()[0], rtol=1e-5, atol=2e-6)
    for known in (fused.library, fused.works):
        known.cache_clear()
    assert list(tmp_path.rglob("*.so")) == []


@needs_kernel
def test_it_is_built_once_and_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(fused.subprocess, "run", lambda command, **_: shutil.copy(command[-1], command[-2]))
    first = fused.built()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [first]
    monkeypatch.delattr(fused.subprocess, "run")
    assert fused.built() == first
