"""Errors that a good engineer could make, planted one at a time: the measure of what the tests are worth.

`planted.yaml` lists them with the tests that catch each. A test may be deleted as long as these stay caught:

    python -m tests.planted [NAME …]    plant each in a copy of the tree, run its tests, and print which were caught
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

ROOT = Path(__file__).parents[1]
LEFT_OUT = {".git", "results"}
"""What lies in the root of the tree and no such test reads."""


@dataclass(frozen=True)
class Error:
    """An error: in `file`, `before` becomes `after`; the `tests` that catch it, none where nothing does yet."""

    file: str
    before: str
    after: str
    tests: Sequence[str] = ()


ERRORS = {name: Error(**of) for name, of in yaml.safe_load((ROOT / "tests/planted.yaml").read_text("utf-8")).items()}


def outcome(error: Error, tree: Path) -> str:
    """What becomes of an error that is planted in a copy of the tree."""
    file = tree / error.file
    text = file.read_text("utf-8") if file.is_file() else ""
    if text.count(error.before) != 1:
        return "snippet not found"
    if not error.tests:
        return "NOT CAUGHT"
    file.write_text(text.replace(error.before, error.after), "utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-n0", "-p", "no:cacheprovider", *error.tests]
    done = subprocess.run(command, cwd=tree, env=os.environ | {"PYTHONPATH": str(tree)}, capture_output=True)
    file.write_text(text, "utf-8")
    # Not by its exit status, which is the same where a plugin of pytest fails.
    return "caught" if b"\nFAILED " in done.stdout else "NOT CAUGHT"


def main(names: Sequence[str]) -> int:
    """Plant the errors of these names, or all; 0 if each that has tests is caught."""
    failed = 0
    with TemporaryDirectory() as place:
        tree = Path(place) / "tree"
        shutil.copytree(ROOT, tree, ignore=lambda folder, _: LEFT_OUT if Path(folder) == ROOT else {"__pycache__"})
        for name in names or ERRORS:
            error = ERRORS[name]
            became = outcome(error, tree)
            failed += became == "snippet not found" or (became == "NOT CAUGHT" and bool(error.tests))
            print(f"{became:18} {name:54} {error.file}", flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
