"""Your own images: any folder, split by what the files hold."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, NoReturn

from ablations.data.base import Data
from ablations.data.pictures import Mode, Picture, Pictures
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

    def place(self) -> tuple[Path, list[Path]]:
        root, found = Path(self.root).expanduser(), list[Path]()
        if not self.root or not root.is_dir():
            raise InputError(f"folder: data.root={self.root} is no folder: name the one that holds your images")
        for place, folders, names in os.walk(root, onerror=_refuse):
            folders[:] = [name for name in folders if not name.startswith(".")]
            paths = [Path(place, name) for name in names if not name.startswith(".")]
            found += [path for path in paths if path.suffix.lower() in SUFFIXES and path.is_file()]
        if not found:
            raise InputError(f"folder: there are no images below data.root={root} ({', '.join(SUFFIXES)})")
        return root, sorted(found)

    def decode(self) -> Data:
        root, files = self.place()
        places = [path.relative_to(root).parts[:-1] for path in files]
        names = sorted({place[0] for place in places if place})
        classes = {name: number for number, name in enumerate(names)} if all(places) and len(names) > 1 else {}
        labels = [classes.get(place[0]) if place else None for place in places]
        return self.decoded(
            Picture(str(path), _content(path), label=label) for path, label in zip(files, labels, strict=True)
        )


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        _refuse(error)


def _refuse(error: OSError) -> NoReturn:
    """Refuse what cannot be read: without its pictures the rest would be another data set."""
    raise InputError(f"folder: {error.filename} cannot be read ({error.strerror}): mend it, or take it away") from error
