"""A folder of one's own images: what becomes of a file, and which split it goes to."""

from __future__ import annotations

import hashlib
import itertools
import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ablations.data.arrow import Arrow
from ablations.data.base import SPLITS
from ablations.data.folder import Folder, picture
from ablations.data.pictures import split_of
from analysis.errors import InputError
from tests.ablations.data.fabricated import noise, pictures


def load(root: Path, **fields):
    return Folder(root=str(root), **fields).read()


def saved(array: np.ndarray, path: Path, **options) -> Path:
    Image.fromarray(array).save(path, **options)
    return path


def keys(data) -> dict[str, set[bytes]]:
    return {split: {image.numpy().tobytes() for image in data.images[split]} for split in SPLITS}


def test_the_hash_of_a_file_decides_its_split_80_to_10_to_10():
    hashes = [hashlib.sha256(str(i).encode()).hexdigest() for i in range(20_000)]
    counts = {split: sum(split_of(key) == split for key in hashes) for split in SPLITS}
    for split, share in zip(SPLITS, (0.8, 0.1, 0.1), strict=True):
        assert abs(counts[split] - 20_000 * share) < 4 * (20_000 * share * (1 - share)) ** 0.5
    assert [split_of(first + "0" * 63) for first in "0cd"] == ["train", "train", "validation"]
    assert [split_of(first + "f" * 63) for first in "bdf"] == ["train", "validation", "test"]


def test_files_stay_in_their_split_when_others_come_and_wherever_they_are_moved(tmp_path):
    pictures(tmp_path / "a", 60)
    before = keys(load(tmp_path / "a"))
    pictures(tmp_path / "b" / "deeper", 90)
    after = keys(load(tmp_path / "b"))
    assert before["train"] < after["train"]
    for one, other in itertools.permutations(SPLITS, 2):
        assert not before[one] & after[other]


def test_held_out_splits_have_equally_many_images_the_first_by_hash(tmp_path):
    pictures(tmp_path)
    files = sorted(tmp_path.rglob("*.*"), key=lambda path: hashlib.sha256(path.read_bytes()).hexdigest())
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
        expected = torch.stack([picture(path, 32, "colour") for path in found[split][:count]])
        assert torch.equal(data.images[split], expected)


def test_order_does_not_depend_on_names(tmp_path):
    pictures(tmp_path / "a")
    (tmp_path / "b").mkdir()
    for i, path in enumerate(sorted((tmp_path / "a").rglob("*.*"))):
        shutil.copy(path, tmp_path / "b" / f"{(i * 37) % 60}{path.suffix.upper()}")
    assert load(tmp_path / "a").digest == load(tmp_path / "b").digest


def test_equal_files_go_to_one_split(tmp_path):
    pictures(tmp_path)
    before = load(tmp_path)
    for path in sorted(tmp_path.rglob("*.*")):
        shutil.copy(path, path.with_name(f"copy of {path.name}"))
    after = load(tmp_path)
    assert keys(after) == keys(before)
    assert [len(after.images[split]) for split in SPLITS] == [2 * len(before.images[split]) for split in SPLITS]


def in_classes(root: Path, *names: str) -> list[Path]:
    """The pictures below `root / "all"`, dealt to folders of these names."""
    pictures(root / "all", 90)
    dealt = []
    for i, path in enumerate(sorted((root / "all").rglob("*.*"))):
        place = root / "set" / names[i % len(names)]
        place.mkdir(parents=True, exist_ok=True)
        dealt.append(path.rename(place / path.name))
    return dealt


def labels_of_images(data) -> dict[bytes, set[int]]:
    found: dict[bytes, set[int]] = {}
    for split in SPLITS:
        for image, label in zip(data.images[split], data.labels[split].tolist(), strict=True):
            found.setdefault(image.numpy().tobytes(), set()).add(label)
    return found


def test_subfolders_of_the_first_level_are_classes_in_the_order_of_their_names(tmp_path):
    files = in_classes(tmp_path, "b", "a/z", "a/y", "B c", ".hidden", "ü")
    data = load(tmp_path / "set")
    classes = {"B c": 0, "a": 1, "b": 2, "ü": 3}
    truth = {path: classes.get(path.relative_to(tmp_path / "set").parts[0]) for path in files}
    found = labels_of_images(data)
    assert data.classes == 4
    for path, label in truth.items():
        key = picture(path, 32, "colour").numpy().tobytes()
        assert found.get(key, {label}) == {label}
        assert label is not None or key not in found


