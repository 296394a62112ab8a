"""What holds for every data set, the simplest codes, and which of a set's fields make an identity."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from ablations.data.base import CODE_BATCH, FEWEST, SPLITS, Data, DataSet, histogram_codes, image_data
from ablations.data.fashion_mnist import FashionMnist
from ablations.metrics.extractors import architecture_of
from ablations.settings import registry
from ablations.settings.making import cell_of, flip_refusal, make_cell
from ablations.settings.registry import cell_id, parameters
from ablations.stages.graph import stages_of
from ablations.stages.metrics import floor_of
from analysis.errors import InputError
from diffusion_core.encodings import Continuous, GreyLevels
from tests.ablations.data.fabricated import cifar, fashion, pictures, saved_images

SMALL = {"train_images": 40, "held_out_images": 5}
WHOLE = ("folder", "arrow")
"""Sets of which all images are taken."""
CLASSES = registry.classes("data")


def choice(name: str, root: Path) -> DataSet:
    """The set at a root where its files were made up, if it has one."""
    make = {"fashion_mnist": fashion, "cifar10": cifar, "folder": pictures, "arrow": saved_images}.get(name)
    if make is None:
        return CLASSES[name]()
    make(root)
    return CLASSES[name](**{CLASSES[name].where[0]: str(root)}, **({} if name in WHOLE else SMALL))


@pytest.mark.parametrize("name", CLASSES)
def test_every_set_has_disjoint_splits_that_metrics_can_compare_and_codes_that_judge(name, tmp_path):
    one = choice(name, tmp_path)
    data, images = one.load(), isinstance(one.load().encoding, GreyLevels)
    assert data is one.load()
    assert data.unfit == ""
    assert one.read().digest == data.digest
    assert len(data.images["train"]) >= FEWEST
    assert len(data.images["validation"]) == len(data.images["test"]) >= FEWEST
    held = [{example.numpy().tobytes() for example in data.images[split]} for split in SPLITS]
    assert not any(first & second for first, second in itertools.combinations(held, 2))
    assert data.codes
    assert all(map(math.isfinite, data.codes.values()))
    assert not images or data.codes["uniform code"] == pytest.approx(math.log2(data.encoding.levels))
    assert images or not one.mirrors
    if one.extractor is not None:
        architecture_of(one.extractor).check(one.extractor, data.images["test"])
    assert set(one.where) <= {field.name for field in dataclasses.fields(one)}
    assert data.classes == {"mixture2d": 8, "folder": 3, "arrow": 3, "patches": 0}.get(name, 10)
    assert set(torch.cat(list(data.labels.values()) or [torch.zeros(0)]).tolist()) == set(range(data.classes))


IMAGES = {split: torch.zeros(n, 1, 8, 8, dtype=torch.uint8) for split, n in zip(SPLITS, (20, 5, 5), strict=True)}


@pytest.mark.parametrize(
    ("changed", "labels", "said"),
    [
        ({"val": IMAGES["test"]}, {}, "the splits train, validation, test, and there are train, validation, test, val"),
        (
            {"test": torch.zeros(5, 1, 4, 4, dtype=torch.uint8)},
            {},
            r"must be \[1, 8, 8\] as in train, and are \[1, 4, 4\]",
        ),
        ({"test": IMAGES["test"].float()}, {}, r"must be uint8 \[N, C, H, W\], and are torch.float32 .* in test"),
        ({"train": IMAGES["train"] + 17}, {}, r"grey levels must lie in 0..16, and reach 17 in train"),
        ({}, {"test": torch.zeros(5)}, r"int64 \[5\], one per example, and are torch.float32 \[5\] in test"),
    ],
)
def test_images_that_no_stage_can_use_are_refused_by_what_is_expected(changed, labels, said):
    images = {**IMAGES, **changed}
    with pytest.raises(ValueError, match=said):
        image_data(images, labels, levels=17)
    assert Data({split: torch.full((5, 2), math.nan) for split in SPLITS}, {}, Continuous()).unfit.startswith("points")


@pytest.mark.parametrize("name", ["fashion_mnist", "cifar10", "folder"])
def test_a_missing_set_says_in_one_line_how_to_get_it(name, tmp_path):
    with pytest.raises(InputError, match=r"data\.root=") as caught:
        CLASSES[name](root=str(tmp_path / "nowhere")).load()
    assert "\n" not in str(caught.value)
    # What failed is not remembered.
    assert choice(name, tmp_path / "nowhere").load().images


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
        ({"data": "folder"}, r"data=folder is .* \(data.mirrors=true says that it is\): leave it out"),
        ({"data": "patches", "space": "latents"}, "space=latents trains on codes of them: take space=pixels"),
        ({"data": "patches"}, None),
        ({"data": "arrow", "data.mirrors": True}, None),
    ],
)
def test_images_are_mirrored_where_their_data_say_that_they_may_be(settings, reason):
    cell = make_cell([settings], 0)
    found = flip_refusal(dataclasses.replace(cell, training=dataclasses.replace(cell.training, flips=True)))
    assert re.search(reason, found) if reason else found is None


def ids(settings: dict) -> tuple[list[str], str]:
    """The ids of the cell, its stages and its floor."""
    cell = make_cell([settings], seed=0)
    digest = cell.data.load().digest
    stages = [*stages_of(cell, digest, "float32", "x"), floor_of(cell, digest, "x")]
    where = parameters(cell)[f"data.{cell.data.where[0]}"]
    return [cell_id(cell, digest, "float32"), *(stage.id for stage in stages)], where


@pytest.mark.parametrize("name", ["fashion_mnist", "folder", "arrow"])
def test_moving_the_data_changes_no_identity_and_a_record_still_says_where_it_was(name, tmp_path):
    roots = [tmp_path / "here", tmp_path / "there" / "under another name"]
    small = {} if name in WHOLE else {f"data.{key}": value for key, value in SMALL.items()}
    found = []
    for root in roots:
        choice(name, root)
        settings = {"data": name, f"data.{CLASSES[name].where[0]}": str(root), **small}
        found.append(ids(settings))
        cell = make_cell([settings], seed=3)
        assert cell_of(parameters(cell), seed=3) == cell
    assert found[0][0] == found[1][0]
    assert [where for _, where in found] == [str(root) for root in roots]


def test_a_budget_moves_no_image_between_splits(tmp_path):
    fashion(tmp_path)
    for train, held_out, most in ((51, 10, 50), (50, 11, 10)):
        with pytest.raises(InputError, match=f"fashion_mnist has {most} images for data.*, got {most + 1}"):
            FashionMnist(root=str(tmp_path), train_images=train, held_out_images=held_out).load()
    with pytest.raises(ValueError, match="fashion_mnist needs train_images and held_out_images of at least 5"):
        FashionMnist(train_images=4)
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


WRONG_CLASSES = ([0, 1, -2],), ([-1, -1],), ([-1, -1], [0, 1]), ([0, 2],), ([0, 1], [0, 2]), ([0, 10**15],)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (Data({}, {}, Continuous()), "has no labels"),
        (labelled([0, 1], dtype=torch.float32), r"int64 \[2\].*are torch.float32 \[2\] in train"),
        (
            dataclasses.replace(labelled([0]), labels={"train": torch.tensor([0])}),
            r"int64 \[1\].*are none in validation",
        ),
        *((labelled(*classes), "number them from 0") for classes in WRONG_CLASSES),
    ],
)
def test_labels_that_a_model_cannot_be_told_are_no_classes_and_say_why(data, words):
    assert (labelled([0, 2, -1, 1], [-1, 2, 2, 2]).classes, data.classes) == (3, 0)
    assert re.search(words, data.unlabelled)
    assert "\n" not in data.unlabelled


def test_the_digest_of_labels_is_that_of_their_numbers_in_the_splits_order():
    data = labelled([0, 1, -1], [1, 1, 0])
    numbers = np.array([0, 1, -1, 1, 1, 0, 1, 1, 0], dtype="<i8")
    turned = dataclasses.replace(data, labels=dict(reversed(data.labels.items())))
    assert data.labels_digest == turned.labels_digest == hashlib.sha256(numbers.tobytes()).hexdigest()[:12]
