"""What the suite runs on: Python and packages against the ranges that it asks for, cores, memory, devices."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from typing import Any

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from ablations.doctor.page import Finding, Part
from ablations.engine.disk import in_bytes
from ablations.engine.version import ROOT, code_version
from ablations.settings.plugins.packages import complaints, offers

NAME = "diffusion-ablations"
EXTRAS = {
    "datasets": "needed for data=arrow",
    "ray": "needed for launcher=ray",
    "s3": "needed for journal=s3://…",
    "gpu": "needed for what GPUs do, in MLflow",
}
"""What may be installed besides, and what it is for."""


def packages() -> Part:
    """Python, this package and what it needs, each against its range."""
    asked, python = _asked()
    here = SpecifierSet(python).contains(platform.python_version(), prereleases=True)
    how = Finding(
        "python",
        f"{platform.python_version()} in {sys.prefix}",
        "" if here else "wrong",
        "" if here else f"make an environment with Python {python}, and install {NAME} there",
    )
    own = Finding(NAME, code_version())
    return Part("packages", [how, own, *(_package(one) for one in asked), *_optional(), *_plugins()])


def _asked(extra: str = "") -> tuple[list[Requirement], str]:
    """What is required by the installed metadata, or by the checkout's, and the range of Python's versions."""
    try:
        told, python = requires(NAME) or [], metadata(NAME)["Requires-Python"]
    except PackageNotFoundError:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        more = project["optional-dependencies"].get(extra, []) if extra else []
        return [Requirement(one) for one in (more if extra else project["dependencies"])], project["requires-python"]
    found = [Requirement(one) for one in told]
    always = [one for one in found if one.marker is None or one.marker.evaluate({"extra": ""})]
    if not extra:
        return always, python
    return [one for one in found if one not in always and one.marker and one.marker.evaluate({"extra": extra})], python


def _package(asked: Requirement) -> Finding:
    """A package that is needed."""
    wanted, install = str(asked.specifier) or "any version", f"pip install '{asked.name}{asked.specifier}'"
    try:
        found = version(asked.name)
    except PackageNotFoundError:
        return Finding(asked.name, f"not installed, and {wanted} is needed", "wrong", install)
    if not asked.specifier.contains(found, prereleases=True):
        return Finding(asked.name, f"{found}, where {wanted} is asked for", "wrong", install)
    return Finding(asked.name, f"{found}  ({wanted})")


def _optional() -> Iterator[Finding]:
    """Packages that are used where they are installed."""
    for extra, use in EXTRAS.items():
        for asked in _asked(extra)[0]:
            try:
                version(asked.name)
            except PackageNotFoundError:
                how = f"{use} alone: pip install '{NAME}[{extra}]'"
                yield Finding(asked.name, f"not installed ({asked.specifier})", "note", how)
            else:
                yield _package(asked)


def _plugins() -> Iterator[Finding]:
    """What packages offer, and what of it cannot be used."""
    for trouble in complaints():
        yield Finding("a plug-in", trouble, "wrong", "mend or uninstall that package: all else goes on working")
    for offer in offers():
        if not offer.trouble:
            yield Finding(f"{offer.axis}={offer.name}", f"of {offer.of_package}")


def machine() -> Part:
    """Cores, threads, memory and devices."""
    return Part("machine", [*_cores(), *_cpu(), *_cards()])


def _cores() -> Iterator[Finding]:
    import psutil
    import torch

    usable, every = len(os.sched_getaffinity(0)), os.cpu_count() or 1
    yield Finding("cores", f"{usable} of {every}" if usable < every else str(every))
    told = os.environ.get("OMP_NUM_THREADS")
    yield Finding(
        "threads",
        f"1 for a cell (threads=N), {torch.get_num_threads()} for torch elsewhere"
        f" (OMP_NUM_THREADS={told or 'not set'})",
    )
    memory = psutil.virtual_memory()
    little = memory.available < 1e9
    yield Finding(
        "memory",
        f"{in_bytes(memory.available)} free of {in_bytes(memory.total)}",
        "note" if little else "",
        "a worker takes about half a GB: give launcher.workers=N, or end what else runs" if little else "",
    )


def _cpu() -> Iterator[Finding]:
    import torch

    from diffusion_core.precision import resolve_precision

    taken = resolve_precision("auto", torch.device("cpu"))
    why = "has" if taken == "bf16" else "lacks"
    yield Finding("cpu", f"{_processor()}: training.precision=auto is {taken} (it {why} AVX-512-BF16)")
    reason = kernel_trouble()
    yield Finding(
        "norm kernel",
        f"not used: {reason}" if reason else "built, and agrees with torch's operations",
        "note" if reason else "",
        "apt install g++, or name a compiler by CXX; torch's operations take its place, more slowly" if reason else "",
    )


def kernel_trouble() -> str:
    """Why group norm and SiLU are not one kernel on this CPU; "" where they are."""
    from diffusion_core.networks import fused

    try:
        fused.library()
    except subprocess.CalledProcessError as error:
        lines = error.stderr.decode(errors="replace").splitlines() if error.stderr else []
        return f"the compiler refuses it ({lines[0] if lines else error})"
    except FileNotFoundError as error:
        return f"there is no C++ compiler ({error.filename})"
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)
    return "" if fused.works() else "what the compiler makes of it differs from torch's operations"


def _cards() -> Iterator[Finding]:
    import torch

    if not torch.cuda.is_available():
        built = torch.version.cuda
        why = f"torch is built for CUDA {built}, and finds no card" if built else "this torch is built without CUDA"
        yield Finding("cuda", f"none: {why}")
        return
    for number in range(torch.cuda.device_count()):
        yield Finding(f"cuda:{number}", card(torch.cuda.get_device_properties(number)))


def card(told: Any) -> str:
    """A card by its properties: name, memory, precision."""
    from diffusion_core.precision import AMPERE

    new = (told.major, told.minor) >= AMPERE
    precision = "bf16, and TF32 for what stays float32" if new else "float32, for it has neither bf16 nor TF32"
    return f"{told.name}, {in_bytes(told.total_memory)}: training.precision=auto is {precision}"


def _processor() -> str:
    """What the processor calls itself."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            names = [text.partition(":")[2].strip() for text in file if text.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.machine()
