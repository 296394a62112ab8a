"""A hub's data set on disk: the folder that `save_to_disk` of Hugging Face's `datasets` wrote, its Arrow files mapped.

    its own train, validation, test ─▶ the same        what it lacks ─▶ images of train, by what their files hold

Nothing is fetched, and the loading scripts of data sets, which are programs, are not run.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from torch import Tensor

from ablations.data.base import SPLITS, Data, DataSet, Split
from ablations.data.kept import Pictures, kept
from ablations.data.pictures import UNREADABLE, Mode, check_size, shape_of, split_of, square
from analysis.errors import InputError

NAMES: dict[Split, tuple[str, ...]] = {
    "train": ("train",),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test",),
}
"""The names that data sets give their splits."""


class Example(NamedTuple):
    """The SHA-256 of an image's file, in hex digits, the split and the row where it lies, and its class."""

    key: str
    own: Split
    row: int
    class_: int


@dataclass(frozen=True)
class Arrow(DataSet):
    """The images of a saved data set, square and of `size` pixels as in `folder`, and their labels where it has some.

    The column `image` is, if it is not named, the only one of images; `label` the only one of classes, and with none or
    several there are no labels. Of a split that it lacks, or of its only one, whatever that is called, the SHA-256 of
    an image's file decides, as in `folder`. An image of two splits stays in test, or else in validation, alone.
    Of these the one with more images loses the last of them, by hash. `mirrors` is that of `folder`.
    """

    path: str = ""
    image: str = ""
    label: str = ""
    size: int = 32
    mode: Mode = "colour"
    mirrors: bool = field(default=False, compare=False, repr=False)

    extractor: ClassVar[str | None] = "inception-v3-compat"
    where: ClassVar[tuple[str, ...]] = ("path", "image", "label", "mirrors")

    def __post_init__(self) -> None:
        check_size("arrow", self.size)

    def read(self) -> Data:
        folder = _folder(self.path)
        files = [file for file in folder.rglob("*") if file.is_file()]
        return kept(replace(self, path=""), folder, files, partial(self._listed, folder))

    def _listed(self, folder: Path) -> Pictures[Example]:
        whole = _tables(self.path, folder)
        image, label = self._columns(whole)
        tables = {own: _undecoded(table, image, label) for own, table in whole.items()}
        parts: dict[Split, list[Example]] = {split: [] for split in SPLITS}
        home: dict[str, Split] = {}
        for own in reversed(SPLITS):
            for row, (content, class_) in enumerate(_rows(tables[own], image, label) if own in tables else ()):
                key = hashlib.sha256(content).hexdigest()
                split = split_of(key) if own == "train" and split_of(key) not in tables else own
                if home.setdefault(key, split) == split:
                    parts[split].append(Example(key, own, row, class_))

        def decode(example: Example) -> Tensor:
            content = tables[example.own][example.row][image]["bytes"]
            return self._picture(content, f"image {example.row} of {example.own} in {self.path}")

        ordered = {split: sorted(part, key=attrgetter("key")) for split, part in parts.items()}
        shape = shape_of(self.size, self.mode)
        return Pictures(f"arrow: {self.path}", ordered, shape, decode, attrgetter("class_") if label else None)

    def _picture(self, content: bytes, what: str) -> Tensor:
        try:
            return square(io.BytesIO(content), self.size, self.mode)
        except UNREADABLE as error:
            raise InputError(f"arrow: {what} cannot be read ({error}): mend it, or take it away") from error

    def _columns(self, tables: dict[Split, Any]) -> tuple[str, str | None]:
        """The columns of images and of labels; InputError where they are not to be found."""
        from datasets import ClassLabel, Image, Value

        features = tables["train"].features
        if any(table.features != features for table in tables.values()):
            raise InputError(f"arrow: the splits in {self.path} have other columns each: save them with the same")
        images = [name for name, kind in features.items() if isinstance(kind, Image)]
        classes = [name for name, kind in features.items() if isinstance(kind, ClassLabel)]
        whole = [name for name, kind in features.items() if isinstance(kind, Value) and "int" in kind.dtype]
        if self.image not in images and (self.image or len(images) != 1):
            raise InputError(_which("images", "image", self.image, images, self.path))
        if self.label and self.label not in classes + whole:
            raise InputError(_which("labels", "label", self.label, classes + whole, self.path))
        return self.image or images[0], self.label or (classes[0] if len(classes) == 1 else None)


def _which(what: str, field: str, given: str, columns: list[str], path: str) -> str:
    """The line that asks for a column."""
    got = f", got data.{field}={given}" if given else ""
    advice = f"name one of {', '.join(columns)} with data.{field}=COLUMN" if columns else "it has none"
    return f"arrow: which column of {path} holds the {what}{got}: {advice}"


def _folder(path: str) -> Path:
    """The folder that a path names; InputError where it is none."""
    if not path:
        raise InputError("arrow needs the folder that save_to_disk of `datasets` wrote: data.path=FOLDER")
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise InputError(f"arrow: data.path={path} is no folder: name the one that save_to_disk of `datasets` wrote")
    return folder


def _tables(path: str, folder: Path) -> dict[Split, Any]:
    """The splits that a folder holds, as tables of `datasets`; InputError where it is no such folder."""
    try:
        import datasets
    except ImportError as error:
        raise InputError("arrow needs the package datasets: pip install 'diffusion-ablations[datasets]'") from error
    datasets.disable_progress_bars()
    try:
        loaded = datasets.load_from_disk(str(folder))
    except Exception as error:
        # A damaged folder fails in any way.
        reason = " ".join(str(error).split())
        raise InputError(f"arrow: data.path={path} is no data set that save_to_disk wrote ({reason})") from error
    if not isinstance(loaded, dict):
        return {"train": loaded}
    tables = {split: loaded[name] for split, names in NAMES.items() for name in names if name in loaded}
    if "train" not in tables:
        if len(loaded) != 1:
            raise InputError(f"arrow: {path} has the splits {', '.join(loaded)}, and training needs one called train")
        return {"train": next(iter(loaded.values()))}
    return tables


def _undecoded(table: Any, image: str, label: str | None) -> Any:
    """The columns of images, as their files, and of labels."""
    from datasets import Image

    return table.select_columns([image, *([label] if label else [])]).cast_column(image, Image(decode=False))


def _rows(table: Any, image: str, label: str | None) -> Iterator[tuple[bytes, int]]:
    """The file of each image and its class, −1 where it has none, as on the hub; InputError where there is no file."""
    for number, row in enumerate(table):
        if row[image] is None or row[image]["bytes"] is None:
            raise InputError(f"arrow: row {number} holds no image, at most the place of one: leave such rows out")
        yield row[image]["bytes"], -1 if label is None or row[label] is None else int(row[label])
