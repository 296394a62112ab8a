"""`python -m benchmarks.profile`: the time of a training step by kind of operation, as Markdown.

python -m benchmarks.profile [device=cpu] [steps=20] [threads=1] [out=FILE]

What the multiply-adds of a step would take at the device's measured peak beside what it takes, whose ratio is the MFU;
a step has three times those of a forward pass. On a CPU also the milliseconds of each kind of operation by torch's
profiler, and what is left of a step without it, and both of small trainings side by side.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch._C._profiler import _ExperimentalConfig
from torch.profiler import ProfilerActivity, profile

from ablations.launchers.protocol import found_devices
from ablations.settings.exits import exit_code
from ablations.stages.devices import claim
from analysis.errors import InputError
from analysis.options import Option
from benchmarks.cases import BASE, SMALL, Workload
from benchmarks.changes import CPU, NOTHING, SIZES, training_step
from benchmarks.machine import machine
from benchmarks.peak import Mode, multiply_adds, peak
from benchmarks.timing import timed
from benchmarks.together import STEPS, Companions
from diffusion_core.precision import resolve_precision
from evidence import markdown
from evidence.page_command import page_command

OPTIONS = {
    "device": Option("cpu, cuda or cuda:N", "cpu"),
    "steps": Option("training steps that are profiled", 20, int),
    "threads": Option("CPU threads", 1, int),
}
KINDS = {
    "convolutions, backward": ("convolution_backward", "mkldnn_convolution_backward"),
    "convolutions, forward": ("conv", "mkldnn_conv", "_convolution", "thnn"),
    "norm, scale, shift and SiLU, by our kernel": ("Kernel",),
    "products of matrices": ("mm", "addmm", "bmm", "baddbmm", "linear", "matmul", "mkldnn_linear"),
    "copies and casts": ("copy_", "clone", "contiguous", "cat", "_to_copy", "to", "empty", "zeros", "fill_", "zero_"),
    "work by element": ("add", "mul", "sub", "div", "silu", "softmax", "_softmax", "sum", "mean", "lerp", "sqrt"),
}
"""Kind → how names of its operations begin; the first that fits counts."""
COMPANIES = (1, 4, 8)
"""Trainings side by side."""
BESIDE = Workload(SMALL, (1, 8, 8), 32, CPU)
REST = "some hundreds of small operations"
OUTSIDE = "between operations: Python, dispatch, autograd"


def made(given: dict[str, Any]) -> str:
    """Profile; the page."""
    if min(given["steps"], given["threads"]) < 1:
        raise InputError("steps and threads must be at least 1")
    claim("cpu", given["threads"])
    return page(given["steps"], given["threads"], torch.device(found_devices(given["device"])[0]))


main = page_command("benchmarks.profile", "Where the time of a training step goes.", OPTIONS, made)
"""The command; its exit code."""


def page(steps: int, threads: int, device: torch.device = CPU) -> str:
    """Both sizes."""
    where, kinds = ("", " by kind") if device == CPU else (f"device={device} ", "")
    lines = [
        "# Where the time of a training step goes",
        "",
        f"By `python -m benchmarks.profile {where}steps={steps} threads={threads}`: milliseconds of a step{kinds}.",
        machine(device, threads),
    ]
    for name, workload in SIZES.items():
        lines += ["", f"## {name}", "", *told(replace(workload, device=device), steps)]
    return "\n".join([*lines, "", *beside(steps)] if device == CPU else lines)


def beside(steps: int) -> list[str]:
    """Trainings side by side, as lines: what a step of each takes, and its parts."""
    parts: dict[int, dict[str, float]] = {}
    for count in COMPANIES:
        group = Companions(BESIDE, count)
        group.step()
        rounds, each = -(-steps // STEPS), count * STEPS
        whole = 1000 * min(timed(group.step, CPU) for _ in range(rounds)) / each
        own = {kind: ms / each for kind, ms in profiled(group.step, rounds).items()}
        parts[count] = {"all": whole, **own, OUTSIDE: max(whole - sum(own.values()), 0.0)}
    last = parts[COMPANIES[-1]]
    kinds = sorted(last, key=lambda kind: -last[kind])
    return [
        f"## 8×8, batch {BESIDE.batch}, side by side",
        "",
        "Milliseconds of a step and training.",
        "",
        *markdown.table(
            ("kind", *(f"{count} side by side" if count > 1 else "alone" for count in COMPANIES)),
            ((kind, *(f"{parts[count].get(kind, 0):.2f}" for count in COMPANIES)) for kind in kinds),
        ),
    ]


def told(workload: Workload, steps: int) -> list[str]:
    """A size as lines: what a step takes, what it would at the peak, and on a CPU the parts."""
    device = workload.device
    step = training_step(workload, NOTHING, BASE.objective)
    step()
    alone = 1000 * min(timed(step, device) for _ in range(steps))
    precision = resolve_precision("auto", device)
    mode: Mode = "bf16" if precision == "bf16" else "float32"
    diffusion = workload.diffusion()
    operations = 2 * 3 * multiply_adds(diffusion.network, diffusion.shape) * workload.batch
    peak_rate = peak(mode, device)
    ideal = 1000 * operations / peak_rate
    if device != CPU:
        return [
            f"A step takes {alone:.2f} ms in {precision}. Its multiply-adds would take {ideal:.4f} ms at the card's "
            f"peak, {peak_rate / 1e12:.0f} TFLOP/s: an MFU of {ideal / alone:.2%}."
        ]
    parts = profiled(step, steps)
    parts[OUTSIDE] = max(alone - sum(parts.values()), 0.0)
    ordered = sorted(parts.items(), key=lambda item: -item[1])
    return [
        f"A step takes {alone:.1f} ms in {precision}. Its multiply-adds would take {ideal:.1f} ms at the machine's "
        f"peak: {ideal / alone:.0%} of it.",
        "",
        *markdown.table(("kind", "ms", "share"), ((kind, f"{ms:.1f}", f"{ms / alone:.0%}") for kind, ms in ordered)),
    ]


def profiled(step: Callable[[], object], steps: int) -> dict[str, float]:
    """Milliseconds of a step by kind. A profile beforehand takes what the profiler needs to start."""
    of_all = _ExperimentalConfig(profile_all_threads=True)
    for count in (1, steps):
        with profile(activities=[ProfilerActivity.CPU], experimental_config=of_all) as taken:
            for _ in range(count):
                step()
    parts: dict[str, float] = defaultdict(float)
    for event in taken.key_averages():
        parts[kind_of(event.key)] += event.self_cpu_time_total / 1000 / steps
    return parts


def kind_of(operation: str) -> str:
    """The kind of an operation by its name, aten::mm."""
    name = operation.rpartition("::")[2]
    return next((kind for kind, starts in KINDS.items() if name.startswith(starts)), REST)


if __name__ == "__main__":
    raise SystemExit(exit_code(main))
