"""The cost on paper of a grid of many large cells on many GPUs, as Markdown. It rebuilds `evidence/cluster.md`:

    python -m evidence.cluster out=evidence/cluster.md

    GPU hours   operations that trainings, bounds and samples take / (a GPU's peak · the share of it that is reached)
    storage     weights with their average, generated images, and the checkpoints of what is under way
    driver      what `python -m evidence.scale` measured of a driver whose workers do nothing, per run

Operations are counted of the network itself. The share of the peak (MFU) is an assumption, until a card has measured it
(`benchmarks/gpu.sh`): trainings and evaluation are taken to reach the same. GPUs work one cell each, and never wait.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ablations.settings.exits import exit_code
from analysis.errors import InputError
from analysis.options import Option
from evidence.page_command import page_command

OPTIONS = {
    "cells": Option("trainings: cells times seeds", 10_000, int),
    "gpus": Option("GPUs", 64, int),
    "peak": Option("a GPU's peak in bf16, in operations a second (an H100's by default)", 9.89e14, float),
    "mfu": Option("the share of it that is reached", 0.12, float),
    "steps": Option("training steps at batch 128, with commas between budgets", "10000,100000,800000"),
    "scale": Option("the page of evidence.scale, whose largest row is the driver's", "evidence/scale.md"),
}
SHAPE = (3, 32, 32)
HELD_OUT = 10_000
"""Test images of CIFAR-10, and images in each generated set."""
WORDS = (
    "network.channels=128",
    "network.multipliers=[1,2,2,2]",
    "network.blocks=2",
    "network.attention=[16]",
    "network.groups=32",
)
"""The channels of Ho et al. 2020 for CIFAR-10."""
FLOAT = 4
DAY = 86_400


@dataclass(frozen=True)
class Operations:
    """Operations of a cell: a training step, the bound of all test images, its generated sets; and its weights."""

    step: float
    bound: float
    samples: float
    parameters: int
    sets: int


@dataclass(frozen=True)
class Driver:
    """A driver's measured seconds per run, by part, and the runs that this was measured with."""

    runs: int
    seconds: dict[str, float]
    memory: float


def made(given: dict[str, Any]) -> str:
    """Work out the page."""
    try:
        budgets = [int(word) for word in given["steps"].split(",")]
    except ValueError as error:
        raise InputError(f"steps are whole numbers with commas between them, got {given['steps']!r}") from error
    if min(given["cells"], given["gpus"], given["peak"], *budgets) <= 0 or not 0 < given["mfu"] <= 1:
        raise InputError("cells, gpus, peak and steps must be above 0, and mfu between 0 and 1")
    return "\n".join(page(given, budgets, operations(), driver_of(Path(given["scale"]))))


main = page_command("evidence.cluster", "What a large grid takes, on paper.", OPTIONS, made)
"""The command; its exit code."""


def operations() -> Operations:
    """Those of the baseline's choices with a network of DDPM's channels on CIFAR-10's shape."""
    from ablations.grids.grid import make
    from ablations.settings.arguments import parse_run
    from ablations.settings.budget import bound_passes, forward_flops, sample_passes, training_passes
    from ablations.settings.choices import choices_of
    from diffusion_core.diffusion import Diffusion
    from diffusion_core.encodings import GreyLevels

    cell = make(parse_run(list(WORDS))).points[0].cell
    diffusion = Diffusion(choices_of(cell), GreyLevels(), SHAPE)
    forward = forward_flops(diffusion)
    return Operations(
        step=training_passes(cell) * forward * cell.training.batch,
        bound=sum(bound_passes(cell)) * forward * HELD_OUT,
        samples=sample_passes(cell) * forward * HELD_OUT * cell.evaluation.drawn_sets,
        parameters=sum(parameter.numel() for parameter in diffusion.network.parameters()),
        sets=cell.evaluation.drawn_sets,
    )


