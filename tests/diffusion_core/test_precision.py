"""A precision and compilation: what they are on a device, and that they act on the network alone."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
import torch

import diffusion_core as dc
from diffusion_core import diffusion, precision, trainer
from diffusion_core.fast import population
from diffusion_core.precision import is_compiled, resolve_compile, resolve_precision
from diffusion_core.trainer import Trainer, training_reports
from tests.diffusion_core.learners import BASE, DIGITS, image_learner, learner_of_points, random_model

CPU = torch.device("cpu")


@pytest.mark.parametrize(("hardware", "expected"), [(True, "bf16"), (False, "float32")])
def test_auto_is_bf16_where_the_processor_has_it(hardware, expected, monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: hardware)
    assert [resolve_precision(word, CPU) for word in ("auto", "float32", "bf16")] == [expected, "float32", "bf16"]
    assert resolve_precision("auto", torch.device("mps")) == "float32"


def dtypes_of(diffusion: dc.Diffusion, act):
    """The numbers that an inner layer gives while something is done."""
    seen = set()
    layer = diffusion.network.middle_in.block.dropout
    hook = layer.register_forward_hook(lambda module, inputs, out: seen.add(out.dtype))
    act()
    hook.remove()
    return seen


def test_samples_are_drawn_in_bf16_inside_the_context_alone_whatever_ends_it():
    diffusion, drawn = random_model("images").with_clip(False), []

    def draw():
        drawn.append(dc.Ddim(steps=4).sample(diffusion, 5, seed=0))

    with diffusion.network_in("bf16"):
        assert dtypes_of(diffusion, draw) == {torch.bfloat16}
    with pytest.raises(RuntimeError, match="stop"), diffusion.network_in("bf16"):
        raise RuntimeError("stop")
    assert dtypes_of(diffusion, draw) == {torch.float32}
    assert all(x.dtype == torch.float32 for x in drawn)
    assert not torch.equal(*drawn)
    torch.testing.assert_close(*drawn, rtol=0.05, atol=0.05)


def test_the_bound_is_float32_whatever_is_around_it():
    diffusion = random_model("images")
    raw = torch.randint(0, 256, (4, 1, 4, 4), generator=torch.Generator().manual_seed(0)).to(torch.uint8)

    def score():
        return dc.bound(diffusion, raw, dc.Stratification(2, 2), seed=0)

    plain = score().total
    with torch.autocast("cpu", torch.bfloat16):
        assert dtypes_of(diffusion, score) == {torch.float32}
        assert torch.equal(score().total, plain)


def forget(*_: object) -> None:
    """What torch does where memory runs out in a product: it goes on with other kernels, for good."""
    torch._C._set_mkldnn_enabled(False)


def test_a_network_that_other_kernels_than_told_worked_out_is_an_error_and_they_are_told_again(monkeypatch):
    """Forwards and backwards."""
    diffusion, (learner, raw) = random_model("images"), image_learner()
    hook = diffusion.network.middle_in.block.dropout.register_forward_hook(forget)
    with pytest.raises(RuntimeError, match="out of memory"), diffusion.network_in("bf16"):
        dc.Ddim(steps=4).sample(diffusion, 5, seed=0)
    hook.remove()
    assert torch.backends.mkldnn.enabled
    monkeypatch.setattr(population, "descend", forget)
    with pytest.raises(RuntimeError, match="out of memory"):
        Trainer(learner, dc.Training(batch=4, precision="bf16"), CPU).step(raw[:4], 0, 0)
    assert torch.backends.mkldnn.enabled


def test_kernels_that_a_program_does_without_stay_off():
    torch._C._set_mkldnn_enabled(False)
    try:
        with precision.same_kernels():
            pass
        assert not torch.backends.mkldnn.enabled
    finally:
        torch._C._set_mkldnn_enabled(True)


PLAN = dc.Training(steps=4, batch=8, warmup=1, report_every=1, precision="float32")
DEVICES = {"cpu": "none", "cuda": "auto"}


@pytest.mark.parametrize("device", DEVICES)
def test_auto_compiles_on_a_gpu_alone(device):
    assert resolve_compile("auto", torch.device(device)) == DEVICES[device]
    assert resolve_compile("none", torch.device(device)) == "none"


def learner_of(network):
    if isinstance(network, dc.Mlp):
        return learner_of_points(replace(BASE, network=network))
    learner = dc.DiffusionLearner.of(replace(BASE, network=network), dc.GreyLevels(17), (1, 8, 8))
    learner.diffusion.initialise(0)
    return learner, DIGITS


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="no compiler here builds the kernel")
@pytest.mark.parametrize(
    "network",
    [dc.Mlp(width=16, layers=1), dc.Dit(width=8, depth=1, heads=1)],
    ids=lambda network: type(network).__name__,
)
@pytest.mark.filterwarnings("ignore")
def test_losses_and_samples_of_a_compiled_network_are_those_of_the_network(network, monkeypatch):
    found = []
    for compile in ("none", "auto"):
        for module in (trainer, diffusion):
            monkeypatch.setattr(module, "resolve_compile", lambda asked, device: asked)
        learner, data = learner_of(network)
        losses = [
            report.losses["network"] for report in training_reports(learner, data, replace(PLAN, compile=compile), 0)
        ]
        with learner.diffusion.eval().network_in("float32", compile):
            samples = dc.Ancestral(steps=3).sample(learner.diffusion, 5, seed=0)
        assert is_compiled(learner.diffusion.network) == (compile == "auto")
        found.append((losses, samples))
    (eager, drawn), (compiled, again) = found
    assert compiled == pytest.approx(eager, abs=1e-4)
    torch.testing.assert_close(again, drawn, rtol=1e-3, atol=1e-3)