def test_images_that_do_not_all_lie_in_two_or_more_subfolders_have_no_classes(tmp_path):
    files = in_classes(tmp_path, "one/a", "one/b")
    assert "has no labels (" in load(tmp_path / "set").unlabelled
    assert load(tmp_path / "set" / "one").classes == 2
    files[0].rename(tmp_path / "set" / files[0].name)
    assert load(tmp_path / "set").classes == 0
    files[0] = tmp_path / "set" / files[0].name
    files[0].rename(tmp_path / "set" / f".{files[0].name}")
    (tmp_path / "set" / "two").mkdir()
    assert load(tmp_path / "set").classes == 0


def test_classes_move_no_image_and_a_root_may_be_named_in_any_way(tmp_path, monkeypatch):
    in_classes(tmp_path, "a", "b", "c")
    (tmp_path / "flat").mkdir()
    for path in (tmp_path / "set").rglob("*.*"):
        shutil.copy(path, tmp_path / "flat" / path.name)
    labelled = load(tmp_path / "set")
    assert labelled.digest == load(tmp_path / "flat").digest
    monkeypatch.chdir(tmp_path / "set")
    for root in (".", "../set", f"{tmp_path}/set/", "a/.."):
        other = load(Path(root))
        assert (other.digest, other.labels_digest, other.classes) == (labelled.digest, labelled.labels_digest, 3)


def test_linked_files_are_of_the_class_where_the_link_lies_and_linked_folders_are_not_followed(tmp_path):
    files = in_classes(tmp_path, "a", "b")
    (tmp_path / "set" / "link").symlink_to(tmp_path / "set" / "a")
    assert load(tmp_path / "set").classes == 2
    (tmp_path / "set" / "c").mkdir()
    for path in files:
        if path.parent.name == "b":
            (tmp_path / "set" / "c" / path.name).symlink_to(path)
    assert load(tmp_path / "set").classes == 3


def test_a_file_in_two_classes_is_an_example_of_each(tmp_path):
    files = in_classes(tmp_path, "a", "b")
    for path in files:
        shutil.copy(path, tmp_path / "set" / "a" / f"copy of {path.name}")
    found = labels_of_images(load(tmp_path / "set"))
    for path in files:
        key = picture(path, 32, "colour").numpy().tobytes()
        # Of validation and test the one with more images loses its last.
        assert found.get(key, {0}) <= ({0} if path.parent.name == "a" else {0, 1})
    assert {frozenset(labels) for labels in found.values()} >= {frozenset({0}), frozenset({0, 1})}


def test_a_class_without_training_images_makes_no_classes(tmp_path):
    files = in_classes(tmp_path, "a", "b")
    tested = next(path for path in files if split_of(hashlib.sha256(path.read_bytes()).hexdigest()) == "test")
    (tmp_path / "set" / "c").mkdir()
    tested.rename(tmp_path / "set" / "c" / tested.name)
    data = load(tmp_path / "set")
    assert "has training examples of 2 classes of 0 to 2 only" in data.unlabelled


def test_the_centre_is_cut_out_of_the_longer_side(tmp_path):
    wide = noise(1, 8, 14, 3, seed=0)[0]
    image = picture(saved(wide, tmp_path / "wide.png"), 8, "colour")
    assert np.array_equal(image.numpy(), wide[:, 3:11].transpose(2, 0, 1))
    image = picture(saved(wide.transpose(1, 0, 2).copy(), tmp_path / "tall.bmp"), 8, "colour")
    assert np.array_equal(image.numpy(), wide[:, 3:11].transpose(2, 1, 0))


def test_the_shorter_side_is_scaled(tmp_path):
    halves = np.zeros((60, 100), np.uint8)
    halves[:, 50:] = 200
    image = picture(saved(halves, tmp_path / "x.png"), 12, "grey")
    assert image.shape == (1, 12, 12)
    assert image[0, :, :5].max() <= 2
    assert image[0, :, 7:].min() >= 198
    assert picture(saved(halves[:3, :3], tmp_path / "small.png"), 12, "grey").shape == (1, 12, 12)


def test_what_is_finer_than_a_pixel_is_averaged_not_aliased(tmp_path):
    board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    image = picture(saved(board, tmp_path / "board.png"), 8, "grey")
    assert (image.float() - 127.5).abs().max() < 3


def test_grey_and_colour_of_one_file(tmp_path):
    path = saved(np.full((8, 8, 3), (255, 0, 0), np.uint8), tmp_path / "red.png")
    assert picture(path, 8, "colour")[:, 0, 0].tolist() == [255, 0, 0]
    # ITU-R 601: 0.299 R + 0.587 G + 0.114 B.
    assert picture(path, 8, "grey")[:, 0, 0].tolist() == [round(0.299 * 255)]
    path = saved(np.full((8, 8), 7, np.uint8), tmp_path / "grey.png")
    assert picture(path, 8, "colour")[:, 0, 0].tolist() == [7, 7, 7]


