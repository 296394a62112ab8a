"""What holds for every data set, the simplest codes, and which of a set's fields make an identity."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import re
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from ablations.check import check
from ablations.data import sources
from ablations.data.base import CODE_BATCH, FEWEST, SPLITS, Data, DataSet, histogram_codes, image_data
from ablations.data.digits import Digits
from ablations.data.fashion_mnist import FashionMnist
from ablations.settings import registry
from ablations.settings.identity import cell_id, parameters
from ablations.settings.making import cell_of, make_cell
from ablations.settings.rules import flip_refusal
from ablations.stages.graph import stages_of
from ablations.stages.metrics import floor_of
from analysis.errors import InputError
from diffusion_core.encodings import Continuous, GreyLevels
from tests.ablations.data.fabricated import cifar, fashion, pictures, saved_images

SMALL = {"train_images": 20, "held_out_images": 5}
WHOLE = ("folder", "arrow")
"""Sets of which all images are taken."""
CLASSES = registry.classes(registry.base_of("data"))


def choice(name: str, root: Path) -> DataSet:
    """The set at a root where its files were made up, if it has one."""
    make = {"fashion_mnist": fashion, "cifar10": cifar, "folder": pictures, "arrow": saved_images}.get(name)
    if make is None:
        return CLASSES[name]()
    make(root)
    return CLASSES[name](**{CLASSES[name].where[0]: str(root)}, **({} if name in WHOLE else SMALL))


@pytest.mark.parametrize("name", CLASSES)
def test_every_set_is_three_splits_that_stay_what_they_are_with_codes_to_judge_a_bits_per_dim_by(name, tmp_path):
    made = choice(name, tmp_path)
    check(made)
    before = torch.random.get_rng_state()
    made.read()
    assert torch.equal(before, torch.random.get_rng_state())
    data = made.load()
    assert data is made.load()
    assert set(made.where) <= {field.name for field in dataclasses.fields(made)}
    assert min(map(len, data.images.values())) >= FEWEST
    assert all(labels.min() >= -1 for labels in data.labels.values())
    raw = data.images["test"][:64]
    for u in (0.0, 0.5, 1 - 2.0**-53):
        x0 = data.encoding.encode(raw, torch.full(tuple(raw.shape), u, dtype=torch.float64))
        assert x0.dtype == torch.float32
        assert torch.equal(data.encoding.decode(x0).to(raw.dtype), raw)
    if isinstance(data.encoding, GreyLevels):
        assert data.codes["uniform code"] == pytest.approx(math.log2(data.encoding.levels), rel=1e-6)
    else:
        assert (raw.dtype, raw.dim(), made.extractor, made.mirrors) == (torch.float32, 2, None, False)


IMAGES = {split: torch.zeros(n, 1, 8, 8, dtype=torch.uint8) for split, n in zip(SPLITS, (20, 5, 5), strict=True)}


@pytest.mark.parametrize(
    ("changed", "labels", "said"),
    [
        ({}, {}, ""),
        ({}, {split: torch.zeros(len(images), dtype=torch.int64) for split, images in IMAGES.items()}, ""),
        ({"val": IMAGES["test"]}, {}, "the splits train, validation, test, and there are train, validation, test, val"),
        ({"test": torch.zeros(5, 1, 4, 4, dtype=torch.uint8)}, {}, "must have one shape, and they are .*[1, 4, 4]"),
        ({"test": IMAGES["test"].float()}, {}, r"must be uint8 \[N, C, H, W\], and are torch.float32 .* in test"),
        ({"train": IMAGES["train"] + 17}, {}, r"grey levels must lie in 0..16, and reach 17 in train"),
        (
            {},
            {"test": torch.zeros(4, dtype=torch.int64)},
            r"int64 \[5\], one per example, and are torch.int64 \[4\] in te",
        ),
        ({}, {"test": torch.zeros(5)}, r"int64 \[5\], one per example, and are torch.float32 \[5\] in test"),
    ],
)
def test_images_that_no_stage_can_use_are_refused_by_what_is_expected(changed, labels, said):
    images = {**IMAGES, **changed}
    if not said:
        assert image_data(images, labels, levels=17).unfit == ""
        return
    with pytest.raises(ValueError, match=said):
        image_data(images, labels, levels=17)


def test_images_without_a_width_are_named():
    flat = {split: images[:, 0] for split, images in IMAGES.items()}
    assert Data(flat, {}, GreyLevels(17)).unfit.startswith("images must be uint8 [N, C, H, W], and are")
    assert Data({split: torch.full((5, 2), math.nan) for split in SPLITS}, {}, Continuous()).unfit.startswith("points")


@pytest.mark.parametrize("name", ["fashion_mnist", "cifar10", "folder"])
def test_a_missing_set_says_in_one_line_how_to_get_it(name, tmp_path):
    with pytest.raises(InputError, match=r"data\.root=") as caught:
        CLASSES[name](root=str(tmp_path / "nowhere")).load()
    assert "\n" not in str(caught.value)
    # What failed is not remembered.
    assert choice(name, tmp_path / "nowhere").load().images


def test_a_set_is_read_once_however_often_and_from_wherever_it_is_loaded(monkeypatch):
    reads = []

    @dataclasses.dataclass(frozen=True)
    class Slow(DataSet):
        n: int = 1

        extractor = None

        def read(self):
            reads.append(self.n)
            return Digits().read()

    threads = [threading.Thread(target=Slow(n).load) for n in (1, 2, 1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(reads) == [1, 2]
    assert Slow(1).load() is Slow(1).load()


@pytest.mark.parametrize("file_is_there", [True, False])
def test_digits_are_those_of_scikit_learn_whether_its_file_lies_where_it_does_or_not(file_is_there, monkeypatch):
    if not file_is_there:
        monkeypatch.setattr(sources, "find_spec", lambda name: None)
    levels, classes = sources.digits()
    assert np.array_equal(levels, load_digits().images)
    assert np.array_equal(classes, load_digits().target)


def test_digits_are_scikit_learns_split_once_and_for_all():
    data = Digits().load()
    assert [len(data.images[split]) for split in SPLITS] == [897, 450, 450]
    ours = np.concatenate([data.images[split].numpy().reshape(-1, 64) for split in SPLITS])
    theirs = load_digits().data
    assert sorted(map(bytes, ours.astype(np.uint8))) == sorted(map(bytes, theirs.astype(np.uint8)))
    assert int(ours.max()) == 16
    # The committed results name it.
    assert data.digest == "cc25a67fcab6"
    values = b"".join(data.images[split].numpy().tobytes() for split in SPLITS)
    assert data.digest == hashlib.sha256(values).hexdigest()[:12]


def test_histogram_codes_are_those_of_counting_by_hand_over_more_images_than_a_batch():
    generator = torch.Generator().manual_seed(0)
    train = torch.randint(5, (CODE_BATCH + 7, 3, 2, 1), generator=generator, dtype=torch.uint8)
    test = torch.randint(5, (CODE_BATCH + 1, 3, 2, 1), generator=generator, dtype=torch.uint8)
    codes = histogram_codes(train, test, levels=5)
    flat, asked = train.numpy().reshape(-1, 6), test.numpy().reshape(-1, 6)
    shares = np.stack([np.bincount(column, minlength=5) + 1 for column in flat.T]) / (len(flat) + 5)
    per_pixel = -np.mean([[math.log2(shares[i, level]) for i, level in enumerate(row)] for row in asked])
    overall = (np.bincount(flat.ravel(), minlength=5) + 1) / (flat.size + 5)
    assert codes["histogram per pixel"] == pytest.approx(per_pixel)
    assert codes["one histogram"] == pytest.approx(-np.log2(overall)[asked].mean())


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({}, "a mirrored one of data=digits is not known to be as likely as itself: leave it out"),
        ({"data": "fashion_mnist"}, "data=fashion_mnist is not known"),
        ({"data": "mixture2d", "network": "mlp"}, "data=mixture2d is not known"),
        ({"data": "folder"}, r"data=folder is .* \(data.mirrors=true says that it is\): leave it out"),
        ({"data": "patches", "space": "latents"}, "space=latents trains on codes of them: take space=pixels"),
        ({"data": "patches"}, None),
        ({"data": "cifar10"}, None),
        ({"data": "arrow", "data.mirrors": True}, None),
    ],
)
def test_images_are_mirrored_where_their_data_say_that_they_may_be(settings, reason):
    cell = make_cell([settings], 0)
    assert flip_refusal(cell) is None
    found = flip_refusal(dataclasses.replace(cell, training=dataclasses.replace(cell.training, flips=True)))
    assert (found is None) == (reason is None)
    if reason is not None:
        assert re.search(reason, found)
        assert "\n" not in found


def test_that_they_may_be_is_told_and_is_no_part_of_what_data_are():
    folder, declared = CLASSES["folder"](root="x"), CLASSES["folder"](root="x", mirrors=True)
    assert folder == declared
    assert repr(folder) == repr(declared)
    assert registry.describe(folder) == registry.describe(declared)
    assert [registry.describe(data, places=True)["mirrors"] for data in (folder, declared)] == [False, True]


def ids(settings: dict) -> tuple[list[str], str]:
    """The ids of the cell, its stages and its floor."""
    cell = make_cell([settings], seed=0)
    digest = cell.data.load().digest
    stages = [*stages_of(cell, digest, "float32", "x"), floor_of(cell, digest, "x")]
    return [cell_id(cell, digest, "float32"), *(stage.id for stage in stages)], parameters(cell)["data.root"]


@pytest.mark.parametrize("name", ["fashion_mnist", "cifar10", "folder"])
def test_moving_the_data_changes_no_identity_and_a_record_still_says_where_it_was(name, tmp_path):
    roots = [tmp_path / "here", tmp_path / "there" / "under another name"]
    small = {} if name == "folder" else {f"data.{key}": value for key, value in SMALL.items()}
    found = []
    for root in roots:
        choice(name, root)
        settings = {"data": name, "data.root": str(root), **small}
        found.append(ids(settings))
        cell = make_cell([settings], seed=3)
        assert cell_of(parameters(cell), seed=3) == cell
    assert found[0][0] == found[1][0]
    assert [where for _, where in found] == [str(root) for root in roots]


def test_what_changes_the_images_changes_the_identity(tmp_path):
    fashion(tmp_path)
    settings = {"data": "fashion_mnist", "data.root": str(tmp_path), "data.train_images": 20, "data.held_out_images": 5}
    first = ids(settings)[0]
    for key, value in {"data.size": 32, "data.train_images": 21, "data.held_out_images": 6}.items():
        assert not set(first) & set(ids({**settings, key: value})[0])


def test_a_set_may_preset_the_network_which_a_choice_beside_it_replaces():
    suggested = make_cell([{"data": "fashion_mnist"}], seed=0)
    assert suggested.network.channels == 32
    assert make_cell([{"data": "fashion_mnist", "network.channels": 8}], seed=0).network.channels == 8
    assert registry.choice_name(make_cell([{"data": "fashion_mnist", "network": "mlp"}], seed=0).network) == "mlp"


@pytest.mark.parametrize("name", ["fashion_mnist", "cifar10"])
@pytest.mark.parametrize("wrong", [{"train_images": 4}, {"held_out_images": 0}])
def test_a_budget_of_too_few_images_is_refused(name, wrong):
    with pytest.raises(ValueError, match=f"{name} needs train_images and held_out_images of at least 5"):
        CLASSES[name](**wrong)


@pytest.mark.parametrize(("key", "most"), [("train_images", 50), ("held_out_images", 10)])
def test_a_budget_beyond_the_set_is_refused(key, most, tmp_path):
    fashion(tmp_path)
    budget = {"train_images": 50, "held_out_images": 10}
    assert FashionMnist(root=str(tmp_path), **budget).load().images
    with pytest.raises(InputError, match=f"fashion_mnist has {most} images for data.{key}, got {most + 1}"):
        FashionMnist(root=str(tmp_path), **{**budget, key: most + 1}).load()


def test_a_budget_moves_no_image_between_splits(tmp_path):
    fashion(tmp_path)
    small, large = (
        FashionMnist(root=str(tmp_path), size=32, train_images=n, held_out_images=k).load().images
        for n, k in ((5, 6), (50, 10))
    )
    for split in SPLITS:
        assert torch.equal(small[split], large[split][: len(small[split])])
    train = {image.numpy().tobytes() for image in large["train"]}
    assert len(train) == 50
    assert not train & {image.numpy().tobytes() for split in ("validation", "test") for image in large[split]}


def labelled(train, test=None, dtype=torch.int64):
    """Points with these labels in training, and in both other splits."""
    labels = {"train": train, "validation": test or train, "test": test or train}
    return Data(
        {split: torch.zeros(len(train), 2) for split in SPLITS},
        {split: torch.tensor(values, dtype=dtype) for split, values in labels.items()},
        Continuous(),
    )


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (Data({}, {}, Continuous()), "has no labels"),
        (labelled([0, 1], dtype=torch.float32), r"int64 \[2\] in train: found torch.float32 \[2\]"),
        (labelled([0, 1], [0]), r"int64 \[2\] in validation: found torch.int64 \[1\]"),
        (
            dataclasses.replace(labelled([0]), labels={"train": torch.tensor([0])}),
            r"int64 \[1\] in validation: found none",
        ),
        (labelled([0, 1, -2]), "class -2"),
        (labelled([-1, -1]), "no labels but −1"),
        (labelled([-1, -1], [0, 1]), "0 classes of 0 to 1 only"),
        (labelled([0, 2]), "2 classes of 0 to 2 only"),
        (labelled([0, 1], [0, 2]), "2 classes of 0 to 2 only"),
        (labelled([0, 10**15]), f"2 classes of 0 to {10**15} only"),
    ],
)
def test_labels_that_a_model_cannot_be_told_are_no_classes_and_say_why(data, words):
    assert data.classes == 0
    assert re.search(words, data.unlabelled)
    assert "\n" not in data.unlabelled


def test_classes_are_counted_and_an_example_may_have_none():
    data = labelled([0, 2, -1, 1], [-1, 2, 2, 2])
    assert (data.classes, data.unlabelled) == (3, None)


def test_the_digest_of_labels_is_that_of_their_numbers_in_the_splits_order():
    data = labelled([0, 1, -1], [1, 1, 0])
    numbers = np.array([0, 1, -1, 1, 1, 0, 1, 1, 0], dtype="<i8")
    turned = dataclasses.replace(data, labels=dict(reversed(data.labels.items())))
    assert data.labels_digest == turned.labels_digest == hashlib.sha256(numbers.tobytes()).hexdigest()[:12]


@pytest.mark.parametrize(
    ("name", "fields", "classes"),
    [
        ("digits", {}, 10),
        ("fashion_mnist", {"train_images": 40}, 10),
        ("cifar10", {"train_images": 40}, 10),
        ("folder", {}, 3),
        ("arrow", {}, 3),
        ("mixture2d", {"modes": 5}, 5),
        ("patches", {}, 0),
        # A number of its own for each picture is no class.
        ("arrow", {"label": "number"}, 0),
        # Of ten classes twenty training images have eight.
        ("fashion_mnist", {}, 0),
    ],
)
def test_the_classes_of_the_sets_that_ship(name, fields, classes, tmp_path):
    data = dataclasses.replace(choice(name, tmp_path), **fields).load()
    assert data.classes == classes
    assert (data.unlabelled is None) == (classes > 0)
    if classes:
        assert set(torch.cat(list(data.labels.values())).tolist()) == set(range(classes))
        shuffled = {split: labels.flip(0) for split, labels in data.labels.items()}
        other = dataclasses.replace(data, labels=shuffled)
        assert other.digest == data.digest
        assert other.labels_digest != data.labels_digest
