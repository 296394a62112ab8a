"""Rules of every data set: three splits of one shape that stay what they are, and codes to judge a bits/dim by."""

from __future__ import annotations

import dataclasses
import itertools
import math

import torch

from ablations.data.base import FEWEST, SPLITS, DataSet
from ablations.metrics.extractors import architecture_of
from diffusion_core.encodings import GreyLevels
from diffusion_core.randomness import seeded
from diffusion_core.testing.choices import OF_EVERY_CHOICE
from diffusion_core.testing.saying import Property, require, require_close, require_equal

UNIFORM = "uniform code"


def reads_what_data_must_hold(data_set: DataSet) -> None:
    """Three splits of images of its levels, or of points, and their labels (`Data.unfit`)."""
    unfit = data_set.read().unfit
    require(data_set, "read must give what stages can use", not unfit, unfit)


def has_splits_that_metrics_can_compare(data_set: DataSet) -> None:
    """Training images teach, validation images select, test images are read once; FID compares at one n."""
    data = data_set.load()
    counts = {split: len(images) for split, images in data.images.items()}
    require(data_set, f"each split needs {FEWEST} examples", min(counts.values()) >= FEWEST, f"it has {counts}")
    same = counts["validation"] == counts["test"]
    require(data_set, "validation and test must have equally many examples", same, f"it has {counts}")


def holds_points_as_float32(data_set: DataSet) -> None:
    """Points are float32 [D]."""
    data = data_set.load()
    for split, points in data.images.items():
        fits = isinstance(data.encoding, GreyLevels) or (points.dtype == torch.float32 and points.dim() == 2)
        require(data_set, "points must be float32 [N, D]", fits, f"{split} is {points.dtype} {list(points.shape)}")


def is_the_same_however_often_it_is_read(data_set: DataSet) -> None:
    """Its digest enters every identity: it depends on no generator, and moves none."""
    before = torch.random.get_rng_state()
    digests = []
    for around in (1, 2):
        with seeded(around, "the global generator"):
            digests.append(data_set.read().digest)
    difference = f"its digest is {digests[0]} and then {digests[1]}: draw by a generator with a seed of one's own"
    require(data_set, "read must give the same data every time", digests[0] == digests[1], difference)
    data_set.read()
    still = torch.equal(before, torch.random.get_rng_state())
    require(data_set, "read must leave torch's global generator alone", still, "it draws from it")
    once = data_set.load() is data_set.load()
    require(data_set, "load must read once in a process", once, "it reads again: override read, not load")


def no_example_is_in_two_splits(data_set: DataSet) -> None:
    """A test image that taught is no test; equal images, and points, count as one."""
    held = {
        split: {example.numpy().tobytes() for example in images} for split, images in data_set.load().images.items()
    }
    for first, second in itertools.combinations(SPLITS, 2):
        shared = len(held[first] & held[second])
        require(data_set, "no example may be in two splits", shared == 0, f"{first} and {second} share {shared}")


def labels_if_any_are_classes(data_set: DataSet) -> None:
    """Labels, if any, number classes: extractors learn from them, and models are told them."""
    for split, labels in data_set.load().labels.items():
        least = int(labels.min())
        require(data_set, "classes are 0, 1, 2, …, and −1 is none", least >= -1, f"{split} has {least}")


def stored_values_come_back_from_x0(data_set: DataSet) -> None:
    """decode(encode(v, u)) = v, whatever u ~ U[0, 1) dequantises it, and x_0 is of the shape that is said."""
    data = data_set.load()
    raw = data.images["test"][:64]
    for u in (0.0, 0.5, 1 - 2.0**-53):
        x0 = data.encoding.encode(raw, torch.full(tuple(raw.shape), u, dtype=torch.float64))
        require(data_set, "x_0 must be float32", x0.dtype == torch.float32, f"it is {x0.dtype}")
        back = data.encoding.decode(x0).to(raw.dtype)
        require_equal(data_set, "stored values must come back from x_0", back, raw, lambda i: f"in example {i[0]}")


def its_codes_judge_a_number_of_bits(data_set: DataSet) -> None:
    """Codes are finite bits/dim by name; images have that of a uniform code, which is log2 of the levels."""
    data = data_set.load()
    images = isinstance(data.encoding, GreyLevels)
    hint = "image_data works them out" if images else "give Data codes={name: bits/dim}, the entropy of the points say"
    require(data_set, "codes must tell what simple codes score", bool(data.codes), f"there are none: {hint}")
    broken = [name for name, bits in data.codes.items() if not math.isfinite(bits)]
    require(data_set, "codes must be finite", not broken, lambda: f"{broken[0]} is {data.codes[broken[0]]}")
    if isinstance(data.encoding, GreyLevels):
        require(
            data_set, f"codes of images must hold a {UNIFORM!r}", UNIFORM in data.codes, f"it has {list(data.codes)}"
        )
        uniform, bits = torch.tensor([data.codes[UNIFORM], math.log2(data.encoding.levels)], dtype=torch.float64)
        rule = "the uniform code must be log2 of the levels"
        require_close(data_set, rule, uniform, bits, rtol=1e-6, place=lambda i: "bits/dim")


def its_extractor_takes_its_images(data_set: DataSet) -> None:
    """The extractor that images name takes their shape and levels; points have none, and nor have images that no metric
    of samples is to judge."""
    data, name = data_set.load(), data_set.extractor
    if not isinstance(data.encoding, GreyLevels):
        require(data_set, "points have no extractor", name is None, f"extractor={name!r}")
        return
    if name is None:
        return
    try:
        architecture_of(name).check(name, data.images["test"])
    except ValueError as error:
        require(data_set, "its extractor must take its images", False, str(error))


def says_where_its_files_lie_by_fields(data_set: DataSet) -> None:
    """`where` names fields that are no part of an identity."""
    fields = [field.name for field in dataclasses.fields(data_set)]  # type: ignore[arg-type]
    unknown = [name for name in data_set.where if name not in fields]
    require(data_set, "where must name fields", not unknown, lambda: f"{unknown[0]!r} is none of {', '.join(fields)}")


def only_images_are_mirrored(data_set: DataSet) -> None:
    """`training.flips` mirrors the last dimension of what is stored, which points have no width along."""
    images = isinstance(data_set.load().encoding, GreyLevels)
    require(data_set, "points have no mirror images", images or not data_set.mirrors, "it says mirrors = True")


PROPERTIES: tuple[Property, ...] = (
    *OF_EVERY_CHOICE,
    reads_what_data_must_hold,
    has_splits_that_metrics_can_compare,
    holds_points_as_float32,
    is_the_same_however_often_it_is_read,
    no_example_is_in_two_splits,
    labels_if_any_are_classes,
    stored_values_come_back_from_x0,
    its_codes_judge_a_number_of_bits,
    its_extractor_takes_its_images,
    says_where_its_files_lie_by_fields,
    only_images_are_mirrored,
)
