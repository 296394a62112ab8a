"""A hub's data set on disk: the folder that `save_to_disk` of Hugging Face's `datasets` wrote.

    its own train, validation, test ─▶ the same        what it lacks ─▶ images of train, by what their files hold

Nothing is fetched, and the loading scripts of data sets, which are programs, are not run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

from ablations.data.base import SPLITS, Data, Split
from ablations.data.pictures import Mode, Picture, Pictures
from analysis.errors import InputError, line

NAMES: dict[Split, tuple[str, ...]] = {
    "train": ("train",),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test",),
}


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

    def place(self) -> tuple[Path, list[Path]]:
        folder = Path(self.path).expanduser()
        if not self.path or not folder.is_dir():
            raise InputError(f"arrow: data.path={self.path} is no folder: give data.path=FOLDER of a saved data set")
        return folder, [file for file in folder.rglob("*") if file.is_file()]

    def decode(self) -> Data:
        library = _datasets()
        tables = _tables(library, self.place()[0])
        image, label = self._columns(library, tables["train"].features)
        return self.decoded(self._pictures(library.Image(decode=False), tables, image, label), tables)

    def _pictures(self, kind: Any, tables: dict[Split, Any], image: str, label: str | None) -> Iterator[Picture]:
        for split in (split for split in reversed(SPLITS) if split in tables):
            table = tables[split].select_columns([image, *filter(None, [label])]).cast_column(image, kind)
            for number, row in enumerate(table):
                name = f"image {number} of {split} in {self.path}"
                # A class that is missing is −1, as on the hub.
                class_ = (-1 if row[label] is None else int(row[label])) if label else None
                yield Picture(name, (row[image] or {}).get("bytes") or b"", split, class_)

    def _columns(self, library: ModuleType, features: Any) -> tuple[str, str | None]:
        """The columns of images and of labels; InputError where they are not to be found."""
        kinds = {name: type(kind) for name, kind in features.items()}
        images = [name for name, kind in kinds.items() if kind is library.Image]
        classes = [name for name, kind in kinds.items() if kind is library.ClassLabel]
        whole = [name for name, kind in kinds.items() if kind is library.Value and "int" in features[name].dtype]
        for what, named, fit in (("image", self.image, images), ("label", self.label, classes + whole)):
            if named not in fit and (named or (what == "image" and len(fit) != 1)):
                raise InputError(
                    f"arrow: which column of {self.path} holds the {what}s, got data.{what}={named}: name one of "
                    f"{', '.join(fit) or 'none that it has'} with data.{what}=COLUMN"
                )
        return self.image or images[0], self.label or (classes[0] if len(classes) == 1 else None)


def _datasets() -> ModuleType:
    try:
        library = import_module("datasets")
    except ImportError as error:
        raise InputError("arrow needs the package datasets: pip install 'diffusion-ablations[datasets]'") from error
    library.disable_progress_bars()
    return library


def _tables(library: ModuleType, folder: Path) -> dict[Split, Any]:
    """The splits that a folder holds, as tables of `datasets`; InputError where it is no such folder."""
    try:
        loaded = library.load_from_disk(str(folder))
    except Exception as error:
        raise InputError(f"arrow: {folder} is no data set that save_to_disk wrote ({line(str(error))})") from error
    splits = loaded if isinstance(loaded, dict) else {"train": loaded}
    if len(splits) == 1:
        return {"train": next(iter(splits.values()))}
    tables = {split: splits[name] for split, names in NAMES.items() for name in names if name in splits}
    if "train" not in tables:
        raise InputError(f"arrow: {folder} has the splits {', '.join(splits)}, and training needs one called train")
    return tables