def driver_of(path: Path) -> Driver:
    """The largest row of evidence.scale's page; InputError where it has none."""
    try:
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in path.read_text().splitlines()]
    except OSError as error:
        raise InputError(f"scale={path} cannot be read ({error}): run python -m evidence.scale out={path}") from error
    heads = next((row for row in rows if row[:2] == ["cells", "runs"]), None)
    measured = [dict(zip(heads, row, strict=True)) for row in rows if heads and len(row) == len(heads)][2:]
    if not measured:
        raise InputError(f"scale={path} is no page of python -m evidence.scale")
    last = max(measured, key=lambda row: int(row["runs"]))
    parts = ("plan", "run", "deliver", "pages", "again")
    return Driver(int(last["runs"]), {part: float(last[part]) for part in parts}, float(last["peak memory, MB"]))


def page(given: dict[str, Any], budgets: list[int], of: Operations, driver: Driver) -> list[str]:
    """The page's lines."""
    cells, gpus, rate = given["cells"], given["gpus"], given["peak"] * given["mfu"]
    lines = [
        f"# {cells:,} trainings on {gpus} GPUs, on paper",
        "",
        f"`python -m evidence.cluster cells={cells} gpus={gpus} peak={given['peak']:g} mfu={given['mfu']:g} "
        f"steps={given['steps']}`",
        "",
        f"Cells of DDPM's channels on CIFAR-10's shape: {of.parameters / 1e6:.1f} million parameters, "
        f"{of.step / 1e12:.1f} TFLOP a step of batch 128, at {rate / 1e12:.0f} TFLOP/s ({100 * given['mfu']:.0f} % of "
        "the peak, assumed).",
        "",
        "| steps a cell | training, GPU hours | bound | samples | all | days of wall time | hours a cell |",
        "|---|---|---|---|---|---|---|",
    ]
    for steps in budgets:
        train, bound, samples = (cells * flops / rate / 3600 for flops in (steps * of.step, of.bound, of.samples))
        total = train + bound + samples
        lines.append(
            f"| {steps:,} | {train:,.0f} | {bound:,.0f} | {samples:,.0f} | {total:,.0f} | "
            f"{total * 3600 / gpus / DAY:.1f} | {total / cells:.2f} |"
        )
    return [*lines, "", *storage(cells, gpus, of), "", *load(cells, gpus, min(budgets), rate, of, driver)]


def storage(cells: int, gpus: int, of: Operations) -> list[str]:
    """The bytes that lie on disk."""
    weights, images = 2 * FLOAT * of.parameters, of.sets * HELD_OUT * math.prod(SHAPE)
    checkpoint = 4 * FLOAT * of.parameters
    return [
        "| on disk | a cell, MB | all, GB |",
        "|---|---|---|",
        f"| weights and their average | {weights / 1e6:.0f} | {cells * weights / 1e9:,.0f} |",
        f"| generated images, {of.sets} sets | {images / 1e6:.0f} | {cells * images / 1e9:,.0f} |",
        f"| checkpoints of what is under way | {checkpoint / 1e6:.0f} | {gpus * checkpoint / 1e9:,.0f} |",
    ]


def load(cells: int, gpus: int, steps: int, rate: float, of: Operations, driver: Driver) -> list[str]:
    """The driver's seconds, and their share of the time that the smallest budget takes."""
    each = {part: seconds / driver.runs for part, seconds in driver.seconds.items()}
    wall = cells * (steps * of.step + of.bound + of.samples) / rate / gpus
    busy = sum(each.values()) * cells
    return [
        f"| the driver, as measured with {driver.runs:,} runs | seconds for {cells:,} |",
        "|---|---|",
        *(f"| {part} | {seconds * cells:,.0f} |" for part, seconds in each.items()),
        "",
        f"It is busy for {busy:,.0f} s, {100 * busy / wall:.2f} % of the wall time of {steps:,} steps a cell, and "
        f"holds {driver.memory / 1e3:.1f} GB at {driver.runs:,} runs. A cell ends every {wall / cells:.1f} s; its "
        f"results are delivered in {1e3 * each['deliver']:.0f} ms.",
    ]


if __name__ == "__main__":
    raise SystemExit(exit_code(main))
