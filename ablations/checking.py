"""`ablations.check(choice)`: whether a class of one's own works, built in or not.

A choice of diffusion goes through `diffusion_core.checking`; data, metrics and extractors through a few rules of their
own here.
"""

from __future__ import annotations

import math

import torch

from ablations.data.base import SPLITS, DataSet
from ablations.data.shipped import Digits, Mixture2d
from ablations.metrics import extractors
from ablations.metrics.extractors.architectures import Architecture
from ablations.metrics.metric import FeatureSet, Metric
from ablations.metrics.scoring import Reference
from diffusion_core import checking
from diffusion_core.checking import expect
from diffusion_core.encodings import GreyLevels
from diffusion_core.randomness import seeded


def check(choice: object, data_set: DataSet | None = None) -> None:
    """AssertionError, in one line, unless a choice works; a metric is tried on `data_set`, else on digits or points."""
    if isinstance(choice, DataSet):
        check_data(choice)
    elif isinstance(choice, Metric):
        check_metric(choice, data_set or (Digits() if "images" in choice.info.of else Mixture2d()))
    elif isinstance(choice, Architecture):
        check_extractor(choice)
    else:
        checking.check(choice)


def check_data(data_set: DataSet) -> None:
    """Fail unless splits are disjoint, of equal lengths where they are held out, and the same at a second reading."""
    with seeded(1, "the global generator"):
        data = data_set.read()
    with seeded(2, "the global generator"):
        again = data_set.read()
    expect("data that stages can use", not data.unfit, data.unfit)
    expect("the same data at every reading", data.digest == again.digest, "others: draw by a generator of one's own")
    held = {split: {example.numpy().tobytes() for example in images} for split, images in data.images.items()}
    shared = held["train"] & (held["validation"] | held["test"]) | held["validation"] & held["test"]
    expect("no example in two splits", not shared, f"{len(shared)} that are")
    counts = {split: len(images) for split, images in data.images.items()}
    expect("as many validation as test examples", counts["validation"] == counts["test"], counts)
    finite = data.codes and all(map(math.isfinite, data.codes.values()))
    expect("codes={name: bits/dim} that are finite", finite, data.codes)
    if data_set.extractor is not None:
        extractors.architecture_of(data_set.extractor).check(data_set.extractor, data.images["test"])


def check_extractor(architecture: Architecture) -> None:
    """Fail unless features and logits are float32, as wide as declared, finite, and those of each image alone."""
    module, side = architecture.eval(), (architecture.sides or (16,))[0]
    generator = torch.Generator().manual_seed(0)
    shape = 5, architecture.channels[0], side, side
    images = torch.randint(architecture.levels, shape, generator=generator).to(torch.uint8)
    with torch.no_grad():
        whole, alone = module(images), module(images[:1])
    widths = {"features": module.width, "logits": module.classes}
    for (what, width), value, first in zip(widths.items(), whole, alone, strict=True):
        fits = value.dtype == torch.float32 and value.shape == (5, width)
        expect(f"{what} float32 {[5, width]}", fits, list(value.shape))
        expect(f"finite {what}", value.isfinite().all(), "others")
        same = torch.allclose(value[:1], first, rtol=1e-4, atol=1e-4)
        expect(f"{what} of each image alone", same, "others in a batch")


def check_metric(metric: Metric, data_set: DataSet) -> None:
    """Fail unless it is a finite number of a set in any order, and better for real samples than for noise."""
    data, name = data_set.load(), data_set.extractor
    extractor = None if name is None else extractors.load(name)
    train, drawn, test = (
        FeatureSet(data.images[split][:200], extractor, data.labels[split][:200] if data.labels else None)
        for split in SPLITS
    )
    generator = torch.Generator().manual_seed(1)
    order = torch.randperm(len(drawn.stored), generator=generator)
    if isinstance(data.encoding, GreyLevels):
        reference = Reference("train", train, test, data.encoding.levels)
        noise = torch.randint(data.encoding.levels, drawn.stored.shape, generator=generator).to(torch.uint8)
    else:
        reference = Reference("test", test, None, None)
        noise = 3 * drawn.stored.abs().max() * (2 * torch.rand(drawn.stored.shape, generator=generator) - 1)

    def score(stored: torch.Tensor, labels: torch.Tensor | None = drawn.labels) -> float:
        return metric.compute(reference.comparison(stored.clone(), labels))

    first, again, worse = score(drawn.stored), score(drawn.stored), score(noise)
    ordered = score(drawn.stored[order], None if drawn.labels is None else drawn.labels[order])
    expect("a finite number", isinstance(first, float | int) and math.isfinite(first), repr(first))
    expect("the same number at a second time", first == again, again)
    alike = math.isclose(first, ordered, rel_tol=1e-6, abs_tol=1e-6)
    expect(f"{first:.6g} in another order of samples", alike, ordered)
    direction = metric.info.direction
    better = metric.info.sign * (first - worse) > 0 or direction == "none"
    expect(f"real samples' {first:.6g} to be better than noise's (direction {direction})", better, f"{worse:.6g}")
