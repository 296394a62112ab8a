"""NLL and FID with the kernel of `fused.py` and without it, as Markdown. It rebuilds `evidence/same.md`:

    python -m evidence.same seeds=5 out=evidence/same.md

The baseline cell is trained, scored and sampled from in this process, once with the kernel and once with torch's
operations in its place, at paired seeds: initial weights, batches and noise of a seed are the same.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from numpy.typing import NDArray

import ablations
from ablations.settings.exits import exit_code
from analysis.errors import InputError
from analysis.labels import probability
from analysis.options import Option
from analysis.statistics.paired import compare, equivalent
from benchmarks.machine import machine
from diffusion_core.networks import fused
from evidence.page_command import page_command

OPTIONS = {
    "seeds": Option("paired seeds", 5, int),
    "results": Option("where trainings are kept, so that the same command continues; by default a temporary folder"),
}
CELL = ("horizon=100", "training.steps=500")
THREADS = 1


@dataclass(frozen=True)
class Margin:
    """The margin of sameness in a metric: a difference below `size`, or below this share of the mean."""

    metric: str
    label: str
    decimals: int
    size: float = 0.0
    share: float = 0.0

    def of(self, values: NDArray[np.float64]) -> float:
        """The margin, given the values with torch's operations."""
        return self.size or self.share * float(values.mean())


MARGINS = (
    Margin("nll/test", "NLL (bits/dim)", 4, size=0.01),
    Margin("fid/train/digits-cnn", "FID", 2, share=0.05),
)
Pair = tuple[NDArray[np.float64], NDArray[np.float64]]
"""A metric by seed, with the kernel and with torch's operations."""


def measure(given: dict[str, Any]) -> str:
    """Train both ways; the page."""
    if given["seeds"] < 2:
        raise InputError("seeds must be at least 2: an interval is of their spread")
    if not fused.works():
        raise InputError("the kernel cannot be built here, so there is nothing to compare")
    with TemporaryDirectory() as temporary:
        pairs = both(Path(given["results"] or temporary), given["seeds"], CELL)
    return "\n".join(page(pairs, f"python -m evidence.same seeds={given['seeds']}"))


main = page_command("evidence.same", "Compare results with the kernel and without it.", OPTIONS, measure)
"""The command; its exit code."""


def both(results: Path, seeds: int, cell: Sequence[str]) -> dict[str, Pair]:
    """Each metric of a cell, both ways; RuntimeError where one way took both places."""
    with patch.object(fused, "kernel_norm_silu", wraps=fused.kernel_norm_silu) as used:
        kernel = trained(results / "kernel", seeds, cell)
        calls = used.call_count
        with patch.object(fused, "works", lambda: False):
            torchs = trained(results / "torch", seeds, cell)
    if not calls or used.call_count > calls:
        raise RuntimeError("both ways are one: the kernel was used in both, or in neither")
    return {name: (kernel[name], torchs[name]) for name in kernel}


def trained(results: Path, seeds: int, cell: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """Each metric by seed, of a cell that is trained in this process: another one would not know what is patched."""
    words = [*cell, f"seeds={seeds}", f"threads={THREADS}", "launcher=serial", "name=same", f"results={results}"]
    with contextlib.redirect_stdout(io.StringIO()):
        runs = ablations.run_grid(*words).runs.sort_values("seed")
    return {margin.metric: runs[margin.metric].to_numpy(dtype="float64") for margin in MARGINS}


def page(pairs: dict[str, Pair], command: str) -> list[str]:
    """The numbers of each seed, and what they say of the difference."""
    lines = [
        "# The kernel for group norm and SiLU, and torch's operations in its place",
        "",
        f"By `{command}`: the baseline on digits ({', '.join(CELL)}), trained, scored and sampled",
        "from with `diffusion_core/networks/fused.cpp` and with torch's operations in its place, at paired seeds.",
        machine(torch.device("cpu"), THREADS),
    ]
    for margin in MARGINS:
        lines += ["", *seed_table(margin, *pairs[margin.metric])]
    lines += ["", "| metric | kernel less torch's, mean ± 95 % interval | margin | within it |", "|---|---|---|---|"]
    return lines + [verdict(margin, *pairs[margin.metric]) for margin in MARGINS]


def seed_table(margin: Margin, kernel: NDArray[np.float64], torchs: NDArray[np.float64]) -> list[str]:
    """A row per seed."""
    head = [f"| {margin.label}: seed | kernel | torch's operations | difference |", "|---|---|---|---|"]
    n = margin.decimals
    return head + [
        f"| {seed} | {a:.{n}f} | {b:.{n}f} | {a - b:+.{n}f} |"
        for seed, (a, b) in enumerate(zip(kernel, torchs, strict=True))
    ]


def verdict(margin: Margin, kernel: NDArray[np.float64], torchs: NDArray[np.float64]) -> str:
    """The mean difference with its interval, and whether that lies within the margin."""
    mean, size = compare(kernel - torchs), margin.of(torchs)
    within = abs(mean.difference) + mean.half_width <= size
    p = probability(equivalent(kernel - torchs, size))
    answer = f"{'yes' if within else 'no'} (p {p} by two one-sided tests)"
    size_text = f"{size:.{margin.decimals}f}" + (f" ({100 * margin.share:.0f} %)" if margin.share else "")
    gap = f"{mean.difference:+.{margin.decimals}f} ± {mean.half_width:.{margin.decimals}f}"
    return f"| {margin.label} | {gap} | ±{size_text} | {answer} |"


if __name__ == "__main__":
    raise SystemExit(exit_code(main))
