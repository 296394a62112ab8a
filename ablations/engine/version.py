"""The version of this code."""

from __future__ import annotations

import hashlib
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("ablations", "diffusion_core")
"""The packages that numbers depend on."""


@cache
def code_version(root: Path = ROOT) -> str:
    """The package's version and, in a checkout, 8 digits of the commit, "-dirty" where what makes numbers differs from
    it. Asked once: a process keeps the code that it started with."""
    number = version("diffusion-ablations")
    try:
        if not (root / ".git").exists():
            return number
        commit = _git(root, "rev-parse", "--short=8", "HEAD")
        changed = _git(root, "diff", "--name-only", "HEAD", "--", *PACKAGES, "pyproject.toml")
    except (OSError, subprocess.CalledProcessError):
        return number
    return f"{number}+{commit}{'-dirty' if changed else ''}"


@cache
def source_digest() -> str:
    """8 hex digits of all source that numbers depend on: equal wherever it lies, and however it was installed."""
    digest = hashlib.sha256()
    for file in sorted(file for package in PACKAGES for file in (ROOT / package).rglob("*.py")):
        digest.update(file.relative_to(ROOT).as_posix().encode() + file.read_bytes())
    return digest.hexdigest()[:8]


def _git(root: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=True).stdout.strip()
