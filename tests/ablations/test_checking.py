"""The check of choices: what ships passes, and what is wrong is told in a line."""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch

from ablations import check
from ablations.data.base import Data, DataSet, image_data
from ablations.metrics import extractors
from ablations.metrics.metric import Comparison, Metric, MetricInfo
from ablations.metrics.registry import metric_of, names


def noise(n: int, seed: int | None) -> torch.Tensor:
    """n images of noise; by the global generator where no seed is given."""
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    return torch.randint(17, (n, 1, 8, 8), generator=generator).to(torch.uint8)


@dataclass(frozen=True)
class Drawn(DataSet):
    """Images of noise, wrong in one thing."""

    extractor: ClassVar[str | None] = "digits-cnn"
    wrong: str = "nothing"

    def read(self) -> Data:
        train, validation, test = noise(40, None if self.wrong == "restless" else 0), noise(9, 1), noise(9, 2)
        if self.wrong == "leaking":
            test = train[:9]
        if self.wrong == "lopsided":
            test = test[:6]
        return image_data({"train": train, "validation": validation, "test": test}, {}, levels=17)


@dataclass(frozen=True)
class Contrast(Metric):
    """Distance of the spread of samples from that of real ones."""

    info: ClassVar[Any] = MetricInfo("Contrast", "min")

    def compute(self, sets: Comparison) -> float:
        return abs(float(sets.generated.stored.double().std() - sets.real.stored.double().std()))


def contrast(**declared: Any) -> Metric:
    """A contrast that declares, or computes, something else."""
    made: Metric = type("Contrast", (Contrast,), declared)()
    return made


def moody(self: Metric, sets: Comparison) -> float:
    return Contrast.compute(self, sets) + float(torch.rand(()))


def of_the_first(self: Metric, sets: Comparison) -> float:
    return abs(float(sets.generated.features[0].mean() - sets.real.features.mean()))


def stretched() -> Any:
    """An extractor that says it is wider than it is."""
    module = copy.deepcopy(extractors.load("digits-cnn").module)
    module.__class__ = type("Wider", (type(module),), {"width": module.width + 1})
    return module


WRONG = [
    (Drawn("restless"), "expected the same data at every reading, found others"),
    (Drawn("leaking"), "expected no example in two splits, found 9 that are"),
    (Drawn("lopsided"), "expected as many validation as test examples, found {.*'validation': 9, 'test': 6}"),
    (stretched(), r"expected features float32 \[5, \d+\], found \[5, \d+\]"),
    (
        contrast(info=MetricInfo("Contrast", "max")),
        r"expected real samples' .* to be better than noise's \(direction max\), found",
    ),
    (contrast(compute=lambda *_: torch.zeros(())), r"expected a finite number, found tensor\(0.\)"),
    (contrast(compute=moody), "expected the same number at a second time"),
    (contrast(compute=of_the_first), "expected .* in another order of samples"),
]


@pytest.mark.parametrize(("choice", "line"), WRONG, ids=[line[9:40] for _, line in WRONG])
def test_what_is_wrong_is_told_in_one_line(choice, line):
    with pytest.raises(AssertionError) as caught:
        check(choice)
    assert re.match(line, str(caught.value))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("metric", [*map(metric_of, names()), Contrast()], ids=lambda metric: type(metric).__name__)
def test_a_metric_that_ships_passes(metric):
    check(metric)


def test_an_extractor_that_ships_passes_and_a_set_in_which_nothing_is_wrong():
    for name in ("digits-cnn", "fashion-cnn"):
        check(extractors.load(name).module)
    check(Drawn())
