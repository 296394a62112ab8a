"""The check of metrics: what ships passes, and what is wrong gets one clear line."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch

from ablations.metrics.metric import Metric
from ablations.metrics.registry import metric_of, names
from ablations.metrics.sets import Judged
from ablations.testing.metrics import check_metric


@pytest.mark.parametrize("name", names())
def test_a_metric_that_ships_passes(name):
    check_metric(metric_of(name))


@dataclass(frozen=True)
class Contrast(Metric):
    """Distance of the mean level of samples from that of real ones: what the wrong ones below are made of."""

    label: ClassVar[Any] = "Contrast"
    direction: ClassVar[Any] = "min"

    def compute(self, judged: Judged) -> float:
        return abs(float(judged.generated.stored.double().std() - judged.real.stored.double().std()))


class Loose(Contrast):
    """No frozen dataclass of its own: it may hold what an identity does not say."""

    __dataclass_params__: ClassVar[Any] = type("Params", (), {"frozen": False})


@dataclass(frozen=True)
class Asking(Contrast):
    """A field without a default."""

    weight: float


class TheWrongWayRound(Contrast):
    """More is no better."""

    direction: ClassVar[Any] = "max"


class Fashionable(Contrast):
    """A direction that is none."""

    direction: ClassVar[Any] = "up"


class Nameless(Contrast):
    """No label."""

    label: ClassVar[Any] = " "


class HalfDigit(Contrast):
    """Decimals that cannot be printed."""

    digits: ClassVar[Any] = 1.5


class Undirected(Contrast):
    """A verdict without a better end."""

    direction: ClassVar[Any] = "none"
    decides: ClassVar[Any] = "samples"


class Nll(Contrast):
    """A name that is taken."""


class Nowhere(Contrast):
    """Of no data."""

    of: ClassVar[Any] = ()


class Breaking(Contrast):
    """An exception."""

    def compute(self, judged: Judged) -> float:
        raise KeyError("contrast\nis missing")


class Endless(Contrast):
    """No number comes out."""

    def compute(self, judged: Judged) -> float:
        return math.inf


class Tensorial(Contrast):
    """A tensor is no number."""

    def compute(self, judged: Judged) -> Any:
        return judged.generated.features.mean()


class Moody(Contrast):
    """Another number each time."""

    def compute(self, judged: Judged) -> float:
        return super().compute(judged) + float(torch.rand(()))


class FirstOnly(Contrast):
    """The first sample alone counts."""

    def compute(self, judged: Judged) -> float:
        return abs(float(judged.generated.features[0].mean() - judged.real.features.mean()))


class Standardising(Contrast):
    """What others read is changed."""

    def compute(self, judged: Judged) -> float:
        judged.real.features.sub_(judged.real.features.mean())
        return super().compute(judged)


WRONG = {
    Loose: "is no frozen dataclass",
    Asking: "has no default for weight: text asks for a metric by its name alone",
    TheWrongWayRound: "has direction max, and scores real images .*, no better than noise",
    Fashionable: "has direction = 'up', which is none of 'min', 'max', 'none'",
    Nameless: "has the label ' ', which is no text",
    HalfDigit: "has digits = 1.5, which is no number of decimals",
    Undirected: "decides samples, and has no direction",
    Nll: "metric nll has the name of a metric that stages measure",
    Nowhere: r"is of \(\): take some of \['images', 'points'\]",
    Breaking: "metric breaking raises on 200 samples: KeyError: .*is missing",
    Endless: "scores 200 samples inf, which is not finite",
    Tensorial: "returns a Tensor, which is no number",
    Moody: "scores one set differently at a second time",
    FirstOnly: "in another order of its samples differently",
    Standardising: "changes the samples that it reads",
}


@pytest.mark.parametrize("wrong", WRONG, ids=lambda cls: cls.__name__)
def test_a_metric_that_is_wrong_gets_one_line(wrong):
    with pytest.raises(AssertionError, match=WRONG[wrong]) as caught:
        check_metric(wrong(1.0) if wrong is Asking else wrong())
    assert "\n" not in str(caught.value)


def test_what_the_wrong_ones_are_made_of_passes():
    check_metric(Contrast())
