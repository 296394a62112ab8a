"""Disk space of stages: the folders of a journal, the files in them, and their bytes.

A file that vanishes while it is looked at, because a command is at work, counts as nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ablations.engine.files import BEFORE, CHECKPOINT
from ablations.engine.journal import RESULT

CHECKPOINTS = (CHECKPOINT, BEFORE)
HIDDEN = "."
"""Names that begin so are no stages, or files that are still being written."""


@dataclass(frozen=True)
class Left:
    """A stage's folder, and the bytes of each file in it, by its name."""

    folder: Path
    files: dict[str, int]

    @property
    def id(self) -> str:
        """The stage's id."""
        return self.folder.name

    @property
    def bytes(self) -> int:
        """The bytes of all files."""
        return sum(self.files.values())

    @property
    def finished(self) -> bool:
        """True where it has its result."""
        return RESULT in self.files

    @property
    def goes_on(self) -> bool:
        """True for a training without a result that has a checkpoint to continue from."""
        return not self.finished and any(name in self.files for name in CHECKPOINTS)


def left_in(root: Path) -> list[Left]:
    """The files that every stage of a journal has left, by id."""
    return [Left(folder, sizes(folder)) for folder in subfolders(root) if not folder.name.startswith(HIDDEN)]


def left_by(root: Path, stages: set[str]) -> list[Left]:
    """The files of these stages, for those that have a folder."""
    return [Left(folder, sizes(folder)) for stage_id in sorted(stages) if (folder := root / stage_id).is_dir()]


def subfolders(folder: Path) -> list[Path]:
    """The folders in a folder, by name; none where there is no such folder. Links are none."""
    try:
        with os.scandir(folder) as entries:
            return sorted(Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False))
    except (FileNotFoundError, NotADirectoryError):
        return []


def sizes(folder: Path) -> dict[str, int]:
    """The bytes of each file of a folder, by name."""
    return {path.name: size for path, size in _files(folder, deep=False)}


def bytes_of(path: Path) -> int:
    """The bytes of a file, or of all files below a folder; 0 where it is not there."""
    if path.is_dir() and not path.is_symlink():
        return sum(size for _, size in _files(path, deep=True))
    try:
        return path.lstat().st_size
    except FileNotFoundError:
        return 0


def _files(folder: Path, *, deep: bool) -> Iterator[tuple[Path, int]]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    if entry.is_dir(follow_symlinks=False):
                        if deep:
                            yield from _files(Path(entry.path), deep=True)
                    else:
                        yield Path(entry.path), entry.stat(follow_symlinks=False).st_size
                except FileNotFoundError:
                    continue
    except FileNotFoundError:
        return


def in_bytes(count: float) -> str:
    """A number of bytes as it is read: 512 B, 1.2 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.0f} B" if unit == "B" else f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
