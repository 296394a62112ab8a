"""The version of this code."""

from __future__ import annotations

from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from subprocess import DEVNULL, CalledProcessError, check_output

ROOT = Path(__file__).parents[2]
PACKAGES = ("ablations", "diffusion_core")
"""The packages that numbers depend on."""


@cache
def code_version(root: Path = ROOT) -> str:
    """The package's version and, in a checkout, 8 digits of the commit, "-dirty" where what makes numbers differs from
    it. Asked once: a process keeps the code that it started with."""
    number = version("diffusion-ablations")
    git, here = partial(check_output, cwd=root, stderr=DEVNULL, text=True), ("git", "--git-dir=.git")
    try:
        commit = git([*here, "rev-parse", "--short=8", "HEAD"]).strip()
        changed = git([*here, "diff", "--name-only", "HEAD", "--", *PACKAGES, "pyproject.toml"])
    except (OSError, CalledProcessError):
        return number
    return f"{number}+{commit}{'-dirty' if changed else ''}"
