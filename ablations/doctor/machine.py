"""The libraries that the suite runs on, with their versions; the devices that torch can use; and the page of
findings."""

from __future__ import annotations

import glob
import os
import platform
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

from ablations.engine.version import code_version
from analysis.plain import line

Mark = Literal["", "note", "wrong"]
SIGNS: dict[Mark, str] = {"": " ", "note": "·", "wrong": "!"}  # a dot where something can be done, a mark where it must


@dataclass(frozen=True)
class Finding:
    """Something that was checked: its name, its state, and `todo`, what to do about it."""

    name: str
    value: str
    mark: Mark = ""
    todo: str = ""


def page(parts: Mapping[str, list[Finding]]) -> str:
    """All findings below their titles, aligned, with advice below each; at the end the number of those that are
    wrong."""
    findings = [finding for part in parts.values() for finding in part]
    room = max(len(line(finding.name)) for finding in findings)
    blocks = [
        "\n".join([title, *(text for finding in part for text in _lines(finding, room))])
        for title, part in parts.items()
        if part
    ]
    wrong = sum(finding.mark == "wrong" for finding in findings)
    verdict = {0: "Nothing is wrong.", 1: "1 thing is wrong (!)."}.get(wrong, f"{wrong} things are wrong (!).")
    return "\n\n".join([*blocks, verdict])


def _lines(finding: Finding, room: int) -> list[str]:
    head = f"  {SIGNS[finding.mark]} {line(finding.name):<{room}}  {line(finding.value)}"
    return [head, *([f"{' ' * (room + 6)}→ {line(finding.todo)}"] if finding.todo else [])]


NAME = "diffusion-ablations"
LIBRARIES = ("torch", "numpy", "pandas", "mlflow", "optuna", "hydra-core", "pydantic", "pebble")
EXTRAS = {
    "datasets": ("datasets", "data=arrow"),
    "ray": ("ray", "launcher=ray"),
    "gpu": ("nvidia-ml-py", "what GPUs do, in MLflow"),
}
"""Libraries that may be installed in addition, and what needs them."""
CARDS = "/dev/nvidia[0-9]*"
"""The device files of cards whose driver is loaded."""


def versions() -> Iterator[Finding]:
    """Python, this package, the libraries that it needs and those that it can use. `pip check` compares them with the
    ranges."""
    yield Finding("python", f"{platform.python_version()} in {sys.prefix}")
    yield Finding(NAME, code_version())
    for library in LIBRARIES:
        number = _installed(library)
        todo = "" if number else f"pip install {NAME}; `pip check` says what else is missing"
        yield Finding(library, number or "not installed", "wrong" if todo else "", todo)
    for extra, (library, use) in EXTRAS.items():
        if not _installed(library):
            yield Finding(library, "not installed", "note", f"needed for {use} alone: pip install '{NAME}[{extra}]'")


def _installed(library: str) -> str:
    """A library's version; "" where it is not installed."""
    try:
        return version(library)
    except PackageNotFoundError:
        return ""


def devices() -> Iterator[Finding]:
    """The processor and the cards, with the precision in which each trains."""
    import torch

    from diffusion_core.networks import fused
    from diffusion_core.precision import resolve_precision

    def auto(device: str) -> str:
        return f"training.precision=auto is {resolve_precision('auto', torch.device(device))}"

    yield Finding("cpu", f"{len(os.sched_getaffinity(0))} cores; {auto('cpu')}")
    if not fused.works():
        slow = "torch's operations take the place of the kernel for norms, more slowly"
        built = "apt install g++, or name a compiler by CXX"
        yield Finding("compiler", slow, "note", f"unset {fused.SWITCH}" if fused.switched_off() else built)
    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            yield Finding(f"cuda:{number}", f"{torch.cuda.get_device_name(number)}; {auto(f'cuda:{number}')}")
    elif glob.glob(CARDS):
        built = f"for CUDA {torch.version.cuda}" if torch.version.cuda else "without CUDA"
        todo = "install the torch of pytorch.org for the driver that nvidia-smi names"
        yield Finding("cuda", f"there is a card, and this torch, built {built}, cannot use it", "wrong", todo)
