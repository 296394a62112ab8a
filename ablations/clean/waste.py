"""Things that can be deleted from a results folder, and how; and what is kept although no results need it, and why.

    superseded checkpoints, temporary files, leases      of processes that are gone: at any time
    stages, artifacts of deleted runs                     only while no command is at work, and none was killed at work

A command at work may ask for stages that its files do not name yet, and one that was killed may have left some: the
same command, given again, continues with them.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlparse

from ablations.clean.needs import Needs, needs_of
from ablations.driver.wanted import WANTED
from ablations.engine.disk import CHECKPOINTS, Left, bytes_of, in_bytes, left_in, subfolders
from ablations.engine.folder_lock import CLEANING
from ablations.engine.journal import RESULT
from ablations.engine.lease import NAME, has_lease, holder, leased
from ablations.tracking.sqlite_file import SQLITE, deleted_runs
from analysis.folders import COMMITTED, committed_in, folders_in

FREED = ".freed"
"""The folder beside stages, and beside artifacts, into which a folder is moved before it is deleted."""
QUIET = 3600.0
"""Seconds without a write after which a temporary file counts as abandoned."""
TEMPORARY = re.compile(r"\.(.+)\.[a-z0-9_]{8}")
"""The name of a file that `analysis.files` writes beside its place, or that is made to read a folder's clock."""

KINDS = {
    "stages": "stages that no grid or search here needs",
    "checkpoints": "checkpoints of trainings that are finished",
    "temporary": "temporary files of writers that were killed",
    "leases": "leases of processes that are gone",
    "lists": "lists of what results that are gone needed",
    "artifacts": "artifacts of runs that were deleted in MLflow",
    "freed": "what a clean that was killed has left",
}
"""The kinds of things that can be deleted, in words."""


@dataclass(frozen=True)
class Waste:
    """Something that can be deleted: a file or a folder of some kind, and its bytes."""

    kind: str
    path: Path
    bytes: int


@dataclass(frozen=True)
class Survey:
    """The content of a results folder: its stages, what can be deleted, and lines that say what is kept, and why."""

    stages: list[Left]
    needed: frozenset[str]
    waste: list[Waste] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)

    def of(self, kind: str) -> list[Waste]:
        """All of a kind."""
        return [item for item in self.waste if item.kind == kind]


def survey(results: Path, uri: str, *, unfinished: bool) -> Survey:
    """Look for what can be deleted. With `unfinished`, also trainings that were stopped and that no results need."""
    root, artifacts = results / ".stages", results / ".artifacts"
    stages = left_in(root)
    present = frozenset(left.id for left in stages)
    needs = [needs_of(folder, present) for folder in [*folders_in(results), *committed_in(results)]]
    needed = frozenset(stage for need in needs for stage in need.stages)
    held = {left.id for left in stages if holder(left.folder) is not None}
    waste = [*_checkpoints(stages, held), *_temporary(results, stages, held), *_leases(results, stages, held)]
    waste += [Waste("lists", place, bytes_of(place)) for place in _left_behind(results)]
    waste += [Waste("freed", path, bytes_of(path)) for base in (root, artifacts) for path in _half_freed(base)]
    busy = _at_work(results, held)
    reasons = [*busy, *_riddles(needs), *([] if unfinished else _killed(results))]
    spare = [left for left in stages if left.id not in needed | held]
    going = [] if unfinished else [left for left in spare if left.goes_on]
    spare = [left for left in spare if left not in going]
    deleted = [] if busy else list(_deleted(uri, artifacts))
    kept = [_counted(going, "no results need, though they may go on: unfinished=true frees them")] if going else []
    if reasons:
        kept += [_counted(spare, "no results list, since one may be needed yet:"), *reasons] if spare else []
        spare = []
    waste += [Waste("stages", left.folder, left.bytes) for left in spare] + deleted
    if not uri.startswith(SQLITE):
        kept.append("artifacts of runs that were deleted in the store: `mlflow gc` frees them where its server runs")
    return Survey(stages, needed, waste, kept)


def commands(results: Path) -> Iterator[Path]:
    """The leases of commands: of one that writes a grid, of those at work on it, and of a search's driver."""
    for place in subfolders(results / ".leases"):
        if place.name != CLEANING:
            yield from (place, *subfolders(place))


def _counted(stages: list[Left], why: str) -> str:
    many = "1 stage" if len(stages) == 1 else f"{len(stages)} stages"
    return f"{many} ({in_bytes(sum(left.bytes for left in stages))}) that {why}"


