"""Freeing of what nobody needs: a folder is moved aside first, and so is gone at once or not at all.

    .stages/<id>/ ─▶ .stages/.freed/<id>.… ─▶ nothing        killed in between, it is freed the next time

What is in a stage's folder is touched by its lease's holder alone, so whoever would run it meanwhile waits.
"""

from __future__ import annotations

import secrets
import shutil
from contextlib import suppress
from pathlib import Path

from ablations.clean.waste import FREED, Waste, is_quiet
from ablations.engine.journal import RESULT
from ablations.engine.lease import leased


def free(waste: Waste, results: Path) -> bool:
    """Free something; False where it has come to be needed since, or is gone."""
    path = waste.path
    if waste.kind in ("freed", "lists"):
        shutil.rmtree(path)
        return True
    if waste.kind == "artifacts":
        return _remove(path, results / ".artifacts")
    if waste.kind == "temporary":
        return path.exists() and is_quiet(path) and _unlink(path)
    folder = path if waste.kind == "stages" else path.parent
    if not folder.is_dir():
        return False
    with leased(folder) as lease:
        if lease is None:
            return False
        if waste.kind == "stages":
            return _remove(folder, results / ".stages")
        if waste.kind == "checkpoints":
            return (folder / RESULT).exists() and _unlink(path)
    # Who takes a folder takes the leases of those that are gone away, and lets its own go.
    for empty in (folder, folder.parent) if waste.kind == "leases" else ():
        with suppress(OSError):
            empty.rmdir()
    return True


def _remove(folder: Path, root: Path) -> bool:
    aside = root / FREED / f"{folder.name}.{secrets.token_hex(4)}"
    aside.parent.mkdir(exist_ok=True)
    try:
        folder.rename(aside)
    except FileNotFoundError:
        return False
    shutil.rmtree(aside)
    return True


def _unlink(path: Path) -> bool:
    path.unlink(missing_ok=True)
    return True
