"""A hub's data set on disk: the folder that `save_to_disk` of Hugging Face's `datasets` wrote, its Arrow files mapped.

    its own train, validation, test ─▶ the same        what it lacks ─▶ images of train, by what their files hold

Nothing is fetched, and the loading scripts of data sets, which are programs, are not run.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from ablations.data.base import SPLITS, Data, Split
from ablations.data.pictures import Mode, Picture, Pictures, split_of
from analysis.errors import InputError

NAMES: dict[Split, tuple[str, ...]] = {
    "train": ("train",),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test",),
}
"""The names that data sets give their splits."""


@dataclass(frozen=True)
class Arrow(Pictures):
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

    where: ClassVar[tuple[str, ...]] = ("path", "image", "label", "mirrors")

    def read(self) -> Data:
        folder = Path(self.path).expanduser()
        if not self.path or not folder.is_dir():
            raise InputError(
                f"arrow: data.path={self.path} is no folder: name the one that save_to_disk of `datasets` wrote, "
                "data.path=FOLDER"
            )
        files = [file for file in folder.rglob("*") if file.is_file()]
        return self.decoded_once(folder, files, lambda: self._pictures(_tables(folder)))

    def _pictures(self, tables: dict[Split, Any]) -> list[Picture]:
        from datasets import Image

        image, label = self._columns(tables)
        found: list[Picture] = []
        home: dict[str, Split] = {}
        for own in (split for split in reversed(SPLITS) if split in tables):
            table = tables[own].select_columns([image, *filter(None, [label])])
            table = table.cast_column(image, Image(decode=False))
            for number, row in enumerate(table):
                if not row[image] or row[image]["bytes"] is None:
                    raise InputError(f"arrow: row {number} holds no image, at most the place of one: leave it out")
                key = hashlib.sha256(row[image]["bytes"]).hexdigest()
                split = split_of(key) if own == "train" and split_of(key) not in tables else own
                # A class that is missing is −1, as on the hub.
                class_ = (-1 if row[label] is None else int(row[label])) if label else None
                name = f"image {number} of {own} in {self.path}"
                if home.setdefault(key, split) == split:
                    found.append(Picture(key, split, class_, name, partial(_content, table, number, image)))
        return found

    def _columns(self, tables: dict[Split, Any]) -> tuple[str, str | None]:
        """The columns of images and of labels; InputError where they are not to be found."""
        from datasets import ClassLabel, Image, Value

        features = tables["train"].features
        if any(table.features != features for table in tables.values()):
            raise InputError(f"arrow: the splits in {self.path} have other columns each: save them with the same")
        images, classes, numbers = (
            [name for name, kind in features.items() if isinstance(kind, cls)] for cls in (Image, ClassLabel, Value)
        )
        whole = [name for name in numbers if "int" in features[name].dtype]
        for what, named, fit in (("image", self.image, images), ("label", self.label, classes + whole)):
            if named not in fit and (named or (what == "image" and len(fit) != 1)):
                raise InputError(
                    f"arrow: which column of {self.path} holds the {what}s, got data.{what}={named}: name one of "
                    f"{', '.join(fit) or 'none that it has'} with data.{what}=COLUMN"
                )
        return self.image or images[0], self.label or (classes[0] if len(classes) == 1 else None)


def _content(table: Any, number: int, image: str) -> bytes:
    """The file of an image, which is read anew: of many, all together may take more than the memory."""
    content: bytes = table[number][image]["bytes"]
    return content


def _tables(folder: Path) -> dict[Split, Any]:
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
        raise InputError(f"arrow: data.path={folder} is no data set that save_to_disk wrote ({reason})") from error
    splits = loaded if isinstance(loaded, dict) else {"train": loaded}
    tables = {split: splits[name] for split, names in NAMES.items() for name in names if name in splits}
    if "train" in tables:
        return tables
    if len(splits) > 1:
        raise InputError(f"arrow: {folder} has the splits {', '.join(splits)}, and training needs one called train")
    return {"train": next(iter(splits.values()))}