def _at_work(results: Path, held: Iterable[str]) -> list[str]:
    """The commands, or else a worker, that are at work, a line each."""
    holders = [(place, holder(place)) for place in commands(results)]
    named = {place.relative_to(results / ".leases").parts[0]: who for place, who in holders if who is not None}
    lines = [f"  {who} is at work on {results / name}: clean when it has ended" for name, who in named.items()]
    return lines or [f"  a worker is at work on stage {name}: clean when it has ended" for name in sorted(held)[:1]]


def _killed(results: Path) -> list[str]:
    """The commands that were killed at work and not given again since, a line each."""
    places = [place for place in commands(results) if place.parent != results / ".leases"]
    dead = {place.parent.name for place in places if has_lease(place) and holder(place) is None}
    there = sorted(name for name in dead if (results / name).is_dir())
    again = "give the same command again, and it goes on from there; unfinished=true takes its stages for unneeded"
    return [f"  a command on {results / name} was killed: {again}" for name in there]


def _riddles(needs: Iterable[Needs]) -> list[str]:
    """The results whose needs are not known, a line each."""
    advice = "give its command again, and it does; moved elsewhere, what only it needs is freed"
    return [f"  {need.folder} does not say what it needs ({need.unknown}): {advice}" for need in needs if need.unknown]


def _checkpoints(stages: Iterable[Left], held: set[str]) -> Iterator[Waste]:
    """The checkpoints of trainings that have their result."""
    for left in stages:
        if left.finished and left.id not in held:
            for name in (name for name in CHECKPOINTS if name in left.files):
                yield Waste("checkpoints", left.folder / name, left.files[name])


def _temporary(results: Path, stages: Iterable[Left], held: set[str]) -> Iterator[Waste]:
    """Files that were never moved to their places, and that nobody has written to for a while."""
    others = [top for top in subfolders(results) if top.name not in (".stages", ".artifacts")]
    folders = [left.folder for left in stages if left.id not in held]
    folders += [folder for top in others for folder in _below(top)]
    for folder in folders:
        for path in sorted(folder.glob(".*")):
            if TEMPORARY.fullmatch(path.name) and path.is_file() and not path.is_symlink() and is_quiet(path):
                yield Waste("temporary", path, bytes_of(path))


def is_quiet(path: Path) -> bool:
    """True where nobody has written to a file for a while, by the clock of its file system."""
    with tempfile.TemporaryFile(dir=path.parent) as file:
        return os.fstat(file.fileno()).st_mtime - path.stat().st_mtime > QUIET


def _below(folder: Path) -> Iterator[Path]:
    yield folder
    for inner in subfolders(folder):
        yield from _below(inner)


def _leases(results: Path, stages: Iterable[Left], held: set[str]) -> Iterator[Waste]:
    """Files of leases that are lost. That of a killed command shows that it was killed, and stays."""
    dead = [left.folder for left in stages if left.id not in held and has_lease(left.folder)]
    for place in commands(results):
        gone = not (results / place.relative_to(results / ".leases").parts[0]).is_dir()
        if has_lease(place) and holder(place) is None and (gone or place.parent == results / ".leases"):
            dead.append(place)
    for folder in dead:
        for path in sorted(folder.glob(f"{NAME}*")):
            yield Waste("leases", path, bytes_of(path))


def _left_behind(results: Path) -> list[Path]:
    """The lists of results that exist neither here nor among the committed ones."""
    there = {folder.name for top in (results, results / COMMITTED) for folder in subfolders(top)}
    return [place for place in subfolders(results / WANTED) if place.name not in there]


def _half_freed(root: Path) -> list[Path]:
    folder = root / FREED
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _deleted(uri: str, artifacts: Path) -> Iterator[Waste]:
    """Artifacts of deleted runs of a store that is a file, only below the folder of artifacts."""
    if not uri.startswith(SQLITE) or not Path(uri.removeprefix(SQLITE)).is_file():
        return
    inside = artifacts.resolve()
    try:
        runs = deleted_runs(Path(uri.removeprefix(SQLITE)))
    except sqlite3.Error:
        return
    for run, address in runs:
        folder = Path(unquote(urlparse(address).path)).parent
        if folder.name == run and folder.is_dir() and folder.resolve().is_relative_to(inside):
            yield Waste("artifacts", folder, bytes_of(folder))


def free(waste: Waste, results: Path) -> bool:
    """Free something, a folder by moving it aside first; False where it has come to be needed since, or is gone.

        .stages/<id>/ ─▶ .stages/.freed/<id>.… ─▶ nothing        killed in between, it is freed the next time

    What is in a stage's folder is touched by its lease's holder alone, so whoever would run it meanwhile waits.
    """
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
