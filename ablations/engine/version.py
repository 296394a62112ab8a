"""The version of this code."""

from __future__ import annotations

import hashlib
import subprocess
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("ablations", "diffusion_core")
NUMBERS_COME_FROM = (*PACKAGES, "pyproject.toml")
"""The files that numbers depend on: a checkout's version is "-dirty" where these differ from the commit."""


@lru_cache(maxsize=1)
def code_version() -> str:
    """The package's version and, in a checkout, the commit. Asked once: a process keeps the code that it started
    with."""
    try:
        number = version("diffusion-ablations")
    except PackageNotFoundError:
        number = "0"
    commit = _commit(ROOT) if (ROOT / ".git").exists() else ""
    return f"{number}+{commit}" if commit else number


@lru_cache(maxsize=1)
def source_digest() -> str:
    """8 hex digits of all source that numbers depend on: equal wherever it lies, and however it was installed."""
    digest = hashlib.sha256()
    for package in PACKAGES:
        for file in sorted((ROOT / package).rglob("*.py")):
            digest.update(file.relative_to(ROOT).as_posix().encode() + file.read_bytes())
    return digest.hexdigest()[:8]


def _commit(root: Path) -> str:
    """8 digits of the commit, "-dirty" where the code differs from it; empty where git does not say."""
    try:
        commit = _git(root, "rev-parse", "--short=8", "HEAD")
        changed = _git(root, "diff", "--name-only", "HEAD", "--", *NUMBERS_COME_FROM)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return f"{commit}-dirty" if changed else commit


def _git(root: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=True).stdout.strip()