def test_transparent_parts_are_white(tmp_path):
    clear = np.zeros((8, 8, 4), np.uint8)
    clear[:4] = (10, 20, 30, 255)
    image = picture(saved(clear, tmp_path / "clear.png"), 8, "colour")
    assert image[:, 0, 0].tolist() == [10, 20, 30]
    assert image[:, 7, 0].tolist() == [255, 255, 255]
    palette = Image.fromarray(np.zeros((8, 8), np.uint8)).convert("P")
    palette.save(tmp_path / "palette.png", transparency=bytes([0] * 256))
    assert int(picture(tmp_path / "palette.png", 8, "grey").min()) == 255


def test_photos_are_turned_as_their_camera_was_held(tmp_path):
    photo = np.zeros((8, 8, 3), np.uint8)
    photo[0] = 255
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    path = saved(photo, tmp_path / "photo.png", exif=exif)
    assert picture(path, 8, "grey")[0, 7].min() == 255


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"no image at all", None])
def test_an_unreadable_file_is_named_in_one_line(content, tmp_path):
    pictures(tmp_path)
    bad = tmp_path / "bad.jpg"
    if content is None:
        saved(noise(1, 40, 40, 3, seed=0)[0], bad)
        content = bad.read_bytes()[:-600]
    bad.write_bytes(content)
    with pytest.raises(InputError, match=r"bad.jpg cannot be read \(.*\): mend it, or take it away") as caught:
        load(tmp_path)
    assert "\n" not in str(caught.value)


def test_values_of_more_than_8_bits_are_refused_rather_than_clipped(tmp_path):
    path = saved(np.full((8, 8), 40_000, np.uint16), tmp_path / "deep.png")
    with pytest.raises(InputError, match=r"deep.png cannot be read \(its values have more than 8 bits"):
        picture(path, 8, "grey")


@pytest.mark.parametrize("kind", [2, 4, 6])
def test_colours_of_16_bits_are_refused_too(kind, tmp_path):
    """Of PNG's kinds of 16 bits a channel, colour, grey with alpha and colour with alpha, Pillow keeps 8."""
    channels = {2: 3, 4: 2, 6: 4}[kind]
    row = b"\0" + np.full(8 * channels, 1023, ">u2").tobytes()
    header = struct.pack(">IIBBBBB", 8, 8, 16, kind, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(8 * row)), (b"IEND", b"")]
    parts = [struct.pack(">I", len(of)) + name + of + struct.pack(">I", zlib.crc32(name + of)) for name, of in chunks]
    path = tmp_path / "deep.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    with pytest.raises(InputError, match=r"deep.png cannot be read \(its values have more than 8 bits"):
        picture(path, 8, "colour")


def test_colours_of_16_bits_are_refused_in_a_ppm(tmp_path):
    path = tmp_path / "deep.ppm"
    path.write_bytes(b"P6\n8 8\n65535\n" + np.full(8 * 8 * 3, 1023, ">u2").tobytes())
    with pytest.raises(InputError, match=r"deep.ppm cannot be read \(its values have more than 8 bits"):
        picture(path, 8, "colour")
    path.write_bytes(b"P6\n8 8\n100\n" + bytes(8 * 8 * 3))
    assert picture(path, 8, "colour").shape == (3, 8, 8)


def test_a_folder_of_copies_is_called_so(tmp_path):
    image = noise(1, 8, 8, 3, seed=0)[0]
    for i in range(20):
        saved(image, tmp_path / f"{i}.png")
    with pytest.raises(InputError, match=r"the 20 files below data\.root=.* hold 1 different image, and copies go to"):
        load(tmp_path)


def test_hidden_files_and_other_files_are_left_alone(tmp_path):
    pictures(tmp_path)
    before = load(tmp_path).digest
    (tmp_path / "._1.png").write_bytes(b"not an image")
    (tmp_path / ".thumbnails").mkdir()
    (tmp_path / ".thumbnails" / "1.png").write_bytes(b"not an image")
    (tmp_path / "notes.txt").write_text("text")
    assert load(tmp_path).digest == before


def test_a_place_without_images_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no images below data.root=.*\.png"):
        load(tmp_path)
    with pytest.raises(InputError, match="is no folder"):
        load(tmp_path / "none")
    with pytest.raises(InputError, match=r"needs the place of its images: data.root=PATH"):
        Folder().load()


def test_too_few_images_are_refused_with_their_counts(tmp_path):
    pictures(tmp_path, 3)
    with pytest.raises(InputError, match=r"gives \d/\d/\d images \(train/validation/test\), and each split needs 5"):
        load(tmp_path)


@pytest.mark.parametrize("choice", [Folder, Arrow])
@pytest.mark.parametrize("size", [3, 257])
def test_an_impossible_size_is_refused(size, choice):
    with pytest.raises(ValueError, match=f"{choice.__name__.lower()} needs a size of 4 to 256 pixels, got {size}"):
        choice(size=size)
