"""A folder of one's own images, or a hub's data set: what becomes of a file, which split it goes to, what is kept."""

from __future__ import annotations

import hashlib
import itertools
import re
import shutil
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ablations.data import pictures as module
from ablations.data.arrow import Arrow
from ablations.data.base import SPLITS
from ablations.data.pictures import Folder, square
from analysis.errors import InputError
from tests.ablations.data.fabricated import noise, picture_file, pictures, saved_images


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    """A cache that is empty."""
    monkeypatch.setenv(module.CACHE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def load(root: Path, **fields):
    return Folder(root=str(root), **fields).read()


def keys(data) -> dict[str, set[bytes]]:
    return {split: {image.numpy().tobytes() for image in data.images[split]} for split in SPLITS}


def decoded(path: Path) -> bytes:
    return square(path.read_bytes(), 32, "colour").numpy().tobytes()


def test_splits_are_in_the_order_of_hashes_and_the_held_out_ones_equally_large(tmp_path):
    files = sorted(pictures(tmp_path), key=lambda path: hashlib.sha256(path.read_bytes()).hexdigest())
    bounds = {"train": (0.0, 0.8), "validation": (0.8, 0.9), "test": (0.9, 1.0)}
    shares = [int(hashlib.sha256(path.read_bytes()).hexdigest(), 16) / 2**256 for path in files]
    found = {
        split: [path for path, share in zip(files, shares, strict=True) if low <= share < high]
        for split, (low, high) in bounds.items()
    }
    n = min(len(found["validation"]), len(found["test"]))
    assert len(found["validation"]) != len(found["test"])
    data = load(tmp_path)
    for split, count in {"train": len(found["train"]), "validation": n, "test": n}.items():
        assert [image.numpy().tobytes() for image in data.images[split]] == list(map(decoded, found[split][:count]))


def test_equal_files_go_to_one_split(tmp_path):
    files = pictures(tmp_path)
    before = load(tmp_path)
    for path in files:
        shutil.copy(path, path.with_name(f"copy of {path.name}"))
    after = load(tmp_path)
    assert keys(after) == keys(before)
    assert [len(after.images[split]) for split in SPLITS] == [2 * len(before.images[split]) for split in SPLITS]
    pictures(tmp_path, 90)
    more = keys(load(tmp_path))
    assert not any(keys(before)[one] & more[other] for one, other in itertools.permutations(SPLITS, 2))


def labels_of_images(data) -> dict[bytes, set[int]]:
    found: dict[bytes, set[int]] = {}
    for split in SPLITS:
        for image, label in zip(data.images[split], data.labels[split].tolist(), strict=True):
            found.setdefault(image.numpy().tobytes(), set()).add(label)
    return found


def test_subfolders_of_the_first_level_are_classes_in_the_order_of_their_names(tmp_path):
    files = pictures(tmp_path, 90, ("b", "a/z", "a/y", "B c", ".hidden", "ü"))
    data = load(tmp_path)
    classes, found = {"B c": 0, "a": 1, "b": 2, "ü": 3}, labels_of_images(data)
    assert data.classes == 4
    for path in files:
        label = classes.get(path.relative_to(tmp_path).parts[0])
        assert found.get(decoded(path), {label}) == {label}
        assert label is not None or decoded(path) not in found


def file_of(array: np.ndarray, format: str = "png", **options) -> bytes:
    file = BytesIO()
    Image.fromarray(array).save(file, format, **options)
    return file.getvalue()


def test_the_shorter_side_is_scaled_and_the_centre_cut_out_of_the_longer_one():
    wide = noise(1, 8, 14, 3, seed=0)[0]
    assert np.array_equal(square(file_of(wide), 8, "colour").numpy(), wide[:, 3:11].transpose(2, 0, 1))
    tall = file_of(wide.transpose(1, 0, 2).copy(), "bmp")
    assert np.array_equal(square(tall, 8, "colour").numpy(), wide[:, 3:11].transpose(2, 1, 0))
    halves = np.zeros((60, 100), np.uint8)
    halves[:, 50:] = 200
    image = square(file_of(halves), 12, "grey")
    assert image[0, :, :5].max() <= 2
    assert image[0, :, 7:].min() >= 198
    assert square(file_of(halves[:3, :3]), 12, "grey").shape == (1, 12, 12)
    # What is finer than a pixel is averaged, not aliased.
    board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    assert (square(file_of(board), 8, "grey").float() - 127.5).abs().max() < 3


def test_grey_colour_transparent_parts_and_turned_photos():
    red = file_of(np.full((8, 8, 3), (255, 0, 0), np.uint8))
    assert square(red, 8, "colour")[:, 0, 0].tolist() == [255, 0, 0]
    # ITU-R 601: 0.299 R + 0.587 G + 0.114 B.
    assert square(red, 8, "grey")[:, 0, 0].tolist() == [round(0.299 * 255)]
    assert square(file_of(np.full((8, 8), 7, np.uint8)), 8, "colour")[:, 0, 0].tolist() == [7, 7, 7]
    clear = np.zeros((8, 8, 4), np.uint8)
    clear[:4] = (10, 20, 30, 255)
    image = square(file_of(clear), 8, "colour")
    assert (image[:, 0, 0].tolist(), image[:, 7, 0].tolist()) == ([10, 20, 30], [255, 255, 255])
    palette = BytesIO()
    Image.fromarray(np.zeros((8, 8), np.uint8)).convert("P").save(palette, "png", transparency=bytes([0] * 256))
    assert int(square(palette.getvalue(), 8, "grey").min()) == 255
    photo, exif = np.zeros((8, 8, 3), np.uint8), Image.Exif()
    photo[0], exif[0x0112] = 255, 3  # upside down
    assert square(file_of(photo, exif=exif), 8, "grey")[0, 7].min() == 255


DEEP = [file_of(np.full((8, 8), 40_000, np.uint16)), b"P6\n8 8\n65535\n" + bytes(8 * 8 * 6)]
"""A PNG, and a PPM, which Pillow would clip."""


@pytest.mark.parametrize("content", DEEP, ids=["png", "ppm"])
def test_values_of_more_than_8_bits_are_refused_rather_than_clipped(content):
    with pytest.raises(ValueError, match="its values have more than 8 bits"):
        square(content, 8, "colour")


def test_unreadable_files_are_named_in_one_line(tmp_path, cache):
    pictures(tmp_path / "set")
    contents = [b"", b"GIF89a", b"no image at all", file_of(noise(1, 40, 40, 3, seed=0)[0], "jpeg")[:-600]]
    for number, content in enumerate(contents):
        (tmp_path / "set" / f"bad {number}.jpg").write_bytes(content)
        with pytest.raises(InputError, match=rf"folder: {number + 1} cannot be read: .*bad \d.jpg \(") as caught:
            load(tmp_path / "set")
        assert not re.search(r"\n|0x", str(caught.value))
    assert not list(cache.rglob("*.*"))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda root: None, r"no images below data.root=.*\.png"),
        (lambda root: pictures(root, 3), r"gives \d/\d/\d images \(train/validation/test\), .*each split needs 5"),
        (lambda root: [(root / f"{i}.bmp").write_bytes(picture_file(0)) for i in range(20)], "of which 1 differ"),
        (lambda root: root.rmdir(), "is no folder"),
    ],
    ids=["empty", "few", "copies", "none"],
)
def test_a_place_without_enough_images_is_refused(make, said, tmp_path):
    (tmp_path / "set").mkdir()
    make(tmp_path / "set")
    with pytest.raises(InputError, match=said):
        load(tmp_path / "set")
    for size in (3, 257):
        with pytest.raises(ValueError, match=f"folder needs a size of 4 to 256 pixels, got {size}"):
            Folder(size=size)


@pytest.mark.parametrize("name", ["folder", "arrow"])
def test_a_second_process_opens_no_picture_unless_what_is_kept_is_damaged_or_cannot_be_kept(
    name, tmp_path, cache, monkeypatch
):
    (pictures if name == "folder" else saved_images)(tmp_path / "set", 120)
    one = Folder(root=str(tmp_path / "set"), size=8) if name == "folder" else Arrow(path=str(tmp_path / "set"), size=8)
    first = one.read()
    assert [replace(one, size=4).read().shape, replace(one, mode="grey").read().shape] == [(3, 4, 4), (1, 8, 8)]
    with monkeypatch.context() as patch:
        patch.setattr(Image, "open", lambda *_: pytest.fail("this was kept"))
        again = one.read()
    assert (again.digest, again.labels_digest) == (first.digest, first.labels_digest)
    assert (again.codes, again.classes) == (first.codes, 3)
    for kept in cache.iterdir():
        kept.write_bytes(kept.read_bytes()[:-1])
    assert one.read().digest == first.digest
    shutil.rmtree(cache)
    cache.write_bytes(b"")
    assert one.read().digest == first.digest
