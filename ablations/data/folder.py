"""Your own images: any folder, split by what the files hold."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import ClassVar

from torch import Tensor

from ablations.data.base import FEWEST, SPLITS, Data, DataSet, Split
from ablations.data.kept import Pictures, kept
from ablations.data.pictures import UNREADABLE, Mode, check_size, refuse_unreadable, shape_of, split_of, square
from analysis.errors import InputError
from analysis.labels import counted

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".pgm")


@dataclass(frozen=True)
class Folder(DataSet):
    """Every image below `root`: its shorter side scaled to `size`, the centre cut out; transparent parts are white.

    The SHA-256 of a file decides its split, 80 / 10 / 10 in the mean: it stays where it is when others come, wherever
    it is moved, and equal files are never on both sides. Of validation and test the one with more images loses the
    last of them, by hash, because FID compares only at one n.

    Where every image lies in a subfolder of `root`, and they lie in two or more, these are the classes, in the order of
    their names; folders in them are not. Of a file that lies in two, each copy is an example of its own folder's class,
    in one split. Links to folders are not followed. With `mirrors` the mirror image of each is declared to be
    as likely as itself, so that `training.flips` may be asked for.
    """

    root: str = ""
    size: int = 32
    mode: Mode = "colour"
    mirrors: bool = field(default=False, compare=False, repr=False)

    extractor: ClassVar[str | None] = "inception-v3-compat"
    where: ClassVar[tuple[str, ...]] = ("root", "mirrors")

    def __post_init__(self) -> None:
        check_size("folder", self.size)

    def _root(self) -> Path:
        if not self.root:
            raise InputError("folder needs the place of its images: data.root=PATH")
        return Path(self.root).expanduser()

    def read(self) -> Data:
        root = self._root()
        files = image_files(root)
        numbers = {name: number for number, name in enumerate(classes_of(files, root))}
        return kept(replace(self, root=""), root, files, partial(self._listed, files, numbers), numbers)

    def _listed(self, files: list[Path], numbers: dict[str, int]) -> Pictures[Path]:
        root = Path(self.root).expanduser()
        parts: dict[Split, list[Path]] = {split: [] for split in SPLITS}
        keys = hashes(files)
        for key, path in sorted(zip(keys, files, strict=True)):
            parts[split_of(key)].append(path)
        decode = partial(picture, size=self.size, mode=self.mode)
        label = (lambda path: numbers[_below(path, root)[0]]) if numbers else None
        different = len(set(keys))
        if different < min(len(files), FEWEST * len(SPLITS)):
            raise InputError(
                f"folder: the {len(files)} files below data.root={root} hold {counted(different, 'different image')}, "
                "and copies go to one split: add images that differ"
            )
        return Pictures(f"folder: {root}", parts, shape_of(self.size, self.mode), decode, label)


def image_files(root: Path) -> list[Path]:
    """The images below a folder, hidden ones left out; InputError where there are none."""
    if not root.is_dir():
        raise InputError(f"folder: data.root={root} is no folder: name the one that holds your images")
    visible = []
    for place, folders, names in os.walk(root, onerror=_refuse, followlinks=False):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths = [Path(place, name) for name in names if not name.startswith(".")]
        visible += [path for path in paths if path.suffix.lower() in SUFFIXES and path.is_file()]
    if not visible:
        raise InputError(f"folder: there are no images below data.root={root} ({', '.join(SUFFIXES)})")
    return visible


def classes_of(files: list[Path], root: Path) -> list[str]:
    """The names of the classes that images below `root` are of, in their order; none where folders tell none."""
    places = [_below(path, root) for path in files]
    names = {place[0] for place in places}
    return sorted(names) if len(names) > 1 and all(len(place) > 1 for place in places) else []


def _below(path: Path, root: Path) -> tuple[str, ...]:
    return path.parts[len(root.parts) :]


def _refuse(error: OSError) -> None:
    """Refuse a folder that cannot be read: without its pictures the rest would be another data set."""
    raise InputError(f"folder: {error.filename} cannot be read ({error.strerror}): mend it, or take it away") from error


def hashes(files: list[Path]) -> list[str]:
    """The SHA-256 of each file, in hex digits; InputError that names those which cannot be read."""
    digests, unreadable = [], []
    for path in files:
        try:
            digests.append(hashlib.sha256(path.read_bytes()).hexdigest())
        except OSError as error:
            unreadable.append(f"folder: {path} cannot be read ({error}): mend it, or take it away")
    refuse_unreadable(unreadable)
    return digests


def picture(path: Path, size: int, mode: Mode) -> Tensor:
    """uint8 [1 or 3, size, size] of an image file; InputError that names it where it cannot be read."""
    try:
        return square(path, size, mode)
    except UNREADABLE as error:
        raise InputError(f"folder: {path} cannot be read ({error}): mend it, or take it away") from error
