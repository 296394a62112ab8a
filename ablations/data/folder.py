"""Your own images: any folder, split by what the files hold."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from ablations.data.base import Data
from ablations.data.pictures import Mode, Picture, Pictures, split_of
from analysis.errors import InputError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".pgm")


@dataclass(frozen=True)
class Folder(Pictures):
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

    where: ClassVar[tuple[str, ...]] = ("root", "mirrors")

    def read(self) -> Data:
        if not self.root:
            raise InputError("folder needs the place of its images: data.root=PATH")
        root = Path(self.root).expanduser()
        files = sorted(image_files(root))
        return self.decoded_once(root, files, lambda: _pictures(root, files))


def image_files(root: Path) -> list[Path]:
    """The images below a folder, hidden ones left out; InputError where there are none."""
    if not root.is_dir():
        raise InputError(f"folder: data.root={root} is no folder: name the one that holds your images")
    found = []
    for place, folders, names in os.walk(root, onerror=_refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths = [Path(place, name) for name in names if not name.startswith(".")]
        found += [path for path in paths if path.suffix.lower() in SUFFIXES and path.is_file()]
    if not found:
        raise InputError(f"folder: there are no images below data.root={root} ({', '.join(SUFFIXES)})")
    return found


def _pictures(root: Path, files: list[Path]) -> list[Picture]:
    """The pictures in files, each with its folder's class where they all lie in two or more folders."""
    places = [path.relative_to(root).parts[:-1] for path in files]
    names = sorted({place[0] for place in places if place})
    classes = {name: number for number, name in enumerate(names)} if all(places) and len(names) > 1 else {}
    found = []
    for path, place in zip(files, places, strict=True):
        try:
            key = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            _refuse(error)
        label = classes[place[0]] if classes else None
        found.append(Picture(key, split_of(key), label, str(path), path.read_bytes))
    return found


def _refuse(error: OSError) -> None:
    """Refuse what cannot be read: without its pictures the rest would be another data set."""
    raise InputError(f"folder: {error.filename} cannot be read ({error.strerror}): mend it, or take it away") from error
