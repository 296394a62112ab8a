"""Packages and modules that are made up, for what classes from outside do and what is said of wrong ones."""

from __future__ import annotations

import importlib
import sys
import textwrap
from pathlib import Path

STEEP = """
    from dataclasses import dataclass

    from diffusion_core.gamma import Knots
    from diffusion_core.schedules import Schedule

    ENDS = (-10.0, 6.0)


    @dataclass(frozen=True)
    class Steep(Schedule):
        \"\"\"A schedule between two ends.\"\"\"

        power: float = 1.0

        def build(self, horizon):
            return Knots(horizon, ENDS)
    """
"""A schedule as an author's module has it."""


def module(folder: Path, name: str, text: str = STEEP) -> None:
    """Write a module, and forget what was imported under its name."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.py").write_text(textwrap.dedent(text), encoding="utf-8")
    sys.modules.pop(name, None)
    importlib.invalidate_caches()


def package(folder: Path, name: str, version: str, points: dict[str, str]) -> None:
    """Write what an installed package says of itself: its name, version and entry points."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
    lines = "\n".join(f"{point} = {place}" for point, place in points.items())
    (info / "entry_points.txt").write_text(f"[diffusion_ablations]\n{lines}\n", encoding="utf-8")
    tops = {place.partition(":")[0].partition(".")[0] for place in points.values()}
    (info / "top_level.txt").write_text("\n".join(sorted(tops)) + "\n", encoding="utf-8")
    importlib.invalidate_caches()
