"""Names that a folder of results may have: it lies beside the suite's own files."""

from __future__ import annotations

import re
from pathlib import Path

from analysis.format.errors import InputError
from analysis.format.folders import COMMITTED

DATABASES = ("mlflow.db", "optuna.db")
OWN = {COMMITTED, *(f"{database}{ending}" for database in DATABASES for ending in ("", "-journal", "-wal", "-shm"))}
"""Files of the suite, and of SQLite for it, in a folder of results; the names of all their others begin with a dot."""
LONGEST = 100


def check_title(title: str, name: str | None) -> None:
    """InputError unless results can be in a folder of this title, which is the name that was given, if one was."""
    if name is not None and re.fullmatch(r"\w[\w.-]*", name) is None:
        raise InputError(f"name must be letters, digits, '_', '-' and '.', the first no '.', got {name!r}")
    if len(title) > LONGEST:
        raise InputError(f"name must have at most {LONGEST} characters, got {len(title)}: give a shorter name=…")
    # Some file systems do not tell capitals apart.
    if title.lower() in OWN:
        raise InputError(
            f"name must be none of what the suite itself keeps in a results folder, got {title!r}: give another"
        )


def check_results(results: Path) -> None:
    """InputError where a folder is that of committed results, which `ablations.record` alone writes to."""
    if results.resolve().name == COMMITTED:
        raise InputError(
            f"{results} is where committed results are: give results={results.parent}, where your own are, and promote "
            "a finished run by `python -m ablations.record grid=NAME`"
        )
