"""Data sets of a hub, saved to disk: which images go to which split, what they become, and what is refused."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ablations.data.arrow import Arrow
from ablations.data.base import SPLITS
from ablations.data.pictures import Folder
from analysis.errors import InputError
from tests.ablations.data.fabricated import noise, picture_file, saved_images

datasets = pytest.importorskip("datasets")


def load(path: Path, **fields):
    return Arrow(path=str(path), **fields).read()


def share(number: int) -> float:
    """Where in [0, 1) a fabricated image's file is put by its hash."""
    return int(hashlib.sha256(picture_file(number)).hexdigest(), 16) / 2**256


def by_hash(numbers: list[int]) -> list[int]:
    return sorted(numbers, key=share)


def shown(numbers: list[int], size: int = 32) -> torch.Tensor:
    """Fabricated images by number, as they are stored: 40×36 of noise, cut and scaled by Pillow."""
    found = []
    for number in numbers:
        height = round(40 * size / 36)
        image = Image.fromarray(noise(1, 40, 36, 3, seed=number)[0]).resize((size, height), Image.Resampling.BICUBIC)
        top = (height - size) // 2
        found.append(np.array(image)[top : top + size].transpose(2, 0, 1))
    return torch.from_numpy(np.stack(found))


def stored(content: bytes) -> dict:
    """An image's file as a row has it."""
    return {"bytes": content, "path": None}


def saved(path: Path, features, rows: list[dict]) -> Path:
    datasets.disable_progress_bars()
    datasets.Dataset.from_list(rows, features=datasets.Features(features)).save_to_disk(path)
    return path


def test_the_same_files_in_a_folder_are_the_same_data(tmp_path):
    """Whatever their one split is called, and however its rows are ordered."""
    saved_images(tmp_path / "set", {"full": 120})
    table = datasets.load_from_disk(tmp_path / "set")["full"]
    table.select(range(119, -1, -1)).save_to_disk(tmp_path / "other", num_shards=3)
    (tmp_path / "files").mkdir()
    for i in range(120):
        (tmp_path / "files" / f"{i}.bmp").write_bytes(picture_file(i))
    of_files = Folder(root=str(tmp_path / "files"), size=16).read().digest
    assert load(tmp_path / "set", size=16).digest == load(tmp_path / "other", size=16).digest == of_files


def test_a_sets_own_splits_are_kept(tmp_path):
    saved_images(tmp_path / "set", {"train": 30, "dev": 8, "test": 6, "unsupervised": 5})
    data = load(tmp_path / "set")
    starts = {"train": range(30), "validation": range(30, 38), "test": range(38, 44)}
    kept = {
        split: by_hash(list(numbers))[: len(numbers) if split == "train" else 6] for split, numbers in starts.items()
    }
    for split in SPLITS:
        assert torch.equal(data.images[split], shown(kept[split]))


@pytest.mark.parametrize(("own", "lacking"), [("test", "validation"), ("validation", "test")])
def test_a_split_that_a_set_lacks_is_a_tenth_of_train(own, lacking, tmp_path):
    saved_images(tmp_path / "set", {"train": 120, own: 40})
    low, high = {"validation": (0.8, 0.9), "test": (0.9, 1.0)}[lacking]
    apart = by_hash([i for i in range(120) if low <= share(i) < high])
    left = by_hash([i for i in range(120) if not low <= share(i) < high])
    data = load(tmp_path / "set")
    assert torch.equal(data.images["train"], shown(left))
    assert torch.equal(data.images[lacking], shown(apart))
    assert torch.equal(data.images[own], shown(by_hash(list(range(120, 160)))[: len(apart)]))


def test_an_image_of_two_splits_stays_in_the_held_out_one_alone(tmp_path):
    saved_images(tmp_path / "train", 40)
    saved_images(tmp_path / "test", 20, first=30)
    saved_images(tmp_path / "validation", 20, first=45)
    parts = {split: datasets.load_from_disk(tmp_path / split) for split in SPLITS}
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "set")
    data = load(tmp_path / "set")
    assert torch.equal(data.images["train"], shown(by_hash(list(range(30)))))
    assert torch.equal(data.images["validation"], shown(by_hash(list(range(50, 65)))))
    assert torch.equal(data.images["test"], shown(by_hash(list(range(30, 50)))[:15]))


def test_columns_are_found_by_type_or_named(tmp_path):
    saved_images(tmp_path / "set", {"train": 5, "validation": 5, "test": 5})
    numbers = by_hash(list(range(5)))
    assert load(tmp_path / "set").labels["train"].tolist() == [i % 3 for i in numbers]
    assert load(tmp_path / "set", image="picture", label="number").labels["train"].tolist() == numbers
    for field, wrong in (("image", "kind"), ("image", "none"), ("label", "picture")):
        with pytest.raises(InputError, match=rf"got data\.{field}={wrong}: name one of .*data\.{field}=COLUMN"):
            load(tmp_path / "set", **{field: wrong})


def test_without_a_column_of_classes_or_with_several_there_are_no_labels(tmp_path):
    kinds = [datasets.ClassLabel(names=["x", "y"]) for _ in range(2)]
    rows = [{"image": stored(picture_file(i)), "fine": i % 2 or None, "coarse": 0} for i in range(120)]
    several = saved(tmp_path / "several", {"image": datasets.Image(), "fine": kinds[0], "coarse": kinds[1]}, rows)
    none = saved(tmp_path / "none", {"image": datasets.Image()}, [{"image": row["image"]} for row in rows])
    assert load(several).labels == load(none).labels == {}
    assert set(load(several, label="fine").labels["train"].tolist()) == {-1, 1}, "−1 as on the hub: none"


def refused(path: Path | str, match: str) -> None:
    with pytest.raises(InputError, match=match) as caught:
        Arrow(path=str(path)).load()
    assert "\n" not in str(caught.value)


def test_what_is_no_saved_data_set_is_refused(tmp_path):
    refused("", r"is no folder.*data\.path=FOLDER")
    refused(tmp_path / "none", "is no folder")
    # A place elsewhere would be fetched from.
    refused("hf://datasets/somebody/something", "is no folder")
    refused(tmp_path, "is no data set that save_to_disk wrote")
    saved_images(tmp_path / "cut", 20)
    (file,) = (tmp_path / "cut").glob("*.arrow")
    file.write_bytes(file.read_bytes()[:5000])
    refused(tmp_path / "cut", "cut")
    saved_images(tmp_path / "few", 12)
    refused(tmp_path / "few", r"arrow gives \d+/\d/\d images \(train/validation/test\), .*each split needs 5")
    saved_images(tmp_path / "strange", {"left": 5, "right": 5})
    refused(tmp_path / "strange", "has the splits left, right, and training needs one called train")
    none = saved(tmp_path / "columns", {"a": datasets.Value("int64")}, [{"a": 1}])
    refused(none, r"which column of .* holds the images.*none that it has")


@pytest.mark.parametrize(
    "image", [None, stored(b"no image"), stored(picture_file(7)[:-600])], ids=["none", "other", "cut"]
)
def test_an_image_that_cannot_be_read_is_named(image, tmp_path):
    rows = [{"image": stored(picture_file(i))} for i in range(120)]
    rows[7] = {"image": image}
    refused(saved(tmp_path / "set", {"image": datasets.Image()}, rows), "1 cannot be read: .* image 7 of train in ")
